//! `distroctl stop-containers`: asks the engine over its API to stop all running containers, all at once. Another podman
//! process would have to load 45 MB first.
//!
//! It is the stop command of the podman service, whose `stop-timeout` of 40 s the limits here add up to less than.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use contract::paths;

use crate::{console, file, http};

/// For all requests together. A container has its own time (`--stop-timeout`) between its stop signal and SIGKILL.
const STOP_LIMIT: Duration = Duration::from_secs(34);
/// For what follows a container's end.
const CLEANUP_LIMIT: Duration = Duration::from_secs(5);
/// The parent of each container; it ends when its `podman container cleanup` has.
const CONMON: &str = "conmon";
const API: &str = "/v4.0.0/libpod/containers";

/// Stops every container that runs or is paused.
pub(crate) fn stop_all() -> Result<ExitCode> {
    // Every container has its conmon; without one there is nothing to stop and no need to wake the engine.
    let proc = Path::new("/proc");
    if count_processes(proc, CONMON) == 0 {
        console::log("no container runs");
        return Ok(ExitCode::SUCCESS);
    }
    let engine = Engine { socket: paths::PODMAN_SOCKET, deadline: Instant::now() + STOP_LIMIT };
    let stopped = engine.stop_all().or_else(|error| {
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

/// The engine behind its API, to be done with at a deadline.
struct Engine<'a> {
    socket: &'a str,
    deadline: Instant,
}

impl Engine<'_> {
    /// Stops all at once, each whatever becomes of the others. The problems, one for each container that was not stopped.
    fn stop_all(&self) -> Result<Vec<String>> {
        let mut containers: Vec<(String, bool)> = self.list("paused")?.into_iter().map(|id| (id, true)).collect();
        containers.extend(self.list("running")?.into_iter().map(|id| (id, false)));
        console::log(&format!("stopping {} containers", containers.len()));
        Ok(std::thread::scope(|scope| {
            let stops: Vec<_> =
                containers.iter().map(|(id, paused)| scope.spawn(move || self.stop(id, *paused))).collect();
            stops
                .into_iter()
                .map(|stop| stop.join().unwrap_or_else(|_| bail!("a thread has panicked")))
                .filter_map(Result::err)
                .map(|error| format!("{error:#}"))
                .collect()
        }))
    }

    /// Without `timeout=`, which would take the place of the container's own. A paused container cannot take its signal.
    fn stop(&self, id: &str, paused: bool) -> Result<()> {
        if paused && let Err(error) = self.post(id, "unpause") {
            console::log(&format!("{error:#}"));
        }
        self.post(id, "stop")
    }

    fn list(&self, status: &str) -> Result<Vec<String>> {
        // {"status":["running"]} in a URL.
        let target = format!("{API}/json?filters=%7B%22status%22%3A%5B%22{status}%22%5D%7D");
        let response = self.request("GET", &target)?;
        if response.status != 200 {
            bail!("GET {target}: status {}: {}", response.status, String::from_utf8_lossy(&response.body).trim());
        }
        Ok(ids(&String::from_utf8_lossy(&response.body)))
    }

    /// 304: it is stopped already; 404: it was removed as it stopped (`--rm`).
    fn post(&self, id: &str, action: &str) -> Result<()> {
        let target = format!("{API}/{id}/{action}");
        let response = self.request("POST", &target)?;
        match response.status {
            200..=299 | 304 | 404 => Ok(()),
            status => bail!("POST {target}: status {status}: {}", String::from_utf8_lossy(&response.body).trim()),
        }
    }

    fn request(&self, method: &str, target: &str) -> Result<http::Response> {
        // A socket takes no limit of 0.
        let left = self.deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        http::request(self.socket, method, target, left)
    }
}

/// The container ids in the API's list: all `"Id":"<64 hexadecimal digits>"`. That cannot occur within a JSON string, where
/// quotes are escaped; only as a label's key, and then the API answers 404. So no JSON parser is needed here.
fn ids(json: &str) -> Vec<String> {
    json.split("\"Id\":")
        .skip(1)
        .filter_map(|rest| rest.trim_start().strip_prefix('"')?.split_once('"'))
        .map(|(id, _)| id)
        .filter(|id| id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .map(str::to_string)
        .collect()
}

/// All at once, each with its own time, as [`Engine::stop_all`].
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

/// Waits until no process has this name, at most so long; how many are left.
fn wait_until_gone(proc: &Path, name: &str, limit: Duration) -> usize {
    let deadline = Instant::now() + limit;
    loop {
        let left = count_processes(proc, name);
        if left == 0 || Instant::now() >= deadline {
            return left;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn count_processes(proc: &Path, name: &str) -> usize {
    let is_it = |entry: &std::fs::DirEntry| {
        let number = entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit());
        number && file::first_line(entry.path().join("comm")) == name
    };
    std::fs::read_dir(proc).into_iter().flatten().flatten().filter(is_it).count()
}

#[cfg(test)]
mod tests;
