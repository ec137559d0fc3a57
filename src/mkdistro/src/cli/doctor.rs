//! `mkdistro doctor`.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use super::print_line;
use super::project::ProjectArguments;
use crate::doctor;

/// Say what this machine lacks, and the command that brings it
///
/// Looks at project, lock, key ring, cache, disk space, mirrors, QEMU, KVM (by running a guest), UEFI firmware and
/// compilers. Exit code 0: everything that "build" needs is there.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  mkdistro doctor\n  mkdistro doctor --offline --json")]
pub(super) struct Doctor {
    #[command(flatten)]
    project: ProjectArguments,
    /// Ask no mirror
    #[arg(long)]
    offline: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub(super) fn execute(&self) -> Result<ExitCode> {
        let report = doctor::examine(&self.project.subject(self.offline)?)?;
        if self.json {
            print_line(serde_json::to_string_pretty(&report).context("writing JSON")?)?;
        } else {
            print_line(report.to_text().trim_end())?;
        }
        Ok(if report.ready { ExitCode::SUCCESS } else { ExitCode::from(contract::exit::FAILURE) })
    }
}
