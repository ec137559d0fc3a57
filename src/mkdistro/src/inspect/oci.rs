//! Container images as `mkdistro build --format oci` writes them, and the layers in them: tar archives.

use std::io::Read;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use tar::{Archive, EntryType};

use super::layer::{Content, Entry, EntryKind, Layer};
use super::{Format, MAX_UNPACKED_BYTES};

const BLOCK_BYTES: u64 = 512;
/// "ustar" stands at this place of a header (POSIX.1-2017, pax(1p)).
const MAGIC: std::ops::Range<usize> = 257..262;
/// The prefix of PAX records that are extended attributes.
const XATTR: &str = "SCHILY.xattr.";

/// An OCI layout in a tar, with the mark of a layout first.
pub(super) fn is_image(bytes: &[u8]) -> bool {
    bytes.starts_with(b"oci-layout\0") && bytes.get(MAGIC) == Some(b"ustar")
}

/// A tar that is compressed by gzip.
pub(super) fn is_layer(bytes: &[u8]) -> bool {
    let mut header = Vec::new();
    bytes.starts_with(&[0x1f, 0x8b])
        && MultiGzDecoder::new(bytes).take(BLOCK_BYTES).read_to_end(&mut header).is_ok()
        && header.get(MAGIC) == Some(b"ustar")
}

pub(super) fn image(bytes: &Bytes) -> Result<Layer> {
    let mut layer = Layer::new(Format::Oci);
    entries(&mut layer, bytes)?;
    Ok(layer)
}

pub(super) fn layer(bytes: &Bytes) -> Result<Layer> {
    let mut archive = Vec::new();
    MultiGzDecoder::new(&bytes[..]).take(MAX_UNPACKED_BYTES + 1).read_to_end(&mut archive).context("unpacking it")?;
    ensure!(archive.len() as u64 <= MAX_UNPACKED_BYTES, "it has more than {MAX_UNPACKED_BYTES} bytes unpacked");
    let mut layer = Layer::new(Format::OciLayer);
    layer.fact("compression", "gzip");
    let time = entries(&mut layer, &archive.into())?;
    layer.fact("time", time);
    Ok(layer)
}

/// Adds the entries of an archive; the time of the first.
fn entries(layer: &mut Layer, archive: &Bytes) -> Result<u64> {
    let mut time = None;
    let mut reader = Archive::new(&archive[..]);
    for found in reader.entries()? {
        let mut found = found.context("reading the archive")?;
        let path = found.path_bytes().into_owned();
        let mut xattrs = std::collections::BTreeMap::new();
        for record in found.pax_extensions()?.into_iter().flatten() {
            let record = record?;
            if let Some(name) = record.key().ok().and_then(|key| key.strip_prefix(XATTR)) {
                xattrs.insert(name.as_bytes().to_vec(), record.value_bytes().to_vec());
            }
        }
        let header = found.header();
        let device = || -> Result<(u32, u32)> {
            let number = |found: std::io::Result<Option<u32>>| Ok::<_, std::io::Error>(found?.unwrap_or_default());
            Ok((number(header.device_major())?, number(header.device_minor())?))
        };
        let kind = match header.entry_type() {
            EntryType::Directory => EntryKind::Directory,
            EntryType::Symlink => EntryKind::Symlink(found.link_name_bytes().unwrap_or_default().into_owned()),
            EntryType::Char => device().map(|(major, minor)| EntryKind::CharDevice(major, minor))?,
            EntryType::Block => device().map(|(major, minor)| EntryKind::BlockDevice(major, minor))?,
            EntryType::Fifo => EntryKind::Fifo,
            EntryType::Regular => EntryKind::File,
            other => anyhow::bail!("{}: an entry of type {other:?}", String::from_utf8_lossy(&path)),
        };
        time = time.or(Some(header.mtime()?));
        let id = |id: u64| u32::try_from(id).context("an owner beyond 32 bits");
        let (mode, uid, gid) = ((header.mode()? & 0o7777) as u16, id(header.uid()?)?, id(header.gid()?)?);
        let size_bytes = found.size();
        let content = match kind {
            EntryKind::File => {
                let start = usize::try_from(found.raw_file_position()).context("an archive that is too large")?;
                let end = start.saturating_add(usize::try_from(size_bytes).context("a file that is too large")?);
                ensure!(end <= archive.len(), "{} is cut off", String::from_utf8_lossy(&path));
                Content::Held(archive.slice(start..end))
            }
            _ => Content::None,
        };
        let entry = Entry { kind, mode, uid, gid, size_bytes, stored_bytes: None, xattrs: Arc::new(xattrs) };
        layer.insert(&path, entry, content);
    }
    Ok(time.unwrap_or_default())
}
