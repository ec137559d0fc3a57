//! The layer of the container image: the root as a tar, without what is the kernel's, compressed as every engine takes it.
//!
//! tar: POSIX.1-2017, pax(1p), with GNU's long names; extended attributes as PAX records `SCHILY.xattr.NAME`, as in other
//! images. Hard links are copies. The same tree and time give the same bytes.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use formats::tree::{Kind, Node, Tree, show};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use crate::fetch::hex;
use crate::hashing::Hashing;
use crate::root::RootTree;
use crate::sbom;

/// What only the machine's own kernel uses.
const OF_KERNEL: [&[u8]; 3] = [b"usr/lib/modules", b"usr/lib/firmware", b"boot"];
/// What a container's manager writes, or mounts a file over. In the root the first one is a link to below `/run`, which
/// would be mounted over in turn.
const MANAGERS: [&str; 3] = ["etc/resolv.conf", "etc/hosts", "etc/hostname"];

/// sha256 of the archive and of what it is compressed to, hex.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) diff_id: String,
    pub(super) digest: String,
}

/// Whether a path of the root, without a leading `/`, is there for the kernel alone.
pub fn is_of_kernel(path: &[u8]) -> bool {
    OF_KERNEL.iter().any(|folder| path.strip_prefix(*folder).is_some_and(|rest| rest.is_empty() || rest[0] == b'/'))
}

/// The files of the layer.
pub(super) fn tree(root: &RootTree) -> Result<Tree> {
    let mut tree = root.tree.clone();
    OF_KERNEL.iter().for_each(|folder| tree.remove(folder));
    let devices: Vec<Vec<u8>> =
        tree.iter().map(|(path, _)| path.to_vec()).filter(|path| path.starts_with(b"dev/")).collect();
    devices.iter().for_each(|path| tree.remove(path));
    let origin: Arc<str> = Arc::from("mkdistro");
    let mut put = |path: &str, content: Bytes| {
        // A link there is not followed, but replaced.
        tree.remove(path.as_bytes());
        let node = Node::new(Kind::File(content), 0o644, &origin);
        tree.insert(path.as_bytes(), node)
            .map(drop)
            .map_err(|reason| anyhow!("putting {path} into the layer: {reason}"))
    };
    for path in MANAGERS {
        let is_file = root.tree.get(path.as_bytes()).is_some_and(|node| node.content().is_some());
        if !is_file {
            put(path, Bytes::new())?;
        }
    }
    match &root.container_bill {
        Some(bill) => put(sbom::ROOT_PATH.trim_start_matches('/'), bill.clone())?,
        None => tree.remove(sbom::ROOT_PATH.as_bytes()),
    }
    Ok(tree)
}

/// Writes the layer. `quick`: fast instead of small.
pub(super) fn write(tree: &Tree, mtime: u32, quick: bool, out: impl Write) -> Result<Ids> {
    let level = if quick { Compression::fast() } else { Compression::best() };
    let compressed = GzEncoder::new(Hashing::new(out, Sha256::new()), level);
    let mut archive = Builder::new(Hashing::new(compressed, Sha256::new()));
    for (path, node) in tree.iter().filter(|(path, _)| !path.is_empty()) {
        append(&mut archive, path, node, mtime).with_context(|| format!("writing {} into the layer", show(path)))?;
    }
    let (compressed, diff_id) = archive.into_inner()?.finish();
    let (mut out, digest) = compressed.finish()?.finish();
    out.flush()?;
    Ok(Ids { diff_id: hex(diff_id), digest: hex(digest) })
}

fn append(archive: &mut Builder<impl Write>, path: &[u8], node: &Node, mtime: u32) -> Result<()> {
    if !node.xattrs.is_empty() {
        let records: Vec<(String, &[u8])> = node
            .xattrs
            .iter()
            .map(|(name, value)| (format!("SCHILY.xattr.{}", String::from_utf8_lossy(name)), value.as_slice()))
            .collect();
        archive.append_pax_extensions(records.iter().map(|(name, value)| (name.as_str(), *value)))?;
    }
    let mut header = Header::new_gnu();
    header.set_mode(node.mode.into());
    header.set_uid(node.uid.into());
    header.set_gid(node.gid.into());
    header.set_mtime(node.mtime.unwrap_or(mtime).into());
    header.set_size(0);
    let mut content: &[u8] = &[];
    let device = |header: &mut Header, kind, major, minor| {
        header.set_entry_type(kind);
        header.set_device_major(major)?;
        header.set_device_minor(minor)
    };
    match &node.kind {
        Kind::Directory => header.set_entry_type(EntryType::Directory),
        Kind::File(bytes) => {
            header.set_entry_type(EntryType::Regular);
            header.set_size(bytes.len() as u64);
            content = bytes;
        }
        Kind::Symlink(target) => {
            header.set_entry_type(EntryType::Symlink);
            // As it is: a path would lose doubled slashes and dots.
            if header.set_link_name_literal(target).is_err() {
                return Ok(archive.append_link(&mut header, file_path(path), file_path(target))?);
            }
        }
        Kind::CharDevice(major, minor) => device(&mut header, EntryType::Char, *major, *minor)?,
        Kind::BlockDevice(major, minor) => device(&mut header, EntryType::Block, *major, *minor)?,
        Kind::Fifo => header.set_entry_type(EntryType::Fifo),
    }
    let folder = [path, b"/"].concat();
    let path = if node.kind == Kind::Directory { &folder } else { path };
    Ok(archive.append_data(&mut header, file_path(path), content)?)
}

fn file_path(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}
