//! The ISO's content: boot loaders, kernel, initramfs.
//!
//! For BIOS isolinux is on the ISO 9660 file system; for UEFI the boot loader is in an ESP ([`super::esp`]), a file on it,
//! which is a partition when the image is on a disk. What the ESP holds is shown on the ISO 9660 file system too, without being stored twice: who
//! copies the files to a FAT formatted stick has one that boots.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use contract::paths;
use formats::iso9660::{self, BootEntry, Hybrid, Platform};
use formats::tree::{Kind, Node, Tree};

use super::compose::{Composed, Finished};
use super::format::Writer;
use super::menu::{self, Menu};
use super::{esp, isolinux, loader};
use crate::config::Checked;
use crate::root::RootTree;

const BIOS_FOLDER: &str = "isolinux";
const BIOS_LOADER: &[u8] = b"isolinux/isolinux.bin";

/// Whether a file of the medium is a boot loader's or one of its parts.
pub fn is_loader(path: &[u8]) -> bool {
    path == esp::PATH.as_bytes() || path.starts_with(BIOS_FOLDER.as_bytes())
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
    if let Some(images) = &composed.medium_images {
        put(&mut tree, paths::MEDIUM_IMAGES, images.clone(), &Arc::from("image store"))?;
    }
    let esp = esp::make(&mut tree, composed).context("making the ESP")?;
    let load_blocks = esp.load_blocks();
    put(&mut tree, esp::PATH, esp.image, &Arc::from("iso"))?;
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
        boot: vec![entry(Platform::Bios, BIOS_LOADER, 4), entry(Platform::Uefi, esp::PATH.as_bytes(), load_blocks)],
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
    let config = isolinux::config(&Menu::of(checked));
    put(&mut tree, &format!("{BIOS_FOLDER}/isolinux.cfg"), config.into(), &Arc::from("boot menu"))?;
    for source in isolinux::FILES.into_iter().filter(|source| *source != isolinux::MBR_CODE) {
        let (content, package) = loader::file(&root.packages, source)?;
        let target = format!("{BIOS_FOLDER}/{}", source.rsplit('/').next().unwrap_or(source));
        put(&mut tree, &target, content, &Arc::from(package))?;
    }
    esp::add_files(&mut tree, checked, root)?;
    Ok(tree)
}

/// Adds a file.
pub(super) fn put(tree: &mut Tree, path: &str, content: Bytes, origin: &Arc<str>) -> Result<()> {
    let node = Node::new(Kind::File(content), 0o444, origin);
    tree.insert(path.as_bytes(), node).map_err(|reason| anyhow!("putting {path} into the ISO: {reason}"))?;
    Ok(())
}
