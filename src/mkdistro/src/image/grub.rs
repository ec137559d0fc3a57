//! shim and GRUB, the boot loaders for UEFI with Secure Boot: their files out of Debian's packages, and their menu.
//!
//! Firmware that trusts Microsoft's keys starts shim, shim starts Debian's GRUB, and that asks shim whether Debian's key
//! has signed the kernel. GRUB is the build for CDs (`gcdx64`): all its modules are inside, since under Secure Boot it
//! loads none.
//!
//! That GRUB reads `/boot/grub/grub.cfg` from where it has been started: the ISO 9660 file system on a CD, the ESP on a USB
//! stick. Kernel and initramfs are on the ISO 9660 file system, which on a stick is that of the whole disk: the one that
//! GRUB itself comes from, whatever else is plugged in.

use super::menu::{INITRAMFS, KERNEL, Menu};

/// Packages that they come from.
pub(super) const PACKAGES: [&str; 3] = ["grub-efi-amd64-signed", "shim-helpers-amd64-signed", "shim-signed"];

/// The files of them that are used and where they go: firmware starts the first, that the second; the third is for users
/// with keys of their own, shim wants it when they are to be changed or when something is refused.
pub(super) const FILES: [(&str, &str); 3] = [
    ("/usr/lib/shim/shimx64.efi.signed", "EFI/BOOT/BOOTX64.EFI"),
    ("/usr/lib/grub/x86_64-efi-signed/gcdx64.efi.signed", "EFI/BOOT/grubx64.efi"),
    ("/usr/lib/shim/mmx64.efi.signed", "EFI/BOOT/mmx64.efi"),
];

/// Where GRUB looks for its configuration.
pub(super) const CONFIG: &str = "boot/grub/grub.cfg";

/// `grub.cfg`: a text menu on screen and first serial port.
///
/// Without a UART `serial` fails, and only the screen is used. So it is, but by intent, with firmware made from EDK2 for
/// virtual machines (QEMU's): that shows its own console, where GRUB's menu is, on the serial port. GRUB would show each
/// letter a second time, and the two would share what is typed.
pub(super) fn config(menu: &Menu, volume_id: &str) -> String {
    let mut text = format!(
        "\
if [ ! -e {KERNEL} ]; then
  regexp --set=1:disk '^([^,]+),' \"$root\"
  set root=\"$disk\"
fi
if [ ! -e {KERNEL} ]; then
  search --no-floppy --set=root --label {volume_id}
fi
if smbios --type 0 --get-string 4 --set firmware; then true; fi
if regexp 'EDK II|EFI Development Kit' \"$firmware\"; then true
elif serial --unit=0 --speed=115200; then
  terminal_input console serial
  terminal_output console serial
fi
set timeout={timeout}
set default=0
",
        volume_id = quoted(volume_id),
        timeout = menu.timeout_secs,
    );
    for entry in &menu.entries {
        let title = if entry.title == "Start" { format!("Start {}", menu.title) } else { entry.title.to_owned() };
        text.push_str(&format!(
            "menuentry {} --id {} {{\n  linux {KERNEL} {}\n  initrd {INITRAMFS}\n}}\n",
            quoted(&title),
            quoted(entry.label),
            command_line(&entry.command_line)
        ));
    }
    text
}

/// A kernel command line as words of GRUB's shell. GRUB itself puts `"` around a word with spaces for the kernel, so those
/// of the command line only hold words together here.
fn command_line(text: &str) -> String {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut is_quoted = false;
    for letter in text.chars() {
        match letter {
            '"' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(std::mem::take(&mut word)),
            _ => word.push(letter),
        }
    }
    words.push(word);
    let words = words.iter().filter(|word| !word.is_empty()).map(|word| quoted(word));
    words.collect::<Vec<String>>().join(" ")
}

/// One word for GRUB's shell, which is quoted as in sh.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=.,:/%@+".contains(&byte);
    if word.bytes().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::{command_line, config};
    use crate::image::menu::tests::menu;

    #[test]
    fn writes_the_menu() {
        let expected = "\
if [ ! -e /boot/vmlinuz ]; then
  regexp --set=1:disk '^([^,]+),' \"$root\"
  set root=\"$disk\"
fi
if [ ! -e /boot/vmlinuz ]; then
  search --no-floppy --set=root --label TOY
fi
if smbios --type 0 --get-string 4 --set firmware; then true; fi
if regexp 'EDK II|EFI Development Kit' \"$firmware\"; then true
elif serial --unit=0 --speed=115200; then
  terminal_input console serial
  terminal_output console serial
fi
set timeout=5
set default=0
menuentry 'Start toy 1.2' --id default {
  linux /boot/vmlinuz retain_initrd console=ttyS0,115200 quiet
  initrd /boot/initrd.img
}
menuentry 'Rescue shell' --id rescue {
  linux /boot/vmlinuz retain_initrd distro.rescue
  initrd /boot/initrd.img
}
";
        assert_eq!(config(&menu(), "TOY"), expected);
    }

    #[test]
    fn command_lines_are_quoted() {
        for (text, expected) in [
            ("quiet  loglevel=4", "quiet loglevel=4"),
            ("dyndbg=\"file a.c +p; x\" quiet", "'dyndbg=file a.c +p; x' quiet"),
            ("a=$b c={d} e='f", "'a=$b' 'c={d}' 'e='\\''f'"),
            ("memmap=64M$1G", "'memmap=64M$1G'"),
            ("", ""),
        ] {
            assert_eq!(command_line(text), expected);
        }
    }
}
