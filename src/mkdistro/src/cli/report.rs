//! `mkdistro report`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use super::build::default_output;
use super::making::image_time;
use super::print_line;
use super::project::FlavourArguments;
use crate::progress::Progress;
use crate::report::data::Report as Data;
use crate::report::{self, Opened};
use crate::sbom::{self, Inventory};
use crate::{fetch, image, lock, root};

/// Show what the image consists of and what everything costs
///
/// Without IMAGE it assembles the project, and takes sizes after compression from out.iso if that exists. With IMAGE it
/// tells what the image itself says.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  mkdistro report\n  mkdistro report --html report.html\n  \
                             mkdistro report --html report.html --diff old.iso --timings timings.json")]
pub(super) struct Report {
    /// An ISO, initramfs or SquashFS, instead of the project
    image: Option<PathBuf>,
    /// Write a page to look at; it needs nothing but a browser
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the data; "-" prints it instead of the text
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Compare with an older image
    #[arg(long, value_name = "IMAGE")]
    diff: Option<PathBuf>,
    /// Show where a build's time went: what "build --timings" wrote
    #[arg(long, value_name = "FILE")]
    timings: Option<PathBuf>,
    /// Show where a boot's time went: what "run --bootchart" wrote
    #[arg(long, value_name = "FILE")]
    bootchart: Option<PathBuf>,
    #[command(flatten)]
    project: FlavourArguments,
    /// Use the cache alone
    #[arg(long)]
    offline: bool,
}

impl Report {
    pub(super) fn execute(&self, progress: &dyn Progress) -> Result<ExitCode> {
        let is_stdout = |path: &&PathBuf| path.as_os_str() == "-";
        for output in [&self.html, &self.json].into_iter().flatten().filter(|path| !is_stdout(path)) {
            image::check_output(output)?;
        }
        let mut data = self.gather(progress)?;
        data.build = self.timings.as_deref().map(report::timeline::read).transpose()?;
        data.boot = self.bootchart.as_deref().map(report::timeline::read).transpose()?;
        let json = serde_json::to_string(&data).context("writing the report as JSON")?;
        if let Some(path) = self.json.as_ref().filter(|path| !is_stdout(path)) {
            image::write_file(path, json.as_bytes())?;
        }
        if let Some(path) = &self.html {
            image::write_file(path, report::page::render(&data, &json).as_bytes())?;
        }
        match self.json.as_ref().is_some_and(|path| is_stdout(&path)) {
            true => print_line(json)?,
            false => print_line(report::text::render(&data).trim_end())?,
        }
        Ok(ExitCode::SUCCESS)
    }

    fn gather(&self, progress: &dyn Progress) -> Result<Data> {
        let open = |path: &Path| -> Result<Opened> {
            let task = progress.start(&format!("reading {}", path.display()), 0);
            let opened = Opened::read(path)?;
            task.finish("done");
            Ok(opened)
        };
        let old = self.diff.as_deref().map(open).transpose()?;
        if let Some(path) = &self.image {
            return report::of_image(&open(path)?, old.as_ref());
        }
        let checked = self.project.load()?;
        let lock = self.project.lock(&checked, self.offline, progress)?;
        let locked = lock::check(checked, lock, image::BOOT_PACKAGES)?;
        let created = image_time(std::env::var_os("SOURCE_DATE_EPOCH"), &locked.lock)?;
        let fetcher = self.project.fetcher(&locked.checked, self.offline)?;
        let fetched = fetch::fetch(locked, &fetcher, progress)?;
        let mut root = root::assemble(&fetched, progress)?;
        let medium = image::medium(&fetched.locked.checked, &root)?;
        let inventory = Inventory::take(&fetched, &root, &medium, created)?;
        sbom::embed(&inventory, &mut root)?;
        let built = default_output(&fetched.locked.checked);
        let image = built.exists().then(|| open(&built)).transpose()?;
        report::of_project(&fetched, &root, Some(&inventory), image.as_ref(), old.as_ref())
    }
}
