//! Directories and path tables, to write. [`Hierarchy::build`] decides names, sizes and order from the tree alone; the
//! records are encoded when everything has its place.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;

use super::fields::{both_u16, both_u32, record_date};
use super::names::{Identifier, identifiers};
use super::system_use::{self, SystemUse};
use super::{Lba, SECTOR_BYTES};
use crate::tree::{Kind, Node, Tree, show};

/// Levels of folders, the root included (6.8.2.1).
const MAX_LEVELS: usize = 8;
/// Bytes of a directory record before its identifier.
const RECORD_BYTES: usize = 33;
/// Largest record: its length is one byte and even.
const MAX_RECORD_BYTES: usize = 254;
/// Flag of a directory record: it is a directory (9.1.6).
const FLAG_DIRECTORY: u8 = 2;

/// All folders and files of an image, without places.
pub(super) struct Hierarchy {
    /// By level, then parent, then identifier, as the path table wants them (6.9.1); the root first.
    pub(super) folders: Vec<Folder>,
    /// Regular files with content, in the order of the folders' records.
    pub(super) files: Vec<(Vec<u8>, Bytes)>,
    /// Content of the region of continuation areas.
    pub(super) continuations: Vec<u8>,
}

/// One folder.
pub(super) struct Folder {
    path: Vec<u8>,
    parent: usize,
    identifier: Vec<u8>,
    records: Vec<Record>,
    /// Size of the directory, a multiple of a sector.
    pub(super) size: u32,
}

struct Record {
    identifier: Vec<u8>,
    target: Target,
    system_use: SystemUse,
    continuation_at: usize,
}

#[derive(Clone, Copy)]
enum Target {
    Folder(usize),
    File(usize),
    /// No content.
    Nothing,
}

/// Where things lie.
pub(super) struct Places<'a> {
    pub(super) folders: &'a [Lba],
    pub(super) files: &'a [Lba],
    pub(super) continuations: Lba,
    pub(super) mtime: u32,
}

impl Hierarchy {
    /// Takes up a whole tree.
    pub(super) fn build(tree: &Tree, mtime: u32) -> Result<Self> {
        let root = Folder { path: Vec::new(), parent: 0, identifier: vec![0], records: Vec::new(), size: 0 };
        let mut hierarchy = Self { folders: vec![root], files: Vec::new(), continuations: Vec::new() };
        let mut index = 0;
        while index < hierarchy.folders.len() {
            hierarchy.fill_folder(tree, index, mtime)?;
            index += 1;
        }
        ensure!(index <= usize::from(u16::MAX), "{index} folders are more than the 65535 of an ISO path table");
        Ok(hierarchy)
    }

