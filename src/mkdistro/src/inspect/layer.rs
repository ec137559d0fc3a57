//! A layer in memory: facts and entries. Contents stay where they are, compressed, until they are asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use formats::squashfs;
use formats::tree::{Kind, Node, clean, show, split};
use serde::Serialize;

use super::{Format, MAX_UNPACKED_BYTES};

pub use formats::squashfs::read::EntryKind;
pub(super) use formats::squashfs::read::Xattrs;

/// Something about a layer: a name and a value, both for people and programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// Lower-case words with `-`, such as `volume-id`.
    pub name: &'static str,
    /// Its value.
    pub value: String,
}

/// One entry of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits, `0o7777`.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size of a file's content in bytes.
    pub size_bytes: u64,
    /// Bytes it takes in the layer, if that compresses file by file.
    pub stored_bytes: Option<u64>,
    /// Extended attributes.
    pub xattrs: Xattrs,
}

impl Entry {
    fn folder() -> Self {
        Self {
            kind: EntryKind::Directory,
            mode: 0o755,
            uid: 0,
            gid: 0,
            size_bytes: 0,
            stored_bytes: None,
            xattrs: Xattrs::default(),
        }
    }

    /// A file of root's, mode 0644.
    pub fn file(content: &Bytes) -> Self {
        Self { kind: EntryKind::File, mode: 0o644, size_bytes: content.len() as u64, ..Self::folder() }
    }

    /// An entry of a [`formats::tree::Tree`], and its content.
    pub fn of(node: &Node) -> (Self, Content) {
        let (kind, content) = split_kind(&node.kind);
        let size_bytes = match &content {
            Content::Held(bytes) => bytes.len() as u64,
            _ => 0,
        };
        let xattrs = Arc::new(node.xattrs.clone());
        (Self { kind, mode: node.mode, uid: node.uid, gid: node.gid, size_bytes, stored_bytes: None, xattrs }, content)
    }

    /// A letter for the type, as ls(1) shows it.
    pub fn letter(&self) -> char {
        match self.kind {
            EntryKind::Directory => 'd',
            EntryKind::File => '-',
            EntryKind::Symlink(_) => 'l',
            EntryKind::CharDevice(..) => 'c',
            EntryKind::BlockDevice(..) => 'b',
            EntryKind::Fifo => 'p',
            EntryKind::Socket => 's',
        }
    }

    /// The type in a word.
    pub fn word(&self) -> &'static str {
        match self.kind {
            EntryKind::Directory => "folder",
            EntryKind::File => "file",
            EntryKind::Symlink(_) => "link",
            EntryKind::CharDevice(..) => "character device",
            EntryKind::BlockDevice(..) => "block device",
            EntryKind::Fifo => "pipe",
            EntryKind::Socket => "socket",
        }
    }
}

/// Type and content of a node.
pub(super) fn split_kind(kind: &Kind) -> (EntryKind, Content) {
    match kind {
        Kind::Directory => (EntryKind::Directory, Content::None),
        Kind::File(bytes) => (EntryKind::File, Content::Held(bytes.clone())),
        Kind::Symlink(target) => (EntryKind::Symlink(target.clone()), Content::None),
        Kind::CharDevice(major, minor) => (EntryKind::CharDevice(*major, *minor), Content::None),
        Kind::BlockDevice(major, minor) => (EntryKind::BlockDevice(*major, *minor), Content::None),
        Kind::Fifo => (EntryKind::Fifo, Content::None),
    }
}

/// Where a file's content is.
#[derive(Debug, Clone)]
pub enum Content {
    /// It has none.
    None,
    /// In memory; mostly a slice of the layer's own bytes.
    Held(Bytes),
    /// In the layer's SquashFS.
    Packed(squashfs::read::Entry),
}

/// A file of a known format.
pub struct Layer {
    /// Which format.
    pub format: Format,
    /// What is known about it as a whole.
    pub facts: Vec<Fact>,
    entries: BTreeMap<Vec<u8>, (Entry, Content)>,
    squashfs: Option<squashfs::read::Image>,
}

impl Layer {
    /// A layer that knows nothing yet.
    pub fn new(format: Format) -> Self {
        Self { format, facts: Vec::new(), entries: BTreeMap::new(), squashfs: None }
    }

