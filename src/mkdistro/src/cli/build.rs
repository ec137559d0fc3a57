//! `mkdistro build`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use super::project::ProjectArguments;
use crate::archive::date;
use crate::image::{self, megabytes};
use crate::progress::Progress;
use crate::{fetch, lock, root};

/// Build the distribution: distro.toml → out.iso
///
/// Reads distro.toml, packages/, kernel-config/ and overlay/, fetches what packages/lock.toml names and is not in the
/// cache, and writes a bootable ISO. The same input gives the same bytes.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  mkdistro build\n  mkdistro build --output /tmp/box.iso --offline")]
pub(super) struct Build {
    #[command(flatten)]
    project: ProjectArguments,
    /// Where the ISO goes
    #[arg(long, short, default_value = "out.iso", value_name = "FILE")]
    output: PathBuf,
    /// Use the cache alone
    #[arg(long)]
    offline: bool,
}

impl Build {
    pub(super) fn execute(&self, progress: &dyn Progress) -> Result<ExitCode> {
        let started = std::time::Instant::now();
        let checked = self.project.load()?;
        let fetcher = self.project.fetcher(&checked, self.offline)?;
        let lock = lock::Lock::read(&checked.dir)?;
        let locked = lock::check(checked, lock, image::BOOT_PACKAGES)?;
        let fetched = fetch::fetch(locked, &fetcher, progress)?;
        let root = root::assemble(&fetched, progress)?;
        let mtime = source_date_epoch(&fetched.locked.lock)?;
        let image = image::write_iso(&fetched.locked.checked, &root, &self.output, mtime, progress)?;
        let parts: Vec<String> =
            image.parts.iter().map(|(what, size)| format!("{what} {}", megabytes(*size))).collect();
        progress.say(&format!(
            "done: {} in {:.1} s: {}",
            megabytes(image.size_bytes),
            started.elapsed().as_secs_f64(),
            parts.join(", ")
        ));
        println!("{}  {}", image.sha256, image.path.display());
        Ok(ExitCode::SUCCESS)
    }
}

/// The time of every file in the image: `SOURCE_DATE_EPOCH` if it is set (reproducible-builds.org specification),
/// else the newest date of the locked suites, so that it moves with the content and never with the clock.
fn source_date_epoch(lock: &lock::Lock) -> Result<u32> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text.trim().parse().with_context(|| {
            format!("reading SOURCE_DATE_EPOCH: expected seconds since 1970 below 2^32, found {text:?}")
        }),
        Err(_) => {
            let dates = lock.suites.iter().filter_map(|suite| date::parse_rfc3339(&suite.date));
            let newest = dates.max().context("packages/lock.toml: no suite has a date")?;
            u32::try_from(newest).context("packages/lock.toml: a suite's date is after 2106")
        }
    }
}
