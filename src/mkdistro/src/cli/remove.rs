//! `mkdistro remove`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::print_line;
use super::project::ProjectArguments;
use crate::add;
use crate::image;
use crate::lock::{self, Lock, Update};
use crate::progress::Progress;

/// Take recipes out of the distribution
///
/// Takes the names out of root.recipes of distro.toml, keeping its comments, and what nothing needs any more out of the
/// lock. Files in packages/ stay.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  mkdistro remove jq")]
pub(super) struct Remove {
    #[command(flatten)]
    project: ProjectArguments,
    /// Recipes of root.recipes
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

impl Remove {
    pub(super) fn execute(&self, progress: &dyn Progress) -> Result<ExitCode> {
        let checked = self.project.load()?;
        let old = Lock::read_if_present(&checked.dir)?;
        let (draft, after) = add::plan_removal(&checked, &self.names)?;
        // Without a lock there is nothing that would have to fit; the next build makes one.
        let new = match &old {
            Some(old) if lock::Request::of(&after, image::BOOT_PACKAGES).hash() != old.request => {
                Some(self.project.resolve(&after, Some((old, &Update::Nothing)), progress)?)
            }
            _ => None,
        };
        add::write(&checked.dir, &draft)?;
        if let (Some(new), Some(old)) = (&new, &old) {
            new.write(&checked.dir)?;
            new.diff(old).iter().try_for_each(print_line)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
