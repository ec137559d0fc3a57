//! `mkdistro add`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::print_line;
use super::project::ProjectArguments;
use crate::add::{self, Archive, Component, Cost, Made, Plan};
use crate::image::{self, megabytes};
use crate::lock::Lock;
use crate::progress::Progress;

/// Add Debian packages or built-in recipes to the distribution
///
/// Uses the recipe of that name if there is one. Else it makes packages/NAME.toml from the Debian package: programs,
/// configuration and data, without documentation and translations; libraries come by need. Then adds the name to
/// root.recipes of distro.toml, keeping its comments, and locks what is new. What is locked keeps its version.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  mkdistro add jq\n  mkdistro add --dry-run strace tcpdump")]
pub(super) struct Add {
    #[command(flatten)]
    project: ProjectArguments,
    /// Packages of the suites, or recipes
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Show what it would cost and write nothing
    #[arg(long)]
    dry_run: bool,
}

impl Add {
    pub(super) fn execute(&self, progress: &dyn Progress) -> Result<ExitCode> {
        let checked = self.project.load()?;
        let old = Lock::read_if_present(&checked.dir)?;
        let indices = self.project.indices(&checked, old.as_ref(), progress)?;
        let fetcher = self.project.fetcher(&checked, false)?;
        let archive = Archive { indices: &indices, fetcher: &fetcher, builder: image::BOOT_PACKAGES };
        let plan = add::plan(&checked, &self.names, old.as_ref(), &archive, progress)?;
        lines(&plan, old.as_ref()).iter().try_for_each(print_line)?;
        for (script, interpreter) in &plan.cost.missing_interpreters {
            progress.warn(&format!("{script} needs {interpreter}, which is not in the root"));
        }
        if self.dry_run {
            progress.say("nothing was written (--dry-run)");
        } else {
            plan.write(&checked.dir)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn lines(plan: &Plan, old: Option<&Lock>) -> Vec<String> {
    let mut lines = Vec::new();
    for Component { name, file, made } in &plan.components {
        let Some(Made { files, left_out, depends, units }) = made else {
            lines.push(format!("{name}: uses {file}"));
            continue;
        };
        let noun = if *files == 1 { "file" } else { "files" };
        lines.push(format!("{name}: makes {file}: {files} {noun}, {left_out} left out"));
        if !depends.is_empty() {
            lines.push(format!("  Debian's package also depends on {}", depends.join(", ")));
        }
        if !units.is_empty() {
            lines.push(format!("  Debian starts {}: see the comment in {file}", units.join(", ")));
        }
    }
    let Cost { unpacked, compressed, files, libraries, .. } = &plan.cost;
    lines.push(format!(
        "cost: {files} files, {} unpacked, about {} in the image",
        megabytes(*unpacked),
        megabytes(*compressed)
    ));
    for (library, package) in libraries {
        lines.push(format!("  library {library} ({package})"));
    }
    match old {
        Some(old) => lines.extend(plan.lock.diff(old)),
        None => lines.push(format!("locked {} packages", plan.lock.packages.len())),
    }
    lines
}
