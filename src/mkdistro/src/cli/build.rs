//! `mkdistro build`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use super::print_line;
use super::project::ProjectArguments;
use crate::archive::date;
use crate::image::{self, megabytes};
use crate::progress::Progress;
use crate::{fetch, lock, root, sbom};

/// Build the distribution: distro.toml → out.iso
///
/// Reads distro.toml, packages/, kernel-config/ and overlay/, fetches what packages/lock.toml names and is not in the
/// cache, and writes a bootable ISO, with its bills of materials beside it. The same input gives the same bytes.
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
    /// Write no bills of materials beside the ISO (FILE.spdx.json, FILE.cdx.json); it still holds them
    #[arg(long)]
    no_sbom: bool,
}

impl Build {
    pub(super) fn execute(&self, progress: &dyn Progress) -> Result<ExitCode> {
        let started = std::time::Instant::now();
        let checked = self.project.load()?;
        let lock = lock::Lock::read(&checked.dir)?;
        let locked = lock::check(checked, lock, image::BOOT_PACKAGES)?;
        let mtime = image_time(std::env::var_os("SOURCE_DATE_EPOCH"), &locked.lock)?;
        image::check_output(&self.output)?;
        let fetcher = self.project.fetcher(&locked.checked, self.offline)?;
        let fetched = fetch::fetch(locked, &fetcher, progress)?;
        let mut root = root::assemble(&fetched, progress)?;
        let medium = image::medium(&fetched.locked.checked, &root)?;
        let bills = sbom::embed(&sbom::Inventory::take(&fetched, &root, &medium, mtime)?, &mut root)?;
        let image = image::write_iso(&fetched.locked.checked, &root, &self.output, mtime, progress)?;
        if !self.no_sbom {
            sbom::write_beside(&self.output, &bills)?;
        }
        let parts: Vec<String> =
            image.parts.iter().map(|(what, size)| format!("{what} {}", megabytes(*size))).collect();
        progress.say(&format!(
            "done: {} in {:.1} s: {}",
            megabytes(image.size_bytes),
            started.elapsed().as_secs_f64(),
            parts.join(", ")
        ));
        print_line(format_args!("{}  {}", image.sha256, image.path.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The time of every file in the image: `SOURCE_DATE_EPOCH` if it is set (reproducible-builds.org specification),
/// else the newest date of the locked suites, so that it moves with the content and never with the clock.
pub(super) fn image_time(source_date_epoch: Option<OsString>, lock: &lock::Lock) -> Result<u32> {
    if let Some(text) = source_date_epoch {
        let seconds = text.to_str().and_then(|text| text.parse().ok());
        return seconds.with_context(|| {
            format!("reading SOURCE_DATE_EPOCH: expected seconds since 1970 below 2^32, found {text:?}")
        });
    }
    let dates = lock.suites.iter().filter_map(|suite| date::parse_rfc3339(&suite.date));
    let newest = dates.max().context("packages/lock.toml: no suite has a date")?;
    u32::try_from(newest).context("packages/lock.toml: a suite's date is after 2106")
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    use super::image_time;
    use crate::lock::{Lock, LockedSuite};

    fn lock(dates: &[&str]) -> Lock {
        let suite = |date: &&str| LockedSuite { name: "trixie".into(), date: (*date).into() };
        let suites = dates.iter().map(suite).collect();
        Lock { schema: 1, request: String::new(), kernel: String::new(), suites, packages: Vec::new() }
    }

    #[test]
    fn the_time_comes_from_the_environment_or_the_lock() {
        let dates: &[&str] = &["2025-01-01T00:00:00Z", "2025-01-01T00:00:10Z", "2024-12-31T00:00:00Z"];
        let refused = |shown: &str| {
            Err(format!("reading SOURCE_DATE_EPOCH: expected seconds since 1970 below 2^32, found {shown}"))
        };
        for (set, dates, expected) in [
            (None, dates, Ok(1_735_689_610)),
            (Some("0"), dates, Ok(0)),
            (Some("4294967295"), &[], Ok(u32::MAX)),
            (Some("4294967296"), dates, refused("\"4294967296\"")),
            (Some("-1"), dates, refused("\"-1\"")),
            (Some(""), dates, refused("\"\"")),
            (Some("today"), dates, refused("\"today\"")),
            (None, &[], Err("packages/lock.toml: no suite has a date".to_string())),
            (None, &["2106-02-07T06:28:16Z"], Err("packages/lock.toml: a suite's date is after 2106".to_string())),
        ] {
            let found = image_time(set.map(OsString::from), &lock(dates));
            assert_eq!(found.map_err(|error| error.to_string()), expected, "{set:?} {dates:?}");
        }
        let no_text = OsString::from_vec(vec![0xff]);
        assert_eq!(image_time(Some(no_text), &lock(dates)).map_err(|e| e.to_string()), refused("\"\\xFF\""));
    }
}
