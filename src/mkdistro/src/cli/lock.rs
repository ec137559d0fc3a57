//! `mkdistro lock`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::print_line;
use super::project::ProjectArguments;
use crate::image;
use crate::lock::{self, Update};
use crate::progress::Progress;

/// Resolve recipes to exact packages: writes packages/lock.toml
///
/// Reads the suites' signed InRelease files, verifies them against the key ring of distro.toml, and writes name,
/// version, path, size and sha256 of every package a build needs. What is locked keeps its version unless --update
/// says otherwise. Prints what changed.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  mkdistro lock\n  mkdistro lock --update\n  mkdistro lock --update podman crun\n  \
                       mkdistro lock --check"
)]
pub(super) struct Lock {
    #[command(flatten)]
    project: ProjectArguments,
    /// Change nothing; fail if the lock does not fit distro.toml and the recipes
    #[arg(long)]
    check: bool,
    /// Take the newest versions: of these packages, of all if none is named
    #[arg(long, conflicts_with = "check", value_name = "PACKAGE", num_args = 0..)]
    update: Option<Vec<String>>,
}

impl Lock {
    pub(super) fn execute(&self, progress: &dyn Progress) -> Result<ExitCode> {
        let checked = self.project.load()?;
        if self.check {
            let lock = lock::Lock::read(&checked.dir)?;
            lock::check(checked, lock, image::BOOT_PACKAGES)?;
            return Ok(ExitCode::SUCCESS);
        }
        // A damaged lock is replaced; what it says of older suites is lost with it.
        let old = lock::Lock::read_if_present(&checked.dir).unwrap_or_else(|error| {
            progress.warn(&format!("{error:#}; it is made anew"));
            None
        });
        let update = match &self.update {
            None => Update::Nothing,
            Some(names) if names.is_empty() => Update::All,
            Some(names) => Update::Only(names.clone()),
        };
        let new = self.project.resolve(&checked, old.as_ref().map(|old| (old, &update)), progress)?;
        new.write(&checked.dir)?;
        match &old {
            Some(old) => new.diff(old).iter().try_for_each(print_line)?,
            None => print_line(format_args!("locked {} packages", new.packages.len()))?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
