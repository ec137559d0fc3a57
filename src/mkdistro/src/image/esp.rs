//! The EFI system partition (ESP) of an ISO: what firmware starts by UEFI, as `[boot] uefi` has it.
//!
//! | `uefi` | in the ESP |
//! |---|---|
//! | `shim` | shim and GRUB, which read kernel and initramfs from the ISO 9660 file system |
//! | `systemd-boot` | systemd-boot, kernel and initramfs |
//! | `uki` | the unified kernel image |
//!
//! Kernel and initramfs are stored once in any case: where they are in the ESP, the records of the ISO 9660 file system
//! point there, into the unified kernel image even.

use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use formats::iso9660::Inside;
use formats::tree::{Node, Tree};
use formats::{fat, pe};

use super::compose::Composed;
use super::iso::put;
use super::menu::{INITRAMFS, KERNEL, Menu};
use super::{grub, loader, systemd_boot, uki};
use crate::config::{Checked, Uefi};
use crate::root::RootTree;

/// Where the partition is on the medium.
pub(super) const PATH: &str = "boot/esp.img";
/// What firmware starts from removable media (UEFI 2.10, 3.5.1.1).
const PROGRAM: &str = "EFI/BOOT/BOOTX64.EFI";
/// Larger boot images do not fit into El Torito's count of 512-byte blocks.
const MAX_COUNTED_BYTES: usize = 65535 * 512;

/// An EFI system partition.
pub(super) struct Esp {
    pub(super) image: Bytes,
    /// The files of the medium that are in it.
    pub(super) shared: Vec<Inside>,
}

impl Esp {
    /// El Torito's count of blocks. Firmware takes 1 for "up to the end of the medium", where the ESP is anyhow: so it is
    /// on the media of others too whose ESP is large.
    pub(super) fn load_blocks(&self) -> u16 {
        if self.image.len() > MAX_COUNTED_BYTES { 1 } else { u16::try_from(self.image.len() / 512).unwrap_or(1) }
    }
}

/// Puts onto a medium what its ESP holds besides kernel and initramfs. Of the unified kernel image it is only the stub:
/// [`make`] puts the whole in its place.
pub(super) fn add_files(medium: &mut Tree, checked: &Checked, root: &RootTree) -> Result<()> {
    let menu = Menu::of(checked);
    let (programs, texts): (Vec<_>, _) = match checked.distro.boot.uefi {
        Uefi::Shim => {
            let config = grub::config(&menu, &checked.distro.volume_id());
            (grub::FILES.to_vec(), vec![(grub::CONFIG.to_owned(), config)])
        }
        Uefi::SystemdBoot => (vec![(systemd_boot::PROGRAM, PROGRAM)], systemd_boot::config(&menu)),
        Uefi::Uki => (vec![(uki::STUB, PROGRAM)], Vec::new()),
    };
    for (source, target) in programs {
        let (content, package) = loader::file(&root.packages, source)?;
        put(medium, target, content, &Arc::from(package))?;
    }
    texts.into_iter().try_for_each(|(path, text)| put(medium, &path, text.into(), &Arc::from("boot menu")))
}

/// The ESP of a medium with all its files.
pub(super) fn make(medium: &mut Tree, composed: &Composed<'_>) -> Result<Esp> {
    let choice = composed.checked.distro.boot.uefi;
    if choice == Uefi::Uki {
        let image = composed.unnamed(|out| Ok(uki::program(composed)?.write(out)?))?;
        put(medium, PROGRAM, image, &Arc::from("uki"))?;
    }
    let is_inside = |path: &[u8]| {
        let is = |other: &str| path == other.trim_start_matches('/').as_bytes();
        let is_whole = choice == Uefi::SystemdBoot && (is(KERNEL) || is(INITRAMFS));
        is_whole || is(grub::CONFIG) || [&b"EFI/"[..], b"loader/"].iter().any(|folder| path.starts_with(folder))
    };
    let mut tree = Tree::new();
    let files = medium.iter().filter(|(path, node)| is_inside(path) && node.content().is_some());
    let paths: Vec<Vec<u8>> = files.map(|(path, _)| path.to_vec()).collect();
    for path in &paths {
        let content = medium.get(path).and_then(Node::content).cloned().unwrap_or_default();
        put(&mut tree, &String::from_utf8_lossy(path), content, &Arc::from("esp"))?;
    }
    let options = fat::Options { label: "ESP".into(), mtime: composed.mtime, ..fat::Options::default() };
    let plan = fat::plan(&tree, &options).context("planning the ESP")?;
    let image = composed.unnamed(|mut out| plan.write(&mut out))?;

    let inside = |path: Vec<u8>, byte_offset| Inside { path, container: PATH.into(), byte_offset };
    let whole = paths.into_iter().filter_map(|path| Some((plan.file(&path)?, path)));
    let mut shared: Vec<Inside> = whole.map(|(at, path)| inside(path, at)).collect();
    if choice == Uefi::Uki {
        let program = medium.get(PROGRAM.as_bytes()).and_then(Node::content).context("it has no program")?;
        let start = plan.file(PROGRAM.as_bytes()).context("its program is empty")?;
        for section in pe::sections(program)? {
            let path = match section.name.as_str() {
                ".linux" => KERNEL,
                ".initrd" => INITRAMFS,
                _ => continue,
            };
            shared.push(inside(path.trim_start_matches('/').into(), start + section.offset as u64));
        }
    }
    Ok(Esp { image, shared })
}
