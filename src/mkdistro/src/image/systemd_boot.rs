//! systemd-boot, a small boot loader for UEFI: its program out of Debian's package, and its menu (UAPI.1 boot loader
//! specification, type 1; systemd `loader.conf(5)`).
//!
//! It reads from the file system that it is started from and no other, so kernel and initramfs are in the ESP. Debian's is
//! not signed: it is for machines without Secure Boot.

use super::menu::{INITRAMFS, KERNEL, Menu};

/// The program.
pub(super) const PROGRAM: &str = "/usr/lib/systemd/boot/efi/systemd-bootx64.efi";

/// Its configuration: paths in the ESP and texts.
pub(super) fn config(menu: &Menu) -> Vec<(String, String)> {
    let default = menu.entries.first().map_or("", |entry| entry.label);
    let loader = format!("timeout {}\ndefault {default}.conf\neditor yes\n", menu.timeout_secs);
    let entry = |(index, entry): (usize, &super::menu::Entry)| {
        let title = if index == 0 { format!("Start {}", menu.title) } else { entry.title.to_owned() };
        let text = format!(
            "title {title}\nsort-key {index}\nlinux {KERNEL}\ninitrd {INITRAMFS}\noptions {}\n",
            entry.command_line
        );
        (format!("loader/entries/{}.conf", entry.label), text)
    };
    let entries = menu.entries.iter().enumerate().map(entry);
    [("loader/loader.conf".to_owned(), loader)].into_iter().chain(entries).collect()
}

#[cfg(test)]
mod tests {
    use super::config;
    use crate::image::menu::tests::menu;

    #[test]
    fn writes_the_menu() {
        let entry = "title Start toy 1.2\nsort-key 0\nlinux /boot/vmlinuz\ninitrd /boot/initrd.img\n\
                     options retain_initrd console=ttyS0,115200 quiet\n";
        let rescue = "title Rescue shell\nsort-key 1\nlinux /boot/vmlinuz\ninitrd /boot/initrd.img\n\
                      options retain_initrd distro.rescue\n";
        let expected = [
            ("loader/loader.conf", "timeout 5\ndefault default.conf\neditor yes\n"),
            ("loader/entries/default.conf", entry),
            ("loader/entries/rescue.conf", rescue),
        ];
        let expected = expected.map(|(path, text)| (path.to_owned(), text.to_owned()));
        assert_eq!(config(&menu()), expected);
    }
}
