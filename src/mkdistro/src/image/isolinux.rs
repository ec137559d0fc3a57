//! ISOLINUX, the boot loader for BIOS: its files out of Debian's packages, and its menu.

use super::menu::{INITRAMFS, KERNEL, Menu};

/// Packages that it comes from.
pub(super) const PACKAGES: [&str; 2] = ["isolinux", "syslinux-common"];

/// The files of them that are used, as absolute paths.
pub(super) const FILES: [&str; 6] = [
    "/usr/lib/ISOLINUX/isolinux.bin",
    MBR_CODE,
    CORE,
    "/usr/lib/syslinux/modules/bios/libcom32.c32",
    "/usr/lib/syslinux/modules/bios/libutil.c32",
    "/usr/lib/syslinux/modules/bios/menu.c32",
];

/// The MBR's code; it goes into the system area, not among the files.
pub(super) const MBR_CODE: &str = "/usr/lib/ISOLINUX/isohdpfx.bin";
/// What all of SYSLINUX's loaders load first.
pub(super) const CORE: &str = "/usr/lib/syslinux/modules/bios/ldlinux.c32";

/// `isolinux.cfg`: a text menu on screen and first serial port (syslinux `doc/menu.txt`, `doc/syslinux.txt`).
pub(super) fn config(menu: &Menu) -> String {
    let mut text = format!(
        "SERIAL 0 115200\n\
         UI menu.c32\n\
         MENU TITLE {}\n\
         TIMEOUT {}\n\
         DEFAULT {}\n",
        menu.title,
        // Tenths of a second; 0 would wait for ever.
        (menu.timeout_secs * 10).max(1),
        menu.entries.first().map_or("", |entry| entry.label),
    );
    for entry in &menu.entries {
        text.push_str(&format!(
            "LABEL {}\n  MENU LABEL {}\n  LINUX {KERNEL}\n  INITRD {INITRAMFS}\n  APPEND {}\n",
            entry.label, entry.title, entry.command_line
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::config;
    use crate::image::menu::tests::menu;

    #[test]
    fn writes_the_menu() {
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
  APPEND retain_initrd console=ttyS0,115200 quiet
LABEL rescue
  MENU LABEL Rescue shell
  LINUX /boot/vmlinuz
  INITRD /boot/initrd.img
  APPEND retain_initrd distro.rescue
";
        let mut menu = menu();
        assert_eq!(config(&menu), expected);
        menu.timeout_secs = 0;
        assert!(config(&menu).contains("\nTIMEOUT 1\n"), "0 would wait for ever");
    }
}
