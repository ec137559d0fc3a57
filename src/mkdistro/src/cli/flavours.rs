//! `mkdistro flavours`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;

use super::print_line;
use crate::config::{self, Checked};

/// List the flavours of distro.toml: what each of them adds up to
///
/// A flavour is a table [flavour.NAME] that overrides keys of distro.toml; "mkdistro build --flavour NAME" builds it.
/// The one with default = true is built if none is named; if there is none, what is outside of the flavours, shown as "-".
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  mkdistro flavours\n  mkdistro flavours --json")]
pub(super) struct Flavours {
    /// The folder with distro.toml
    #[arg(long, default_value = ".", value_name = "DIR")]
    project: PathBuf,
    /// As JSON: an array of objects
    #[arg(long)]
    json: bool,
}

/// A line of the list.
#[derive(Debug, Serialize)]
struct Row<'a> {
    /// None: the document without a flavour.
    name: Option<&'a str>,
    summary: &'a str,
    default: bool,
    /// Of root.recipes.
    recipes: &'a [String],
}

impl Flavours {
    pub(super) fn execute(&self) -> Result<ExitCode> {
        let checked = config::load(&self.project)?;
        let rows = rows(&checked);
        if self.json {
            print_line(serde_json::to_string(&rows).context("encoding the list")?)?;
        } else {
            let width = rows.iter().filter_map(|row| row.name).map(str::len).max().unwrap_or(1);
            rows.iter().try_for_each(|row| print_line(line(row, width)))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The default one first, the others by name.
fn rows(checked: &Checked) -> Vec<Row<'_>> {
    let flavours = std::iter::once(checked).chain(&checked.others);
    let row = |flavour: &'_ Checked| {
        let named = checked.flavours.iter().find(|named| Some(&named.name) == flavour.flavour.as_ref());
        Row {
            name: named.map(|named| named.name.as_str()),
            summary: named.map_or("", |named| named.summary.as_str()),
            default: flavour.is_default(),
            recipes: &[],
        }
    };
    flavours.map(|flavour| Row { recipes: &flavour.distro.root.recipes, ..row(flavour) }).collect()
}

/// `* podman   podman and what it needs: base, busybox`.
fn line(row: &Row<'_>, width: usize) -> String {
    let mark = if row.default { '*' } else { ' ' };
    let colon = if row.summary.is_empty() { "" } else { ": " };
    let name = row.name.unwrap_or("-");
    format!("{mark} {name:width$}  {}{colon}{}", row.summary, row.recipes.join(", "))
}

#[cfg(test)]
mod tests {
    use super::{Row, line};

    #[test]
    fn a_line_has_all() {
        let recipes = ["base".to_owned(), "podman".to_owned()];
        let row = Row { name: Some("podman"), summary: "the engine", default: true, recipes: &recipes };
        assert_eq!(line(&row, 7), "* podman   the engine: base, podman");
        let row = Row { name: None, summary: "", default: false, recipes: &recipes };
        assert_eq!(line(&row, 1), "  -  base, podman");
    }
}
