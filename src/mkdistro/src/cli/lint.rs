//! `mkdistro lint`.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use super::print_line;
use super::project::FlavourArguments;
use crate::lint::{self, CHECKS, HINT, Severity};
use crate::problem::{Class, Problem};
use crate::progress::Progress;
use crate::{fetch, image, lock, root};

/// Check the root for what should not be in an image
///
/// Assembles the root as "build" does and runs the same checks, but writes nothing. Prints a line for each finding; fails
/// if one is fatal. Findings that are all right are allowed, with a reason, in distro.toml or the recipe.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  mkdistro lint\n  mkdistro lint --list\n  mkdistro lint --json")]
pub(super) struct Lint {
    #[command(flatten)]
    project: FlavourArguments,
    /// Use the cache alone
    #[arg(long)]
    offline: bool,
    /// Print all findings, allowed ones too, as JSON
    #[arg(long)]
    json: bool,
    /// Print the checks instead
    #[arg(long)]
    list: bool,
}

impl Lint {
    pub(super) fn execute(&self, progress: &dyn Progress) -> Result<ExitCode> {
        if self.list {
            return self.list();
        }
        let checked = self.project.load()?;
        let lock = lock::Lock::read(&checked.dir)?;
        let locked = lock::check(checked, lock, image::BOOT_PACKAGES)?;
        let fetcher = self.project.fetcher(&locked.checked, self.offline)?;
        let fetched = fetch::fetch(locked, &fetcher, progress)?;
        let root = root::assemble(&fetched, progress)?;
        let report = lint::run(&fetched.locked.checked, &root.tree)?;
        if self.json {
            let text = serde_json::to_string_pretty(&report.json()).context("writing JSON")?;
            print_line(text)?;
        } else {
            let lines = [report.lines(Severity::Fatal), report.lines(Severity::Warning)].concat();
            lines.iter().try_for_each(print_line)?;
        }
        let allowed = report.allowed();
        progress.say(&format!("{}, {allowed} allowed", report.summary(Severity::Warning)));
        if report.of(Severity::Fatal).next().is_some() {
            let message = format!("the root has {}", report.summary(Severity::Fatal));
            return Err(Problem::error(Class::Config, message, HINT));
        }
        Ok(ExitCode::SUCCESS)
    }

    fn list(&self) -> Result<ExitCode> {
        if self.json {
            let text = serde_json::to_string_pretty(&lint::checks_json()).context("writing JSON")?;
            print_line(text)?;
        } else {
            for check in &CHECKS {
                print_line(format_args!("{:<19} {:<8} {}", check.name, check.severity.as_str(), check.summary))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
