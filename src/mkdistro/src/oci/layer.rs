//! A layer: a tar archive of what it adds to those below, as files the kernel's overlayfs takes for a lower folder.
//!
//! What it takes away is told by names in the archive (OCI image specification, "Whiteouts") and by devices and attributes on
//! disk (Linux `Documentation/filesystems/overlayfs.rst`): `.wh.NAME` becomes a character device 0:0 called `NAME`, and
//! `.wh..wh..opq` the attribute "opaque" of its folder, once for root's mounts (`trusted.`) and once for those of users
//! (`user.`, mount option `userxattr`). Extended attributes come from PAX records `SCHILY.xattr.NAME`, hard links share a
//! number ([`Node::link`]), every file has its own time.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use formats::tree::{Kind, Node, Tree, clean, show, split};
use sha2::{Digest, Sha256};
use tar::EntryType;

use super::tar_split::TarSplit;
use crate::cache::{self, Store};
use crate::fetch::hex;

const WHITEOUT: &[u8] = b".wh.";
/// aufs' own files, among them [`OPAQUE`].
const META: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Attributes of an opaque folder, value `y`.
const OPAQUE_ATTRIBUTES: [&[u8]; 2] = [b"trusted.overlay.opaque", b"user.overlay.opaque"];
/// What overlayfs would take for its own.
const PRIVATE: [&[u8]; 2] = [b"trusted.overlay.", b"user.overlay."];

/// A layer's files.
pub(super) struct Layer {
    /// They; the root is the layer's.
    pub(super) tree: Tree,
    /// Whether the archive has an entry for the root.
    pub(super) has_root: bool,
    /// Folders that the archive has no entry for.
    pub(super) implied: BTreeSet<Vec<u8>>,
    /// Owners and groups of the files.
    pub(super) uids: BTreeSet<u32>,
    pub(super) gids: BTreeSet<u32>,
    /// Size of the uncompressed archive.
    pub(super) size: u64,
    /// How the archive is made again of the files; gzip.
    pub(super) tar_split: Bytes,
}

/// How a blob is compressed, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    fn of(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            // A frame, or a skippable one, which zstd:chunked begins with at times.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }

    /// Its number in `layers.json` (`Compression` of containers/storage's package archive).
    pub(super) fn number(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Gzip => 2,
            Self::Zstd => 4,
        }
    }
}

/// How a blob is compressed.
pub(super) fn compression(blob: &Path) -> Result<Compression> {
    let mut start = [0; 4];
    let mut file = std::fs::File::open(blob).with_context(|| format!("opening {}", blob.display()))?;
    let count = file.read(&mut start).with_context(|| format!("reading {}", blob.display()))?;
    Ok(Compression::of(&start[..count]))
}

/// The uncompressed archive of a blob whose sha256 (the diff id) is known; mapped, and kept for the next build.
pub(super) fn archive(blob: &Path, diff_id: &str, store: &Store) -> Result<Bytes> {
    let key = cache::key(&[b"layer", diff_id.as_bytes()]);
    if let Some(bytes) = store.map(cache::Kind::Unpacked, &key) {
        return Ok(bytes);
    }
    let unpack = |out: &mut dyn Write| -> io::Result<String> {
        let file = io::BufReader::with_capacity(1 << 20, std::fs::File::open(blob)?);
        let mut reader: Box<dyn Read> = match compression(blob).map_err(io::Error::other)? {
            Compression::None => Box::new(file),
            Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(file)),
            Compression::Zstd => Box::new(zstd::Decoder::with_buffer(file)?),
        };
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 256 << 10];
        loop {
            let count = reader.read(&mut buffer)?;
            if count == 0 {
                return Ok(hex(hash));
            }
            hash.update(&buffer[..count]);
            out.write_all(&buffer[..count])?;
        }
    };
    let mut found = Ok(String::new());
    let kept = store.keep(cache::Kind::Unpacked, &key, |out| {
        found = unpack(out);
        match &found {
            Ok(sha256) if sha256 == diff_id => Ok(()),
            _ => Err(io::Error::other("another archive")),
        }
    });
    if let Some(bytes) = kept.and_then(|()| store.map(cache::Kind::Unpacked, &key)) {
        return Ok(bytes);
    }
    // A store that cannot keep it, or a blob that is not what its image says.
    let mut bytes = Vec::new();
    let sha256 = unpack(&mut bytes).context("unpacking the layer")?;
    ensure!(sha256 == diff_id, "the unpacked layer has the sha256 {sha256}, its image says {diff_id}");
    Ok(bytes.into())
}

