//! `distroctl stop-containers`: asks the engine over its API to stop all running containers, all at once. Another podman
//! process would have to load 45 MB first.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use contract::paths;

use crate::{console, file, http};

/// Seconds a container has between its stop signal and SIGKILL.
const STOP_SECONDS: u64 = 10;
/// For answers that take no waiting.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
const API: &str = "/v4.0.0/libpod/containers";

/// Stops every container that runs or is paused.
pub(crate) fn stop_all() -> Result<ExitCode> {
    // Every container has its conmon; without one there is nothing to stop and no need to wake the engine.
    if !any_process_named(Path::new("/proc"), "conmon") {
        console::log("no container runs");
        return Ok(ExitCode::SUCCESS);
    }
    match stop_by_api() {
        Ok(0) => Ok(ExitCode::SUCCESS),
        Ok(failed) => bail!("{failed} containers could not be stopped"),
        Err(error) => {
            console::log(&format!("{error:#}; starting podman instead"));
            stop_by_program()
        }
    }
}

/// Stops by the API; the number of containers that could not be stopped. A paused one cannot take its signal.
fn stop_by_api() -> Result<usize> {
    for id in list("paused")? {
        if let Err(error) = post(&id, "unpause", ANSWER_LIMIT) {
            console::log(&format!("{error:#}"));
        }
    }
    let ids = list("running")?;
    console::log(&format!("stopping {} containers", ids.len()));
    let limit = ANSWER_LIMIT + Duration::from_secs(STOP_SECONDS);
    let action = format!("stop?timeout={STOP_SECONDS}");
    let failed = std::thread::scope(|scope| {
        let stops: Vec<_> = ids.iter().map(|id| scope.spawn(|| post(id, &action, limit))).collect();
        stops
            .into_iter()
            .map(|stop| stop.join().unwrap_or_else(|_| bail!("a thread has panicked")))
            .filter_map(Result::err)
            .map(|error| console::log(&format!("{error:#}")))
            .count()
    });
    Ok(failed)
}

fn list(status: &str) -> Result<Vec<String>> {
    // {"status":["running"]} in a URL.
    let target = format!("{API}/json?filters=%7B%22status%22%3A%5B%22{status}%22%5D%7D");
    let response = http::request(paths::PODMAN_SOCKET, "GET", &target, ANSWER_LIMIT)?;
    if response.status != 200 {
        bail!("GET {target}: status {}: {}", response.status, String::from_utf8_lossy(&response.body).trim());
    }
    Ok(ids(&String::from_utf8_lossy(&response.body)))
}

/// 304: it is stopped already; 404: it was removed as it stopped (`--rm`).
fn post(id: &str, action: &str, timeout: Duration) -> Result<()> {
    let target = format!("{API}/{id}/{action}");
    let response = http::request(paths::PODMAN_SOCKET, "POST", &target, timeout)?;
    match response.status {
        200..=299 | 304 | 404 => Ok(()),
        status => bail!("POST {target}: status {status}: {}", String::from_utf8_lossy(&response.body).trim()),
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

fn stop_by_program() -> Result<ExitCode> {
    let status = Command::new("/usr/bin/podman")
        .args(["stop", "--all", "--time", &STOP_SECONDS.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .context("starting /usr/bin/podman stop --all")?;
    if !status.success() {
        bail!("/usr/bin/podman stop --all --time {STOP_SECONDS}: {status}");
    }
    Ok(ExitCode::SUCCESS)
}

fn any_process_named(proc: &Path, name: &str) -> bool {
    std::fs::read_dir(proc).into_iter().flatten().flatten().any(|entry| {
        let number = entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit());
        number && file::first_line(entry.path().join("comm")) == name
    })
}

#[cfg(test)]
mod tests {
    use super::{any_process_named, ids};
    use std::path::Path;

    #[test]
    fn finds_ids() {
        let (a, b) = ("a1".repeat(32), "0f".repeat(32));
        let json = format!(
            r#"[{{"Command":["echo","\"Id\":\"{b}\""],"Id":"{a}","ImageID":"{b}","Labels":{{"Id":"x"}}}},{{"Id": "{b}"}}]"#
        );
        assert_eq!(ids(&json), [a, b]);
        for none in ["[]", "null", "", "\"Id\":", "\"Id\":\"", r#"{"Id":"../../x"}"#] {
            assert!(ids(none).is_empty(), "{none}");
        }
    }

    #[test]
    fn looks_for_processes() {
        let own = std::fs::read_to_string("/proc/self/comm").unwrap();
        assert!(any_process_named(Path::new("/proc"), own.trim()) || own.trim().is_empty());
        assert!(!any_process_named(Path::new("/proc"), "no-such-program"));
    }
}
