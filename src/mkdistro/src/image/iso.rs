//! The ISO's content: boot loader, kernel, initramfs.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use formats::iso9660::{self, BootEntry, Platform};
use formats::tree::{Kind, Node, Tree};

use super::compose::{Composed, Finished};
use super::format::Writer;
use super::isolinux::{self, BOOT_FILES};
use crate::config::Checked;
use crate::root::RootTree;

/// The MBR code among [`BOOT_FILES`]; it goes into the system area, not among the files.
const MBR_CODE: &str = "/usr/lib/ISOLINUX/isohdpfx.bin";
const LOADER: &[u8] = b"isolinux/isolinux.bin";

pub(super) const WRITER: Writer =
    Writer { name: "iso", suffix: "iso", title: "the ISO", rest: "boot loader and ISO", is_folder: false, write };

fn write(composed: &Composed<'_>, path: &Path) -> Result<Vec<Finished>> {
    let (checked, root) = (composed.checked, composed.root);
    let tree = content(checked, root, composed.initramfs.clone())?;
    let identity = &checked.distro.distro;
    let options = iso9660::Options {
        volume_id: checked.distro.volume_id(),
        publisher: String::new(),
        application_id: format!("{} {}", identity.name, identity.version),
        mtime: composed.mtime,
        boot: vec![BootEntry {
            platform: Platform::Bios,
            path: LOADER.to_vec(),
            load_blocks: 4,
            boot_info_table: true,
        }],
    };
    let mut plan = iso9660::plan(&tree, &options).context("planning the ISO")?;
    plan.make_hybrid(&isolinux::file(&root.packages, MBR_CODE)?.0, LOADER)
        .context("making the ISO bootable from USB")?;
    let file = Finished::new(path, |file| {
        let mut out = BufWriter::with_capacity(1 << 20, file);
        plan.write(&mut out)?;
        Ok(out.flush()?)
    })?;
    Ok(vec![file])
}

fn content(checked: &Checked, root: &RootTree, initramfs: Bytes) -> Result<Tree> {
    let mut tree = medium(checked, root)?;
    put(&mut tree, "boot/initrd.img", initramfs, &Arc::from("iso"))?;
    for (path, node) in root.beside.iter() {
        if let Some(content) = node.content() {
            put(&mut tree, &String::from_utf8_lossy(path), content.clone(), &node.origin)?;
        }
    }
    Ok(tree)
}

/// The files of the ISO that are made of packages and the project: kernel, boot loader and its menu. A node's origin is the
/// package it comes from.
pub fn medium(checked: &Checked, root: &RootTree) -> Result<Tree> {
    let mut tree = Tree::new();
    put(&mut tree, "boot/vmlinuz", root.kernel.vmlinuz.clone(), &root.kernel.origin)?;
    put(&mut tree, "isolinux/isolinux.cfg", Bytes::from(isolinux::menu(checked)), &Arc::from("boot menu"))?;
    for source in BOOT_FILES.iter().filter(|source| **source != MBR_CODE) {
        let name = source.rsplit('/').next().unwrap_or(source);
        let (content, package) = isolinux::file(&root.packages, source)?;
        put(&mut tree, &format!("isolinux/{name}"), content, &Arc::from(package))?;
    }
    Ok(tree)
}

fn put(tree: &mut Tree, path: &str, content: Bytes, origin: &Arc<str>) -> Result<()> {
    let node = Node::new(Kind::File(content), 0o444, origin);
    tree.insert(path.as_bytes(), node).map_err(|reason| anyhow!("putting {path} into the ISO: {reason}"))?;
    Ok(())
}