/// Reads an archive. `links` is the last number of a hard link, over all layers.
pub(super) fn read(archive: &Bytes, origin: &Arc<str>, links: &mut u32) -> Result<Layer> {
    let mut reading = Reading {
        archive,
        origin,
        layer: Layer {
            tree: Tree::new(),
            has_root: false,
            implied: BTreeSet::new(),
            uids: BTreeSet::new(),
            gids: BTreeSet::new(),
            size: archive.len() as u64,
            tar_split: Bytes::new(),
        },
        opaque: BTreeSet::new(),
        split: TarSplit::new(archive),
    };
    let mut tar = tar::Archive::new(io::Cursor::new(archive.as_ref()));
    for entry in tar.entries().context("reading the layer")? {
        let mut entry = entry.context("reading the layer")?;
        let raw = entry.path_bytes().into_owned();
        reading
            .entry(&mut entry, &raw, links)
            .with_context(|| format!("reading {} of the layer", show(&clean(&raw))))?;
    }
    let Reading { mut layer, opaque, split, .. } = reading;
    for folder in opaque {
        if let Some(node) = layer.tree.get_mut(&folder).filter(|node| node.kind == Kind::Directory) {
            node.xattrs.extend(OPAQUE_ATTRIBUTES.map(|name| (name.to_vec(), b"y".to_vec())));
        }
    }
    let tree = &layer.tree;
    layer.tar_split = split.finish(&|path| tree.get(path).and_then(Node::content).cloned()).into();
    Ok(layer)
}

/// A header's number; a field that nobody filled is 0 to other readers.
fn number(field: &[u8], read: io::Result<u64>) -> io::Result<u64> {
    if field.iter().all(|byte| matches!(byte, 0 | b' ')) { Ok(0) } else { read }
}

struct Reading<'a> {
    archive: &'a Bytes,
    origin: &'a Arc<str>,
    layer: Layer,
    opaque: BTreeSet<Vec<u8>>,
    split: TarSplit<'a>,
}

type Entry<'a> = tar::Entry<'a, io::Cursor<&'a [u8]>>;

