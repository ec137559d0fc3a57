//! Reader of an initramfs: segments, each one newc archive, plain or compressed by zstd, gzip or xz. It follows Linux'
//! `unpack_to_rootfs` (`init/initramfs.c`), but refuses what that skips in silence.

use std::io::Read;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;

use super::{HEADER_BYTES, MAGIC, PATH_MAX, TRAILER, TYPE_BLOCK, TYPE_CHAR, TYPE_DIR, TYPE_FIFO, TYPE_FILE, TYPE_LINK};
use crate::tree::{Kind, show};
use crate::view::View;

/// First bytes of compressed data: RFC 8878 3.1.1, RFC 1952 2.3.1, "The .xz File Format" 2.1.1.1.
const COMPRESSED: [(&[u8], Compression); 3] = [
    (&[0x28, 0xb5, 0x2f, 0xfd], Compression::Zstd),
    (&[0x1f, 0x8b], Compression::Gzip),
    (b"\xfd7zXZ\0", Compression::Xz),
];
/// xz's dictionary may have 64 MiB (preset 9); the kernel's own reader takes less.
const XZ_MEMORY_BYTES: u64 = 80 << 20;

/// How a segment is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// As it is.
    None,
    /// One zstd frame.
    Zstd,
    /// One gzip member.
    Gzip,
    /// One xz stream.
    Xz,
}

impl Compression {
    /// The algorithm's name; `none` if there is none.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
            Self::Xz => "xz",
        }
    }

    fn of(bytes: &[u8]) -> Option<Self> {
        COMPRESSED.iter().find(|(magic, _)| bytes.starts_with(magic)).map(|(_, compression)| *compression)
    }
}

/// Whether a file begins as an initramfs does: with an archive, compressed or not.
pub fn is_initramfs(bytes: &[u8]) -> bool {
    match Compression::of(bytes) {
        None => bytes.starts_with(MAGIC),
        Some(compression) => unpack_start(bytes, compression).is_ok_and(|start| start == *MAGIC),
    }
}

fn unpack_start(mut bytes: &[u8], compression: Compression) -> Result<[u8; MAGIC.len()]> {
    let mut start = [0; MAGIC.len()];
    decoder(&mut bytes, compression)?.read_exact(&mut start)?;
    Ok(start)
}

/// Unpacks one frame, member or stream; what follows it stays in `stored`.
fn decoder<'a>(stored: &'a mut &[u8], compression: Compression) -> Result<Box<dyn Read + 'a>> {
    Ok(match compression {
        Compression::None => Box::new(stored),
        Compression::Zstd => Box::new(zstd::Decoder::with_buffer(stored)?.single_frame()),
        Compression::Gzip => Box::new(flate2::bufread::GzDecoder::new(stored)),
        Compression::Xz => {
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY_BYTES, 0).context("setting up xz")?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(stored, stream))
        }
    })
}

/// One archive of an initramfs.
#[derive(Debug, Clone)]
pub struct Segment {
    /// Where it starts in the initramfs, in bytes.
    pub offset: usize,
    /// Bytes it takes there, without zeros behind it.
    pub stored_bytes: usize,
    /// How it is stored.
    pub compression: Compression,
    /// Its entries, without the trailer.
    pub entries: Vec<Entry>,
}

/// One entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Name as it is stored.
    pub path: Vec<u8>,
    /// Type and content; the content shares the (unpacked) archive's buffer.
    pub kind: Kind,
    /// Permission bits, `0o7777`.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Inode number.
    pub ino: u32,
    /// Number of links.
    pub nlink: u32,
    /// Seconds since 1970.
    pub mtime: u32,
    /// Offset in bytes of the content in the (unpacked) segment's archive or, if not compressed, in the initramfs.
    pub content_offset: usize,
}

/// Reads all segments. At most `max_unpacked_bytes` are unpacked from compressed ones.
///
/// # Errors
/// Anything that Linux would not unpack whole; the message has the offset in bytes.
pub fn segments(bytes: &Bytes, max_unpacked_bytes: u64) -> Result<Vec<Segment>> {
    let mut segments = Vec::new();
    let mut left = max_unpacked_bytes;
    let mut offset = 0;
    loop {
        offset += bytes[offset..].iter().take_while(|&&byte| byte == 0).count();
        let rest = &bytes[offset..];
        if rest.is_empty() {
            return Ok(segments);
        }
        let segment = if let Some(compression) = Compression::of(rest) {
            let what = || format!("{} segment at byte {offset}", compression.name());
            let (unpacked, stored_bytes) =
                unpack_frame(rest, compression, left).with_context(|| format!("unpacking {}", what()))?;
            left -= unpacked.len() as u64;
            let entries = whole(&unpacked).with_context(|| format!("reading what {} unpacks to", what()))?;
            Segment { offset, stored_bytes, compression, entries }
        } else if rest.starts_with(b"0") {
            ensure!(offset % 4 == 0, "cpio segment at byte {offset}: expected a multiple of 4");
            let (entries, end) = archive(bytes, offset)?;
            Segment { offset, stored_bytes: end - offset, compression: Compression::None, entries }
        } else {
            let start = &rest[..rest.len().min(6)];
            bail!(
                "segment at byte {offset}: expected a cpio archive, zstd, gzip or xz, found \"{}\"",
                start.escape_ascii()
            );
        };
        offset += segment.stored_bytes;
        segments.push(segment);
    }
}

