//! SquashFS 4.0. The reader is [`read`]; here is the writer: a [`Tree`] becomes a read-only file system that the kernel keeps compressed.
//!
//! Terms: a *data block* is up to `block_size` bytes of one file; a *fragment* is a block shared by the ends of several
//! files; a *metadata block* is 8 KiB of inodes, directory entries or table entries. The file is, in this order:
//! superblock, compressor options, data blocks, fragments, inodes, directories, fragment table, id table, extended
//! attributes; the kernel refuses tables in another order or with gaps between them. All numbers are little-endian.
//!
//! Left out: the export table (only NFS needs it), sockets. Equal files share their blocks, hard links their inode.
//! Reference: Linux `Documentation/filesystems/squashfs.rst`, `fs/squashfs/squashfs_fs.h` and the checks in
//! `fs/squashfs/super.c`, `id.c`, `xattr_id.c`.

mod blocks;
mod compression;
mod content;
mod directory;
mod ids;
mod inode;
mod metadata;
pub mod read;
mod superblock;
mod tables;
#[cfg(test)]
mod tests;
mod xattr;

use std::io::{Seek, SeekFrom, Write};

use anyhow::{Context, ensure};

use crate::tree::Tree;
use metadata::write_table;
use superblock::Superblock;
use tables::Tables;

pub use blocks::BlockCache;
pub use compression::Compression;

/// The file's size is a multiple of this, so that a loop device sees all of it.
const PADDING: u64 = 4096;

/// How to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Algorithm and effort.
    pub compression: Compression,
    /// Size of data blocks in bytes: a power of two of 4 KiB to 1 MiB.
    pub block_size: u32,
    /// Time of the file system and of every inode that has none of its own, in seconds since 1970.
    pub mtime: u32,
}

impl Default for Options {
    /// zstd level 19 with 128 KiB blocks: the fastest to boot of the formats measured.
    fn default() -> Self {
        Self { compression: Compression::Zstd { level: 19 }, block_size: 128 * 1024, mtime: 0 }
    }
}

/// What was written. Sizes are bytes in the file, so after compression.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// The whole file with its padding.
    pub total_bytes: u64,
    /// Blocks that belong to one file.
    pub data_bytes: u64,
    /// Blocks shared by ends of files.
    pub fragment_bytes: u64,
    /// Superblock, inodes, directories and tables.
    pub metadata_bytes: u64,
    /// Content of all files before compression, copies included.
    pub content_bytes: u64,
    /// The part of `content_bytes` that is in files equal to an earlier one.
    pub duplicate_bytes: u64,
    /// Number of inodes.
    pub inodes: u32,
    /// Number of blocks that belong to one file, holes not counted.
    pub data_blocks: u32,
    /// Number of shared blocks.
    pub fragments: u32,
}

/// Writes `tree` at the present position of `out`, in parallel on rayon's current pool; the bytes do not depend on the
/// number of threads. `out` ends up after the padding.
///
/// `cache` keeps compressed blocks between builds. `progress` hears bytes of content done and in all, from any thread.
///
/// # Errors
/// Impossible options, names or attributes the format cannot hold (with the path), and failures of `out`.
pub fn write(
    tree: &Tree,
    options: &Options,
    cache: Option<&dyn BlockCache>,
    out: &mut (impl Write + Seek),
    progress: &(dyn Fn(u64, u64) + Sync),
) -> anyhow::Result<Summary> {
    options.compression.check()?;
    let size = options.block_size;
    ensure!(
        size.is_power_of_two() && (4096..=1 << 20).contains(&size),
        "SquashFS block size {size} is not possible\nhint: take a power of two of 4096 to 1048576, such as 131072"
    );
    let tables::Numbered { entries, inodes } = tables::number(tree)?;
    let base = out.stream_position().context("finding the place for the SquashFS")?;
    let mut sink = Sink { out, position: 0 };
    sink.write(&[0; superblock::SIZE])?;
    sink.write(&options.compression.options_block())?;

    let plan = content::plan(entries.iter().map(|entry| (entry.path, entry.node)), size as usize);
    let encoders = compression::Encoders::new(&options.compression, size);
    let stored = blocks::write(&plan.blocks, &encoders, cache, &mut sink, progress)?;

    let files = plan.places(&stored);
    let tables = Tables::build(&entries, inodes, &files, &plan.content_of, options, &encoders)?;
    let fragments = &stored[plan.first_fragment..];

    let mut head = Superblock::new(options, inodes, fragments.len() as u32);
    head.root = tables.root;
    head.inode_table = sink.position;
    sink.write(&tables.inodes)?;
    head.directory_table = sink.position;
    sink.write(&tables.directories)?;
    let fragment_table: Vec<u8> = fragments.iter().flat_map(blocks::Stored::fragment_entry).collect();
    head.fragment_table = write_table(&fragment_table, &encoders, &mut sink)?;
    head.ids = tables.ids.len();
    head.id_table = write_table(&tables.ids.to_bytes(), &encoders, &mut sink)?;
    head.xattr_table = tables.xattrs.write(&encoders, &mut sink)?;
    head.bytes_used = sink.position;

    let padding = sink.position.next_multiple_of(PADDING) - sink.position;
    sink.write(&vec![0; padding as usize])?;
    let total_bytes = sink.position;
    out.seek(SeekFrom::Start(base)).context("seeking to the SquashFS superblock")?;
    out.write_all(&head.to_bytes()).context("writing the SquashFS superblock")?;
    out.seek(SeekFrom::Start(base + total_bytes)).context("seeking to the end of the SquashFS")?;

    let length_of = |list: &[blocks::Stored]| list.iter().map(blocks::Stored::length).sum::<u64>();
    let fragment_bytes = length_of(fragments);
    let data_bytes = length_of(&stored[..plan.first_fragment]);
    Ok(Summary {
        total_bytes,
        data_bytes,
        fragment_bytes,
        metadata_bytes: head.bytes_used - data_bytes - fragment_bytes,
        content_bytes: plan.content_bytes,
        duplicate_bytes: plan.duplicate_bytes,
        inodes: head.inodes,
        data_blocks: plan.first_fragment as u32,
        fragments: head.fragments,
    })
}

/// Where the bytes go; addresses in a SquashFS count from its own start.
pub(crate) struct Sink<'a, W> {
    out: &'a mut W,
    position: u64,
}

impl<W: Write> Sink<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.out
            .write_all(bytes)
            .with_context(|| format!("writing {} bytes at byte {} of the SquashFS", bytes.len(), self.position))?;
        self.position += bytes.len() as u64;
        Ok(())
    }
}
