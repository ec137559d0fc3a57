//! The engine's log of events: one JSON object a line, appended to a file (`events_logger = "file"`). Following it costs
//! nothing while nothing happens; the API's stream of events would keep a connection, and podman polls the file for it.
//!
//! When the file is too large podman writes its newer half to another one, which takes its name (podman 5.4.2,
//! `libpod/events/logfile.go`).

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::engine::is_id;

/// More is not read at once.
const LIMIT_BYTES: u64 = 4 << 20;

/// What happened to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) name: String,
    /// `start`, `died`, `cleanup`, … as podman-events(1) has them.
    pub(super) status: String,
    /// `healthy`, `unhealthy`, `starting`, of a `health_status`.
    pub(super) health: Option<String>,
}

impl Event {
    /// Of a line; `None` if it is not about a container.
    pub(super) fn parse(line: &str) -> Option<Self> {
        // Most of the work for the others is saved.
        if !line.contains("\"container\"") {
            return None;
        }
        let node = document::json::parse(line).ok()?;
        let table = node.table().filter(|table| table.text("Type").as_deref() == Some("container"))?;
        Some(Self {
            id: table.text("ID").filter(|id| is_id(id))?,
            name: table.text("Name").unwrap_or_default(),
            status: table.text("Status")?,
            health: table.text("health_status"),
        })
    }
}

/// Whether the engine has put an image or a new container into its store.
pub(super) fn stores(line: &str) -> bool {
    const STORES: [&str; 7] = ["pull", "loadfromarchive", "import", "build", "tag", "create", "commit"];
    // Most lines are not worth reading as JSON.
    if !STORES.iter().any(|status| line.contains(status)) {
        return false;
    }
    let node = document::json::parse(line).ok();
    let status = node.as_ref().and_then(|node| node.table()?.text("Status"));
    status.is_some_and(|status| STORES.contains(&status.as_str()))
}

/// Reads what is new in the file.
#[derive(Debug)]
pub(super) struct Follower {
    path: PathBuf,
    inode: u64,
    offset: u64,
    /// The last line that was read, to find the place again in another file.
    last: String,
}

impl Follower {
    /// From the file's beginning.
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.into(), inode: 0, offset: 0, last: String::new() }
    }

    /// New whole lines; none if there is no file.
    pub(super) fn read(&mut self) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        while self.read_some(&mut lines).with_context(|| format!("reading {}", self.path.display()))? {}
        Ok(lines)
    }

    /// True if there may be more.
    fn read_some(&mut self, lines: &mut Vec<String>) -> std::io::Result<bool> {
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            other => other?,
        };
        let metadata = file.metadata()?;
        let is_other = self.inode != metadata.ino() || metadata.len() < self.offset;
        if is_other {
            (self.inode, self.offset) = (metadata.ino(), 0);
        }
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        file.take(LIMIT_BYTES).read_to_end(&mut bytes)?;
        let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else {
            // A line that long is no event.
            let is_full = bytes.len() as u64 == LIMIT_BYTES;
            self.offset += if is_full { LIMIT_BYTES } else { 0 };
            return Ok(is_full);
        };
        let text = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default());
        let mut new: Vec<&str> = text.lines().collect();
        if is_other && !self.last.is_empty() {
            // What is not found was in the half that is gone: then all here is new.
            let known = new.iter().rposition(|line| *line == self.last).map_or(0, |at| at + 1);
            new.drain(..known);
        }
        if let Some(last) = new.last() {
            self.last = (*last).into();
        }
        lines.extend(new.into_iter().map(String::from));
        self.offset += end as u64 + 1;
        Ok(bytes.len() as u64 == LIMIT_BYTES)
    }
}
