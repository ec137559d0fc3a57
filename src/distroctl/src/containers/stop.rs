//! `distroctl stop-containers`: asks the engine over its API to stop all running containers, those first that need others,
//! and at once what does not depend on each other. Podman would stop any at any time (5.4.2: neither its API nor `podman stop`
//! looks at dependencies), and another podman process would have to load 45 MB first.
//!
//! It is the stop command of the podman service, whose `stop-timeout` of 55 s the limits here add up to less than.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::Scope;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::engine::{Engine, Inspected, Listed};
use super::place::Place;
use super::work::{count_processes, wait_until_gone};
use super::{CONMON, at_rest, order};
use crate::console;
use crate::rootless::Stops as UserStops;

/// For all requests together. A container has its own time (`--stop-timeout`) between its stop signal and SIGKILL.
const STOP_LIMIT: Duration = Duration::from_secs(49);
/// For what follows a container's end.
const CLEANUP_LIMIT: Duration = Duration::from_secs(5);
/// What a stop takes besides the container's own time.
const STOP_MARGIN: Duration = Duration::from_secs(4);
/// Stops at the same time: after each of them comes a `podman container cleanup` of 45 MB.
const AT_ONCE: usize = 6;
const PAUSED: &str = "paused";

/// Stops every container that runs or is paused; root's are stopped with those of all users, at the same time.
pub(crate) fn stop_all() -> Result<ExitCode> {
    let users = if rustix::process::geteuid().is_root() { Some(UserStops::begin()) } else { None };
    let result = stop_own(&Place::own());
    users.into_iter().for_each(UserStops::wait);
    result
}

fn stop_own(place: &Place) -> Result<ExitCode> {
    // Every container has its conmon; without one there is nothing to stop and no need to wake the engine.
    let proc = Path::new("/proc");
    if count_processes(proc, CONMON) == 0 {
        console::log("no container runs");
        return Ok(ExitCode::SUCCESS);
    }
    let engine = Engine { socket: place.socket.clone(), deadline: Some(Instant::now() + STOP_LIMIT) };
    let stopped = stop(&engine, &place.halted).or_else(|error| {
        console::log(&format!("{error:#}; starting podman instead"));
        stop_by_program().map(|()| Vec::new())
    });
    let left = wait_until_gone(proc, CONMON, CLEANUP_LIMIT);
    if left > 0 {
        console::log(&format!("{left} {CONMON} processes are left"));
    }
    let problems = stopped?;
    if !problems.is_empty() {
        bail!("{} containers were not stopped:\n{}", problems.len(), problems.join("\n"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Stops all, each whatever becomes of the others. The problems, one for each container that was not stopped.
pub(super) fn stop(engine: &Engine, halted: &Path) -> Result<Vec<String>> {
    let mut containers = engine.list("status", PAUSED, STOP_LIMIT)?;
    containers.extend(engine.list("status", "running", STOP_LIMIT)?);
    console::log(&format!("stopping {} containers", containers.len()));
    if let Err(error) = at_rest::halt(halted, containers.iter().map(|container| container.id.as_str())) {
        console::log(&format!("{error:#}"));
    }
    let details: Vec<Inspected> = std::thread::scope(|scope| {
        let inspect = |container: &Listed| engine.inspect(&container.id, STOP_LIMIT).unwrap_or_else(|_| unknown());
        let threads: Vec<_> = containers.iter().map(|container| scope.spawn(move || inspect(container))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| unknown())).collect()
    });
    let dependencies = |at: usize| details.get(at).map(|found| found.dependencies.clone()).unwrap_or_default();
    let needs = order::needs(&containers, dependencies);
    let deadline = engine.deadline.unwrap_or_else(|| Instant::now() + STOP_LIMIT);
    let mut stops = Stops { waiting: (0..containers.len()).collect(), running: Vec::new(), needs, deadline };
    Ok(stops.run(&containers, &details, |container| stop_one(engine, container)))
}

/// What is assumed of a container that cannot be asked for: podman's default.
fn unknown() -> Inspected {
    Inspected { stop_timeout: Duration::from_secs(10), ..Inspected::default() }
}

/// Without `timeout=`, which would take the place of the container's own. A paused container cannot take its signal.
fn stop_one(engine: &Engine, container: &Listed) -> Result<()> {
    if container.state == PAUSED
        && let Err(error) = engine.post(&container.id, "unpause", STOP_LIMIT)
    {
        console::log(&format!("{error:#}"));
    }
    engine.post(&container.id, "stop", STOP_LIMIT)
}

/// Who has to wait, and who is being stopped; as indices.
struct Stops {
    waiting: Vec<usize>,
    running: Vec<usize>,
    needs: Vec<Vec<usize>>,
    deadline: Instant,
}

impl Stops {
    fn run(
        &mut self,
        containers: &[Listed],
        details: &[Inspected],
        stop: impl Fn(&Listed) -> Result<()> + Copy + Send + Sync,
    ) -> Vec<String> {
        let (ended, ends) = channel();
        std::thread::scope(|scope: &Scope<'_, '_>| {
            let mut problems = Vec::new();
            loop {
                let last_moment = self.last_moment(details);
                for at in self.release(Instant::now() >= last_moment) {
                    let Some(container) = containers.get(at) else { continue };
                    let ended = ended.clone();
                    scope.spawn(move || {
                        let result = stop(container);
                        let _ = ended.send((at, result));
                    });
                }
                if self.running.is_empty() {
                    return problems;
                }
                let patience = match self.waiting.is_empty() {
                    true => Duration::from_secs(3600),
                    false => last_moment.saturating_duration_since(Instant::now()),
                };
                match ends.recv_timeout(patience) {
                    Ok((at, result)) => {
                        self.running.retain(|other| *other != at);
                        problems.extend(result.err().map(|error| format!("{error:#}")));
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return problems,
                }
            }
        })
    }

    /// When those that wait must be stopped whatever needs them, to have their own time before the deadline.
    fn last_moment(&self, details: &[Inspected]) -> Instant {
        let times = self.waiting.iter().filter_map(|at| details.get(*at)).map(|found| found.stop_timeout);
        let longest = times.max().unwrap_or_default().min(STOP_LIMIT / 2) + STOP_MARGIN;
        self.deadline.checked_sub(longest).unwrap_or(self.deadline)
    }

    /// Those to be stopped now: nobody needs them any more, or there is no time left, or they wait for each other.
    fn release(&mut self, is_late: bool) -> Vec<usize> {
        let up: Vec<usize> = self.waiting.iter().chain(&self.running).copied().collect();
        let is_needed = |at: &usize| {
            up.iter().any(|other| other != at && self.needs.get(*other).is_some_and(|needs| needs.contains(at)))
        };
        let mut free: Vec<usize> = self.waiting.iter().copied().filter(|at| is_late || !is_needed(at)).collect();
        if free.is_empty() && self.running.is_empty() {
            free.clone_from(&self.waiting);
        }
        // Those first that others wait for.
        free.sort_by_key(|at| self.needs.get(*at).is_none_or(Vec::is_empty));
        if !is_late {
            free.truncate(AT_ONCE.saturating_sub(self.running.len()));
        }
        self.waiting.retain(|at| !free.contains(at));
        self.running.extend(&free);
        free
    }
}

/// All at once, each with its own time.
fn stop_by_program() -> Result<()> {
    let status = Command::new("/usr/bin/podman")
        .args(["stop", "--all"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .context("starting /usr/bin/podman stop --all")?;
    if !status.success() {
        bail!("/usr/bin/podman stop --all: {status}");
    }
    Ok(())
}
