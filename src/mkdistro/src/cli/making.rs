//! What the sub-commands that build have in common: options that change the result, and the way to the root.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use formats::squashfs::Compression;

use super::project::FlavourArguments;
use crate::archive::date;
use crate::cache::sweep;
use crate::cache::unchanged::{Inputs, Output};
use crate::config::KernelSource;
use crate::fetch::{self, Fetcher};
use crate::lock::{self, Locked};
use crate::make::{self, Made};
use crate::progress::Progress;
use crate::{config, image, kernel, signing};

/// Compression of `--fast`: half a second for the default root, which gets a fifth larger.
const FAST: &str = "zstd:3";

#[derive(Debug, Args)]
pub(super) struct MakingArguments {
    #[command(flatten)]
    pub(super) project: FlavourArguments,
    /// Use the cache alone
    #[arg(long)]
    offline: bool,
    /// Compress quickly instead of well, as --compression zstd:3
    #[arg(long, conflicts_with = "compression")]
    fast: bool,
    /// Compression of the root, instead of distro.toml's: zstd:LEVEL or xz
    #[arg(long, value_name = "NAME", value_parser = compression)]
    compression: Option<Compression>,
}

fn compression(text: &str) -> Result<Compression, String> {
    text.parse().map_err(|error: anyhow::Error| error.to_string())
}

impl MakingArguments {
    /// The project with what the options change in it, and where its outputs stand.
    pub(super) fn prepare(&self, progress: &dyn Progress) -> Result<Making> {
        let mut checked = self.project.load()?;
        if self.fast {
            checked.distro.root.compression = FAST.into();
        }
        if let Some(compression) = self.compression {
            checked.distro.root.compression = compression.to_string();
        }
        let lock = self.project.lock(&checked, self.offline, progress)?;
        let locked = lock::check(checked, lock, image::BOOT_PACKAGES)?;
        let mtime = image_time(std::env::var_os("SOURCE_DATE_EPOCH"), &locked.lock)?;
        let fetcher = self.project.fetcher(&locked.checked, self.offline)?;
        Ok(Making { locked, fetcher, mtime })
    }
}

/// A project that is ready to be built.
pub(super) struct Making {
    pub(super) locked: Locked,
    pub(super) fetcher: Fetcher,
    /// The time of every file in the image, in seconds since 1970.
    pub(super) mtime: u32,
}

impl Making {
    /// The project.
    pub(super) fn checked(&self) -> &config::Checked {
        &self.locked.checked
    }

    /// The cache folder.
    pub(super) fn cache(&self) -> &Path {
        self.fetcher.cache.dir()
    }

    /// What there is to compare with the next build of `output`. `what` is what is written, and where. Whatever else a build
    /// follows from besides the project's files and this program belongs into this list.
    pub(super) fn inputs(&self, what: &str, output: &Path) -> Option<Inputs> {
        let mut settings = vec![
            format!("output {what}"),
            format!("compression {}", self.checked().distro.root.compression),
            format!("mtime {}", self.mtime),
            format!("flavour {}", self.checked().flavour_key()),
        ];
        if self.checked().distro.kernel.source == KernelSource::Source {
            settings.push(format!("compiler {}", kernel::source::compiler().ok()?));
        }
        settings.extend(signing::inputs(self.checked()));
        Inputs::take(self.cache(), self.checked(), output, settings)
    }

    /// Fetches and makes.
    pub(super) fn make(self, progress: &dyn Progress) -> Result<Made> {
        let fetched = fetch::fetch(self.locked, &self.fetcher, progress)?;
        make::make(fetched, self.mtime, progress)
    }
}

/// Notes what a build has written, and keeps the cache small.
pub(super) fn finish(cache: &Path, inputs: Option<&Inputs>, outputs: &[(PathBuf, String)]) {
    if let Some(inputs) = inputs {
        let output = |(path, sha256): &(PathBuf, String)| Output { path: path.clone(), sha256: sha256.clone() };
        inputs.record(&outputs.iter().map(output).collect::<Vec<_>>());
    }
    sweep::now_and_then(cache);
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
        Lock {
            schema: 1,
            request: String::new(),
            kernel: String::new(),
            suites,
            packages: Vec::new(),
            images: Vec::new(),
        }
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
