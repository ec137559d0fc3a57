//! `mkdistro build`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::making::{MakingArguments, finish};
use super::{error, print_line};
use crate::cache::unchanged::Output;
use crate::config::Checked;
use crate::image::{self, Format, Target, megabytes};
use crate::make::Made;
use crate::progress::Progress;
use crate::sbom;
use crate::signing::Signer;
use crate::sums;
use crate::sums::minisign::SecretKey;
use crate::timeline::Recorder;
use crate::watch::Watcher;

/// Build the distribution: distro.toml → out.iso
///
/// Reads distro.toml, packages/, kernel-config/ and overlay/, fetches what packages/lock.toml names and is not in the
/// cache, and writes a bootable ISO or what [output] names, with its bills of materials and its line in SHA256SUMS beside it. The same input gives
/// the same bytes. A project without a lock is locked first. What earlier builds have compressed is taken from the cache;
/// if nothing has changed, nothing is done.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  mkdistro build\n  mkdistro build --fast --watch\n  \
                             mkdistro build --format iso --format kernel\n  \
                             mkdistro build --flavour docker\n  mkdistro build --output /tmp/box.iso --offline")]
pub(super) struct Build {
    #[command(flatten)]
    making: MakingArguments,
    /// Where the ISO goes; other formats go beside it: out.kernel [default: out.iso, of a flavour that is not the default
    /// one out-NAME.iso]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// What to write instead of distro.toml's [output] formats; may be given several times
    #[arg(long = "format", value_name = "NAME", value_parser = format())]
    formats: Vec<Format>,
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
        let output = self.output.clone().unwrap_or_else(|| default_output(making.checked()));
        let targets = self.targets(making.checked(), &output);
        targets.iter().try_for_each(image::check_target)?;
        image::check_images(making.checked(), &targets)?;
        let key = self.key.as_deref().map(SecretKey::load).transpose()?;
        let signer = Signer::of(making.checked())?;
        let (folder, mtime) = (image::folder_of(&output), making.mtime);
        let inputs = making.inputs(&self.what(&targets), &output);
        let unchanged = inputs.as_ref().and_then(|inputs| inputs.unchanged());
        if let Some(outputs) = unchanged.filter(|outputs| !outputs.is_empty()) {
            let outputs = relative(outputs, &output)?;
            sums::publish(&folder, &outputs, key.as_ref(), mtime, progress)?;
            let names: Vec<String> = targets.iter().map(|target| target.path.display().to_string()).collect();
            progress.say(&format!("unchanged: {}", names.join(", ")));
            let is_image = |path: &Path| targets.iter().any(|target| path.starts_with(&target.path));
            return outputs.iter().filter(|(path, _)| is_image(path)).try_for_each(print_sum);
        }
        let cache = making.cache().to_owned();
        let Made { checked, root, mut bills, container } = making.make(progress)?;
        if !targets.iter().any(|target| target.format.boots()) {
            bills = sbom::full(&container);
        }
        let images = image::write(&checked, &root, &targets, mtime, signer.as_ref(), progress)?;
        let files = images.iter().flat_map(|image| &image.files);
        let mut outputs: Vec<_> = files.map(|file| (file.path.clone(), file.sha256.clone())).collect();
        let count = outputs.len();
        if !self.no_sbom {
            outputs.extend(sbom::write_beside(&targets[0].path, &bills)?);
        }
        sums::publish(&folder, &outputs, key.as_ref(), mtime, progress)?;
        finish(&cache, inputs.as_ref(), &outputs);
        for image in &images {
            let parts: Vec<String> =
                image.parts.iter().map(|(what, size)| format!("{what} {}", megabytes(*size))).collect();
            progress.say(&format!(
                "done: {}: {} in {:.1} s: {}",
                image.path.display(),
                megabytes(image.size_bytes()),
                started.elapsed().as_secs_f64(),
                parts.join(", ")
            ));
        }
        outputs[..count].iter().try_for_each(print_sum)
    }

    /// What is written, and where.
    fn targets(&self, checked: &Checked, output: &Path) -> Vec<Target> {
        let formats = if self.formats.is_empty() { &checked.distro.output.formats } else { &self.formats };
        Target::all(formats, output)
    }

    /// The same in words, for the comparison with the last build.
    fn what(&self, targets: &[Target]) -> String {
        let images = targets.iter().map(|target| format!("{} {}", target.format, target.path.display()));
        images.chain((!self.no_sbom).then(|| "sbom".into())).collect::<Vec<_>>().join(", ")
    }
}

/// Where an ISO goes if nobody says: flavours do not overwrite each other.
pub(super) fn default_output(checked: &Checked) -> PathBuf {
    match &checked.flavour {
        Some(name) if !checked.is_default() => format!("out-{name}.iso").into(),
        _ => "out.iso".into(),
    }
}

/// Outputs of an earlier build, named as the user would.
fn relative(outputs: Vec<Output>, target: &Path) -> Result<Vec<(PathBuf, String)>> {
    let folder = target.parent().unwrap_or(Path::new(""));
    let whole = std::path::absolute(image::folder_of(target)).context("finding the output's folder")?;
    let name = |path: PathBuf| path.strip_prefix(&whole).map(|name| folder.join(name)).unwrap_or(path);
    Ok(outputs.into_iter().map(|output| (name(output.path), output.sha256)).collect())
}

fn print_sum((path, sha256): &(PathBuf, String)) -> Result<()> {
    print_line(format_args!("{sha256}  {}", path.display()))
}

fn format() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.map(Format::name)).try_map(|name| name.parse::<Format>())
}
