//! `mkdistro verify`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use super::project::SourceArguments;
use super::{diff as diff_command, print_line};
use crate::image::{Target, Written};
use crate::problem::{Class, Problem};
use crate::progress::Progress;
use crate::verify::{Recipe, Subject};
use crate::{diff, inspect};

/// Build an image again from the recipe inside of it, and compare
///
/// Every image says what it was built from: distro.toml, recipes, lock, kernel fragments and overlay are in
/// /usr/share/mkdistro of its root. Prints "identical", or what differs and how (exit code 5). The key that signed a
/// unified kernel image is not needed: its signature is put on what was built, and fits only if that is the same.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  mkdistro verify out.iso\n  mkdistro verify out.iso --offline")]
pub(super) struct Verify {
    /// The image: a file, or a folder with kernel and initramfs
    file: PathBuf,
    #[command(flatten)]
    sources: SourceArguments,
    /// Use the cache alone
    #[arg(long)]
    offline: bool,
    /// Keep the image that was built, as FILE (or folder)
    #[arg(long, value_name = "FILE")]
    keep: Option<PathBuf>,
}

impl Verify {
    pub(super) fn execute(&self, progress: &dyn Progress) -> Result<ExitCode> {
        let file = self.file.display();
        let verifying = || format!("verifying {file}");
        let subject = Subject::read(&self.file).with_context(verifying)?;
        let recipe = Recipe::of(&subject.bytes).with_context(verifying)?;
        let checked = recipe.load()?;
        let fetcher = self.sources.fetcher(&checked, self.offline)?;
        let folder = tempfile::Builder::new().prefix("mkdistro-verify-").tempdir();
        let folder = folder.context("making a temporary folder")?;
        let path =
            self.keep.clone().unwrap_or_else(|| folder.path().join(format!("again.{}", subject.format.suffix())));
        let target = Target { format: subject.format, path };
        let signer = subject.signer().with_context(verifying)?;
        let image = recipe.build(checked, &fetcher, target, signer.as_ref(), progress).context("building it again")?;
        let mut differs = false;
        for again in &image.files {
            let name = again.path.strip_prefix(&image.path).unwrap_or(&again.path);
            // Joining nothing would add a slash.
            let original = if name.as_os_str().is_empty() { self.file.clone() } else { self.file.join(name) };
            differs |= !compare(&original, again)?;
        }
        if !differs {
            return Ok(ExitCode::SUCCESS);
        }
        let message = format!("{file} is not what its recipe gives");
        let hint = "lines with + and the right sides are what was built now; --keep FILE keeps it";
        Err(Problem::error(Class::Verify, message, hint))
    }
}

/// Prints whether a file is what was built now, or how it differs; whether it is.
fn compare(original: &Path, again: &Written) -> Result<bool> {
    let (bytes, built) = (inspect::read(original)?, inspect::read(&again.path)?);
    if bytes == built {
        print_line(format_args!("identical: {}  {}", again.sha256, original.display()))?;
        return Ok(true);
    }
    match inspect::recognise(&bytes) {
        Some(_) => {
            let difference = diff::compare(&bytes, &built).context("comparing it with what its recipe gives")?;
            diff_command::lines(&difference).iter().try_for_each(print_line)?;
        }
        None => print_line(format_args!("~ {}", original.display()))?,
    }
    Ok(false)
}
