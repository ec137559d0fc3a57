//! `mkdistro outdated`.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use super::print_line;
use super::project::ProjectArguments;
use crate::lock::{self, Outdated as Newer};
use crate::progress::Progress;

/// List locked packages that the suites have in newer versions
///
/// Reads the suites' signed indices; changes nothing. Security updates are marked. Exits with 6 if anything is listed.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  mkdistro outdated\n  mkdistro outdated --security --json")]
pub(super) struct Outdated {
    #[command(flatten)]
    project: ProjectArguments,
    /// Security updates only
    #[arg(long)]
    security: bool,
    /// As JSON: an array of objects
    #[arg(long)]
    json: bool,
}

impl Outdated {
    pub(super) fn execute(&self, progress: &dyn Progress) -> Result<ExitCode> {
        let checked = self.project.load()?;
        let lock = lock::Lock::read(&checked.dir)?;
        let indices = self.project.indices(&checked, Some(&lock), progress)?;
        let mut found = lock::outdated(&checked, &lock, &indices)?;
        found.retain(|newer| newer.security || !self.security);
        if self.json {
            print_line(serde_json::to_string_pretty(&found).context("writing JSON")?)?;
        } else {
            found.iter().try_for_each(|newer| print_line(line(newer)))?;
        }
        if found.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        let security = found.iter().filter(|newer| newer.security).count();
        let count = if found.len() == 1 { "1 package is".into() } else { format!("{} packages are", found.len()) };
        progress.say(&format!(
            "{count} outdated, {security} of security: \"mkdistro lock --update\" takes the newest versions"
        ));
        Ok(ExitCode::from(contract::exit::LOCK))
    }
}

/// `libc6 2.41-1 → 2.41-2 (trixie-security, security)`.
fn line(newer: &Newer) -> String {
    let Newer { name, locked, newest, suite, security, replaced_by } = newer;
    let replaced = replaced_by.as_ref().map(|name| format!("{name} ")).unwrap_or_default();
    let mark = if *security { ", security" } else { "" };
    format!("{name} {locked} → {replaced}{newest} ({suite}{mark})")
}

#[cfg(test)]
mod tests {
    use super::{Newer, line};

    #[test]
    fn shows_what_changes() {
        let newer = Newer {
            name: "libc6".into(),
            locked: "2.41-1".into(),
            newest: "2.41-2".into(),
            suite: "trixie".into(),
            security: true,
            replaced_by: None,
        };
        assert_eq!(line(&newer), "libc6 2.41-1 → 2.41-2 (trixie, security)");
        let kernel = Newer { replaced_by: Some("linux-2".into()), name: "linux-1".into(), security: false, ..newer };
        assert_eq!(line(&kernel), "linux-1 2.41-1 → linux-2 2.41-2 (trixie)");
    }
}
