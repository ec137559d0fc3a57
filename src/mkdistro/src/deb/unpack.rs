//! `data.tar` to a [`Tree`]: ustar, GNU and PAX headers (the `tar` crate joins their long names), hard links as entries
//! that share one buffer, extended attributes from PAX records `SCHILY.xattr.NAME`.
//!
//! Paths lead nowhere but into the tree: absolute ones and `..` are refused. Top-level `bin`, `sbin` and `lib*` become
//! `usr/bin` and so on, as on every Debian since trixie; the links `/bin` … are the root's business, not a package's.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use formats::tree::{Kind, Node, Tree, clean, show, split};
use tar::EntryType;

/// Upper bound of one file.
const MAX_FILE_BYTES: u64 = 2 << 30;
/// Content is read into a buffer of the declared size, but never more than this before the first byte came.
const MAX_PREALLOCATION: u64 = 16 << 20;
/// Folders of the root that trixie's packages have below `usr` (base-files of trixie, `usr-is-merged`).
pub(crate) const MERGED: [&[u8]; 6] = [b"bin", b"sbin", b"lib", b"lib32", b"lib64", b"libx32"];

/// Reads a `data.tar`; `archive` starts a new pass over its bytes.
pub(super) fn tree<'a>(
    archive: &dyn Fn() -> Result<Box<dyn Read + 'a>>,
    origin: &Arc<str>,
    keep: &dyn Fn(&[u8]) -> bool,
) -> Result<Tree> {
    let missed = RefCell::new(BTreeSet::new());
    let tree = pass(archive()?, origin, keep, &missed)?;
    let missed = missed.into_inner();
    if missed.is_empty() {
        return Ok(tree);
    }
    // A kept hard link to a file that was not kept: its content has gone by, so read once more.
    let again = RefCell::new(BTreeSet::new());
    let mut tree = pass(archive()?, origin, &|path| missed.contains(path) || keep(path), &again)?;
    if let Some(path) = again.into_inner().first() {
        bail!("hard link to {}, which is no file of the package", show(path));
    }
    missed.iter().filter(|path| !keep(path)).for_each(|path| tree.remove(path));
    Ok(tree)
}

fn pass(
    archive: Box<dyn Read + '_>,
    origin: &Arc<str>,
    keep: &dyn Fn(&[u8]) -> bool,
    missed: &RefCell<BTreeSet<Vec<u8>>>,
) -> Result<Tree> {
    let mut archive = tar::Archive::new(archive);
    let mut tree = Tree::new();
    for entry in archive.entries().context("reading the tar archive")? {
        let mut entry = entry.context("reading the tar archive")?;
        let raw = entry.path_bytes().into_owned();
        let Some(path) = tree_path(&raw)? else { continue };
        if !keep(&path) {
            continue;
        }
        let kind = match entry.header().entry_type() {
            EntryType::Link => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                let target = tree_path(&target)?.unwrap_or_default();
                match tree.get(&target) {
                    Some(node) if node.content().is_some() => {
                        let node = node.clone();
                        tree.insert(&path, node).map_err(anyhow::Error::msg)?;
                    }
                    _ => drop(missed.borrow_mut().insert(target)),
                }
                continue;
            }
            _ => kind(&mut entry, &raw, &path).with_context(|| format!("reading {}", show(&raw)))?,
        };
        let node = node(&mut entry, kind, origin).with_context(|| format!("reading {}", show(&raw)))?;
        tree.insert(&path, node).map_err(anyhow::Error::msg)?;
    }
    // To the end of the stream, where compressed formats have their checksum.
    io::copy(&mut archive.into_inner(), &mut io::sink()).context("reading the end of the archive")?;
    Ok(tree)
}

