//! The engine's REST API, as far as containers need it here (podman 5.4, its API's `libpod` part).

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use document::{Node, Table, Value};

use super::health::Config;
use crate::http;

pub(super) const API: &str = "/v4.0.0/libpod/containers";
const EXEC_API: &str = "/v4.0.0/libpod/exec";

/// The engine behind its socket.
#[derive(Debug, Clone)]
pub(super) struct Engine {
    pub(super) socket: String,
    /// Until when all answers must be there.
    pub(super) deadline: Option<Instant>,
}

/// A container in a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) id: String,
    pub(super) name: String,
    /// `created`, `initialized`, `running`, `paused`, `exited`, …
    pub(super) state: String,
    pub(super) labels: Vec<(String, String)>,
}

/// What is known of one container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Inspected {
    /// Ids of those that must run before it: `--requires`, a shared network namespace, the pod's infra container.
    pub(super) dependencies: Vec<String>,
    pub(super) stop_timeout: Duration,
    pub(super) health: Option<Config>,
    pub(super) exec_ids: Vec<String>,
}

/// A process in a container besides its first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Exec {
    pub(super) is_running: bool,
    /// As the host sees it.
    pub(super) pid: i32,
    pub(super) command: Vec<String>,
}

impl Listed {
    pub(super) fn label(&self, key: &str) -> Option<&str> {
        self.labels.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

impl Engine {
    pub(super) fn request(&self, method: &str, target: &str, limit: Duration) -> Result<http::Response> {
        let left =
            self.deadline.map_or(limit, |deadline| deadline.saturating_duration_since(Instant::now()).min(limit));
        // A socket takes no limit of 0.
        http::request(&self.socket, method, target, left.max(Duration::from_millis(1)))
    }

    pub(super) fn get(&self, target: &str, limit: Duration) -> Result<Node> {
        let response = self.request("GET", target, limit)?;
        let body = String::from_utf8_lossy(&response.body);
        if response.status != 200 {
            bail!("GET {target}: status {}: {}", response.status, body.trim());
        }
        let parsed = document::json::parse(&body).map_err(|problem| anyhow::anyhow!("{problem}"));
        parsed.with_context(|| format!("reading the answer to GET {target}"))
    }

    /// 304: it is so already; 404: it is gone (`--rm`).
    pub(super) fn post(&self, id: &str, action: &str, limit: Duration) -> Result<()> {
        let target = format!("{API}/{id}/{action}");
        let response = self.request("POST", &target, limit)?;
        match response.status {
            200..=299 | 304 | 404 => Ok(()),
            status => Err(anyhow::Error::msg(cause(&String::from_utf8_lossy(&response.body))))
                .with_context(|| format!("POST {target}: status {status}")),
        }
    }

    /// Containers that run or not, for which the filter has this value.
    pub(super) fn list(&self, filter: &str, value: &str, limit: Duration) -> Result<Vec<Listed>> {
        // {"FILTER":["VALUE"]} in a URL.
        let target = format!("{API}/json?all=true&filters=%7B%22{filter}%22%3A%5B%22{value}%22%5D%7D");
        Ok(listed(&self.get(&target, limit)?))
    }

    pub(super) fn inspect(&self, id: &str, limit: Duration) -> Result<Inspected> {
        let node = self.get(&format!("{API}/{id}/json"), limit)?;
        let table = node.table().with_context(|| format!("inspecting container {id}: no table"))?;
        Ok(inspected(table))
    }

    pub(super) fn exec(&self, id: &str, limit: Duration) -> Result<Exec> {
        let node = self.get(&format!("{EXEC_API}/{id}/json"), limit)?;
        let table = node.table().with_context(|| format!("inspecting exec session {id}: no table"))?;
        Ok(exec(table))
    }
}

/// The sentence in an error's body, `{"cause":…,"message":…,"response":…}`.
pub(super) fn cause(body: &str) -> String {
    let message = document::json::parse(body).ok().and_then(|node| node.table()?.text("message"));
    message.unwrap_or_else(|| body.trim().to_string())
}

pub(super) fn listed(node: &Node) -> Vec<Listed> {
    let Value::List(list) = &node.value else { return Vec::new() };
    let container = |table: &Table| {
        let id = table.text("Id").filter(|id| is_id(id))?;
        let name = table.texts("Names").into_iter().next().unwrap_or_else(|| short(&id).into());
        Some(Listed { name, state: table.text("State").unwrap_or_default(), labels: table.pairs("Labels"), id })
    };
    list.iter().filter_map(Node::table).filter_map(container).collect()
}

pub(super) fn inspected(table: &Table) -> Inspected {
    let config = table.table("Config");
    let seconds = config.and_then(|config| config.integer("StopTimeout")).unwrap_or(10);
    Inspected {
        dependencies: table.texts("Dependencies"),
        stop_timeout: Duration::from_secs(u64::try_from(seconds).unwrap_or(0)),
        health: config.and_then(Config::of),
        exec_ids: table.texts("ExecIDs").into_iter().filter(|id| is_id(id)).collect(),
    }
}

fn exec(table: &Table) -> Exec {
    let process = table.table("ProcessConfig");
    let program = process.and_then(|process| process.text("entrypoint")).unwrap_or_default();
    let arguments = process.map(|process| process.texts("arguments")).unwrap_or_default();
    Exec {
        is_running: table.flag("Running").unwrap_or(false),
        pid: table.integer("Pid").and_then(|pid| i32::try_from(pid).ok()).unwrap_or(0),
        command: std::iter::once(program).chain(arguments).collect(),
    }
}

/// Ids become parts of paths and URLs.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// As much of an id as podman shows.
pub(super) fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}
