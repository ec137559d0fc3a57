//! Writer and reader of cpio archives in the "newc" form, the one an initramfs has (Linux
//! `Documentation/driver-api/early-userspace/buffer-format.rst`, `init/initramfs.c`).
//!
//! An initramfs may hold several *segments* one after the other, each a whole archive, each compressed or not in its
//! own way, with zeros between them; a segment that is not compressed starts at a multiple of 4 bytes. [`Writer`] fills
//! every archive up to 512 bytes, [`pad_segment`] does it behind a compressed one.
//!
//! Left out: hard links (every entry has an inode number of its own), checksums (magic `070702`), extended attributes
//! (the format has none).
//!
//! Header of an entry, 110 bytes: the magic `070701` and 13 numbers of 8 hexadecimal digits each. The name with its NUL
//! follows, then the content (a symbolic link's is its target), each filled up with zeros to a multiple of 4 bytes
//! counted from the start of the archive.
//!
//! | offset | field                        | offset | field                                  |
//! |--------|------------------------------|--------|----------------------------------------|
//! | 6      | inode number                 | 62     | device major of the file system        |
//! | 14     | mode with type bits          | 70     | device minor of the file system        |
//! | 22     | owner                        | 78     | major of a device node                 |
//! | 30     | group                        | 86     | minor of a device node                 |
//! | 38     | number of links              | 94     | size of the name with its NUL, bytes   |
//! | 46     | mtime, seconds since 1970    | 102    | checksum, 0                            |
//! | 54     | size of the content, bytes   |        |                                        |
//!
//! The entry named `TRAILER!!!` ends the archive.

mod read;
#[cfg(test)]
mod tests;

use std::io::Write;

use anyhow::{Context, Result, bail, ensure};

pub use self::read::{Compression, Entry, Segment, is_initramfs, segments};
use crate::tree::{Kind, Node, Tree, show};

const MAGIC: &[u8] = b"070701";
const HEADER_BYTES: usize = 110;
const TRAILER: &[u8] = b"TRAILER!!!";
/// Archives are filled up to this size, as cpio(1) does: its unit of writing to tapes.
const BLOCK_BYTES: u64 = 512;
/// Linux skips an entry in silence whose name with its NUL, or whose link target, is longer: PATH_MAX of
/// `include/uapi/linux/limits.h`.
const PATH_MAX: usize = 4096;

const TYPE_FIFO: u32 = 0o010_000;
const TYPE_CHAR: u32 = 0o020_000;
const TYPE_DIR: u32 = 0o040_000;
const TYPE_BLOCK: u32 = 0o060_000;
const TYPE_FILE: u32 = 0o100_000;
const TYPE_LINK: u32 = 0o120_000;
const TYPE_MASK: u32 = 0o170_000;

/// Writes one archive entry by entry. Contents go through without a copy.
pub struct Writer<W: Write> {
    out: W,
    mtime: u32,
    ino: u32,
    written: u64,
}

impl<W: Write> Writer<W> {
    /// `mtime` in seconds since 1970 is that of every entry.
    pub fn new(out: W, mtime: u32) -> Self {
        Self { out, mtime, ino: 0, written: 0 }
    }

    /// Writes `node` at `path` (relative; empty for the root, which is called `.`). Parents go first: Linux makes none.
    ///
    /// # Errors
    /// If writing fails, or the format or Linux cannot hold the entry.
    pub fn entry(&mut self, path: &[u8], node: &Node) -> Result<()> {
        self.try_entry(path, node).with_context(|| format!("writing {} to a cpio archive", show(path)))
    }

