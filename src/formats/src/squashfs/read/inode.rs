//! Inodes, to read; [`crate::squashfs::inode`] has the layouts.

use anyhow::{Context, Result, bail, ensure};

use super::super::content::NO_FRAGMENT;
use super::super::inode::{LONG, NO_XATTRS};
use super::metadata::{Cursor, Place};
use super::{EntryKind, Image};

/// Longest target that is taken; Linux allows less than a page.
const MAX_TARGET_BYTES: u32 = 65535;

/// One inode.
pub(super) struct Inode {
    pub(super) kind: EntryKind,
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: u32,
    pub(super) number: u32,
    /// Number of its list of extended attributes.
    pub(super) xattrs: Option<u32>,
    /// Of a folder.
    pub(super) listing: Option<Listing>,
    /// Of a file.
    pub(super) spread: Option<Spread>,
}

/// Where a folder's entries are.
#[derive(Clone, Copy)]
pub(super) struct Listing {
    pub(super) place: Place,
    /// Their bytes, with those that are counted beyond the entries.
    pub(super) size: u32,
}

/// Where a file's content is.
pub(super) struct Spread {
    /// First block, bytes from the start of the file system; the others follow without gaps.
    pub(super) start: u64,
    pub(super) size_bytes: u64,
    /// Fragment and offset in it of the end.
    pub(super) tail: Option<(u32, u32)>,
    /// Sizes on disk with their flag, 0 for a hole.
    pub(super) blocks: Vec<u32>,
}

impl Image {
    /// The inode at a place of the inode table, if it is no file of more than `max_blocks` blocks.
    pub(super) fn inode(&self, place: u64, max_blocks: u64) -> Result<Inode> {
        let context = || format!("reading the inode at place {place:#x}");
        let mut cursor =
            self.cursor(self.head.inode_table, self.head.directory_table, Place(place)).with_context(context)?;
        self.inode_at(&mut cursor, max_blocks).with_context(context)
    }

    fn inode_at(&self, cursor: &mut Cursor<'_>, max_blocks: u64) -> Result<Inode> {
        let kind = cursor.u16("type")?;
        let mut inode = Inode {
            kind: EntryKind::Directory,
            mode: cursor.u16("mode")? & 0o7777,
            uid: self.id(cursor.u16("owner")?)?,
            gid: self.id(cursor.u16("group")?)?,
            mtime: cursor.u32("time")?,
            number: cursor.u32("inode number")?,
            xattrs: None,
            listing: None,
            spread: None,
        };
        match kind {
            1 => {
                let [block, _links] = [cursor.u32("listing")?, cursor.u32("links")?];
                let [size, offset] = [cursor.u16("size")?, cursor.u16("offset")?];
                inode.listing = Some(Listing { place: Place::new(block, offset), size: size.into() });
            }
            8 => {
                let [_links, size] = [cursor.u32("links")?, cursor.u32("size")?];
                let [block, _parent] = [cursor.u32("listing")?, cursor.u32("parent")?];
                let [_index, offset] = [cursor.u16("index")?, cursor.u16("offset")?];
                inode.xattrs = xattrs(cursor)?;
                inode.listing = Some(Listing { place: Place::new(block, offset), size });
            }
            2 => {
                let start = cursor.u32("first block")?.into();
                let tail = (cursor.u32("fragment")?, cursor.u32("offset")?);
                let size = cursor.u32("size")?.into();
                inode.spread = Some(self.spread(cursor, start, size, tail, max_blocks)?);
            }
            9 => {
                let [start, size, _holes] = [cursor.u64("first block")?, cursor.u64("size")?, cursor.u64("holes")?];
                let _links = cursor.u32("links")?;
                let tail = (cursor.u32("fragment")?, cursor.u32("offset")?);
                inode.xattrs = xattrs(cursor)?;
                inode.spread = Some(self.spread(cursor, start, size, tail, max_blocks)?);
            }
            3 | 10 => {
                let [_links, length] = [cursor.u32("links")?, cursor.u32("length")?];
                ensure!((1..=MAX_TARGET_BYTES).contains(&length), "a link's target of {length} bytes");
                inode.kind = EntryKind::Symlink(cursor.take(length as usize, "target")?);
            }
            4 | 5 | 11 | 12 => {
                let [_links, number] = [cursor.u32("links")?, cursor.u32("device")?];
                let (major, minor) = (number >> 8 & 0xfff, number & 0xff | number >> 12 & 0xf_ff00);
                let is_block = matches!(kind, 4 | 11);
                let device = if is_block { EntryKind::BlockDevice } else { EntryKind::CharDevice };
                inode.kind = device(major, minor);
            }
            6 | 7 | 13 | 14 => {
                let _links = cursor.u32("links")?;
                inode.kind = if matches!(kind, 6 | 13) { EntryKind::Fifo } else { EntryKind::Socket };
            }
            _ => bail!("type {kind}: expected 1 to 14"),
        }
        if inode.spread.is_some() {
            inode.kind = EntryKind::File;
        } else if kind >= 3 + LONG {
            inode.xattrs = xattrs(cursor)?;
        }
        Ok(inode)
    }

    fn spread(
        &self,
        cursor: &mut Cursor<'_>,
        start: u64,
        size_bytes: u64,
        tail: (u32, u32),
        max_blocks: u64,
    ) -> Result<Spread> {
        let tail = (tail.0 != NO_FRAGMENT).then_some(tail);
        let block_size = u64::from(self.head.block_size);
        let count = if tail.is_some() { size_bytes / block_size } else { size_bytes.div_ceil(block_size) };
        ensure!(count <= max_blocks, "a file of {size_bytes} bytes: more than this reader takes");
        let sizes = cursor.take(4 * count as usize, "sizes of blocks")?;
        let blocks = sizes.as_chunks::<4>().0.iter().map(|size| u32::from_le_bytes(*size)).collect();
        Ok(Spread { start, size_bytes, tail, blocks })
    }
}

fn xattrs(cursor: &mut Cursor<'_>) -> Result<Option<u32>> {
    let index = cursor.u32("attributes")?;
    Ok((index != NO_XATTRS).then_some(index))
}
