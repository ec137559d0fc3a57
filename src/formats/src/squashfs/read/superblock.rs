//! The superblock, to read; [`crate::squashfs::superblock`] has its layout.

use anyhow::{Result, ensure};

use super::super::superblock::{MAGIC, NO_TABLE, SIZE, VERSION};
use crate::view::View;

/// What the reader needs of it. Places are bytes from the start of the file system.
pub(super) struct Superblock {
    pub(super) inodes: u32,
    pub(super) mtime: u32,
    pub(super) block_size: u32,
    pub(super) fragments: u32,
    pub(super) compression_id: u16,
    pub(super) ids: u16,
    /// Inode of the root, as [`super::metadata::Place`] packs it.
    pub(super) root: u64,
    pub(super) bytes_used: u64,
    pub(super) id_table: u64,
    pub(super) xattr_table: Option<u64>,
    pub(super) inode_table: u64,
    pub(super) directory_table: u64,
    pub(super) fragment_table: u64,
}

impl Superblock {
    pub(super) fn read(view: &View) -> Result<Self> {
        let view = view.sub(0, SIZE, "superblock")?;
        view.expect(0, &MAGIC.to_le_bytes(), "magic")?;
        let u16 = |at| view.u16_le(at, "number");
        let u32 = |at| view.u32_le(at, "number");
        let u64 = |at| anyhow::Ok(u64::from_le_bytes(view.array(at, "number")?));
        let version = (u16(28)?, u16(30)?);
        ensure!(version == VERSION, "version {}.{}: expected 4.0", version.0, version.1);
        let block_size = u32(12)?;
        ensure!(
            block_size.is_power_of_two() && (4096..=1 << 20).contains(&block_size),
            "block size {block_size}: expected a power of two of 4096 to 1048576"
        );
        let block_log = u16(22)?;
        ensure!(u32::from(block_log) == block_size.ilog2(), "block size {block_size} but its logarithm is {block_log}");
        let xattr_table = u64(56)?;
        let head = Self {
            inodes: u32(4)?,
            mtime: u32(8)?,
            block_size,
            fragments: u32(16)?,
            compression_id: u16(20)?,
            ids: u16(26)?,
            root: u64(32)?,
            bytes_used: u64(40)?,
            id_table: u64(48)?,
            xattr_table: (xattr_table != NO_TABLE).then_some(xattr_table),
            inode_table: u64(64)?,
            directory_table: u64(72)?,
            fragment_table: u64(80)?,
        };
        ensure!(head.bytes_used >= SIZE as u64, "{} bytes used", head.bytes_used);
        let mut places = vec![("inode", head.inode_table), ("directory", head.directory_table), ("id", head.id_table)];
        if head.fragments > 0 {
            places.push(("fragment", head.fragment_table));
        }
        places.extend(head.xattr_table.map(|place| ("attribute", place)));
        for (name, place) in places {
            let range = SIZE as u64..head.bytes_used;
            ensure!(range.contains(&place), "{name} table at byte {place} of {} bytes", head.bytes_used);
        }
        ensure!(head.inode_table < head.directory_table, "the inode table is behind the directory table");
        Ok(head)
    }
}
