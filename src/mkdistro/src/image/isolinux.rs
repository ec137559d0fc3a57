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

/// Content of one of [`BOOT_FILES`], and the package that has it.
pub(super) fn file(packages: &Packages, path: &str) -> Result<(Bytes, &'static str)> {
    BOOT_PACKAGES
        .iter()
        .find_map(|name| Some((packages.trees.get(*name)?.get(path.as_bytes())?.content().cloned()?, *name)))
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
        text.push_str(&format!(
            "LABEL {label}\n  MENU LABEL {title}\n  LINUX /boot/vmlinuz\n  INITRD /boot/initrd.img\n  APPEND {}\n",
            entry_command_line(checked, extra)
        ));
    }
    text
}

/// The kernel command line of the menu's first entry.
pub(super) fn command_line(checked: &Checked) -> String {
    entry_command_line(checked, ENTRIES[0].2)
}

fn entry_command_line(checked: &Checked, extra: &str) -> String {
    [REQUIRED_COMMAND_LINE, &checked.distro.boot.command_line, extra].join(" ").trim().to_string()
}

/// What every boot needs: the kernel keeps the initramfs, in which the root is ([`contract::paths::ROOT_IMAGE`]).
const REQUIRED_COMMAND_LINE: &str = "retain_initrd";

/// Label, title and what is added to the kernel command line.
const ENTRIES: [(&str, &str, &str); 4] = [
    ("default", "Start", ""),
    ("verbose", "Start with all messages", "loglevel=7 distro.verbose"),
    ("nodata", "Start without touching any data disk", "distro.data=none"),
    ("rescue", "Rescue shell", "distro.rescue"),
];

#[cfg(test)]
mod tests {
    use contract::cmdline;

    use super::{ENTRIES, file, menu};
    use crate::root::testing::{checked, packages, tree};

    #[test]
    fn writes_the_menu() {
        let mut checked = checked(&[("toy", "")]);
        checked.distro.boot.timeout = 5;
        checked.distro.boot.command_line = "console=ttyS0 quiet".into();
        let expected = "\
SERIAL 0 115200
UI menu.c32
MENU TITLE toy 1.2
TIMEOUT 50
DEFAULT default
LABEL default
  MENU LABEL Start
  LINUX /boot/vmlinuz
  INITRD /boot/initrd.img
  APPEND retain_initrd console=ttyS0 quiet
LABEL verbose
  MENU LABEL Start with all messages
  LINUX /boot/vmlinuz
  INITRD /boot/initrd.img
  APPEND retain_initrd console=ttyS0 quiet loglevel=7 distro.verbose
LABEL nodata
  MENU LABEL Start without touching any data disk
  LINUX /boot/vmlinuz
  INITRD /boot/initrd.img
  APPEND retain_initrd console=ttyS0 quiet distro.data=none
LABEL rescue
  MENU LABEL Rescue shell
  LINUX /boot/vmlinuz
  INITRD /boot/initrd.img
  APPEND retain_initrd console=ttyS0 quiet distro.rescue
";
        assert_eq!(menu(&checked), expected);
        checked.distro.boot.timeout = 0;
        assert!(menu(&checked).contains("\nTIMEOUT 1\n"), "0 would wait for ever");
    }

    #[test]
    fn entries_use_keys_that_the_guest_knows() {
        let value = |label: &str, key: &str| {
            let (_, _, extra) = ENTRIES.iter().find(|(name, ..)| *name == label).unwrap();
            cmdline::value(extra, key)
        };
        assert_eq!(value("verbose", cmdline::VERBOSE), Some(""));
        assert_eq!(value("nodata", cmdline::DATA), Some("none"));
        assert_eq!(value("rescue", cmdline::RESCUE), Some(""));
    }

    #[test]
    fn takes_files_of_its_packages_only() {
        let node = crate::root::testing::file("code", 0o644);
        let path = "/usr/lib/ISOLINUX/isolinux.bin";
        let theirs = packages(&[("other", tree(&[(path, node.clone())]))]);
        assert_eq!(
            file(&theirs, path).unwrap_err().to_string(),
            "/usr/lib/ISOLINUX/isolinux.bin is not in isolinux or syslinux-common"
        );
        assert_eq!(file(&packages(&[("isolinux", tree(&[(path, node)]))]), path).unwrap(), ("code".into(), "isolinux"));
    }
}