    fn fill_folder(&mut self, tree: &Tree, index: usize, mtime: u32) -> Result<()> {
        let (path, parent) = (self.folders[index].path.clone(), self.folders[index].parent);
        let context = || format!("planning folder {} of an ISO image", show(&path));
        let parent_path = self.folders[parent].path.clone();
        for (identifier, folder, path) in [(0, index, &path), (1, parent, &parent_path)] {
            let mut entries = Vec::new();
            if index == 0 && identifier == 0 {
                entries.push(system_use::announcement());
            }
            let node = tree.get(path).context("a folder vanished").with_context(context)?;
            entries.extend([system_use::attributes(node, folder_links(tree, path)), system_use::times(mtime)]);
            if index == 0 && identifier == 0 {
                entries.push(system_use::extension_reference());
            }
            let record = self.record(vec![identifier], Target::Folder(folder), &entries).with_context(context)?;
            self.folders[index].records.push(record);
        }
        for (identifier, name, node) in sorted_children(tree, &path) {
            let child_path = if path.is_empty() { name.to_vec() } else { [&path, b"/".as_slice(), name].concat() };
            let record = self.child(index, &identifier, name, &child_path, node, tree, mtime);
            let record = record.with_context(|| format!("planning {} of an ISO image", show(&child_path)))?;
            self.folders[index].records.push(record);
        }
        let ends = packed(self.folders[index].records.iter().map(Record::len));
        let size = ends.last().map_or(0, |end| end.next_multiple_of(SECTOR_BYTES));
        self.folders[index].size = u32::try_from(size).context("4 GiB of directory records").with_context(context)?;
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "one call, all different types")]
    fn child(
        &mut self,
        folder: usize,
        identifier: &Identifier,
        name: &[u8],
        path: &[u8],
        node: &Node,
        tree: &Tree,
        mtime: u32,
    ) -> Result<Record> {
        ensure!(name.len() <= 255, "the name has {} bytes, Linux takes up to 255", name.len());
        ensure!(node.xattrs.is_empty(), "the format has no extended attributes");
        let is_folder = node.kind == Kind::Directory;
        let links = if is_folder { folder_links(tree, path) } else { 1 };
        let mut entries = vec![system_use::attributes(node, links), system_use::times(mtime)];
        entries.extend(system_use::name(name));
        entries.extend(system_use::of_kind(&node.kind)?);
        let identifier = identifier.bytes(is_folder);
        let target = match &node.kind {
            Kind::Directory => {
                let levels = path.split(|&byte| byte == b'/').count() + 1;
                ensure!(levels <= MAX_LEVELS, "the folder is on level {levels}, at most {MAX_LEVELS} are possible");
                self.folders.push(Folder {
                    path: path.to_vec(),
                    parent: folder,
                    identifier: identifier.clone(),
                    records: Vec::new(),
                    size: 0,
                });
                Target::Folder(self.folders.len() - 1)
            }
            Kind::File(content) if !content.is_empty() => {
                ensure!(content.len() <= u32::MAX as usize, "{} bytes are more than an extent holds", content.len());
                self.files.push((path.to_vec(), content.clone()));
                Target::File(self.files.len() - 1)
            }
            _ => Target::Nothing,
        };
        self.record(identifier, target, &entries)
    }

    fn record(&mut self, identifier: Vec<u8>, target: Target, entries: &[Vec<u8>]) -> Result<Record> {
        let system_use = SystemUse::split(entries, MAX_RECORD_BYTES - system_use_at(&identifier))?;
        let continued = &system_use.continued;
        let free = SECTOR_BYTES - self.continuations.len() % SECTOR_BYTES;
        if continued.len() > free {
            self.continuations.resize(self.continuations.len() + free, 0);
        }
        let continuation_at = self.continuations.len();
        self.continuations.extend(continued);
        Ok(Record { identifier, target, system_use, continuation_at })
    }

    /// Content of a folder.
    pub(super) fn encode_folder(&self, index: usize, places: &Places) -> Vec<u8> {
        let folder = &self.folders[index];
        let mut bytes = Vec::with_capacity(folder.size as usize);
        let ends = packed(folder.records.iter().map(Record::len));
        for (record, end) in folder.records.iter().zip(ends) {
            bytes.resize(end - record.len(), 0);
            bytes.extend(self.encode_record(record, places));
        }
        bytes.resize(folder.size as usize, 0);
        bytes
    }

    fn encode_record(&self, record: &Record, places: &Places) -> Vec<u8> {
        let (lba, size, flags) = match record.target {
            Target::Folder(index) => (places.folders[index], self.folders[index].size, FLAG_DIRECTORY),
            Target::File(index) => (places.files[index], self.files[index].1.len() as u32, 0),
            Target::Nothing => (Lba(0), 0, 0),
        };
        let mut bytes = directory_record(&record.identifier, lba, size, flags, places.mtime);
        bytes.extend(&record.system_use.inline);
        let continued = record.system_use.continued.len();
        if continued > 0 {
            let sector = places.continuations.0 + (record.continuation_at / SECTOR_BYTES) as u32;
            let offset = (record.continuation_at % SECTOR_BYTES) as u32;
            bytes.extend(system_use::continuation(Lba(sector), offset, continued as u32));
        }
        bytes.resize(record.len(), 0);
        bytes[0] = record.len() as u8;
        bytes
    }

    /// Record of the root in the volume descriptor, 34 bytes, without system use.
    pub(super) fn encode_root_record(&self, places: &Places) -> Vec<u8> {
        directory_record(&[0], places.folders[0], self.folders[0].size, FLAG_DIRECTORY, places.mtime)
    }

    /// Size of a path table in bytes.
    pub(super) fn path_table_bytes(&self) -> u32 {
        self.folders.iter().map(|folder| (8 + folder.identifier.len().next_multiple_of(2)) as u32).sum()
    }

    /// A path table (9.4), numbers in one byte order only: at 0 length of the identifier (1 byte), at 2 sector (4 bytes),
    /// at 6 number of the parent from 1 (2 bytes), at 8 the identifier, filled up to an even length.
    pub(super) fn encode_path_table(&self, places: &Places, big_endian: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (folder, lba) in self.folders.iter().zip(places.folders) {
            let parent = folder.parent as u16 + 1;
            bytes.extend([folder.identifier.len() as u8, 0]);
            if big_endian {
                bytes.extend(lba.0.to_be_bytes());
                bytes.extend(parent.to_be_bytes());
            } else {
                bytes.extend(lba.0.to_le_bytes());
                bytes.extend(parent.to_le_bytes());
            }
            bytes.extend(&folder.identifier);
            bytes.resize(bytes.len().next_multiple_of(2), 0);
        }
        bytes
    }
}

