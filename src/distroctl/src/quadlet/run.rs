//! `distroctl quadlet run NAME`: PID 1's process for a Quadlet service. It runs the commands of the plan and lives as long as
//! what they have started: the monitor of the container (conmon), which becomes its child when podman has ended.

use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitCode, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use contract::control::{Request, Verb};
use contract::service::State;
use quadlet::{Main, Plan, Step};
use rustix::process::{Pid, WaitOptions};

use super::command::{self, Notify};
use super::{cgroup, output, plan_of};
use crate::console;
use crate::service::{self, Known};

/// How often a process is looked at that is not a child.
const LOOK: Duration = Duration::from_millis(500);

/// Runs the service; the status is that of its main process, 128 and the number of a signal.
pub(crate) fn run(name: &str) -> Result<ExitCode> {
    let plan = plan_of(name)?;
    cgroup::enter(name);
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).context("becoming the parent of orphans")?;
    remove_id_files(&plan);
    let output = output::follow(&plan);
    let result = live(&plan);
    drop(output);
    // Also after a failure: what is left behind must go before the next start.
    for command in plan.commands.iter().filter(|command| command.step == Step::StopPost) {
        if is_needed(&command.argv)
            && let Err(error) = command::run(&plan, command, Notify::No, None)
        {
            console::log(&format!("{error:#}"));
        }
    }
    match result? {
        Some(status) => {
            console::log(&format!("ended with {}", command::describe(status)));
            let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1);
            Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
        }
        None => Ok(ExitCode::SUCCESS),
    }
}

/// From the first command to the end of the main process.
fn live(plan: &Plan) -> Result<Option<ExitStatus>> {
    let deadline = plan.start_timeout_secs.map(|secs| Instant::now() + Duration::from_secs(secs));
    command::run_step(plan, Step::StartPre, Notify::No, deadline)?;
    let notify = if plan.says_ready { Notify::No } else { Notify::Yes };
    if plan.main == Main::Command {
        let last = plan.commands.iter().rev().find(|command| command.step == Step::Start).context("no ExecStart=")?;
        let mut child = command::start(plan, last, notify)?;
        let pid_file = pid_file(&plan.service.name);
        let _ = std::fs::write(&pid_file, child.id().to_string());
        command::run_step(plan, Step::StartPost, Notify::No, deadline)?;
        start_others(plan);
        let status = child.wait().context("waiting for the main process")?;
        let _ = std::fs::remove_file(pid_file);
        return Ok(Some(status));
    }
    command::run_step(plan, Step::Start, notify, deadline)?;
    if plan.says_ready {
        say_ready()?;
    }
    command::run_step(plan, Step::StartPost, Notify::No, deadline)?;
    start_others(plan);
    match &plan.main {
        Main::Once | Main::Command => Ok(None),
        Main::PidFile(path) => wait_for(path).map(Some),
        Main::Children => Ok(wait_for_children()),
    }
}

/// Where the process id of a plain command is left for [`super::stop`].
pub(super) fn pid_file(name: &str) -> std::path::PathBuf {
    Path::new(contract::paths::QUADLET_DIR).join(format!(".{name}.pid"))
}

/// Files with ids that a power cut, or podman, has left: podman would not start beside them.
fn remove_id_files(plan: &Plan) {
    let prefixes = ["--cidfile=", "--conmon-pidfile=", "--pod-id-file=", "--infra-conmon-pidfile="];
    // A container names the file of its pod, which is not its own, as two words.
    for argument in plan.commands.iter().flat_map(|command| &command.argv) {
        if let Some(path) = prefixes.iter().find_map(|prefix| argument.strip_prefix(prefix)) {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// `podman rm --cidfile=` has nothing to do when the file is gone: starting podman for it would take a second.
fn is_needed(argv: &[String]) -> bool {
    argv.iter().find_map(|argument| argument.strip_prefix("--cidfile=")).is_none_or(|path| Path::new(path).exists())
}

fn say_ready() -> Result<()> {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let socket = UnixDatagram::unbound().context("making a socket")?;
    socket.send_to(b"READY=1", &path).with_context(|| format!("writing to {}", path.display()))?;
    Ok(())
}

/// Asks PID 1 for the services that start with this one and do not run.
fn start_others(plan: &Plan) {
    for other in &plan.starts {
        let is_down = |known: &Known| {
            let state = known.status.as_ref().map(|status| status.state);
            matches!(state, Some(State::Stopped | State::Failed))
        };
        if !service::find(other).is_ok_and(|known| is_down(&known)) {
            continue;
        }
        if let Err(error) = service::request(&Request { verb: Verb::Start, service: other }) {
            console::log(&format!("starting {other}: {error:#}"));
        }
    }
}

/// Waits for the process in a file. Not by waitpid(2) of the group: the monitor has a session of its own.
fn wait_for(path: &str) -> Result<ExitStatus> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
    let pid = text.trim().parse().ok().and_then(Pid::from_raw).with_context(|| format!("{path}: no process id"))?;
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((ended, status))) if ended == pid => return Ok(ExitStatus::from_raw(status.as_raw())),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            // It belongs to somebody else: how it ends cannot be known.
            Err(_) => {
                while rustix::process::test_kill_process(pid).is_ok() {
                    std::thread::sleep(LOOK);
                }
                return Ok(ExitStatus::from_raw(1 << 8));
            }
        }
    }
}

/// Waits for everything that has been left behind; how the last one ended.
fn wait_for_children() -> Option<ExitStatus> {
    let mut last = None;
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((_, status))) => last = Some(ExitStatus::from_raw(status.as_raw())),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return last,
        }
    }
}
