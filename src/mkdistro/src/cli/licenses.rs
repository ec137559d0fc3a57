//! `mkdistro licenses`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;

use super::print_line;
use super::stock::StockArguments;
use crate::progress::Progress;
use crate::sbom::Inventory;
use crate::sbom::licenses::{Licensed, by_license, list};

/// List the licences of what is in the image
///
/// First each licence with its packages, then each package and Rust crate with its licence, as SPDX expressions. They come
/// from Debian's copyright files, which speak of whole source packages, so that a licence of a part that is not in the
/// image may be among them. "(guessed)": the copyright file is prose.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  mkdistro licenses\n  mkdistro licenses --texts > LICENSES.txt")]
pub(super) struct Licenses {
    #[command(flatten)]
    stock: StockArguments,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print the packages' copyright files
    #[arg(long, conflicts_with = "json")]
    texts: bool,
}

impl Licenses {
    pub(super) fn execute(&self, progress: &dyn Progress) -> Result<ExitCode> {
        let inventory = self.stock.take(progress)?.inventory;
        let list = list(&inventory);
        for licensed in list.iter().filter(|licensed| licensed.license.is_none()) {
            let message = "it has no copyright file, or that of a package which is not locked";
            progress.warn(&format!("licence of {} {}: unknown; {message}", licensed.name, licensed.version));
        }
        if self.texts {
            print_texts(&inventory)?;
        } else if self.json {
            let value = json!({"licenses": by_license(&list), "packages": list});
            print_line(serde_json::to_string_pretty(&value).context("encoding the licences")?)?;
        } else {
            print_table(&list)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn print_table(list: &[Licensed]) -> Result<()> {
    for (license, names) in by_license(list) {
        print_line(format_args!("{license}: {}", names.into_iter().collect::<Vec<_>>().join(", ")))?;
    }
    print_line("")?;
    let width = list.iter().map(|licensed| licensed.name.len()).max().unwrap_or(0);
    for Licensed { name, version, license, guessed, .. } in list {
        let license = license.as_deref().unwrap_or("unknown");
        let guessed = if *guessed { " (guessed)" } else { "" };
        print_line(format_args!("{name:width$}  {version}  {license}{guessed}"))?;
    }
    Ok(())
}

/// Each text once, below the names of its packages.
fn print_texts(inventory: &Inventory) -> Result<()> {
    let mut texts: BTreeMap<&[u8], Vec<String>> = BTreeMap::new();
    for package in inventory.packages.iter().filter(|package| !package.copyright_file.is_empty()) {
        let name = format!("{} {}", package.locked.name, package.locked.version);
        texts.entry(&package.copyright_file).or_default().push(name);
    }
    let mut texts: Vec<(Vec<String>, &[u8])> = texts.into_iter().map(|(text, names)| (names, text)).collect();
    texts.sort();
    for (names, text) in texts {
        let title = names.join(", ");
        print_line(format_args!("{title}\n{}\n\n{}", "=".repeat(title.len().min(79)), String::from_utf8_lossy(text)))?;
    }
    Ok(())
}
