//! The walk over the tree that makes inodes and directories.
//!
//! Inodes are numbered folder by folder, those nearest to the root first, and stored the other way round: a folder's
//! entries need the places of its inodes. All inodes of a folder stand together, so a listing needs few headers. Hard links
//! have the number and the inode of the first of them.

use std::collections::HashMap;

use anyhow::{Context, anyhow, ensure};

use super::Options;
use super::compression::Encoders;
use super::content::Place;
use super::directory::{self, Child, Listing};
use super::ids::Ids;
use super::inode::{self, Body, Head};
use super::metadata::{MetadataWriter, Reference};
use super::xattr::Xattrs;
use crate::tree::{Kind, Node, Tree, show, split};

/// `SQUASHFS_NAME_LEN` of `squashfs_fs.h`, and what Linux itself allows in `limits.h`.
const NAME_MAX_BYTES: usize = 255;
/// `PATH_MAX` of Linux `limits.h`, less the final zero.
const TARGET_MAX_BYTES: usize = 4095;

/// A node with its place in the numbering.
pub(super) struct Entry<'a> {
    /// Its whole path.
    pub(super) path: &'a [u8],
    /// The node.
    pub(super) node: &'a Node,
    /// From 1, the root; hard links share theirs.
    number: u32,
    /// How many names its inode has.
    links: u32,
    /// Indexes of what is in it, by the byte order of the names.
    children: Vec<usize>,
}

/// All entries of a tree by their paths, the root first.
pub(super) struct Numbered<'a> {
    /// The entries.
    pub(super) entries: Vec<Entry<'a>>,
    /// The last of their numbers.
    pub(super) inodes: u32,
}

/// Numbers the entries of a tree.
pub(super) fn number(tree: &Tree) -> anyhow::Result<Numbered<'_>> {
    // One number is kept for the root's parent.
    ensure!(tree.len() < u32::MAX as usize, "a SquashFS holds at most 4294967294 files, not {}", tree.len());
    let mut entries: Vec<Entry<'_>> =
        tree.iter().map(|(path, node)| Entry { path, node, number: 1, links: 1, children: Vec::new() }).collect();
    count_links(&mut entries);
    let folders: HashMap<&[u8], usize> = entries
        .iter()
        .enumerate()
        .filter(|(_, entry)| entry.node.kind == Kind::Directory)
        .map(|(index, entry)| (entry.path, index))
        .collect();
    ensure!(folders.get(&b""[..]) == Some(&0), "the tree's root is no folder");
    for index in 1..entries.len() {
        let path = entries[index].path;
        let (parent, name) = split(path);
        ensure!(name.len() <= NAME_MAX_BYTES, "the name of {} has {} bytes, Linux allows 255", show(path), name.len());
        let parent = folders.get(parent).with_context(|| format!("{} is in no folder", show(path)))?;
        entries[*parent].children.push(index);
    }
    for folder in folders.values() {
        let mut children = std::mem::take(&mut entries[*folder].children);
        // The order of the paths is another one: `a-b` comes before `a/b`.
        children.sort_by_key(|&child| entries[child].path);
        entries[*folder].children = children;
    }
    let mut last = 1;
    let mut of_link: HashMap<u32, u32> = HashMap::new();
    let order = breadth_first(&entries);
    for folder in order {
        for child in entries[folder].children.clone() {
            let mut next = || {
                last += 1;
                last
            };
            entries[child].number = match entries[child].node.link {
                Some(link) => *of_link.entry(link).or_insert_with(next),
                None => next(),
            };
        }
    }
    Ok(Numbered { entries, inodes: last })
}

/// Notes how many names the inodes of hard links have.
fn count_links(entries: &mut [Entry<'_>]) {
    let mut count: HashMap<u32, u32> = HashMap::new();
    for link in entries.iter().filter_map(|entry| entry.node.link) {
        *count.entry(link).or_default() += 1;
    }
    for entry in entries {
        entry.links = entry.node.link.and_then(|link| count.get(&link).copied()).unwrap_or(1);
    }
}

/// Indexes of the folders, those nearest to the root first.
fn breadth_first(entries: &[Entry<'_>]) -> Vec<usize> {
    let mut order = vec![0];
    let mut next = 0;
    while let Some(&folder) = order.get(next) {
        let children = entries[folder].children.iter().copied();
        order.extend(children.filter(|&child| entries[child].node.kind == Kind::Directory));
        next += 1;
    }
    order
}

/// What the walk makes.
pub(super) struct Tables {
    /// Place of the root's inode.
    pub(super) root: Reference,
    /// The inode table as it is on disk.
    pub(super) inodes: Vec<u8>,
    /// The directory table as it is on disk.
    pub(super) directories: Vec<u8>,
    /// Owners and groups.
    pub(super) ids: Ids,
    /// Extended attributes.
    pub(super) xattrs: Xattrs,
}

struct Walk<'a> {
    entries: &'a [Entry<'a>],
    places: &'a [Place],
    content_of: &'a [Option<usize>],
    mtime: u32,
    ids: Ids,
    xattrs: Xattrs,
}

