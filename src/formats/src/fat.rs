//! FAT12 and FAT16 file systems from a [`Tree`]: a planner ([`plan`]) and a one-pass writer ([`Plan::write`]).
//!
//! Terms: a *sector* has 512 bytes, a *cluster* a power of two of them, here at least 2048 bytes. Every file and folder
//! takes consecutive clusters, and the clusters begin at a multiple of their size, so that a file's content can be shared
//! with what encloses the file system: an ISO image's records may point into it ([`Plan::file`]).
//!
//! Nothing in it depends on clock or chance: dates are those of the options, the serial number comes from the content.
//!
//! Left out: FAT32, code pages (short names are ASCII), owners and modes, which FAT does not have; links and device nodes
//! are refused.
//!
//! References: Microsoft, "FAT: General Overview of On-Disk Format", 1.03; UEFI 2.10, 13.3. All numbers are little-endian.

mod directory;
mod layout;
mod names;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use self::directory::Entry;
use self::layout::Layout;
use crate::tree::{Kind, Tree, show};

/// Bytes of a sector.
const SECTOR_BYTES: usize = 512;

/// What a file system says about itself.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Volume label, up to 11 bytes: capital letters, digits, spaces, some signs. May be empty.
    pub label: String,
    /// The one time of everything, in seconds since 1970; FAT has none before 1980 and none after 2107.
    pub mtime: u32,
    /// Least size in bytes; what the tree does not need is free. 0: no larger than needed.
    pub size_bytes: u64,
    /// Sectors before the file system on its disk: where its partition begins.
    pub hidden_sectors: u32,
}

/// A file system whose every byte is decided.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Offset in bytes and content, ascending, without overlap.
    extents: Vec<(u64, Bytes)>,
    files: BTreeMap<Vec<u8>, u64>,
    size_bytes: u64,
}

/// A run of clusters.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    /// Its first cluster; 0 if it has none.
    first: u32,
    clusters: u32,
}

/// Decides where everything lies.
///
/// # Errors
/// If the format cannot hold an entry, the label, or that much.
pub fn plan(tree: &Tree, options: &Options) -> Result<Plan> {
    let label = names::label(&options.label)?;
    let folders = folders(tree)?;
    let sizes = Sizes::of(tree, &folders, &label);
    let layout = Layout::choose(&sizes, options)?;
    let mut next = 2;
    let mut runs: BTreeMap<&[u8], Run> = BTreeMap::new();
    let folder_sizes = sizes.folders.iter().chain(&sizes.files);
    for (path, bytes) in folder_sizes {
        let clusters = layout.clusters_for(*bytes);
        runs.insert(path, Run { first: if clusters == 0 { 0 } else { next }, clusters });
        next += clusters;
    }

    let mut extents = vec![(0, layout.boot_sector(options, &label, serial(tree, options)).into())];
    let table: Bytes = layout.table(runs.values()).into();
    extents.extend((0..2).map(|copy| (layout.table_at(copy), table.clone())));
    let date = directory::Date::of(options.mtime);
    for (path, entries) in &folders {
        let parent = crate::tree::split(path).0;
        let run = |path: &[u8]| runs.get(path).copied().unwrap_or_default().first;
        let bytes = directory::encode(path, entries, &label, &date, run(path), run(parent), run)?;
        extents.push((if path.is_empty() { layout.root_at() } else { layout.cluster_at(run(path)) }, bytes.into()));
    }
    let mut files = BTreeMap::new();
    for (path, _) in &sizes.files {
        let content = tree.get(path).and_then(|node| node.content()).context("a file vanished")?;
        let at = layout.cluster_at(runs[path.as_slice()].first);
        files.insert(path.clone(), at);
        extents.push((at, content.clone()));
    }
    extents.sort_by_key(|(at, _)| *at);
    Ok(Plan { extents, files, size_bytes: layout.size_bytes() })
}

/// The entries of each folder by path, the root's first.
fn folders(tree: &Tree) -> Result<BTreeMap<Vec<u8>, Vec<Entry>>> {
    let mut folders = BTreeMap::new();
    for (path, node) in tree.iter() {
        let context = || format!("planning {} of a FAT file system", show(path));
        match &node.kind {
            Kind::Directory => {
                let children = tree.children(path).map(|(name, node)| (name, &node.kind));
                folders.insert(path.to_vec(), directory::entries(path, children).with_context(context)?);
            }
            Kind::File(content) => {
                ensure!(u32::try_from(content.len()).is_ok(), "{}: it has 4 GiB or more", context());
            }
            _ => bail!("{}: it is no file or folder", context()),
        }
    }
    Ok(folders)
}

/// What takes room.
struct Sizes {
    /// Bytes of the root's entries.
    root: usize,
    /// Folders but the root, and the bytes of their entries.
    folders: Vec<(Vec<u8>, u64)>,
    /// Files with content, and its bytes.
    files: Vec<(Vec<u8>, u64)>,
}

impl Sizes {
    fn of(tree: &Tree, folders: &BTreeMap<Vec<u8>, Vec<Entry>>, label: &[u8; 11]) -> Self {
        let bytes = |path: &[u8], entries: &[Entry]| directory::size_bytes(path, entries, label);
        let below = folders.iter().filter(|(path, _)| !path.is_empty());
        let content = |(path, node): (&[u8], &crate::tree::Node)| {
            let len = node.content()?.len() as u64;
            (len > 0).then(|| (path.to_vec(), len))
        };
        Self {
            root: folders.get(&b""[..]).map_or(0, |entries| bytes(b"", entries)),
            folders: below.map(|(path, entries)| (path.clone(), bytes(path, entries) as u64)).collect(),
            files: tree.iter().filter_map(content).collect(),
        }
    }
}

/// A number that differs when the content does.
fn serial(tree: &Tree, options: &Options) -> u32 {
    let mut hash = Sha256::new().chain_update(options.label.as_bytes()).chain_update(options.mtime.to_le_bytes());
    for (path, node) in tree.iter() {
        hash.update((path.len() as u64).to_le_bytes());
        hash.update(path);
        let content = node.content().map_or(&b""[..], |content| content);
        hash.update((content.len() as u64).to_le_bytes());
        hash.update(content);
    }
    let digest = hash.finalize();
    u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]])
}

impl Plan {
    /// Size of the file system in bytes, a multiple of the size of a cluster.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Where the content of a file lies, in bytes, a multiple of 2048; nothing for a file without content.
    pub fn file(&self, path: &[u8]) -> Option<u64> {
        self.files.get(path).copied()
    }

    /// Writes the file system in one pass.
    ///
    /// # Errors
    /// If `out` gives one.
    pub fn write(&self, out: &mut impl Write) -> Result<()> {
        let mut written = 0;
        let end = (self.size_bytes, Bytes::new());
        for (offset, content) in self.extents.iter().chain([&end]) {
            let context = || format!("writing a FAT file system at byte {written}");
            let gap = offset.checked_sub(written).context("content overlaps").with_context(context)?;
            std::io::copy(&mut std::io::Read::take(std::io::repeat(0), gap), out).with_context(context)?;
            out.write_all(content).with_context(context)?;
            written = offset + content.len() as u64;
        }
        Ok(())
    }
}
