//! The ISO's content: boot loaders, kernel, initramfs.
//!
//! For BIOS isolinux is on the ISO 9660 file system; for UEFI shim and GRUB are in an ESP, a file on it, which is a partition
//! when the image is on a disk. What the ESP holds is shown on the ISO 9660 file system too, without being stored twice: who
//! copies the files to a FAT formatted stick has one that boots.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use formats::fat;
use formats::iso9660::{self, BootEntry, Hybrid, Inside, Platform};
use formats::tree::{Kind, Node, Tree};

use super::compose::{Composed, Finished};
use super::format::Writer;
use super::menu::{self, Menu};
use super::{grub, isolinux, loader};
use crate::config::Checked;
use crate::root::RootTree;

const BIOS_FOLDER: &str = "isolinux";
const BIOS_LOADER: &[u8] = b"isolinux/isolinux.bin";
const ESP: &str = "boot/esp.img";

/// Whether a file of the medium is a boot loader's or one of its parts.
pub fn is_loader(path: &[u8]) -> bool {
    path == ESP.as_bytes() || path.starts_with(BIOS_FOLDER.as_bytes())
}

pub(super) const WRITER: Writer =
    Writer { name: "iso", suffix: "iso", title: "the ISO", rest: "boot loaders and ISO", folders: &[], write };

fn write(composed: &Composed<'_>, path: &Path) -> Result<Vec<Finished>> {
    let plan = plan(composed)?;
    let file = Finished::new(path, |file| {
        let mut out = BufWriter::with_capacity(1 << 20, file);
        plan.write(&mut out)?;
        Ok(out.flush()?)
    })?;
    Ok(vec![file])
}

/// The ISO, ready to be written.
pub(super) fn plan(composed: &Composed<'_>) -> Result<iso9660::Plan> {
    let (checked, root) = (composed.checked, composed.root);
    let mut tree = content(checked, root, composed.initramfs.clone())?;
    let esp = esp(&tree, composed.mtime)?;
    let load_blocks = u16::try_from(esp.image.len() / 512).context("the ESP has 32 MiB or more")?;
    put(&mut tree, ESP, esp.image, &Arc::from("iso"))?;
    let identity = &checked.distro.distro;
    let entry = |platform, path: &[u8], load_blocks| BootEntry {
        platform,
        path: path.to_vec(),
        load_blocks,
        boot_info_table: platform == Platform::Bios,
    };
    let options = iso9660::Options {
        volume_id: checked.distro.volume_id(),
        volume_set_id: root.build_id.clone(),
        publisher: String::new(),
        application_id: format!("{} {}", identity.name, identity.version),
        mtime: composed.mtime,
        boot: vec![entry(Platform::Bios, BIOS_LOADER, 4), entry(Platform::Uefi, ESP.as_bytes(), load_blocks)],
        inside: esp.shared,
        hybrid: Some(Hybrid {
            code: loader::file(&root.packages, isolinux::MBR_CODE)?.0,
            boot_path: BIOS_LOADER.to_vec(),
        }),
    };
    iso9660::plan(&tree, &options).context("planning the ISO")
}

fn content(checked: &Checked, root: &RootTree, initramfs: Bytes) -> Result<Tree> {
    let mut tree = medium(checked, root)?;
    put(&mut tree, menu::INITRAMFS, initramfs, &Arc::from("iso"))?;
    for (path, node) in root.beside.iter() {
        if let Some(content) = node.content() {
            put(&mut tree, &String::from_utf8_lossy(path), content.clone(), &node.origin)?;
        }
    }
    Ok(tree)
}

/// The files of the ISO that are made of packages and the project: kernel, boot loaders and their menus. A node's origin is
/// the package it comes from.
pub fn medium(checked: &Checked, root: &RootTree) -> Result<Tree> {
    let mut tree = Tree::new();
    put(&mut tree, menu::KERNEL, root.kernel.vmlinuz.clone(), &root.kernel.origin)?;
    let menu = Menu::of(checked);
    let menus = [
        (format!("{BIOS_FOLDER}/isolinux.cfg"), isolinux::config(&menu)),
        (grub::CONFIG.to_owned(), grub::config(&menu, &checked.distro.volume_id())),
    ];
    for (path, text) in menus {
        put(&mut tree, &path, text.into(), &Arc::from("boot menu"))?;
    }
    let bios = isolinux::FILES.into_iter().filter(|source| *source != isolinux::MBR_CODE);
    let bios = bios.map(|source| (source, format!("{BIOS_FOLDER}/{}", source.rsplit('/').next().unwrap_or(source))));
    let uefi = grub::FILES.into_iter().map(|(source, target)| (source, target.to_owned()));
    for (source, target) in bios.chain(uefi) {
        let (content, package) = loader::file(&root.packages, source)?;
        put(&mut tree, &target, content, &Arc::from(package))?;
    }
    Ok(tree)
}

/// An EFI system partition.
struct Esp {
    image: Bytes,
    /// The files of the medium that are in it.
    shared: Vec<Inside>,
}

/// The ESP with shim, GRUB and its menu, as they are on the medium.
fn esp(medium: &Tree, mtime: u32) -> Result<Esp> {
    let mut tree = Tree::new();
    let paths: Vec<&str> = grub::FILES.into_iter().map(|(_, target)| target).chain([grub::CONFIG]).collect();
    for path in &paths {
        let content = medium.get(path.as_bytes()).and_then(Node::content);
        let content = content.with_context(|| format!("{path} is not on the medium"))?.clone();
        put(&mut tree, path, content, &Arc::from("esp"))?;
    }
    let options = fat::Options { label: "ESP".into(), mtime, ..fat::Options::default() };
    let plan = fat::plan(&tree, &options).context("planning the ESP")?;
    let mut image = Vec::with_capacity(plan.size_bytes() as usize);
    plan.write(&mut image).context("writing the ESP")?;
    let inside = |path: &str| {
        let path = path.as_bytes().to_vec();
        plan.file(&path).map(|byte_offset| Inside { path, container: ESP.into(), byte_offset })
    };
    Ok(Esp { image: image.into(), shared: paths.into_iter().filter_map(inside).collect() })
}

fn put(tree: &mut Tree, path: &str, content: Bytes, origin: &Arc<str>) -> Result<()> {
    let node = Node::new(Kind::File(content), 0o444, origin);
    tree.insert(path.as_bytes(), node).map_err(|reason| anyhow!("putting {path} into the ISO: {reason}"))?;
    Ok(())
}
