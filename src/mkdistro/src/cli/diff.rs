//! `mkdistro diff`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use super::inspect::text;
use super::print_line;
use crate::diff::{self, Change, Difference, FileChange};
use crate::inspect;

/// Show how two images differ: packages, kernel, files, sizes
///
/// Compares what is in them: packages by the locks inside, kernel options, and every file with what changed about it
/// (content, mode, owner, link target, attributes). Two lock.toml files can be compared too.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  mkdistro diff old.iso out.iso\n  mkdistro diff old.iso out.iso --json")]
pub(super) struct Diff {
    /// The first image
    before: PathBuf,
    /// The second image
    after: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Diff {
    pub(super) fn execute(&self) -> Result<ExitCode> {
        let (before, after) = (inspect::read(&self.before)?, inspect::read(&self.after)?);
        let context = || format!("comparing {} with {}", self.before.display(), self.after.display());
        let difference = diff::compare(&before, &after).with_context(context)?;
        if self.json {
            print_line(serde_json::to_string_pretty(&difference).context("writing JSON")?)?;
        } else {
            lines(&difference).iter().try_for_each(print_line)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A difference as text.
pub(super) fn lines(difference: &Difference) -> Vec<String> {
    if difference.identical {
        return vec!["identical".to_string()];
    }
    let mut lines = Vec::new();
    section(&mut lines, "packages", difference.packages.iter().map(value).collect());
    section(
        &mut lines,
        "kernel",
        difference.kernel_release.iter().chain(&difference.kernel_options).map(value).collect(),
    );
    section(&mut lines, "settings", difference.facts.iter().map(value).collect());
    section(&mut lines, "files", difference.files.iter().map(file).collect());
    let changed = difference.sizes.iter().filter(|change| change.before != change.after);
    section(&mut lines, "sizes", changed.map(size).collect());
    lines
}

fn section(lines: &mut Vec<String>, title: &str, rows: Vec<String>) {
    if !rows.is_empty() {
        lines.push(format!("{title}:"));
        lines.extend(rows.into_iter().map(|row| format!("  {}", text(row.as_bytes()))));
    }
}

fn value(change: &Change<String>) -> String {
    let name = &change.name;
    match (&change.before, &change.after) {
        (Some(before), Some(after)) => format!("~ {name} {before} → {after}"),
        (None, after) => format!("+ {name} {}", after.as_deref().unwrap_or_default()),
        (Some(before), None) => format!("- {name} {before}"),
    }
}

fn size(change: &Change<u64>) -> String {
    let (before, after) = (change.before.unwrap_or(0), change.after.unwrap_or(0));
    let (sign, by) = if after >= before { ('+', after - before) } else { ('-', before - after) };
    format!("{} {before} → {after} bytes ({sign}{by})", change.name)
}

fn file(change: &FileChange) -> String {
    let FileChange { path, before_bytes, after_bytes, what } = change;
    match (before_bytes, after_bytes) {
        (None, after) => format!("+ {path}, {} bytes", after.unwrap_or(0)),
        (Some(before), None) => format!("- {path}, {before} bytes"),
        (Some(before), Some(after)) if before != after => {
            format!("~ {path}: {}, {before} → {after} bytes", what.join(", "))
        }
        _ => format!("~ {path}: {}", what.join(", ")),
    }
}