impl Record {
    fn len(&self) -> usize {
        (system_use_at(&self.identifier) + self.system_use.record_bytes()).next_multiple_of(2)
    }
}

/// Directory record without system use (9.1), numbers in both byte orders: at 0 length (to be raised when system use
/// follows), at 2 sector, at 10 size in bytes, at 18 date, at 25 flags, at 28 volume number 1, at 32 length of the
/// identifier, at 33 the identifier, filled up to an even length.
fn directory_record(identifier: &[u8], lba: Lba, size: u32, flags: u8, mtime: u32) -> Vec<u8> {
    let mut bytes = vec![system_use_at(identifier) as u8, 0];
    bytes.extend(both_u32(lba.0));
    bytes.extend(both_u32(size));
    bytes.extend(record_date(mtime));
    bytes.extend([flags, 0, 0]);
    bytes.extend(both_u16(1));
    bytes.push(identifier.len() as u8);
    bytes.extend(identifier);
    bytes.resize(system_use_at(identifier), 0);
    bytes
}

/// Where system use starts in a record with this identifier.
fn system_use_at(identifier: &[u8]) -> usize {
    (RECORD_BYTES + identifier.len()).next_multiple_of(2)
}

/// Where each record of these lengths ends if none may cross a sector (6.8.1.1).
fn packed(lens: impl Iterator<Item = usize>) -> Vec<usize> {
    let ends = lens.scan(0, |end: &mut usize, len| {
        let free = SECTOR_BYTES - *end % SECTOR_BYTES;
        *end += len + if len > free { free } else { 0 };
        Some(*end)
    });
    ends.collect()
}

/// Links of a folder: its own `.`, its name in the parent, the `..` of each folder in it.
fn folder_links(tree: &Tree, path: &[u8]) -> u32 {
    2 + tree.children(path).filter(|(_, node)| node.kind == Kind::Directory).count() as u32
}

/// Children in the order of their identifiers (9.3).
fn sorted_children<'a>(tree: &'a Tree, path: &[u8]) -> Vec<(Identifier, &'a [u8], &'a Node)> {
    let children: Vec<(&[u8], &Node)> = tree.children(path).collect();
    let names: Vec<(&[u8], bool)> = children.iter().map(|(name, node)| (*name, node.kind == Kind::Directory)).collect();
    let mut sorted: Vec<_> = identifiers(&names)
        .into_iter()
        .zip(children)
        .map(|(identifier, (name, node))| (identifier, name, node))
        .collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    sorted
}
