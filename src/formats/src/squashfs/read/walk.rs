//! From the root to all entries, to one, or to a [`Tree`].

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use rayon::prelude::*;

use super::super::blocks::STORED;
use super::inode::{Inode, Spread};
use super::{Budget, Entry, EntryKind, Image, Xattrs};
use crate::tree::{Kind, Node, Tree, clean, show};

/// Most entries that are read.
const MAX_ENTRIES: usize = 1_000_000;
/// Longest path: PATH_MAX of Linux.
const MAX_PATH_BYTES: usize = 4096;
/// Bytes of listings, paths, sizes of blocks and attributes that are read in one walk.
const MAX_METADATA_BYTES: u64 = 512 << 20;

/// Where a content is: first block, its stored bytes, fragment and offset, size. Equal only for equal contents.
type ContentPlace = (u64, u64, Option<(u32, u32)>, u64);

struct Walk<'a> {
    image: &'a Image,
    budget: Budget,
    xattrs: HashMap<u32, Xattrs>,
    none: Xattrs,
}

/// An entry and, for a file, what is not known before its fragment's length is.
struct Found {
    entry: Entry,
    inode: Inode,
}

impl Image {
    /// All entries by the byte order of their paths, the root first.
    ///
    /// # Errors
    /// If anything about them is damaged, a folder is in itself, or there are more than a million.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        let mut walk = Walk::new(self);
        let mut todo = vec![walk.root()?];
        let mut seen: HashSet<u64> = todo.iter().map(|found| found.entry.place).collect();
        let mut all: Vec<(Entry, Option<Spread>)> = Vec::new();
        while let Some(mut found) = todo.pop() {
            let spread = found.inode.spread.take().map(|spread| Spread { blocks: Vec::new(), ..spread });
            for child in walk.children(&found)? {
                let is_folder = child.entry.kind == EntryKind::Directory;
                ensure!(!is_folder || seen.insert(child.entry.place), "{} is in itself", show(&child.entry.path));
                ensure!(todo.len() + all.len() < MAX_ENTRIES, "more than {MAX_ENTRIES} entries");
                todo.push(child);
            }
            all.push((found.entry, spread));
        }
        all.sort_by(|(one, _), (other, _)| one.path.cmp(&other.path));
        self.add_tails(&mut all)?;
        mark_copies(&mut all);
        Ok(all.into_iter().map(|(entry, _)| entry).collect())
    }

    /// The entry at a path, links not followed, without a look at others. `is_copy` is not known.
    ///
    /// # Errors
    /// If a folder or inode on the way is damaged.
    pub fn entry(&self, path: &[u8]) -> Result<Option<Entry>> {
        let mut walk = Walk::new(self);
        let mut found = walk.root()?;
        for name in clean(path).split(|&byte| byte == b'/').filter(|name| !name.is_empty()) {
            let Some(listing) = found.inode.listing else { return Ok(None) };
            let children = self.children(listing, &mut walk.budget)?;
            let Some(child) = children.into_iter().find(|child| child.name == name) else { return Ok(None) };
            found = walk.child(&found.entry.path, name, child.inode)?;
        }
        self.finished(found).map(Some)
    }

    /// What the folder at a path holds, by the byte order of the names; nothing if there is no such folder. `is_copy` is
    /// not known.
    ///
    /// # Errors
    /// As [`Self::entry`].
    pub fn list(&self, path: &[u8]) -> Result<Vec<Entry>> {
        let folder = self.entry(path)?.filter(|entry| entry.kind == EntryKind::Directory);
        let Some(folder) = folder else { return Ok(Vec::new()) };
        let mut walk = Walk::new(self);
        let inode = self.inode(folder.place, 0)?;
        walk.children(&Found { entry: folder, inode })?.into_iter().map(|found| self.finished(found)).collect()
    }

    /// The whole image. Its contents may have `max_bytes` in all; hard links of one file count once.
    ///
    /// # Errors
    /// As [`Self::entries`] and [`Self::content`]; or it has sockets, which a [`Tree`] has not.
    pub fn tree(&self, max_bytes: u64, origin: &Arc<str>) -> Result<Tree> {
        let entries = self.entries()?;
        let mut budget = Budget(max_bytes);
        let mut contents: HashMap<u64, Bytes> = HashMap::new();
        let files = || entries.iter().filter(|entry| entry.kind == EntryKind::File);
        let mut wanted: Vec<&Entry> = Vec::new();
        for entry in files() {
            if contents.insert(entry.place, Bytes::new()).is_none() {
                budget.take(entry.size_bytes, "content")?;
                wanted.push(entry);
            }
        }
        let read = |entry: &&Entry| Ok((entry.place, self.content(entry, max_bytes)?));
        contents = wanted.par_iter().map(read).collect::<Result<_>>()?;
        let mut tree = Tree::new();
        for Entry { path, kind, mode, uid, gid, xattrs, place, .. } in entries {
            let kind = match kind {
                EntryKind::Directory => Kind::Directory,
                EntryKind::File => Kind::File(contents.get(&place).cloned().context("a content that was not read")?),
                EntryKind::Symlink(target) => Kind::Symlink(target),
                EntryKind::CharDevice(major, minor) => Kind::CharDevice(major, minor),
                EntryKind::BlockDevice(major, minor) => Kind::BlockDevice(major, minor),
                EntryKind::Fifo => Kind::Fifo,
                EntryKind::Socket => bail!("{} is a socket", show(&path)),
            };
            let xattrs = BTreeMap::clone(&xattrs);
            let node = Node { uid, gid, xattrs, ..Node::new(kind, mode, origin) };
            tree.insert(&path, node).map_err(anyhow::Error::msg)?;
        }
        Ok(tree)
    }

    /// Adds the files' shares of fragments, whose lengths follow from what the files say.
    fn add_tails(&self, all: &mut [(Entry, Option<Spread>)]) -> Result<()> {
        let mut lengths: HashMap<u32, u64> = HashMap::new();
        for spread in all.iter().filter_map(|(_, spread)| spread.as_ref()) {
            if let Some((fragment, offset)) = spread.tail {
                let end = u64::from(offset) + self.tail_bytes(spread);
                let length = lengths.entry(fragment).or_default();
                *length = end.max(*length);
            }
        }
        for (entry, spread) in all {
            if let Some(spread) = spread
                && let Some((fragment, _)) = spread.tail
            {
                let length = lengths.get(&fragment).copied().unwrap_or_default();
                entry.stored_bytes += self.share(spread, fragment, length)?;
            }
        }
        Ok(())
    }

    /// An entry with its share of a fragment, which is unpacked to know its length.
    fn finished(&self, found: Found) -> Result<Entry> {
        let Found { mut entry, inode } = found;
        if let Some(spread) = &inode.spread
            && let Some((fragment, _)) = spread.tail
        {
            let length = self.fragment(fragment).with_context(|| format!("reading {}", show(&entry.path)))?.len();
            entry.stored_bytes += self.share(spread, fragment, length as u64)?;
        }
        Ok(entry)
    }

    fn tail_bytes(&self, spread: &Spread) -> u64 {
        spread.size_bytes % u64::from(self.head.block_size)
    }

    /// Bytes on disk of a file's end in a fragment that has `length` bytes unpacked.
    fn share(&self, spread: &Spread, fragment: u32, length: u64) -> Result<u64> {
        let (_, size) = self.fragment_place(fragment)?;
        let bytes = u64::from(size & !STORED).saturating_mul(self.tail_bytes(spread));
        Ok(if length == 0 { 0 } else { bytes.div_ceil(length) })
    }
}

