//! `mkdistro kernel`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use formats::tree::Tree;

use super::print_line;
use super::project::FlavourArguments;
use crate::config::{self, Checked, KernelSource};
use crate::deb;
use crate::fetch::{self, Fetched};
use crate::kernel::check::{self, Row, Verdict};
use crate::kernel::config::KernelConfig;
use crate::kernel::cost::{self, SubjectCost};
use crate::kernel::{self, found};
use crate::lock;
use crate::progress::Progress;
use crate::{image, problem};

/// Check, show and weigh the kernel
///
/// What a kernel must have is in kernel-config/: fragments by subject, with a reason for each option. With source =
/// "package" in [kernel] Debian's kernel is compared with them and their modules are shipped; with source = "source" they
/// are merged, and the kernel is built from Debian's source with everything built in.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  mkdistro kernel check\n  mkdistro kernel check --running\n  \
                             mkdistro kernel config --diff\n  mkdistro kernel modules network")]
pub(super) struct Kernel {
    #[command(subcommand)]
    command: Command,
}

/// Which project, and how to get at its kernel.
#[derive(Debug, Args)]
struct Project {
    #[command(flatten)]
    project: FlavourArguments,
    /// Use the cache alone
    #[arg(long)]
    offline: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compare a kernel with the fragments; fails if it lacks what distro.toml asks for
    Check(Check),
    /// Print the kernel's configuration
    Config(Config),
    /// Print the modules by subject with what they cost
    Modules(Modules),
}