impl Tables {
    /// Makes all inodes and directories; `places` are those of the contents, `content_of` tells each entry's.
    pub(super) fn build(
        entries: &[Entry<'_>],
        last: u32,
        places: &[Place],
        content_of: &[Option<usize>],
        options: &Options,
        encoders: &Encoders,
    ) -> anyhow::Result<Self> {
        let (ids, xattrs) = (Ids::default(), Xattrs::default());
        let mut walk = Walk { entries, places, content_of, mtime: options.mtime, ids, xattrs };
        let mut inodes = MetadataWriter::new(encoders)?;
        let mut directories = MetadataWriter::new(encoders)?;
        let mut listings: HashMap<usize, Listing> = HashMap::new();
        let mut of_link: HashMap<u32, Reference> = HashMap::new();
        for &folder in breadth_first(entries).iter().rev() {
            let mut children = Vec::with_capacity(entries[folder].children.len());
            for &index in &entries[folder].children {
                let entry = &entries[index];
                let known = entry.node.link.and_then(|link| of_link.get(&link).copied());
                let inode = known.unwrap_or_else(|| inodes.position());
                if known.is_none() {
                    inodes.push(&walk.inode(index, entries[folder].number, listings.get(&index))?)?;
                    of_link.extend(entry.node.link.map(|link| (link, inode)));
                }
                let kind = inode::short_type(&entry.node.kind);
                children.push(Child { name: split(entry.path).1, number: entry.number, inode, kind });
            }
            listings.insert(folder, directory::write(&children, &mut directories)?);
        }
        let root = inodes.position();
        // The root's parent is a number that no inode has.
        inodes.push(&walk.inode(0, last + 1, listings.get(&0))?)?;
        let (inodes, directories) = (inodes.finish()?.0, directories.finish()?.0);
        Ok(Self { root, inodes, directories, ids: walk.ids, xattrs: walk.xattrs })
    }
}

impl Walk<'_> {
    fn inode(&mut self, index: usize, parent: u32, listing: Option<&Listing>) -> anyhow::Result<Vec<u8>> {
        let path = self.entries[index].path;
        self.try_inode(index, parent, listing).with_context(|| format!("storing {} in the SquashFS", show(path)))
    }

    fn try_inode(&mut self, index: usize, parent: u32, listing: Option<&Listing>) -> anyhow::Result<Vec<u8>> {
        let Entry { node, number, links, children, .. } = &self.entries[index];
        let head = Head {
            mode: node.mode & 0o7777,
            uid: self.ids.index(node.uid)?,
            gid: self.ids.index(node.gid)?,
            mtime: node.mtime.unwrap_or(self.mtime),
            number: *number,
            links: *links,
            xattrs: self.xattrs.index(&node.xattrs)?,
        };
        let body = match &node.kind {
            Kind::Directory => {
                ensure!(node.link.is_none(), "a folder cannot be a hard link");
                let is_folder = |child: &&usize| self.entries[**child].node.kind == Kind::Directory;
                let folders = children.iter().filter(is_folder).count() as u32;
                Body::Directory { listing: listing.context("its listing is not written yet")?, folders, parent }
            }
            Kind::File(_) => {
                let content = self.content_of[index].and_then(|content| self.places.get(content));
                Body::File(content.context("its content is not written yet")?)
            }
            Kind::Symlink(target) => {
                let length = target.len();
                ensure!((1..=TARGET_MAX_BYTES).contains(&length), "the link's target has {length} bytes");
                Body::Symlink(target)
            }
            &Kind::CharDevice(major, minor) | &Kind::BlockDevice(major, minor) => {
                let device = inode::device_number(major, minor)
                    .ok_or_else(|| anyhow!("device {major}:{minor} does not fit 12 and 20 bits"))?;
                Body::Device(inode::short_type(&node.kind), device)
            }
            Kind::Fifo => Body::Fifo,
        };
        Ok(inode::encode(&head, &body))
    }
}
