//! ISOLINUX, the BIOS boot loader of the ISO: its files out of Debian's packages, and its menu.

use anyhow::{Context, Result};
use bytes::Bytes;

use crate::config::Checked;
use crate::root::Packages;

/// Packages that the ISO's boot loader comes from; part of every lock.
pub const BOOT_PACKAGES: &[&str] = &["isolinux", "syslinux-common"];

/// The files of them that are used, as absolute paths.
pub const BOOT_FILES: &[&str] = &[
    "/usr/lib/ISOLINUX/isolinux.bin",
    "/usr/lib/ISOLINUX/isohdpfx.bin",
    "/usr/lib/syslinux/modules/bios/ldlinux.c32",
    "/usr/lib/syslinux/modules/bios/libcom32.c32",
    "/usr/lib/syslinux/modules/bios/libutil.c32",
    "/usr/lib/syslinux/modules/bios/menu.c32",
];

/// Content of one of [`BOOT_FILES`].
pub(super) fn file(packages: &Packages, path: &str) -> Result<Bytes> {
    BOOT_PACKAGES
        .iter()
        .filter_map(|name| packages.trees.get(*name))
        .find_map(|tree| tree.get(path.as_bytes())?.content().cloned())
        .with_context(|| format!("{path} is not in {}", BOOT_PACKAGES.join(" or ")))
}

/// `isolinux.cfg`: a text menu on screen and first serial port (syslinux `doc/menu.txt`, `doc/syslinux.txt`).
pub(super) fn menu(checked: &Checked) -> String {
    let identity = &checked.distro.distro;
    let boot = &checked.distro.boot;
    let mut text = format!(
        "SERIAL 0 115200\n\
         UI menu.c32\n\
         MENU TITLE {} {}\n\
         TIMEOUT {}\n\
         DEFAULT {}\n",
        identity.name,
        identity.version,
        // Tenths of a second; 0 would wait for ever.
        (boot.timeout * 10).max(1),
        ENTRIES[0].0,
    );
    for (label, title, extra) in ENTRIES {
        let append = format!("{REQUIRED_COMMAND_LINE} {} {extra}", boot.command_line);
        text.push_str(&format!(
            "LABEL {label}\n  MENU LABEL {title}\n  LINUX /boot/vmlinuz\n  INITRD /boot/initrd.img\n  APPEND {}\n",
            append.trim()
        ));
    }
    text
}

/// What every boot needs: without it the kernel unpacks the initramfs into a tmpfs limited to half of the RAM it counts at
/// that time (kernel `init/do_mounts.c`, `init_rootfs`), which at 128 MiB is less than the root.
const REQUIRED_COMMAND_LINE: &str = "rootfstype=ramfs";

/// Label, title and what is added to the kernel command line.
const ENTRIES: [(&str, &str, &str); 4] = [
    ("default", "Start", ""),
    ("verbose", "Start with all messages", "loglevel=7 distro.verbose"),
    ("nodata", "Start without touching any data disk", "distro.data=none"),
    ("rescue", "Rescue shell", "distro.rescue"),
];
