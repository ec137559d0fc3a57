//! `mkdistro shell`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use super::project::FlavourArguments;
use crate::progress::Progress;
use crate::{fetch, image, lock, root, shell};

/// A command line inside the root, without booting it
///
/// Puts the root's files into a temporary folder and runs a shell, or the given command, in them by user namespaces: no
/// rights are needed, no service runs, the network is the host's, and changes are gone at the end. Exits with the
/// command's status.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  mkdistro shell\n  mkdistro shell -- podman --version")]
pub(super) struct Shell {
    #[command(flatten)]
    project: FlavourArguments,
    /// Use the cache alone
    #[arg(long)]
    offline: bool,
    /// What to run
    #[arg(last = true, default_values = ["/bin/sh", "-l"], hide_default_value = true)]
    command: Vec<OsString>,
    /// For mkdistro's own use: makes the namespaces
    #[arg(long, hide = true, value_name = "FOLDER")]
    outside: Option<PathBuf>,
    /// For mkdistro's own use: mounts and runs the command
    #[arg(long, hide = true, value_name = "FOLDER")]
    inside: Option<PathBuf>,
}

const ENTRY: [&str; 1] = ["shell"];

impl Shell {
    pub(super) fn execute(&self, progress: &dyn Progress) -> Result<ExitCode> {
        if let Some(folder) = &self.inside {
            return shell::inside(folder, &self.command);
        }
        if let Some(folder) = &self.outside {
            return shell::outside(&ENTRY, folder, &self.command);
        }
        let checked = self.project.load()?;
        let lock = self.project.lock(&checked, self.offline, progress)?;
        let locked = lock::check(checked, lock, image::BOOT_PACKAGES)?;
        let fetcher = self.project.fetcher(&locked.checked, self.offline)?;
        let fetched = fetch::fetch(locked, &fetcher, progress)?;
        let root = root::assemble(&fetched, progress)?;
        // Beside the downloads, which are known to have room; /tmp may be RAM.
        let cache = self.project.cache_folder()?;
        let folder = tempfile::Builder::new().prefix("shell.").tempdir_in(&cache);
        let folder = folder.with_context(|| format!("making a folder in {}", cache.display()))?;
        let task = progress.start("extracting the root", 0);
        shell::extract(&root.tree, folder.path())?;
        task.finish(&format!("{} entries", root.tree.len()));
        drop(root);
        shell::run(&ENTRY, folder.path(), &self.command)
    }
}
