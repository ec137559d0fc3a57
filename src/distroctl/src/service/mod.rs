//! `distroctl service`: what runs, and starting and stopping it by asking PID 1 ([`contract::control`]).

use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use contract::control::{ANSWER_MAX, OK, Request, Verb};
use contract::paths;
use contract::service::{self, Service, State, Status};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};

use crate::quadlet::relations::Relations;
use crate::{console, container, file, logs, quadlet};

/// PID 1 answers at once.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// A start is waited for at most this long; a stop as long as the service has time for it.
const START_LIMIT: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(50);
/// Messages that `status` shows.
const LAST: usize = 10;
/// Exit status of `status` for one that does not run, as LSB init scripts have it (Linux Standard Base Core 5.0, 22.2).
const NOT_RUNNING: u8 = 3;

/// A service with its state.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) name: String,
    /// What the table says; PID 1's own are not in it.
    pub(crate) service: Option<Service>,
    pub(crate) status: Option<Status>,
}

impl Known {
    /// `ready`, `ready (2 restarts, last exit: status 1)`.
    pub(crate) fn describe(&self) -> String {
        let Some(status) = &self.status else { return "unknown".into() };
        let mut notes = Vec::new();
        match status.restarts {
            0 => {}
            1 => notes.push("1 restart".to_string()),
            restarts => notes.push(format!("{restarts} restarts")),
        }
        if let Some(exit) = status.exit.filter(|exit| *exit != service::Exit::Code(0)) {
            notes.push(format!("last exit: {exit}"));
        }
        let state = status.state.as_str();
        if notes.is_empty() { state.into() } else { format!("{state} ({})", notes.join(", ")) }
    }

    /// Whether somebody should look at it.
    pub(crate) fn is_problem(&self) -> bool {
        self.status.as_ref().is_some_and(|status| matches!(status.state, State::Failed | State::Backoff))
    }
}

/// The services in the order of their table but for those that do not run here, then those that only have a state.
pub(crate) fn all() -> Vec<Known> {
    let table = |path: &str| service::decode(&std::fs::read_to_string(path).unwrap_or_default()).0;
    let here = container::place();
    let images = table(paths::SERVICES).into_iter().filter(|service| service.place.is_none_or(|place| place == here));
    let services = images.chain(table(paths::ADDED_SERVICES));
    let folder = Path::new(paths::SERVICE_STATE_DIR);
    let status = |name: &str| Status::decode(&std::fs::read_to_string(folder.join(name)).unwrap_or_default());
    let mut known: Vec<Known> = services
        .map(|service| Known { name: service.name.clone(), status: status(&service.name), service: Some(service) })
        .collect();
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut others: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    others.retain(|name| !name.starts_with('.') && !known.iter().any(|known| known.name == *name));
    others.sort();
    known.extend(others.into_iter().map(|name| Known { status: status(&name), service: None, name }));
    known
}

/// One of them.
pub(crate) fn find(name: &str) -> Result<Known> {
    let mut known = all();
    match known.iter().position(|known| known.name == name) {
        Some(at) => Ok(known.swap_remove(at)),
        None => {
            let names: Vec<String> = known.into_iter().map(|known| known.name).collect();
            bail!("no such service: {name}\nhint: there are {}", names.join(", "));
        }
    }
}

/// `distroctl service …`; `None` if the words make no sense.
pub(crate) fn run(words: &[&str]) -> Option<Result<ExitCode>> {
    match words {
        [] | ["list"] => Some(console::print(&list(&all()))),
        ["status", name] => Some(status(name)),
        ["logs", name, options @ ..] => {
            let words: Vec<&str> = options.iter().chain([name]).copied().collect();
            Some(logs::run(&logs::Wanted::of(&words)?))
        }
        ["reload"] => Some(quadlet::generate()),
        [verb, name] => Verb::from_word(verb).map(|verb| ask_all(verb, name)),
        _ => None,
    }
}