#[derive(Debug, Args)]
struct Check {
    #[command(flatten)]
    project: Project,
    /// A kernel configuration, plain or gzip, instead of the project's kernel
    #[arg(long, value_name = "FILE", group = "kernel")]
    config: Option<PathBuf>,
    /// The kernel that runs here
    #[arg(long, group = "kernel")]
    running: bool,
    /// The kernel in an ISO that mkdistro made
    #[arg(long, value_name = "FILE", group = "kernel")]
    iso: Option<PathBuf>,
    /// Print only what is not as asked for
    #[arg(long)]
    missing: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Config {
    #[command(flatten)]
    project: Project,
    /// Print what differs from Debian's kernel instead
    #[arg(long)]
    diff: bool,
}

#[derive(Debug, Args)]
struct Modules {
    #[command(flatten)]
    project: Project,
    /// List the modules of one subject
    subject: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Kernel {
    pub(super) fn execute(&self, progress: &dyn Progress) -> Result<ExitCode> {
        match &self.command {
            Command::Check(check) => check.execute(progress),
            Command::Config(config) => config.execute(progress),
            Command::Modules(modules) => modules.execute(progress),
        }
    }
}

impl Check {
    fn execute(&self, progress: &dyn Progress) -> Result<ExitCode> {
        let checked = self.project.project.load()?;
        let given = match (&self.config, self.running, &self.iso) {
            (Some(path), ..) => Some(found::in_file(path)?),
            (_, true, _) => Some(found::running()?),
            (.., Some(path)) => Some(found::in_iso(path)?),
            _ => None,
        };
        let others = config::other_fragments(&checked)?;
        let fragments = checked.fragments.clone();
        let (text, source) = match given {
            Some(text) => {
                let source = check::source_of(&KernelConfig::parse(&text));
                (text, source)
            }
            None => {
                let source = checked.distro.kernel.source;
                (self.project.config(checked, progress)?, source)
            }
        };
        let mut rows = check::rows(&fragments, &others, source, &KernelConfig::parse(&text));
        let count = |verdict| rows.iter().filter(|row| row.verdict == verdict).count();
        let (right, lacking, optional) = (count(Verdict::Ok), count(Verdict::Missing), count(Verdict::Optional));
        rows.retain(|row| !self.missing || row.verdict != Verdict::Ok);
        if self.json {
            print_line(serde_json::to_string_pretty(&rows).context("writing JSON")?)?;
        } else {
            print_rows(&rows)?;
        }
        progress.say(&format!(
            "{right} as asked for, {lacking} missing, {optional} of fragments that distro.toml does not name missing"
        ));
        Ok(if lacking == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

impl Config {
    fn execute(&self, progress: &dyn Progress) -> Result<ExitCode> {
        let checked = self.project.project.load()?;
        let source = checked.distro.kernel.source;
        if !self.diff {
            print_line(self.project.config(checked, progress)?.trim_end())?;
            return Ok(ExitCode::SUCCESS);
        }
        if source == KernelSource::Package {
            progress.say("the kernel is Debian's own: no difference");
            return Ok(ExitCode::SUCCESS);
        }
        let fetched = self.project.fetched(checked, progress)?;
        let ours = kernel::source(&fetched)?.config(progress)?;
        let debian = found::in_debian(&fetched)?;
        let difference = KernelConfig::parse(&debian).difference(&KernelConfig::parse(&ours));
        difference.iter().try_for_each(print_line)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Modules {
    fn execute(&self, progress: &dyn Progress) -> Result<ExitCode> {
        let checked = self.project.project.load()?;
        if checked.distro.kernel.source == KernelSource::Source {
            progress.say("the kernel is built from source: everything is built in, there are no modules");
            return Ok(ExitCode::SUCCESS);
        }
        let others = config::other_fragments(&checked)?;
        let fetched = self.project.fetched(checked, progress)?;
        let package = package_tree(&fetched)?;
        let task = progress.start("compressing modules", 0);
        let mut costs = cost::by_subject(&fetched.locked.checked, &others, &package, self.subject.as_deref())?;
        task.finish("");
        if let Some(subject) = &self.subject {
            let names: Vec<String> = costs.iter().map(|cost| cost.subject.clone()).collect();
            costs.retain(|cost| cost.subject == *subject);
            if costs.is_empty() {
                let message = format!("no modules for {subject:?}");
                let hint = format!("subjects are {}", names.join(", "));
                return Err(problem::Problem::error(problem::Class::Config, message, hint));
            }
        }
        if self.json {
            print_line(serde_json::to_string_pretty(&costs).context("writing JSON")?)?;
        } else if self.subject.is_some() {
            print_modules(&costs)?;
        } else {
            print_subjects(&costs)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Project {
    /// The configuration of the project's kernel.
    fn config(&self, checked: Checked, progress: &dyn Progress) -> Result<String> {
        let source = checked.distro.kernel.source;
        let fetched = self.fetched(checked, progress)?;
        match source {
            KernelSource::Source => kernel::source(&fetched)?.config(progress),
            KernelSource::Package => kernel::config_of(&package_tree(&fetched)?),
        }
    }

    /// The project with the kernel's packages, and no others.
    fn fetched(&self, checked: Checked, progress: &dyn Progress) -> Result<Fetched> {
        let lock = lock::Lock::read(&checked.dir)?;
        let mut locked = lock::check(checked, lock, image::BOOT_PACKAGES)?;
        let kernel = locked.lock.kernel.clone();
        locked.lock.packages.retain(|package| package.name == kernel || package.name.starts_with("linux-config-"));
        let fetcher = self.project.fetcher(&locked.checked, self.offline)?;
        fetch::fetch(locked, &fetcher, progress)
    }
}

fn package_tree(fetched: &Fetched) -> Result<Tree> {
    let name = &fetched.locked.lock.kernel;
    let file = fetched.files.get(name).with_context(|| format!("{name} is not fetched"))?;
    Ok(deb::open(file, &name.as_str().into(), &kernel::is_wanted)?.tree)
}

fn print_rows(rows: &[Row]) -> Result<()> {
    let width = rows.iter().map(|row| row.option.len()).max().unwrap_or_default();
    let mut fragment = "";
    for row in rows {
        if row.fragment != fragment {
            fragment = &row.fragment;
            print_line(format_args!("{fragment}"))?;
        }
        let verdict = match row.verdict {
            Verdict::Ok => "ok",
            Verdict::Missing => "MISSING",
            Verdict::Optional => "optional",
        };
        let value =
            if row.verdict == Verdict::Ok { row.found.clone() } else { format!("{}, not {}", row.found, row.wanted) };
        print_line(format_args!("  {verdict:8} {:width$} {value:8} {}", row.option, row.reason))?;
    }
    Ok(())
}

fn print_subjects(costs: &[SubjectCost]) -> Result<()> {
    let width = costs.iter().map(|cost| cost.subject.len()).max().unwrap_or_default().max("subject".len());
    print_line(format_args!("{:width$} modules      bytes compressed", "subject"))?;
    let line = |name: &str, modules: usize, bytes: u64, compressed: u64, note: &str| {
        let line = format!("{name:width$} {modules:7} {bytes:10} {compressed:10}  {note}");
        print_line(line.trim_end())
    };
    for cost in costs {
        let note = if cost.in_image { "" } else { "not in the image" };
        line(&cost.subject, cost.modules.len(), cost.bytes(), cost.compressed_bytes(), note)?;
    }
    let present = || costs.iter().filter(|cost| cost.in_image);
    let count = present().map(|cost| cost.modules.len()).sum();
    let bytes = present().map(SubjectCost::bytes).sum();
    line("image", count, bytes, present().map(SubjectCost::compressed_bytes).sum(), "")
}

fn print_modules(costs: &[SubjectCost]) -> Result<()> {
    let all = || costs.iter().flat_map(|cost| &cost.modules);
    let width = all().map(|module| module.name.len()).max().unwrap_or_default().max("module".len());
    print_line(format_args!("{:width$}      bytes compressed  asked for by", "module"))?;
    for module in all() {
        let (bytes, compressed) = (module.bytes, module.compressed_bytes);
        print_line(format_args!("{:width$} {bytes:10} {compressed:10}  {}", module.name, module.asked_by))?;
    }
    Ok(())
}
