//! `mkdistro lock`.

use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context, Result};
use clap::Args;

use super::print_line;
use super::project::ProjectArguments;
use crate::progress::Progress;
use crate::{image, lock};

/// Resolve recipes to exact packages: writes packages/lock.toml
///
/// Reads the suites' signed InRelease files, verifies them against the key ring of distro.toml, and writes name,
/// version, path, size and sha256 of every package a build needs. Prints what changed.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  mkdistro lock\n  mkdistro lock --check")]
pub(super) struct Lock {
    #[command(flatten)]
    project: ProjectArguments,
    /// Change nothing; fail if the lock does not fit distro.toml and the recipes
    #[arg(long)]
    check: bool,
    /// Take the newest versions (what "lock" does anyway; names the intent in scripts)
    #[arg(long, conflicts_with = "check")]
    update: bool,
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
        let fetcher = self.project.fetcher(&checked, false)?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("reading the clock")?.as_secs();
        let new = lock::resolve(&checked, image::BOOT_PACKAGES, &fetcher, old.as_ref(), now, progress)?;
        new.write(&checked.dir)?;
        match &old {
            Some(old) => new.diff(old).iter().try_for_each(print_line)?,
            None => print_line(format_args!("locked {} packages", new.packages.len()))?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
