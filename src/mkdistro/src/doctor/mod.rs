//! What this machine lacks for building and running, and the command that brings it.
//!
//! Each check looks at the thing itself, not at a sign of it: a guest runs for KVM, a file is written into the cache, a
//! mirror is asked for what a build would ask it.

mod host;
mod mirrors;
mod programs;
mod project;
mod storage;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Serialize;

use crate::config::Sources;
use crate::lock::Locked;

/// How it stands with one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It works.
    Ok,
    /// It is not there.
    Missing,
    /// It is there and does not work.
    Broken,
    /// Not looked at.
    Skipped,
}

impl State {
    /// The word for people; the same in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Missing => "missing",
            Self::Broken => "broken",
            Self::Skipped => "skipped",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// What.
    pub name: String,
    /// How it stands.
    pub state: State,
    /// What was found: a version, a size, an error.
    pub found: String,
    /// What needs it: `build`, `run`, ….
    pub needed_by: &'static str,
    /// The command, or what else to do; empty if nothing.
    pub fix: String,
}

/// Something that `build` needs.
const BUILD: &str = "build";

impl Finding {
    fn ok(name: impl Into<String>, needed_by: &'static str, found: impl Into<String>) -> Self {
        Self { name: name.into(), state: State::Ok, found: found.into(), needed_by, fix: String::new() }
    }

    fn bad(
        name: impl Into<String>,
        needed_by: &'static str,
        state: State,
        found: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { name: name.into(), state, found: found.into(), needed_by, fix: fix.into() }
    }

    /// Whether a build fails because of it.
    fn prevents_build(&self) -> bool {
        self.needed_by == BUILD && matches!(self.state, State::Missing | State::Broken)
    }
}

/// All findings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Version of this format; 1.
    pub schema: u32,
    /// Whether everything that `build` needs is there.
    pub ready: bool,
    /// What was looked at.
    pub checks: Vec<Finding>,
}

impl Report {
    fn new(checks: Vec<Finding>) -> Self {
        Self { schema: 1, ready: !checks.iter().any(Finding::prevents_build), checks }
    }

    /// A table; below what is wrong stands what to do.
    pub fn to_text(&self) -> String {
        let width = self.checks.iter().map(|finding| finding.name.chars().count()).max().unwrap_or(0);
        self.checks.iter().fold(String::new(), |mut text, finding| {
            let Finding { name, state, found, needed_by, fix } = finding;
            let needed = match state {
                State::Missing | State::Broken => format!(" (for {needed_by})"),
                _ => String::new(),
            };
            text.push_str(&format!("{:<8} {name:<width$}  {found}{needed}\n", state.word()));
            if !fix.is_empty() {
                text.push_str(&format!("{:<8} {:<width$}  → {fix}\n", "", ""));
            }
            text
        })
    }
}

/// What is to be looked at.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Folder of the project.
    pub project: PathBuf,
    /// The cache.
    pub cache: PathBuf,
    /// Mirrors given by the user, asked first.
    pub mirrors: Vec<String>,
    /// Whether mirrors are left alone.
    pub offline: bool,
}

/// The project as far as it could be read.
#[derive(Default)]
struct Known {
    kernel_from_source: bool,
    locked: Option<Locked>,
    sources: Sources,
}

/// Looks at everything.
///
/// # Errors
/// None of the findings is one; only a list of mirrors that cannot be read at all.
pub fn examine(subject: &Subject) -> Result<Report> {
    let (known, mut checks) = project::check(&subject.project);
    let missing = storage::missing_downloads(&subject.cache, known.locked.as_ref());
    checks.push(host::clock(known.locked.as_ref()));
    checks.push(storage::cache(&subject.cache, missing));
    checks.push(storage::output(&subject.project));
    checks.extend(mirrors::check(subject, &known, missing)?);
    let kernel = if known.kernel_from_source { BUILD } else { "a kernel from source" };
    checks.extend(programs::check(&programs::Search::of_system(), kernel));
    checks.push(host::kvm(Path::new("/dev/kvm")));
    checks.push(host::firmware(&host::FIRMWARE.map(Path::new)));
    Ok(Report::new(checks))
}