/// One line each.
pub(crate) fn list(known: &[Known]) -> String {
    let mut text = String::new();
    for known in known {
        let _ = writeln!(text, "{:<20} {}", known.name, known.describe());
    }
    text
}

fn status(name: &str) -> Result<ExitCode> {
    let known = find(name)?;
    let mut text = String::new();
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(text, "{key:<10} {value}");
    };
    line("service", &known.name);
    line("state", &known.describe());
    let pid = known.status.as_ref().and_then(|status| status.pid);
    if let Some(pid) = pid {
        line("process", &pid.to_string());
    }
    if let Some(service) = &known.service {
        line("command", &service.command.join(" "));
    }
    let group = Path::new("/sys/fs/cgroup/system").join(name);
    let number = |file: &str| file::first_line(group.join(file)).parse::<u64>().ok();
    if let Some(bytes) = number("memory.current") {
        let limit = number("memory.max").map_or(String::new(), |limit| format!(" of {} MiB", limit >> 20));
        line("memory", &format!("{} MiB{limit}", bytes >> 20));
    }
    if let Some(count) = number("pids.current") {
        line("processes", &count.to_string());
    }
    console::print(&text)?;
    let _ = logs::run(&logs::Wanted::last(name, LAST));
    let is_running = known.status.is_some_and(|status| matches!(status.state, State::Ready | State::Starting));
    Ok(if is_running { ExitCode::SUCCESS } else { ExitCode::from(NOT_RUNNING) })
}

/// With all that starts or stops with it.
pub(crate) fn ask_all(verb: Verb, name: &str) -> Result<ExitCode> {
    let relations = Relations::load();
    let is_down = |name: &String| {
        let state = find(name).ok().and_then(|known| known.status).map(|status| status.state);
        matches!(state, Some(State::Stopped | State::Failed))
    };
    let start = |names: &[String]| -> Result<()> {
        for name in names.iter().filter(|name| is_down(name)) {
            request(&Request { verb: Verb::Start, service: name }).with_context(|| format!("starting {name}"))?;
        }
        Ok(())
    };
    let mut stopped = relations.stopped_with(name);
    stopped.retain(|name| verb != Verb::Start && !is_down(name));
    for name in &stopped {
        ask(Verb::Stop, name)?;
    }
    if verb != Verb::Stop {
        start(&relations.started_with(name))?;
    }
    let result = ask(verb, name)?;
    if verb == Verb::Restart {
        stopped.reverse();
        start(&stopped)?;
    }
    Ok(result)
}

fn ask(verb: Verb, name: &str) -> Result<ExitCode> {
    let before = find(name)?;
    let answer = request(&Request { verb, service: name }).with_context(|| {
        format!("asking PID 1 at {} to {} {name}\nhint: root and the login user may", paths::CONTROL, verb.as_str())
    })?;
    if answer != OK {
        bail!("{} {name}: {}", verb.as_str(), answer.strip_prefix("error ").unwrap_or(&answer));
    }
    wait(verb, &before)
}

/// Asks PID 1; its answer. Of a crowd, PID 1 closes the connections that have not asked yet, and then knows of nothing: who
/// was closed asks again.
pub(crate) fn request(request: &Request<'_>) -> Result<String> {
    let begin = Instant::now();
    loop {
        match request_once(request)? {
            Some(answer) => return Ok(answer),
            None if begin.elapsed() >= ANSWER_LIMIT => bail!("the connection was closed without an answer"),
            None => std::thread::sleep(LOOK),
        }
    }
}

/// `None`: the connection was closed.
fn request_once(request: &Request<'_>) -> Result<Option<String>> {
    let address = SocketAddrUnix::new(std::ffi::OsStr::new(paths::CONTROL).as_bytes())?;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    for timeout in [rustix::net::sockopt::Timeout::Recv, rustix::net::sockopt::Timeout::Send] {
        rustix::net::sockopt::set_socket_timeout(&socket, timeout, Some(ANSWER_LIMIT))?;
    }
    rustix::net::connect(&socket, &address)?;
    match rustix::net::send(&socket, request.encode().as_bytes(), SendFlags::NOSIGNAL) {
        Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => return Ok(None),
        sent => sent?,
    };
    let mut answer = [0u8; ANSWER_MAX];
    let count = match rustix::net::recv(&socket, &mut answer, RecvFlags::empty()) {
        Ok((0, _)) | Err(rustix::io::Errno::CONNRESET) => return Ok(None),
        received => received?.0,
    };
    Ok(Some(String::from_utf8_lossy(answer.get(..count).unwrap_or_default()).into_owned()))
}

