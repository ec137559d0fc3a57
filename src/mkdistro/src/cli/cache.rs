//! `mkdistro cache`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};

use super::print_line;
use super::project::cache_folder;
use crate::cache::sweep::{self, Part};
use crate::image::megabytes;

/// Show what the cache holds, or empty it
///
/// Builds keep downloads, unpacked packages and compressed blocks in one folder for all projects. What no build has used
/// for a month is removed by itself; "clean" removes all that can be made again.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  mkdistro cache\n  mkdistro cache clean --all")]
pub(super) struct Cache {
    #[command(subcommand)]
    action: Option<Action>,
    /// The folder [default: $XDG_CACHE_HOME/mkdistro]
    #[arg(long, global = true, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Remove all that builds can make again
    Clean {
        /// Downloads too
        #[arg(long)]
        all: bool,
    },
}

impl Cache {
    pub(super) fn execute(&self) -> Result<ExitCode> {
        let folder = cache_folder(self.cache.as_deref())?;
        let (parts, verb) = match &self.action {
            None => (sweep::parts(&folder)?, "holds"),
            Some(Action::Clean { all }) => (sweep::clean(&folder, *all)?, "freed"),
        };
        if self.json {
            let json = serde_json::to_string(&parts).context("encoding the list")?;
            print_line(json)?;
        } else {
            parts.iter().try_for_each(|part| print_line(line(part)))?;
            let bytes = parts.iter().map(|part| part.bytes).sum();
            print_line(format_args!("{} {verb} {}", folder.display(), megabytes(bytes)))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn line(part: &Part) -> String {
    format!("{:>10} {:>7} files  {:<9} {}", megabytes(part.bytes), part.files, part.name, part.what)
}
