//! `mkdistro verify`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use super::project::SourceArguments;
use super::{diff as diff_command, print_line};
use crate::problem::{Class, Problem};
use crate::progress::Progress;
use crate::verify::Recipe;
use crate::{diff, inspect};

/// Build an image again from the recipe inside of it, and compare
///
/// Every image says what it was built from: distro.toml, recipes, lock, kernel fragments and overlay are in
/// /usr/share/mkdistro of its root. Prints "identical", or what differs and how (exit code 5).
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  mkdistro verify out.iso\n  mkdistro verify out.iso --offline")]
pub(super) struct Verify {
    /// The image
    file: PathBuf,
    #[command(flatten)]
    sources: SourceArguments,
    /// Use the cache alone
    #[arg(long)]
    offline: bool,
    /// Keep the image that was built, as FILE
    #[arg(long, value_name = "FILE")]
    keep: Option<PathBuf>,
}

impl Verify {
    pub(super) fn execute(&self, progress: &dyn Progress) -> Result<ExitCode> {
        let file = self.file.display();
        let bytes = inspect::read(&self.file)?;
        let recipe = Recipe::of(&bytes).with_context(|| format!("verifying {file}"))?;
        let checked = recipe.load()?;
        let fetcher = self.sources.fetcher(&checked, self.offline)?;
        let folder = tempfile::Builder::new().prefix("mkdistro-verify-").tempdir();
        let folder = folder.context("making a temporary folder")?;
        let output = self.keep.clone().unwrap_or_else(|| folder.path().join("again.iso"));
        let image = recipe.build(checked, &fetcher, &output, progress).context("building it again")?;
        let again = inspect::read(&image.path)?;
        if bytes == again {
            print_line(format_args!("identical: {}  {file}", image.files[0].sha256))?;
            return Ok(ExitCode::SUCCESS);
        }
        let difference = diff::compare(&bytes, &again).context("comparing it with what its recipe gives")?;
        diff_command::lines(&difference).iter().try_for_each(print_line)?;
        let message = format!("{file} is not what its recipe gives");
        let hint = "lines with + and the right sides are what was built now; --keep FILE keeps it";
        Err(Problem::error(Class::Verify, message, hint))
    }
}
