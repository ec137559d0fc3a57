//! `mkdistro build`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use super::making::{MakingArguments, finish};
use super::{error, print_line};
use crate::image::{self, megabytes};
use crate::make::Made;
use crate::progress::Progress;
use crate::sbom;
use crate::sums;
use crate::sums::minisign::SecretKey;
use crate::timeline::Recorder;
use crate::watch::Watcher;

/// Build the distribution: distro.toml → out.iso
///
/// Reads distro.toml, packages/, kernel-config/ and overlay/, fetches what packages/lock.toml names and is not in the
/// cache, and writes a bootable ISO, with its bills of materials and its line in SHA256SUMS beside it. The same input gives
/// the same bytes. A project without a lock is locked first. What earlier builds have compressed is taken from the cache;
/// if nothing has changed, nothing is done.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  mkdistro build\n  mkdistro build --fast --watch\n  \
                             mkdistro build --output /tmp/box.iso --offline")]
pub(super) struct Build {
    #[command(flatten)]
    making: MakingArguments,
    /// Where the ISO goes
    #[arg(long, short, default_value = "out.iso", value_name = "FILE")]
    output: PathBuf,
    /// Sign SHA256SUMS with this secret key; "mkdistro keygen" makes one
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Build again whenever a file of the project changes, until Ctrl-C
    #[arg(long)]
    watch: bool,
    /// Tell where the time went: a table on stderr, or JSON in a file
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    timings: Option<Option<PathBuf>>,
    /// Write no bills of materials beside the ISO (FILE.spdx.json, FILE.cdx.json); it still holds them
    #[arg(long)]
    no_sbom: bool,
}

impl Build {
    pub(super) fn execute(&self, progress: &dyn Progress) -> Result<ExitCode> {
        if !self.watch {
            self.once(progress)?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut watcher = Watcher::new(&self.making.project.project)?;
        loop {
            if let Err(error) = self.once(progress) {
                error::report(&error);
            }
            progress.say("waiting for changes; end with Ctrl-C");
            watcher.wait()?;
        }
    }

    fn once(&self, progress: &dyn Progress) -> Result<()> {
        let Some(file) = &self.timings else { return self.build(progress) };
        let recorder = Recorder::new(progress);
        self.build(&recorder)?;
        let timeline = recorder.timeline("build");
        let Some(path) = file else {
            eprint!("{timeline}");
            return Ok(());
        };
        let json = serde_json::to_string_pretty(&timeline).context("encoding the timings")?;
        std::fs::write(path, json + "\n").with_context(|| format!("writing {}", path.display()))
    }

    fn build(&self, progress: &dyn Progress) -> Result<()> {
        let started = std::time::Instant::now();
        let making = self.making.prepare(progress)?;
        image::check_output(&self.output)?;
        let key = self.key.as_deref().map(SecretKey::load).transpose()?;
        let mtime = making.mtime;
        let inputs = making.inputs(if self.no_sbom { "iso" } else { "iso and sbom" }, &self.output);
        let unchanged = inputs.as_ref().and_then(|inputs| inputs.unchanged());
        if let Some(outputs) = unchanged.filter(|outputs| !outputs.is_empty()) {
            let outputs: Vec<_> = outputs.into_iter().map(|output| (output.path, output.sha256)).collect();
            sums::publish(&outputs, key.as_ref(), mtime, progress)?;
            progress.say(&format!("unchanged: {}", self.output.display()));
            return print_line(format_args!("{}  {}", outputs[0].1, self.output.display()));
        }
        let cache = making.cache().to_owned();
        let Made { checked, root, bills } = making.make(progress)?;
        let image = image::write_iso(&checked, &root, &self.output, mtime, progress)?;
        let mut outputs = vec![(image.path.clone(), image.sha256.clone())];
        if !self.no_sbom {
            outputs.extend(sbom::write_beside(&self.output, &bills)?);
        }
        sums::publish(&outputs, key.as_ref(), mtime, progress)?;
        finish(&cache, inputs.as_ref(), &outputs);
        let parts: Vec<String> =
            image.parts.iter().map(|(what, size)| format!("{what} {}", megabytes(*size))).collect();
        progress.say(&format!(
            "done: {} in {:.1} s: {}",
            megabytes(image.size_bytes),
            started.elapsed().as_secs_f64(),
            parts.join(", ")
        ));
        print_line(format_args!("{}  {}", image.sha256, image.path.display()))
    }
}
