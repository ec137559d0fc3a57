//! Which containers stay down: stopped by the user's hand, or ended and not to be started again by their policy. Podman
//! forgets it at every boot (podman 5.4.2, `libpod/container_internal.go`, `resetContainerState`), so that nobody could tell
//! then which `unless-stopped` containers are to run.
//!
//! Not the user's hand: the machine going down (this service has ended before), `distroctl stop-containers`, a health check
//! that turned to unhealthy, a restart whose start failed.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::engine::is_id;
use super::events::Event;
use crate::file;

/// More containers than anybody has.
const LIMIT_BYTES: u64 = 4 << 20;

/// The containers and the file that keeps them.
#[derive(Debug, Default)]
pub(super) struct AtRest {
    path: PathBuf,
    /// Those of [`contract::paths::CONTAINERS_HALTED`].
    halted: PathBuf,
    ids: BTreeSet<String>,
    /// On their way through a restart.
    restarting: HashSet<String>,
    /// A signal was sent to them.
    signalled: HashSet<String>,
    /// A health check stops them.
    unhealthy: HashSet<String>,
    /// What must be written: soon, or at once because the user has asked for it.
    change: Change,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Change {
    #[default]
    None,
    /// By a container that has ended: many are removed the next moment.
    Ended,
    ByHand,
}

impl AtRest {
    /// As the file has it; without one nothing is at rest.
    pub(super) fn load(path: &Path, halted: &Path) -> Result<Self> {
        let ids = read(path)?;
        Ok(Self { ids, ..Self::empty(path, halted) })
    }

    /// With nothing at rest.
    pub(super) fn empty(path: &Path, halted: &Path) -> Self {
        Self { path: path.into(), halted: halted.into(), ..Self::default() }
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// `acts`: whether podman stops this container when it is unhealthy.
    pub(super) fn heed(&mut self, event: &Event, acts: bool) {
        let id = &event.id;
        match event.status.as_str() {
            "restart" => drop(self.restarting.insert(id.clone())),
            "kill" => drop(self.signalled.insert(id.clone())),
            "health_status" if acts && event.health.as_deref() == Some("unhealthy") => {
                self.unhealthy.insert(id.clone());
            }
            "stop" => self.rest(id, Change::ByHand),
            "died" if self.signalled.remove(id) => self.rest(id, Change::ByHand),
            // The event of a stop is missing more often than not: podman leaves it out when the end was noted before.
            "cleanup" => self.rest(id, Change::Ended),
            "start" | "restore" | "remove" => self.forget(id),
            _ => {}
        }
    }

    fn rest(&mut self, id: &str, change: Change) {
        let is_hand = !self.restarting.contains(id) && !self.unhealthy.contains(id) && !is_halted(&self.halted, id);
        if is_hand && self.ids.insert(id.into()) {
            self.change = self.change.max(change);
        }
    }

    fn forget(&mut self, id: &str) {
        for set in [&mut self.restarting, &mut self.signalled, &mut self.unhealthy] {
            set.remove(id);
        }
        if is_halted(&self.halted, id) {
            let mut ids = read(&self.halted).unwrap_or_default();
            ids.remove(id);
            let _ = file::replace(&self.halted, text(&ids).as_bytes(), 0o644, None);
        }
        if self.ids.remove(id) {
            self.change = self.change.max(Change::ByHand);
        }
    }

    pub(super) fn change(&self) -> Change {
        self.change
    }

    /// Writes what has changed; a power cut leaves the old file or the new one.
    pub(super) fn save(&mut self) -> Result<()> {
        if std::mem::take(&mut self.change) == Change::None {
            return Ok(());
        }
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        }
        file::replace(&self.path, text(&self.ids).as_bytes(), 0o600, None)
    }

    /// Forgets containers that are no more.
    pub(super) fn retain(&mut self, exists: impl Fn(&str) -> bool) {
        let before = self.ids.len();
        self.ids.retain(|id| exists(id));
        if self.ids.len() < before {
            self.change = self.change.max(Change::Ended);
        }
    }
}

/// Notes that these are stopped, and not by the user's hand.
pub(super) fn halt<'a>(path: &Path, ids: impl Iterator<Item = &'a str>) -> Result<()> {
    let mut all = read(path)?;
    all.extend(ids.map(String::from));
    file::replace(path, text(&all).as_bytes(), 0o644, None)
}

fn is_halted(path: &Path, id: &str) -> bool {
    read(path).is_ok_and(|ids| ids.contains(id))
}

fn read(path: &Path) -> Result<BTreeSet<String>> {
    let bytes = file::read_limited(path, LIMIT_BYTES)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&bytes).lines().filter(|line| is_id(line)).map(String::from).collect())
}

fn text(ids: &BTreeSet<String>) -> String {
    ids.iter().fold(String::new(), |text, id| text + id + "\n")
}