/// What the state after a request means.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    Done,
    Failed,
    Waiting,
}

fn progress(verb: Verb, before: Option<&Status>, now: &Status) -> Progress {
    let is_old = verb == Verb::Restart && now.pid.is_some() && now.pid == before.and_then(|status| status.pid);
    match (verb, now.state) {
        (Verb::Stop, State::Stopped) => Progress::Done,
        (Verb::Stop, _) | (_, State::Stopping) => Progress::Waiting,
        _ if is_old => Progress::Waiting,
        (_, State::Ready) => Progress::Done,
        // Of a start that has just been asked for the state may still be the old one.
        (_, State::Failed | State::Backoff) if Some(now) != before => Progress::Failed,
        _ => Progress::Waiting,
    }
}

fn wait(verb: Verb, before: &Known) -> Result<ExitCode> {
    let name = &before.name;
    let to_stop = before.service.as_ref().map_or(10, |service| u64::from(service.stop_timeout_secs));
    let limit = Instant::now() + START_LIMIT + 3 * Duration::from_secs(to_stop);
    loop {
        std::thread::sleep(LOOK);
        let Some(now) = find(name)?.status else { continue };
        match progress(verb, before.status.as_ref(), &now) {
            Progress::Done => return Ok(ExitCode::SUCCESS),
            Progress::Failed => {
                let state = Known { status: Some(now), ..before.clone() }.describe();
                bail!("{name} did not start: {state}\nhint: see \"distroctl logs {name}\"");
            }
            Progress::Waiting if Instant::now() >= limit => {
                bail!("{name} is still {} after {} s", now.state.as_str(), START_LIMIT.as_secs());
            }
            Progress::Waiting => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Known, Progress, State, Status, Verb, list, progress, run};

    fn status(text: &str) -> Status {
        Status::decode(text).unwrap()
    }

    #[test]
    fn says_states_of_services() {
        let known = |text: &str| Known { name: "a".into(), service: None, status: Status::decode(text) };
        assert_eq!(known("state ready\npid 7\nrestarts 0\nexit status 0\n").describe(), "ready");
        let failing = known("state backoff\nrestarts 2\nexit signal 9\n");
        assert_eq!(failing.describe(), "backoff (2 restarts, last exit: signal 9)");
        assert!(failing.is_problem() && !known("state ready").is_problem());
        assert_eq!(known("").describe(), "unknown");
        assert_eq!(list(&[known("state ready")]), "a                    ready\n");
    }

    #[test]
    fn knows_when_it_is_done() {
        let (old, new) = (status("state ready\npid 7"), status("state ready\npid 8"));
        let failed = status("state failed\nexit status 1");
        assert_eq!(progress(Verb::Restart, Some(&old), &old), Progress::Waiting);
        assert_eq!(progress(Verb::Restart, Some(&old), &new), Progress::Done);
        assert_eq!(progress(Verb::Start, Some(&old), &old), Progress::Done);
        assert_eq!(progress(Verb::Start, Some(&failed), &failed), Progress::Waiting);
        assert_eq!(progress(Verb::Start, Some(&old), &failed), Progress::Failed);
        assert_eq!(progress(Verb::Stop, Some(&old), &status("state stopping")), Progress::Waiting);
        assert_eq!(progress(Verb::Stop, Some(&old), &status("state stopped")), Progress::Done);
        assert_eq!(status("state stopping").state, State::Stopping);
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        assert!(run(&["kill", "a"]).is_none() && run(&["start"]).is_none() && run(&["a", "b", "c"]).is_none());
    }
}
