//! Looks into an image: its parts, the root it carries, and what each file takes of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use formats::squashfs::read as squashfs;
use formats::tree::{Kind, Tree};
use formats::{cpio, iso9660};
use sha2::{Digest, Sha256};

use super::bill::{self, Bill};
use super::contents::StoredBytes;
use super::data::{ImageFile, Part};
use crate::fetch::hex;
use crate::image::is_loader;
use crate::inspect;

/// Most that is unpacked of an image.
const MAX_UNPACKED_BYTES: u64 = 4 << 30;
/// First bytes of a SquashFS.
const SQUASHFS_MAGIC: &[u8] = b"hsqs";

/// An image that has been read.
pub struct Opened {
    /// The file and its parts.
    pub(super) file: ImageFile,
    /// Name and version that it gives itself, if it does.
    pub(super) identity: Option<(String, String)>,
    /// Size of the kernel.
    pub(super) kernel_bytes: u64,
    /// The root.
    pub(super) tree: Tree,
    /// What each file of the root takes.
    pub(super) stored: StoredBytes,
    /// What it says of itself.
    pub(super) bill: Option<Bill>,
}

impl Opened {
    /// Reads an ISO, an initramfs or a bare SquashFS.
    ///
    /// # Errors
    /// If it is none of these, damaged, or has no SquashFS in it.
    pub fn read(path: &Path) -> Result<Self> {
        let context = || format!("reading {}", path.display());
        let bytes = std::fs::read(path).map(Bytes::from).with_context(context)?;
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Self::parse(name, &bytes).with_context(context)
    }

    fn parse(name: String, bytes: &Bytes) -> Result<Self> {
        if inspect::recognise(bytes) == Some(inspect::Format::Oci) {
            bail!(
                "it is a container image, whose layer is compressed as a whole\nhint: \"mkdistro inspect\" tells what is in it"
            );
        }
        let mut layers = Layers::default();
        if bytes.starts_with(SQUASHFS_MAGIC) {
            layers.root = Some(bytes.clone());
        } else if bytes.starts_with(b"070701") {
            layers.add_initramfs(bytes)?;
        } else {
            layers.add_iso(bytes)?;
        }
        let Some(root) = layers.root.clone() else { bail!("it has no root: no SquashFS is in its initramfs") };
        let image = squashfs::Image::open(&root).context("reading its root")?;
        let entries = image.entries().context("reading its root")?;
        let stored: StoredBytes = entries
            .iter()
            .map(|entry| (entry.path.clone(), if entry.is_copy { 0 } else { entry.stored_bytes }))
            .collect();
        let tree = image.tree(MAX_UNPACKED_BYTES, &Arc::from("unknown")).context("unpacking its root")?;
        let root_bytes = root.len() as u64;
        let file = ImageFile {
            name,
            bytes: bytes.len() as u64,
            sha256: hex(Sha256::new_with_prefix(bytes)),
            compression: image.info().compression.to_owned(),
            parts: layers.parts(bytes.len() as u64),
            root_bytes,
            root_overhead_bytes: root_bytes - stored.values().sum::<u64>().min(root_bytes),
        };
        let Layers { identity, kernel_bytes, bill, .. } = layers;
        Ok(Self { file, identity, kernel_bytes, tree, stored, bill })
    }

    /// Bytes before compression of everything in the root.
    pub(super) fn unpacked_bytes(&self) -> u64 {
        self.tree.iter().filter_map(|(_, node)| node.content()).map(|content| content.len() as u64).sum()
    }
}

/// What has been found on the way in.
#[derive(Default)]
struct Layers {
    root: Option<Bytes>,
    identity: Option<(String, String)>,
    kernel_bytes: u64,
    initramfs_bytes: u64,
    loader_bytes: u64,
    bill: Option<Bill>,
}

impl Layers {
    fn add_iso(&mut self, bytes: &Bytes) -> Result<()> {
        let iso = iso9660::read(bytes).context("reading it as an ISO")?;
        self.identity = iso.application_id.split_once(' ').map(|(name, version)| (name.into(), version.into()));
        for entry in &iso.entries {
            let Kind::File(content) = &entry.kind else { continue };
            match entry.path.as_slice() {
                b"boot/vmlinuz" => self.kernel_bytes = content.len() as u64,
                b"boot/initrd.img" => self.add_initramfs(content).context("reading /boot/initrd.img")?,
                path if is_loader(path) => self.loader_bytes += content.len() as u64,
                bill::PATH => self.bill = Some(Bill::unpack(content)?),
                _ if content.starts_with(SQUASHFS_MAGIC) => self.root = Some(content.clone()),
                _ => {}
            }
        }
        Ok(())
    }

    fn add_initramfs(&mut self, bytes: &Bytes) -> Result<()> {
        self.initramfs_bytes = bytes.len() as u64;
        for entry in cpio::segments(bytes, MAX_UNPACKED_BYTES)?.iter().flat_map(|segment| &segment.entries) {
            if let Kind::File(content) = &entry.kind
                && content.starts_with(SQUASHFS_MAGIC)
            {
                self.root = Some(content.clone());
            }
        }
        Ok(())
    }

    /// The parts of a file of `total` bytes, largest first.
    fn parts(&self, total: u64) -> Vec<Part> {
        let root = self.root.as_ref().map_or(0, |root| root.len() as u64);
        let initramfs = self.initramfs_bytes.saturating_sub(root);
        // An ESP may hold kernel and initramfs, or not.
        let inside = self.initramfs_bytes + self.kernel_bytes;
        let loader = if self.loader_bytes > inside { self.loader_bytes - inside } else { self.loader_bytes };
        let rest = total.saturating_sub(root + initramfs + self.kernel_bytes + loader);
        let parts = [
            ("root (SquashFS)", root),
            ("kernel", self.kernel_bytes),
            ("rest of the initramfs", initramfs),
            ("boot loaders", loader),
            ("rest of the ISO", rest),
        ];
        let mut parts: Vec<Part> = parts
            .into_iter()
            .filter(|(_, bytes)| *bytes > 0)
            .map(|(name, bytes)| Part { name: name.into(), bytes })
            .collect();
        parts.sort_by_key(|part| std::cmp::Reverse(part.bytes));
        parts
    }
}

/// What the files of `tree` take in an image that may be of another build: as it says where the contents are the same,
/// else as much as its files take on average. The number of the latter.
pub(super) fn stored_for(tree: &Tree, image: &Opened) -> (StoredBytes, usize) {
    let unpacked = image.unpacked_bytes().max(1) as f64;
    let ratio = image.stored.values().sum::<u64>() as f64 / unpacked;
    let mut estimated = 0;
    let mut stored = BTreeMap::new();
    for (path, node) in tree.iter() {
        let Some(content) = node.content() else { continue };
        let same = image.tree.get(path).and_then(|other| other.content()) == Some(content);
        let bytes = image.stored.get(path).filter(|_| same).copied().unwrap_or_else(|| {
            estimated += 1;
            (content.len() as f64 * ratio) as u64
        });
        stored.insert(path.to_vec(), bytes);
    }
    (stored, estimated)
}