impl Reading<'_> {
    fn entry(&mut self, entry: &mut Entry<'_>, raw: &[u8], links: &mut u32) -> Result<()> {
        let kind = entry.header().entry_type();
        if kind.is_pax_global_extensions() {
            return Ok(());
        }
        ensure!(raw.split(|&byte| byte == b'/').all(|part| part != b".."), "the path has a .. in it");
        ensure!(!raw.contains(&0), "the path has a NUL in it");
        let path = clean(raw);
        let content = match kind {
            EntryType::Regular | EntryType::Continuous => Some(self.content(entry)?),
            EntryType::GNUSparse => {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).context("reading a sparse file")?;
                Some(bytes.into())
            }
            _ => None,
        };
        if let Some(content) = content.as_ref().filter(|_| kind != EntryType::GNUSparse) {
            self.split.file(raw, &path, entry.raw_file_position(), content);
        }
        let (folder, name) = split(&path);
        if name == OPAQUE {
            self.opaque.insert(folder.to_vec());
            self.imply(folder)?;
            return Ok(());
        }
        if name.starts_with(META) {
            return Ok(());
        }
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            ensure!(!hidden.is_empty(), "a whiteout without a name");
            self.imply(folder)?;
            let path = if folder.is_empty() { hidden.to_vec() } else { [folder, b"/", hidden].concat() };
            // A folder that the archive adds, too, takes the place of what it hides.
            match self.layer.tree.get(&path) {
                Some(node) if node.kind == Kind::Directory => drop(self.opaque.insert(path)),
                Some(_) => {}
                None => self.insert(&path, Node::new(Kind::CharDevice(0, 0), 0, self.origin))?,
            }
            return Ok(());
        }
        self.imply(folder)?;
        if kind == EntryType::Link {
            return self.link(entry, &path, links);
        }
        let node = self.node(entry, content)?;
        self.layer.uids.insert(node.uid);
        self.layer.gids.insert(node.gid);
        self.layer.implied.remove(&path);
        if path.is_empty() {
            ensure!(node.kind == Kind::Directory, "the root is no folder");
            self.layer.has_root = true;
        }
        self.insert(&path, node)
    }

    /// A file's content, where it lies in the archive.
    fn content(&self, entry: &Entry<'_>) -> Result<Bytes> {
        let start = usize::try_from(entry.raw_file_position())?;
        let end = usize::try_from(entry.size()).ok().and_then(|size| start.checked_add(size));
        let end = end.filter(|end| *end <= self.archive.len()).context("it goes on behind the end of the layer")?;
        Ok(self.archive.slice(start..end))
    }

    fn node(&self, entry: &mut Entry<'_>, content: Option<Bytes>) -> Result<Node> {
        let header = entry.header();
        let device = || -> Result<(u32, u32)> {
            let numbers = header.device_major()?.zip(header.device_minor()?);
            numbers.context("a device without numbers")
        };
        let kind = match (header.entry_type(), content) {
            (_, Some(content)) => Kind::File(content),
            (EntryType::Directory, _) => Kind::Directory,
            (EntryType::Symlink, _) => {
                let target = entry.link_name_bytes().context("a symbolic link without target")?.into_owned();
                ensure!(!target.is_empty(), "a symbolic link without target");
                Kind::Symlink(target)
            }
            (EntryType::Char, _) => {
                let (major, minor) = device()?;
                ensure!((major, minor) != (0, 0), "a character device 0:0, which would hide the file");
                Kind::CharDevice(major, minor)
            }
            (EntryType::Block, _) => device().map(|(major, minor)| Kind::BlockDevice(major, minor))?,
            (EntryType::Fifo, _) => Kind::Fifo,
            (other, _) => bail!("entries of type {other:?} are not supported"),
        };
        let old = header.as_old();
        let mode = (number(&old.mode, header.mode().map(u64::from))? & 0o7777) as u16;
        let mut node = Node::new(kind, mode, self.origin);
        let (mut uid, mut gid) = (number(&old.uid, header.uid()), number(&old.gid, header.gid()));
        let mut mtime = header.mtime().ok().and_then(|mtime| i64::try_from(mtime).ok()).unwrap_or(0);
        let mut xattrs = BTreeMap::new();
        if let Some(extensions) = entry.pax_extensions()? {
            for extension in extensions {
                let extension = extension?;
                let value = extension.value().unwrap_or_default();
                match extension.key_bytes() {
                    b"uid" => uid = value.parse().map_err(io::Error::other),
                    b"gid" => gid = value.parse().map_err(io::Error::other),
                    b"mtime" => mtime = value.split('.').next().and_then(|text| text.parse().ok()).unwrap_or(mtime),
                    _ => {}
                }
                let Some(name) = extension.key_bytes().strip_prefix(b"SCHILY.xattr.") else { continue };
                let is_known = [&b"user."[..], b"trusted.", b"security."].iter().any(|known| name.starts_with(known));
                if is_known && !PRIVATE.iter().any(|private| name.starts_with(private)) {
                    xattrs.insert(name.to_vec(), extension.value_bytes().to_vec());
                }
            }
        }
        node.uid = u32::try_from(uid?).context("its owner")?;
        node.gid = u32::try_from(gid?).context("its group")?;
        node.xattrs = xattrs;
        node.mtime = Some(u32::try_from(mtime.max(0)).unwrap_or(u32::MAX));
        Ok(node)
    }

    fn link(&mut self, entry: &Entry<'_>, path: &[u8], links: &mut u32) -> Result<()> {
        let target = entry.link_name_bytes().context("a hard link without target")?.into_owned();
        let target = clean(&target);
        let node = self.layer.tree.get_mut(&target).with_context(|| format!("a hard link to {}", show(&target)))?;
        ensure!(node.kind != Kind::Directory, "a hard link to the folder {}", show(&target));
        let number = *node.link.get_or_insert_with(|| {
            *links += 1;
            *links
        });
        let copy = Node { link: Some(number), ..node.clone() };
        self.insert(path, copy)
    }

    /// Makes the folders on the way that are not there, and notes that the archive does not tell of them.
    fn imply(&mut self, folder: &[u8]) -> Result<()> {
        let mut end = 0;
        while end < folder.len() {
            end = folder[end..].iter().position(|&byte| byte == b'/').map_or(folder.len(), |at| end + at);
            let path = &folder[..end];
            match self.layer.tree.get(path).map(|node| &node.kind) {
                Some(Kind::Directory) => {}
                // What is below it goes where it leads.
                Some(Kind::Symlink(_)) => return Ok(()),
                Some(_) => bail!("{} is no folder", show(path)),
                None => {
                    let node = Node::new(Kind::Directory, 0o755, self.origin);
                    self.insert(path, node)?;
                    self.layer.implied.insert(path.to_vec());
                }
            }
            end += 1;
        }
        Ok(())
    }

    /// A later entry of a path replaces an earlier one, with all that is in it unless both are folders.
    fn insert(&mut self, path: &[u8], node: Node) -> Result<()> {
        let old = self.layer.tree.get(path).map(|node| node.kind == Kind::Directory);
        if old == Some(true) && node.kind != Kind::Directory {
            self.layer.tree.remove(path);
        }
        self.layer.tree.insert(path, node).map(drop).map_err(anyhow::Error::msg)
    }
}
