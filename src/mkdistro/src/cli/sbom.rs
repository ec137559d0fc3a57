//! `mkdistro sbom`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::print_line;
use super::stock::StockArguments;
use crate::image;
use crate::progress::Progress;
use crate::sbom::{self, Format};

/// Write the bill of materials: every file, its package and licence
///
/// Every file with its package, source package, version, licence and sha256, and what needed each shared library; the
/// Rust crates of the guest's programs and of mkdistro itself. The same document as "build" writes beside the ISO, without
/// compressing an image. Of an IMAGE: the one that is in it.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  mkdistro sbom\n  mkdistro sbom out.iso\n  mkdistro sbom --format cyclonedx --output box.cdx.json"
)]
pub(super) struct Sbom {
    #[command(flatten)]
    stock: StockArguments,
    /// An image, instead of the project
    image: Option<PathBuf>,
    /// SPDX 2.3 or CycloneDX 1.6, both as JSON
    #[arg(long, value_name = "NAME", default_value = "spdx")]
    format: FormatName,
    /// Where it goes [default: stdout]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FormatName {
    Spdx,
    Cyclonedx,
}

impl Sbom {
    pub(super) fn execute(&self, progress: &dyn Progress) -> Result<ExitCode> {
        let format = match self.format {
            FormatName::Spdx => Format::Spdx,
            FormatName::Cyclonedx => Format::CycloneDx,
        };
        let document = match &self.image {
            Some(image) => sbom::of_image(image, format)?,
            None => format.write(&self.stock.take(progress)?.inventory),
        };
        match &self.output {
            None => print_line(document)?,
            Some(path) => image::write_file(path, document.as_bytes())?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
