//! Layers that hold files, over the readers of their formats.

use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use formats::{cpio, iso9660, squashfs};

use super::layer::{Content, Entry, Layer, Xattrs, split_kind};
use super::{Format, MAX_UNPACKED_BYTES, boot};
use crate::deb;

pub(super) fn iso(bytes: &Bytes) -> Result<Layer> {
    let image = iso9660::read(bytes)?;
    let mut layer = Layer::new(Format::Iso);
    layer.fact("volume-id", &image.volume_id);
    let texts = [
        ("volume-set-id", &image.volume_set_id),
        ("application", &image.application_id),
        ("publisher", &image.publisher),
    ];
    for (name, value) in texts {
        if !value.is_empty() {
            layer.fact(name, value);
        }
    }
    layer.fact("created", date(&image.created));
    for text in boot::el_torito(&image) {
        layer.fact("el-torito", text);
    }
    if let Some(text) = boot::mbr(bytes) {
        layer.fact("mbr", text);
    }
    for text in boot::partitions(bytes)? {
        layer.fact("partition", text);
    }
    for found in image.entries {
        let (kind, content) = split_kind(&found.kind);
        let size_bytes = if matches!(content, Content::Held(_)) { found.size.into() } else { 0 };
        let (mode, uid, gid) = (found.mode, found.uid, found.gid);
        let entry = Entry { kind, mode, uid, gid, size_bytes, stored_bytes: None, xattrs: Xattrs::default() };
        layer.insert(&found.path, entry, content);
    }
    Ok(layer)
}

/// `YYYYMMDDhhmmsscc` of a volume descriptor, in UTC.
fn date(digits: &str) -> String {
    match digits.is_ascii().then(|| (digits.get(..8), digits.get(8..14))) {
        Some((Some(day), Some(time))) => {
            format!("{}-{}-{} {}:{}:{}", &day[..4], &day[4..6], &day[6..], &time[..2], &time[2..4], &time[4..])
        }
        _ => digits.to_string(),
    }
}

pub(super) fn initramfs(bytes: &Bytes) -> Result<Layer> {
    let mut layer = Layer::new(Format::Initramfs);
    for segment in cpio::segments(bytes, MAX_UNPACKED_BYTES)? {
        let [stored, name] = [segment.stored_bytes.to_string(), segment.compression.name().to_string()];
        let entries = segment.entries.len();
        layer.fact("archive", format!("{entries} entries in {stored} bytes, compression {name}"));
        for found in segment.entries {
            let (kind, content) = split_kind(&found.kind);
            let size_bytes = match &content {
                Content::Held(bytes) => bytes.len() as u64,
                _ => 0,
            };
            let (mode, uid, gid) = (found.mode, found.uid, found.gid);
            let entry = Entry { kind, mode, uid, gid, size_bytes, stored_bytes: None, xattrs: Xattrs::default() };
            layer.insert(&found.path, entry, content);
        }
    }
    Ok(layer)
}

pub(super) fn squashfs(bytes: &Bytes) -> Result<Layer> {
    let image = squashfs::read::Image::open(bytes)?;
    let mut layer = Layer::new(Format::Squashfs);
    let info = image.info();
    layer.fact("compression", info.compression);
    layer.fact("block-size", info.block_size);
    layer.fact("time", info.mtime);
    for found in image.entries()? {
        let stored_bytes = (found.kind == squashfs::read::EntryKind::File).then_some(found.stored_bytes);
        let entry = Entry {
            kind: found.kind.clone(),
            mode: found.mode,
            uid: found.uid,
            gid: found.gid,
            size_bytes: found.size_bytes,
            stored_bytes,
            xattrs: Arc::clone(&found.xattrs),
        };
        let path = found.path.clone();
        layer.insert(&path, entry, Content::Packed(found));
    }
    layer.keep(image);
    Ok(layer)
}

/// Paths are as the builder takes them: `bin`, `sbin` and `lib*` below `usr`.
pub(super) fn deb(bytes: &Bytes) -> Result<Layer> {
    let package = deb::read(bytes, &Arc::from("package"), &|_| true)?;
    let mut layer = Layer::new(Format::Deb);
    let control = package.control;
    layer.fact("package", control.package);
    layer.fact("version", control.version);
    layer.fact("architecture", control.architecture);
    layer.fact("source", format!("{} ({})", control.source, control.source_version));
    for (path, node) in package.tree.iter() {
        let (entry, content) = Entry::of(node);
        layer.insert(path, entry, content);
    }
    Ok(layer)
}
