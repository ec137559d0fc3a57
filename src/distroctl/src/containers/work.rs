//! What takes time and is done in threads: the requests to the engine. And what can be told without asking it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::process::{Pid, PidfdFlags, Signal};

use super::CONMON;
use super::engine::{API, Engine, Listed, cause, is_id};
use super::health::{Outcome, Run};
use super::keep::{News, Teller};
use crate::console::log;
use crate::file;

/// For an answer that is ready at once, on a machine that has much to do.
const SOON: Duration = Duration::from_secs(60);
/// For a start: a container whose `--sdnotify=healthy` waits for its health.
const START_LIMIT: Duration = Duration::from_secs(300);

/// Containers with the policies that start them when the engine comes up: `always`, `unless-stopped`.
pub(super) fn list(engine: &Engine) -> Result<[Vec<Listed>; 2]> {
    let of = |policy| engine.list("restart-policy", policy, SOON);
    Ok([of("always")?, of("unless-stopped")?])
}

pub(super) fn start(engine: &Engine, id: String, name: String) -> News {
    let result = engine.post(&id, "start", START_LIMIT);
    News::Started { id, name, result }
}

/// Asks what the check is if that is not known, and lets podman run it.
pub(super) fn check(engine: &Engine, mut run: Run, teller: &mut Teller) {
    let outcome = known_check(engine, &mut run, teller);
    teller.tell(News::Ended { run, outcome });
}

fn known_check(engine: &Engine, run: &mut Run, teller: &mut Teller) -> Outcome {
    if run.config.is_none() {
        match engine.inspect(&run.id, SOON) {
            Ok(inspected) => run.config = inspected.health,
            Err(error) => {
                // 404: it is gone; with anything else the next start is seen, too.
                log(&format!("{error:#}"));
                return Outcome::Unknown;
            }
        }
        let Some(config) = run.config.clone().filter(|config| config.runs_by_itself()) else { return Outcome::Gone };
        teller.tell(News::Configured { run: run.clone(), config });
    }
    let of_config = run.config.as_ref().map(|config| config.timeout + config.stop_timeout).unwrap_or_default();
    let target = format!("{API}/{}/healthcheck", run.id);
    match engine.request("GET", &target, SOON + of_config) {
        Ok(response) => {
            let body = String::from_utf8_lossy(&response.body);
            match response.status {
                200 => outcome(&body),
                404 | 409 => Outcome::Gone,
                // So podman answers for one that took too long, too.
                500 => Outcome::NotPassed,
                status => {
                    log(&format!("GET {target}: status {status}: {}", cause(&body)));
                    Outcome::Unknown
                }
            }
        }
        Err(error) => {
            log(&format!("{error:#}"));
            Outcome::Unknown
        }
    }
}

/// The answer is about this run, whatever the container's health is after it.
pub(super) fn outcome(body: &str) -> Outcome {
    let status = document::json::parse(body).ok().and_then(|node| node.table()?.text("Status"));
    if status.as_deref() == Some("healthy") { Outcome::Passed } else { Outcome::NotPassed }
}

/// Ends the processes of a check that hangs; podman then counts it as failed.
pub(super) fn end_check(engine: &Engine, id: &str, command: &[String]) {
    let end = || -> Result<()> {
        for session in engine.inspect(id, SOON)?.exec_ids {
            let exec = engine.exec(&session, SOON)?;
            let Some(pid) = Pid::from_raw(exec.pid).filter(|_| exec.is_running && exec.command == command) else {
                continue;
            };
            let process = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
            // The number is still that of the session, so the descriptor is, too.
            if engine.exec(&session, SOON)?.is_running {
                rustix::process::pidfd_send_signal(&process, Signal::KILL)?;
            }
        }
        Ok(())
    };
    end().unwrap_or_else(|error| log(&format!("ending a health check: {error:#}")));
}

/// Whether the container may have a health check, by the log of checks that podman writes at every start: it says `reset`
/// if there is none. The log may be elsewhere (`--health-log-destination`): then it may have one.
pub(super) fn may_have_check(runs: &Path, id: &str) -> bool {
    match std::fs::read_to_string(runs.join(id).join("healthcheck.log")) {
        Ok(text) => !text.contains("\"Status\":\"reset\""),
        Err(_) => true,
    }
}

/// Whether its parent process is there.
pub(super) fn is_running(runs: &Path, id: &str) -> bool {
    let pid = file::first_line(runs.join(id).join("userdata/conmon.pid"));
    !pid.is_empty() && file::first_line(Path::new("/proc").join(pid).join("comm")) == CONMON
}

/// Containers that run and may have a check.
pub(super) fn running_with_check(runs: &Path) -> Vec<String> {
    let ids = std::fs::read_dir(runs)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok());
    ids.filter(|id| is_id(id) && is_running(runs, id) && may_have_check(runs, id)).collect()
}

/// Waits until no process of this user has this name, at most so long; how many are left.
pub(super) fn wait_until_gone(proc: &Path, name: &str, limit: Duration) -> usize {
    let deadline = Instant::now() + limit;
    loop {
        let left = count_processes(proc, name);
        if left == 0 || Instant::now() >= deadline {
            return left;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Processes of this name that are of whoever runs this.
pub(super) fn count_processes(proc: &Path, name: &str) -> usize {
    let own = rustix::process::geteuid().as_raw();
    let is_it = |entry: &std::fs::DirEntry| {
        let number = entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit());
        number
            && file::first_line(entry.path().join("comm")) == name
            && entry.metadata().is_ok_and(|found| found.uid() == own)
    };
    std::fs::read_dir(proc).into_iter().flatten().flatten().filter(is_it).count()
}