fn mark_copies(all: &mut [(Entry, Option<Spread>)]) {
    let mut seen: HashSet<ContentPlace> = HashSet::new();
    for (entry, spread) in all {
        if let Some(spread) = spread
            && spread.size_bytes > 0
        {
            entry.is_copy = !seen.insert((spread.start, entry.stored_bytes, spread.tail, spread.size_bytes));
        }
    }
}

impl<'a> Walk<'a> {
    fn new(image: &'a Image) -> Self {
        Self { image, budget: Budget(MAX_METADATA_BYTES), xattrs: HashMap::new(), none: Arc::default() }
    }

    fn root(&mut self) -> Result<Found> {
        let found = self.found(Vec::new(), self.image.head.root)?;
        ensure!(found.entry.kind == EntryKind::Directory, "the root is no folder");
        Ok(found)
    }

    fn children(&mut self, folder: &Found) -> Result<Vec<Found>> {
        let Some(listing) = folder.inode.listing else { return Ok(Vec::new()) };
        let path = &folder.entry.path;
        let children = self.image.children(listing, &mut self.budget);
        let children = children.with_context(|| format!("reading folder {}", show(path)))?;
        children.into_iter().map(|child| self.child(path, &child.name, child.inode)).collect()
    }

    fn child(&mut self, folder: &[u8], name: &[u8], place: u64) -> Result<Found> {
        let path = if folder.is_empty() { name.to_vec() } else { [folder, b"/", name].concat() };
        ensure!(path.len() <= MAX_PATH_BYTES, "a path of {} bytes", path.len());
        self.found(path, place)
    }

    fn found(&mut self, path: Vec<u8>, place: u64) -> Result<Found> {
        let context = || format!("reading {}", show(&path));
        self.budget.take(path.len() as u64, "path").with_context(context)?;
        let inode = self.image.inode(place, self.budget.0 / 4).with_context(context)?;
        let (mut size_bytes, mut stored_bytes) = (0, 0);
        if let Some(spread) = &inode.spread {
            self.budget.take(4 * spread.blocks.len() as u64, "sizes of blocks").with_context(context)?;
            size_bytes = spread.size_bytes;
            stored_bytes = spread.blocks.iter().map(|size| u64::from(size & !STORED)).sum();
        }
        if let EntryKind::Symlink(target) = &inode.kind {
            self.budget.take(target.len() as u64, "target").with_context(context)?;
        }
        let xattrs = self.attributes(inode.xattrs).with_context(context)?;
        let entry = Entry {
            path,
            kind: inode.kind.clone(),
            mode: inode.mode,
            uid: inode.uid,
            gid: inode.gid,
            mtime: inode.mtime,
            inode: inode.number,
            xattrs,
            size_bytes,
            stored_bytes,
            is_copy: false,
            place,
        };
        Ok(Found { entry, inode })
    }

    fn attributes(&mut self, index: Option<u32>) -> Result<Xattrs> {
        let Some(index) = index else { return Ok(Arc::clone(&self.none)) };
        if let Some(known) = self.xattrs.get(&index) {
            return Ok(Arc::clone(known));
        }
        let attributes = Arc::new(self.image.xattrs(index, &mut self.budget)?);
        self.xattrs.insert(index, Arc::clone(&attributes));
        Ok(attributes)
    }
}
