//! `mkdistro sources`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;

use super::print_line;
use super::stock::StockArguments;
use crate::progress::Progress;
use crate::sbom::{Inventory, Source};
use crate::sources::{self, Located};

/// Fetch the exact sources of what is in the image
///
/// The .dsc and tarballs of the source package of every Debian package with a file in the image, of the version that it
/// was built from, and of the sources that are compiled in; found in the suites' signed indices and verified. With --list
/// also the Rust crates of the guest's programs: "cargo vendor" in mkdistro's own source tree fetches those.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  mkdistro sources\n  mkdistro sources --list --only linux")]
pub(super) struct Sources {
    #[command(flatten)]
    stock: StockArguments,
    /// The folder they go to
    #[arg(long, short, value_name = "DIR", default_value = "sources")]
    output: PathBuf,
    /// Only sources of this name; may be repeated
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Without the sources of other packages that are compiled in (Built-Using; podman has about 170, 200 MB)
    #[arg(long)]
    no_built_using: bool,
    /// List names, versions, files, sizes and sha256 instead of fetching
    #[arg(long)]
    list: bool,
    /// With --list: print JSON
    #[arg(long, requires = "list")]
    json: bool,
}

impl Sources {
    pub(super) fn execute(&self, progress: &dyn Progress) -> Result<ExitCode> {
        let stock = self.stock.take(progress)?;
        let wanted: BTreeSet<&Source> = stock
            .inventory
            .sources(!self.no_built_using)
            .into_iter()
            .filter(|source| self.only.is_empty() || self.only.contains(&source.name))
            .collect();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("reading the clock")?.as_secs();
        let located = sources::locate(&stock.fetched.locked, &wanted, &stock.fetcher, now, progress)?;
        if self.json {
            print_json(&located, &stock.inventory)?;
        } else if self.list {
            print_list(&located, &stock.inventory)?;
        } else {
            sources::fetch(&located, &self.output, &stock.fetcher, progress)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A line per file: `deb NAME VERSION FILE SIZE SHA256`, and per crate: `crate NAME VERSION SHA256`.
fn print_list(located: &[Located], inventory: &Inventory) -> Result<()> {
    for Located { package, .. } in located {
        for file in &package.files {
            let (name, version) = (&package.name, &package.version);
            print_line(format_args!("deb {name} {version} {} {} {}", file.name, file.size, file.sha256))?;
        }
    }
    for found in inventory.crates.iter().filter(|found| found.is_in_guest() && !found.sha256.is_empty()) {
        print_line(format_args!("crate {} {} {}", found.name, found.version, found.sha256))?;
    }
    Ok(())
}

fn print_json(located: &[Located], inventory: &Inventory) -> Result<()> {
    let source = |Located { suite, package }: &Located| {
        let file = |file: &crate::archive::sources::SourceFile| {
            let path = format!("{}/{}", package.directory, file.name);
            json!({"path": path, "size": file.size, "sha256": file.sha256})
        };
        let files: Vec<_> = package.files.iter().map(file).collect();
        json!({"name": package.name, "version": package.version, "suite": suite, "files": files})
    };
    let crates = inventory.crates.iter().filter(|found| found.is_in_guest() && !found.sha256.is_empty());
    let crates: Vec<_> =
        crates.map(|found| json!({"name": found.name, "version": found.version, "sha256": found.sha256})).collect();
    let value = json!({"sources": located.iter().map(source).collect::<Vec<_>>(), "crates": crates});
    print_line(serde_json::to_string_pretty(&value).context("encoding the sources")?)
}
