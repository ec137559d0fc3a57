//! `distroctl provision`, `apply` and `validate`: what the guest is told besides its image, put together from all its sources
//! and applied. Nothing here stops a boot: what is good is applied, what is wrong is told on the console, in the log and by
//! `distroctl status`.
//!
//! At boot it runs after the data disk and before everything that it configures, and again, as `provision run`, when the
//! engine is up, for the commands that may need it.

mod accounts;
mod changes;
mod engine;
mod files;
mod firmware;
mod hooks;
mod host_key;
mod media;
mod root;
mod sources;
mod storage;
mod system;
#[cfg(test)]
mod tests;
mod volume;

pub(crate) use accounts::login_keys;
pub(crate) use firmware::fw_cfg;
pub(crate) use media::read as read_volume;
pub(crate) use root::Root;
pub(crate) use volume::{Volume, recognize as recognize_volume};

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use contract::paths;
use document::{Document, Problem};

use crate::guest::Guest;
use crate::{console, file};
use changes::Changes;
use sources::Collected;

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Early in the boot.
    Boot,
    /// By hand.
    Apply,
    /// By hand, only to be told.
    DryRun,
}

/// `distroctl provision`, at boot.
pub(crate) fn boot() -> Result<ExitCode> {
    let guest = Guest::load();
    let root = Root::system();
    let collected = sources::collect(&root, &guest, true);
    let changes = run(&root, &guest, &collected, Purpose::Boot);
    for line in &changes.lines {
        console::log(line);
    }
    let mut problems = collected.problems.clone();
    problems.extend(changes.problems);
    problems.extend(hooks::boot(&root, &collected));
    for problem in &problems {
        guest.warn(&line(problem));
    }
    record(&root, &problems)?;
    Ok(ExitCode::SUCCESS)
}

/// `distroctl provision run`, when the engine is up.
pub(crate) fn run_late() -> Result<ExitCode> {
    let guest = Guest::load();
    let root = Root::system();
    let problems = hooks::late(&root);
    for problem in &problems {
        guest.warn(&line(problem));
    }
    let mut text = root.text(paths::PROBLEMS);
    text.push_str(&lines(&problems));
    file::replace(&root.path(paths::PROBLEMS), text.as_bytes(), 0o644, None)?;
    Ok(ExitCode::SUCCESS)
}

/// `distroctl apply [--dry-run]`.
pub(crate) fn apply(dry_run: bool) -> Result<ExitCode> {
    anyhow::ensure!(
        dry_run || rustix::process::geteuid().is_root(),
        "only root may change the system\nhint: sudo distroctl apply"
    );
    let guest = Guest::load();
    let root = Root::system();
    let collected = sources::collect(&root, &guest, !dry_run);
    let purpose = if dry_run { Purpose::DryRun } else { Purpose::Apply };
    let changes = run(&root, &guest, &collected, purpose);
    let mut text: String = changes.lines.iter().map(|line| format!("{line}\n")).collect();
    if changes.lines.is_empty() {
        text.push_str("nothing to change\n");
    }
    console::print(&text)?;
    let mut problems = collected.problems;
    problems.extend(changes.problems);
    for problem in &problems {
        console::log(&problem.to_string());
    }
    if !dry_run {
        record(&root, &problems)?;
        crate::keys::authorize(&guest)?;
        crate::rootless::take_in()?;
    }
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(contract::exit::CONFIG) })
}

/// `distroctl validate FILE`: all problems of a document, cloud-config, network-config or Ignition file.
pub(crate) fn validate(path: &str) -> Result<ExitCode> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {path}"))?;
    let (format, problems) = document::validate(Path::new(path).file_name().and_then(|name| name.to_str()), &bytes);
    for problem in &problems {
        console::log(&problem.clone().within(path).to_string());
    }
    if problems.is_empty() {
        return console::print(&format!("{path}: good ({format})\n"));
    }
    console::log(&format!("{path}: {} problems ({format})", problems.len()));
    Ok(ExitCode::from(contract::exit::CONFIG))
}

/// `distroctl schema`.
pub(crate) fn schema() -> Result<ExitCode> {
    console::print(&document::schema())
}

/// The document that is in force.
pub(crate) fn effective() -> Document {
    Document::read(&Root::system().text(paths::CONFIG))
}

/// Problems of the last run, a line each.
pub(crate) fn problems() -> Vec<String> {
    Root::system().text(paths::PROBLEMS).lines().map(str::to_string).collect()
}

fn run<'a>(root: &'a Root, guest: &Guest, collected: &Collected, purpose: Purpose) -> Changes<'a> {
    let mut changes = Changes::new(root, purpose == Purpose::DryRun);
    let document = Document::of(&collected.table);
    // It may hold passwords and keys.
    changes.write(paths::CONFIG, document::write(&collected.table).as_bytes(), 0o600, "root");
    accounts::apply(&mut changes, &document, &guest.settings);
    storage::apply(&mut changes, &document);
    files::apply(&mut changes, &document);
    host_key::apply(&mut changes, &document);
    engine::apply(&mut changes, &document, &guest.settings);
    system::apply(&mut changes, &document, purpose == Purpose::Boot);
    // By hand nothing of the user's runs.
    if purpose == Purpose::Boot {
        hooks::prepare(&mut changes, collected);
    }
    changes
}

fn record(root: &Root, problems: &[Problem]) -> Result<()> {
    let path = root.path(paths::PROBLEMS);
    std::fs::create_dir_all(root.path(paths::RUN_DIR)).with_context(|| format!("making {}", paths::RUN_DIR))?;
    file::replace(&path, lines(problems).as_bytes(), 0o644, None)
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| line(problem) + "\n").collect()
}

fn line(problem: &Problem) -> String {
    problem.to_string().replace('\n', "; ")
}
