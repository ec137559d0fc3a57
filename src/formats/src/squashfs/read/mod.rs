//! SquashFS 4.0, the reader, for `inspect`, `diff`, reports and tests: images of any writer, compressed by zstd, xz or
//! gzip, on outside bytes. Folders and inodes are read when they are asked for and unpacked blocks are kept in caches of
//! a fixed size, so that a listing of a large image unpacks no content.
//!
//! Every read is checked and every allocation has a cap: no bytes make it panic, loop or take more memory than the
//! caller allows.
//!
//! Left out: versions before 4.0, lzma, lzo and lz4, the export table. References: those of the writer.

mod content;
mod decoder;
mod directory;
mod inode;
mod metadata;
mod superblock;
#[cfg(test)]
mod tests;
mod walk;
mod xattr;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;

use crate::view::View;
use content::Fragments;
use decoder::Decoder;
use metadata::MetadataCache;
use superblock::Superblock;

/// Extended attributes with their full names; entries with equal attributes share them.
pub type Xattrs = Arc<BTreeMap<Vec<u8>, Vec<u8>>>;

/// An opened image.
pub struct Image {
    bytes: Bytes,
    head: Superblock,
    decoder: Decoder,
    /// Owners and groups that inodes name by index.
    ids: Vec<u32>,
    metadata: Mutex<MetadataCache>,
    fragments: Mutex<Fragments>,
}

/// What the superblock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Info {
    /// `zstd`, `xz` or `gzip`.
    pub compression: &'static str,
    /// Size of data blocks in bytes.
    pub block_size: u32,
    /// Seconds since 1970.
    pub mtime: u32,
    /// Number of inodes.
    pub inodes: u32,
    /// Number of blocks shared by ends of files.
    pub fragments: u32,
    /// Size of the file system without padding behind it, bytes.
    pub bytes_used: u64,
}

/// Type of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A folder.
    Directory,
    /// A regular file; [`Image::content`] reads it.
    File,
    /// A symbolic link and its target.
    Symlink(Vec<u8>),
    /// A character device, major and minor.
    CharDevice(u32, u32),
    /// A block device, major and minor.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// One entry of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path, relative, empty for the root.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits, `0o7777`.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds since 1970.
    pub mtime: u32,
    /// Number of the inode; hard links of one file have the same.
    pub inode: u32,
    /// Extended attributes.
    pub xattrs: Xattrs,
    /// Size of a file's content in bytes, 0 for everything else.
    pub size_bytes: u64,
    /// Bytes of a file on disk, compressed: its blocks, and of a block shared by ends of files a share by length.
    pub stored_bytes: u64,
    /// In the answer of [`Image::entries`]: an entry before this one has the same content at the same place, so that
    /// `stored_bytes` is already counted there.
    pub is_copy: bool,
    place: u64,
}

impl Image {
    /// Reads the superblock and the tables that everything needs. `bytes` may go on behind the file system.
    ///
    /// # Errors
    /// If it is no SquashFS 4.0, truncated, or compressed by something else than zstd, xz or gzip.
    pub fn open(bytes: &Bytes) -> Result<Self> {
        let head = Superblock::read(&View::new(bytes)).context("reading the SquashFS superblock")?;
        let used = usize::try_from(head.bytes_used).context("size of the SquashFS")?;
        let found = bytes.len();
        ensure!(used <= found, "the SquashFS has {used} bytes, the file {found}: it is truncated");
        let decoder = Decoder::new(head.compression_id)?;
        let bytes = bytes.slice(..used);
        let (metadata, fragments) = (Mutex::default(), Mutex::default());
        let mut image = Self { bytes, head, decoder, ids: Vec::new(), metadata, fragments };
        image.ids = image.read_ids().context("reading the SquashFS id table")?;
        Ok(image)
    }

    /// What the superblock says.
    pub fn info(&self) -> Info {
        Info {
            compression: self.decoder.name(),
            block_size: self.head.block_size,
            mtime: self.head.mtime,
            inodes: self.head.inodes,
            fragments: self.head.fragments,
            bytes_used: self.head.bytes_used,
        }
    }

    fn read_ids(&self) -> Result<Vec<u32>> {
        let count = usize::from(self.head.ids);
        let mut ids = Vec::with_capacity(count);
        for index in 0..count {
            ids.push(u32::from_le_bytes(self.table_record::<4>(self.head.id_table, index as u64, "id")?));
        }
        Ok(ids)
    }

    fn id(&self, index: u16) -> Result<u32> {
        let known = self.ids.len();
        self.ids.get(usize::from(index)).copied().with_context(|| format!("owner {index} of {known} in the id table"))
    }
}

/// What may still be read of something that outside bytes could blow up.
struct Budget(u64);

impl Budget {
    fn take(&mut self, bytes: u64, what: &str) -> Result<()> {
        let left = self.0.checked_sub(bytes);
        self.0 = left.with_context(|| format!("{what} of {bytes} bytes: more than this reader takes"))?;
        Ok(())
    }
}