    /// Adds a fact.
    pub fn fact(&mut self, name: &'static str, value: impl ToString) {
        self.facts.push(Fact { name, value: value.to_string() });
    }

    /// Adds an entry, and the folders above it that are not there; one at the same path is replaced.
    pub fn insert(&mut self, path: &[u8], entry: Entry, content: Content) {
        let path = clean(path);
        let mut above = split(&path).0;
        while !above.is_empty() && !self.entries.contains_key(above) {
            self.entries.insert(above.to_vec(), (Entry::folder(), Content::None));
            above = split(above).0;
        }
        if !path.is_empty() && !self.entries.contains_key(&b""[..]) {
            self.entries.insert(Vec::new(), (Entry::folder(), Content::None));
        }
        self.entries.insert(path, (entry, content));
    }

    /// Makes [`Content::Packed`] entries readable.
    pub(super) fn keep(&mut self, image: squashfs::read::Image) {
        self.squashfs = Some(image);
    }

    /// Whether it holds other files.
    pub fn is_container(&self) -> bool {
        !self.entries.is_empty()
    }

    /// Paths (relative, the root's is empty) and entries, by the byte order of the paths.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], &Entry)> {
        self.entries.iter().map(|(path, (entry, _))| (path.as_slice(), entry))
    }

    /// The entry at exactly this path.
    pub fn entry(&self, path: &[u8]) -> Option<&Entry> {
        self.entries.get(path).map(|(entry, _)| entry)
    }

    /// Names and entries of a folder, by the byte order of the names.
    pub fn children<'a>(&'a self, folder: &[u8]) -> Vec<(&'a [u8], &'a Entry)> {
        let prefix = if folder.is_empty() { Vec::new() } else { [folder, b"/"].concat() };
        let below = self.entries.range(prefix.clone()..).take_while(|(path, _)| path.starts_with(&prefix));
        let named = below.map(|(path, (entry, _))| (&path[prefix.len()..], entry));
        let mut list: Vec<_> = named.filter(|(name, _)| !name.is_empty() && !name.contains(&b'/')).collect();
        list.sort_by_key(|(name, _)| *name);
        list
    }

    /// The content of the file at exactly this path.
    ///
    /// # Errors
    /// If there is no file there, or it is damaged.
    pub fn content(&self, path: &[u8]) -> Result<Bytes> {
        let found = self.entries.get(path).map(|(_, content)| content);
        match (found, &self.squashfs) {
            (Some(Content::Held(bytes)), _) => Ok(bytes.clone()),
            (Some(Content::Packed(entry)), Some(image)) => image.content(entry, MAX_UNPACKED_BYTES),
            _ => Err(anyhow::anyhow!("{} is no file", show(path))),
        }
    }

    /// The real path of what a path leads to, symbolic links followed inside the layer, `is_last` also in the last part.
    pub fn resolve(&self, path: &[u8], is_last: bool) -> Option<Vec<u8>> {
        let mut todo: Vec<Vec<u8>> = parts(path);
        let mut real: Vec<u8> = Vec::new();
        let mut links_left = 40;
        while let Some(name) = todo.pop() {
            if name == b".." {
                real = split(&real).0.to_vec();
                continue;
            }
            let next = if real.is_empty() { name } else { [real.as_slice(), &name].join(&b'/') };
            match &self.entry(&next)?.kind {
                EntryKind::Symlink(target) if is_last || !todo.is_empty() => {
                    links_left -= 1;
                    if links_left == 0 {
                        return None;
                    }
                    if target.starts_with(b"/") {
                        real.clear();
                    }
                    todo.extend(parts(target));
                }
                _ => real = next,
            }
        }
        self.entry(&real).is_some().then_some(real)
    }

    /// The text of a file that a path leads to, links followed.
    ///
    /// # Errors
    /// If it is damaged or no text.
    pub fn text(&self, path: &str) -> Result<Option<String>> {
        let Some(real) = self.resolve(path.as_bytes(), true) else { return Ok(None) };
        let content = self.content(&real)?;
        String::from_utf8(content.to_vec()).map(Some).with_context(|| format!("reading {path}: it is no UTF-8 text"))
    }
}

/// The parts of a path, the last one first.
fn parts(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    parts.rev().map(<[u8]>::to_vec).collect()
}