/// Where an entry goes; None for the root itself and the links of a merged `/usr`.
fn tree_path(raw: &[u8]) -> Result<Option<Vec<u8>>> {
    ensure!(!raw.starts_with(b"/"), "the path {} is absolute", show(&raw[1..]));
    ensure!(raw.split(|&byte| byte == b'/').all(|part| part != b".."), "the path {} has a .. in it", show(raw));
    ensure!(!raw.contains(&0), "the path {} has a NUL in it", show(raw));
    let path = clean(raw);
    if path.is_empty() || MERGED.contains(&path.as_slice()) {
        return Ok(None);
    }
    Ok(Some(if is_merged(&path) { [b"usr/", path.as_slice()].concat() } else { path }))
}

fn is_merged(path: &[u8]) -> bool {
    path.split(|&byte| byte == b'/').next().is_some_and(|top| MERGED.contains(&top))
}

fn kind(entry: &mut tar::Entry<'_, impl Read>, raw: &[u8], path: &[u8]) -> Result<Kind> {
    let device = |entry: &tar::Entry<'_, _>| -> Result<(u32, u32)> {
        let header = entry.header();
        let numbers = header.device_major()?.zip(header.device_minor()?);
        numbers.context("a device without numbers")
    };
    Ok(match entry.header().entry_type() {
        EntryType::Regular | EntryType::Continuous => Kind::File(content(entry)?),
        EntryType::Directory => Kind::Directory,
        EntryType::Symlink => {
            let target = entry.link_name_bytes().context("a symbolic link without target")?.into_owned();
            ensure!(!target.is_empty(), "a symbolic link without target");
            Kind::Symlink(moved_target(&clean(raw), path, target))
        }
        EntryType::Char => device(entry).map(|(major, minor)| Kind::CharDevice(major, minor))?,
        EntryType::Block => device(entry).map(|(major, minor)| Kind::BlockDevice(major, minor))?,
        EntryType::Fifo => Kind::Fifo,
        other => bail!("entries of type {other:?} are not supported"),
    })
}

/// A relative link that left its top-level folder would be wrong one folder deeper: it becomes absolute.
fn moved_target(raw: &[u8], path: &[u8], target: Vec<u8>) -> Vec<u8> {
    if raw == path || target.starts_with(b"/") {
        return target;
    }
    let mut parts: Vec<&[u8]> = split(raw).0.split(|&byte| byte == b'/').collect();
    let mut leaves = false;
    for part in target.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".") {
        if part == b".." {
            parts.pop();
            leaves |= parts.is_empty();
        } else {
            parts.push(part);
        }
    }
    if leaves { [b"/", parts.join(&b'/').as_slice()].concat() } else { target }
}

fn content(entry: &mut tar::Entry<'_, impl Read>) -> Result<Bytes> {
    let size = entry.size();
    ensure!(size <= MAX_FILE_BYTES, "{size} bytes, more than the allowed {MAX_FILE_BYTES}");
    let mut buffer = Vec::with_capacity(size.min(MAX_PREALLOCATION) as usize);
    entry.take(size).read_to_end(&mut buffer)?;
    ensure!(buffer.len() as u64 == size, "expected {size} bytes, found {}", buffer.len());
    Ok(buffer.into())
}

fn node(entry: &mut tar::Entry<'_, impl Read>, kind: Kind, origin: &Arc<str>) -> Result<Node> {
    let header = entry.header();
    let mode = (header.mode()? & 0o7777) as u16;
    let uid = u32::try_from(header.uid()?).context("its owner")?;
    let gid = u32::try_from(header.gid()?).context("its group")?;
    let mut xattrs = BTreeMap::new();
    if let Some(extensions) = entry.pax_extensions()? {
        for extension in extensions {
            let extension = extension?;
            if let Some(name) = extension.key_bytes().strip_prefix(b"SCHILY.xattr.") {
                xattrs.insert(name.to_vec(), extension.value_bytes().to_vec());
            }
        }
    }
    Ok(Node { uid, gid, xattrs, ..Node::new(kind, mode, origin) })
}
