//! What is in a file: any layer of an image (ISO, initramfs, SquashFS), and what it is made of (packages, kernels, programs,
//! locks).
//!
//! Terms: a *layer* is a file of a known format, with facts about it and, if it holds other files, entries; a file in a
//! layer may be a layer too. A *part* is a layer that every image has under the same name, wherever its format puts it:
//! `root`, `initramfs`, `kernel`, and the outermost one (`iso`).
//!
//! A new format is one file with a function from bytes to a [`Layer`], a row in `format.rs`, and nothing else.

mod boot;
mod container;
mod distribution;
mod elf;
mod extract;
mod format;
mod kernel;
mod layer;
mod locate;
mod lock;
mod oci;
mod parts;
mod summary;
#[cfg(test)]
pub(crate) mod tests;
mod uki;

use std::path::Path;

use anyhow::{Context, Result};
use bytes::Bytes;

pub use distribution::Distribution;
pub(crate) use distribution::sha256;
pub use extract::extract;
pub use format::{Format, open, recognise};
pub use layer::{Content, Entry, EntryKind, Fact, Layer};
pub use locate::{Located, locate};
pub use parts::{Part, Parts};
pub use summary::{PartSummary, Summary, summarize};

/// Most bytes that are unpacked from one compressed layer, or taken from one file in it.
const MAX_UNPACKED_BYTES: u64 = 4 << 30;

/// Reads a file whole.
///
/// # Errors
/// If it cannot be read.
pub fn read(path: &Path) -> Result<Bytes> {
    std::fs::read(path).map(Bytes::from).with_context(|| format!("reading {}", path.display()))
}