    fn try_entry(&mut self, path: &[u8], node: &Node) -> Result<()> {
        let name = if path.is_empty() { b".".as_slice() } else { path };
        ensure!(name != TRAILER, "the name means the end of the archive");
        ensure!(!name.contains(&0), "the name has a NUL byte");
        ensure!(name.len() < PATH_MAX, "the name has {} bytes, Linux takes up to {}", name.len(), PATH_MAX - 1);
        if let Some(xattr) = node.xattrs.keys().next() {
            bail!("the format has no extended attributes, found {}", String::from_utf8_lossy(xattr));
        }
        let nothing: &[u8] = &[];
        let (file_type, device, content) = match &node.kind {
            Kind::Directory => (TYPE_DIR, (0, 0), nothing),
            Kind::File(content) => (TYPE_FILE, (0, 0), content.as_ref()),
            Kind::Symlink(target) => {
                ensure!(!target.is_empty() && target.len() < PATH_MAX, "the link target has {} bytes", target.len());
                (TYPE_LINK, (0, 0), target.as_slice())
            }
            Kind::CharDevice(major, minor) => (TYPE_CHAR, (*major, *minor), nothing),
            Kind::BlockDevice(major, minor) => (TYPE_BLOCK, (*major, *minor), nothing),
            Kind::Fifo => (TYPE_FIFO, (0, 0), nothing),
        };
        let size = u32::try_from(content.len())
            .with_context(|| format!("{} bytes are more than the format's 4 GiB", content.len()))?;
        self.ino = self.ino.checked_add(1).context("more than 2^32 entries")?;
        let fields = Fields {
            ino: self.ino,
            mode: file_type | u32::from(node.mode & 0o7777),
            uid: node.uid,
            gid: node.gid,
            nlink: if node.kind == Kind::Directory { 2 } else { 1 },
            mtime: self.mtime,
            size,
            device,
        };
        self.header(&fields, name)?;
        self.put(content)?;
        self.fill(4)
    }

    /// Ends the archive and gives back what it was written to.
    ///
    /// # Errors
    /// If writing fails.
    pub fn finish(mut self) -> Result<W> {
        let fields = Fields { nlink: 1, ..Fields::default() };
        self.header(&fields, TRAILER)?;
        self.fill(BLOCK_BYTES)?;
        self.out.flush().context("writing a cpio archive")?;
        Ok(self.out)
    }

    fn header(&mut self, fields: &Fields, name: &[u8]) -> Result<()> {
        let name_size = u32::try_from(name.len() + 1).context("name size")?;
        let numbers = [
            fields.ino,
            fields.mode,
            fields.uid,
            fields.gid,
            fields.nlink,
            fields.mtime,
            fields.size,
            0,
            0,
            fields.device.0,
            fields.device.1,
            name_size,
            0,
        ];
        let mut header = MAGIC.to_vec();
        for number in numbers {
            header.extend(format!("{number:08X}").bytes());
        }
        header.extend(name);
        header.push(0);
        self.put(&header)?;
        self.fill(4)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).context("writing a cpio archive")?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn fill(&mut self, unit: u64) -> Result<()> {
        let zeros = [0; BLOCK_BYTES as usize];
        let missing = self.written.next_multiple_of(unit) - self.written;
        self.put(&zeros[..missing as usize])
    }
}

/// Numbers of a header that are not always 0.
#[derive(Default)]
struct Fields {
    ino: u32,
    mode: u32,
    uid: u32,
    gid: u32,
    nlink: u32,
    mtime: u32,
    size: u32,
    device: (u32, u32),
}

/// Writes a whole tree, the root as `.`, in the tree's order (parents first), as one archive.
///
/// # Errors
/// Those of [`Writer::entry`].
pub fn write_tree<W: Write>(out: W, tree: &Tree, mtime: u32) -> Result<W> {
    let mut writer = Writer::new(out, mtime);
    for (path, node) in tree.iter() {
        writer.entry(path, node)?;
    }
    writer.finish()
}

/// Fills up a compressed segment with zeros, so that another segment can follow.
pub fn pad_segment(segment: &mut Vec<u8>) {
    segment.resize(segment.len().next_multiple_of(BLOCK_BYTES as usize), 0);
}
