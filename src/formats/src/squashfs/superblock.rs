//! The first 96 bytes: `struct squashfs_super_block` of Linux `fs/squashfs/squashfs_fs.h`.

use super::Options;
use super::metadata::Reference;

/// Size in bytes; what follows is the compressor options or the first block.
pub(super) const SIZE: usize = 96;
/// `SQUASHFS_INVALID_BLK`: there is no such table.
pub(super) const NO_TABLE: u64 = u64::MAX;

pub(super) const MAGIC: u32 = 0x7371_7368;
pub(super) const VERSION: (u16, u16) = (4, 0);
/// `SQUASHFS_DUPLICATE`: equal files share blocks.
const FLAG_DUPLICATES: u16 = 1 << 6;
/// `SQUASHFS_NO_XATTR`.
const FLAG_NO_XATTRS: u16 = 1 << 9;
/// `SQUASHFS_COMP_OPT`: compressor options follow the superblock.
const FLAG_COMPRESSOR_OPTIONS: u16 = 1 << 10;

/// Counts and places of the tables, in bytes from the start of the file system.
pub(super) struct Superblock {
    pub(super) inodes: u32,
    mtime: u32,
    block_size: u32,
    pub(super) fragments: u32,
    compression_id: u16,
    has_compressor_options: bool,
    pub(super) ids: u16,
    pub(super) root: Reference,
    pub(super) bytes_used: u64,
    pub(super) id_table: u64,
    pub(super) xattr_table: u64,
    pub(super) inode_table: u64,
    pub(super) directory_table: u64,
    pub(super) fragment_table: u64,
}

impl Superblock {
    /// A superblock whose places are not known yet.
    pub(super) fn new(options: &Options, inodes: u32, fragments: u32) -> Self {
        Self {
            inodes,
            mtime: options.mtime,
            block_size: options.block_size,
            fragments,
            compression_id: options.compression.id(),
            has_compressor_options: !options.compression.options_block().is_empty(),
            ids: 0,
            root: Reference::default(),
            bytes_used: 0,
            id_table: NO_TABLE,
            xattr_table: NO_TABLE,
            inode_table: NO_TABLE,
            directory_table: NO_TABLE,
            fragment_table: NO_TABLE,
        }
    }

    fn flags(&self) -> u16 {
        let mut flags = FLAG_DUPLICATES;
        if self.xattr_table == NO_TABLE {
            flags |= FLAG_NO_XATTRS;
        }
        if self.has_compressor_options {
            flags |= FLAG_COMPRESSOR_OPTIONS;
        }
        flags
    }

    /// The bytes on disk.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SIZE);
        for value in [MAGIC, self.inodes, self.mtime, self.block_size, self.fragments] {
            bytes.extend(value.to_le_bytes()); // offsets 0, 4, 8, 12, 16
        }
        let block_log = self.block_size.ilog2() as u16;
        for value in [self.compression_id, block_log, self.flags(), self.ids, VERSION.0, VERSION.1] {
            bytes.extend(value.to_le_bytes()); // offsets 20, 22, 24, 26, 28, 30
        }
        let places = [
            self.root.to_u64(),   // offset 32
            self.bytes_used,      // offset 40
            self.id_table,        // offset 48
            self.xattr_table,     // offset 56
            self.inode_table,     // offset 64
            self.directory_table, // offset 72
            self.fragment_table,  // offset 80
            NO_TABLE,             // offset 88, the export table
        ];
        bytes.extend(places.iter().flat_map(|place| place.to_le_bytes()));
        bytes
    }
}