/// Unpacks a segment; gives back what it holds and its stored size.
fn unpack_frame(stored: &[u8], compression: Compression, max_bytes: u64) -> Result<(Bytes, usize)> {
    let mut rest = stored;
    let mut unpacked = Vec::new();
    decoder(&mut rest, compression)?.take(max_bytes.saturating_add(1)).read_to_end(&mut unpacked)?;
    ensure!(unpacked.len() as u64 <= max_bytes, "it holds more than {max_bytes} bytes");
    Ok((unpacked.into(), stored.len() - rest.len()))
}

/// Reads a buffer that holds one archive and nothing else.
fn whole(bytes: &Bytes) -> Result<Vec<Entry>> {
    let (entries, end) = archive(bytes, 0)?;
    ensure!(bytes[end..].iter().all(|&byte| byte == 0), "bytes behind the trailer at byte {end}");
    Ok(entries)
}

/// Reads the archive that starts at byte `start`; gives back its entries and where it ends.
fn archive(bytes: &Bytes, start: usize) -> Result<(Vec<Entry>, usize)> {
    let view = View::new(bytes);
    let mut entries = Vec::new();
    let mut at = start;
    loop {
        let header = Header::read(&view, at)?;
        let name_at = at + HEADER_BYTES;
        let name_size = header.name_size as usize;
        ensure!((1..=PATH_MAX).contains(&name_size), "name size at byte {}: {name_size}", at + 94);
        let path = match view.take(name_at, name_size, "name of a cpio entry")?.split_last() {
            Some((0, path)) if !path.contains(&0) => path.to_vec(),
            _ => bail!("name of a cpio entry at byte {name_at}: expected one NUL, at its end"),
        };
        let aligned = |end: usize| start + (end - start).next_multiple_of(4);
        let content_offset = aligned(name_at + name_size);
        let size = header.size as usize;
        if path == TRAILER {
            ensure!(size == 0, "trailer at byte {at}: it has content");
            return Ok((entries, content_offset.min(bytes.len())));
        }
        view.take(content_offset, size, &format!("content of cpio entry {}", show(&path)))?;
        let content = bytes.slice(content_offset..content_offset + size);
        let kind = header.kind(content).with_context(|| format!("cpio entry {} at byte {at}", show(&path)))?;
        entries.push(Entry {
            path,
            kind,
            mode: (header.mode & 0o7777) as u16,
            uid: header.uid,
            gid: header.gid,
            ino: header.ino,
            nlink: header.nlink,
            mtime: header.mtime,
            content_offset,
        });
        at = aligned(content_offset + size);
    }
}

/// Numbers of a header that mean something to us.
struct Header {
    ino: u32,
    mode: u32,
    uid: u32,
    gid: u32,
    nlink: u32,
    mtime: u32,
    size: u32,
    device: (u32, u32),
    name_size: u32,
}

impl Header {
    fn read(view: &View, at: usize) -> Result<Self> {
        let header = view.sub(at, HEADER_BYTES, "cpio header")?;
        header.expect(0, MAGIC, "magic of a cpio header")?;
        let number = |offset: usize| -> Result<u32> {
            let digits = header.take(offset, 8, "number")?;
            let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
            text.and_then(|text| u32::from_str_radix(text, 16).ok()).with_context(|| {
                format!(
                    "number in a cpio header at byte {}: expected 8 hexadecimal digits, found \"{}\"",
                    header.offset(offset),
                    digits.escape_ascii()
                )
            })
        };
        Ok(Self {
            ino: number(6)?,
            mode: number(14)?,
            uid: number(22)?,
            gid: number(30)?,
            nlink: number(38)?,
            mtime: number(46)?,
            size: number(54)?,
            device: (number(78)?, number(86)?),
            name_size: number(94)?,
        })
    }

    fn kind(&self, content: Bytes) -> Result<Kind> {
        let (major, minor) = self.device;
        let kind = match self.mode & super::TYPE_MASK {
            TYPE_FILE => return Ok(Kind::File(content)),
            TYPE_LINK => {
                ensure!((1..PATH_MAX).contains(&content.len()), "link target of {} bytes", content.len());
                return Ok(Kind::Symlink(content.to_vec()));
            }
            TYPE_DIR => Kind::Directory,
            TYPE_CHAR => Kind::CharDevice(major, minor),
            TYPE_BLOCK => Kind::BlockDevice(major, minor),
            TYPE_FIFO => Kind::Fifo,
            _ => bail!("unknown type in mode 0o{:o}", self.mode),
        };
        ensure!(content.is_empty(), "{} bytes of content in something that is no file", content.len());
        Ok(kind)
    }
}
