//! What is in an image and under which terms: its bill of materials.
//!
//! [`Inventory`] is taken of an assembled root; [`Format`] says as which document it is written. Both documents go beside the
//! image and, compressed, onto its medium. The root is RAM, so it gets one, without what is not in the image: of the
//! default distribution 24 KB compressed, where the full ones would be 36 KB (CycloneDX) and 74 KB (SPDX, whose every file
//! has a SHA-1 and several relationships).

pub mod copyright;
pub mod crates;
mod cyclonedx;
mod inventory;
pub mod license;
pub mod licenses;
pub mod purl;
mod spdx;
#[cfg(test)]
mod tests;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use flate2::read::GzDecoder;
use formats::tree::{Kind, Node, Tree};
use rayon::prelude::*;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::fetch::hex;
use crate::hashing::Hashing;
use crate::image;
use crate::inspect;
use crate::root::RootTree;

pub use inventory::{FileEntry, Inventory, Origin, Package, Source};

/// A format of bills of materials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// SPDX 2.3, JSON (ISO/IEC 5962 is its predecessor 2.2.1).
    Spdx,
    /// CycloneDX 1.6, JSON (ECMA-424).
    CycloneDx,
}

/// How much a document tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Everything.
    Full,
    /// What is in the image: neither source packages that are compiled in, nor the builder's crates.
    Image,
}

/// The document in the root.
pub const ROOT_PATH: &str = "/usr/share/mkdistro/sbom.cdx.json";
/// Most bytes that a document is unpacked to; one takes about a kilobyte per file.
const MAX_DOCUMENT_BYTES: u64 = 256 << 20;
/// Folder of the documents on the medium.
const MEDIUM_FOLDER: &str = "sbom";

impl Format {
    /// All.
    pub const ALL: [Self; 2] = [Self::Spdx, Self::CycloneDx];

    /// What file names end in, without the first dot, as the formats' own recommendations.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Spdx => "spdx.json",
            Self::CycloneDx => "cdx.json",
        }
    }

    /// The document with everything; the same inventory gives the same bytes.
    pub fn write(self, inventory: &Inventory) -> String {
        match self {
            Self::Spdx => spdx::write(inventory, &[ROOT_PATH]),
            Self::CycloneDx => cyclonedx::write(inventory, Detail::Full),
        }
    }
}

/// Puts a document into the root, and the full ones onto the medium. Gives back the latter.
///
/// # Errors
/// Something in the root is in the way.
pub fn embed(inventory: &Inventory, root: &mut RootTree) -> Result<Vec<(Format, Bytes)>> {
    put(&mut root.tree, ROOT_PATH, short(inventory))?;
    let documents: Vec<(Format, Bytes, Bytes)> = Format::ALL
        .par_iter()
        .map(|format| {
            let document = Bytes::from(format.write(inventory));
            Ok((*format, compressed(&document)?, document))
        })
        .collect::<Result<_>>()?;
    let mut full = Vec::new();
    for (format, compressed, document) in documents {
        put(&mut root.beside, &path_on_medium(format), compressed)?;
        full.push((format, document));
    }
    Ok(full)
}

/// The documents with everything.
pub fn full(inventory: &Inventory) -> Vec<(Format, Bytes)> {
    Format::ALL.iter().map(|format| (*format, Bytes::from(format.write(inventory)))).collect()
}

/// The document that is put into a root.
pub fn short(inventory: &Inventory) -> Bytes {
    Bytes::from(cyclonedx::write(inventory, Detail::Image))
}

/// Writes the full documents beside an output: `out.iso.spdx.json`, `out.iso.cdx.json`. Gives back their paths and
/// sha256 in hex.
///
/// # Errors
/// Class `Output`: a file cannot be written.
pub fn write_beside(output: &Path, documents: &[(Format, Bytes)]) -> Result<Vec<(PathBuf, String)>> {
    let mut written = Vec::new();
    for (format, document) in documents {
        let mut name = output.as_os_str().to_owned();
        name.push(format!(".{}", format.extension()));
        let path = PathBuf::from(name);
        image::write_file(&path, document)?;
        let mut hasher = Sha256::new();
        hasher.update(document);
        written.push((path, hex(hasher)));
    }
    Ok(written)
}

/// The full document on an image's medium.
///
/// # Errors
/// The image cannot be read, or has none: an initramfs, say, which holds only [`ROOT_PATH`].
pub fn of_image(path: &Path, format: Format) -> Result<String> {
    let read = || -> Result<String> {
        let located = inspect::locate(&inspect::read(path)?, &format!("/{}", path_on_medium(format)))?;
        let mut document = String::new();
        GzDecoder::new(&located.content()?[..]).take(MAX_DOCUMENT_BYTES).read_to_string(&mut document)?;
        Ok(document)
    };
    read().with_context(|| format!("reading the bill of materials of {}", path.display()))
}

fn path_on_medium(format: Format) -> String {
    format!("{MEDIUM_FOLDER}/sbom.{}.gz", format.extension())
}

/// As gzip, without a time.
fn compressed(document: &[u8]) -> Result<Bytes> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(document).context("compressing a bill of materials")?;
    Ok(Bytes::from(encoder.finish().context("compressing a bill of materials")?))
}

fn put(tree: &mut Tree, path: &str, content: Bytes) -> Result<()> {
    let node = Node::new(Kind::File(content), 0o644, &Arc::from("mkdistro"));
    tree.insert(path.as_bytes(), node).map_err(|reason| anyhow!("adding the bill of materials {path}: {reason}"))?;
    Ok(())
}

/// A UUID that follows from a document's content: version 8 of RFC 9562.
fn unique(document: &impl Serialize) -> String {
    let mut hashed = Hashing::new(std::io::sink(), Sha256::new());
    // Nothing here can fail: keys are strings, and the writer takes everything.
    let _ = serde_json::to_writer(&mut hashed, document);
    let mut digits: Vec<char> = hex(hashed.finish().1).chars().take(32).collect();
    digits[12] = '8';
    digits[16] = 'a';
    let part = |begin: usize, end: usize| digits[begin..end].iter().collect::<String>();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

/// A value as text: a document has several per file, and as [`Value`] each takes ten times the room.
fn text(value: &Value) -> Box<RawValue> {
    // A value's own text is JSON.
    RawValue::from_string(value.to_string()).unwrap_or_default()
}
