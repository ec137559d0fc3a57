//! `pxe`: a folder that a network boot server serves as it is, by TFTP or HTTP.
//!
//! | file | for |
//! |---|---|
//! | `boot.ipxe` | iPXE (ipxe.org/scripting); its paths are relative to where the script came from |
//! | `pxelinux.0`, `ldlinux.c32`, `pxelinux.cfg/default` | network cards' own PXE, by BIOS (syslinux `doc/pxelinux.txt`) |
//! | `vmlinuz`, `initrd.img` | both |

use std::path::Path;

use anyhow::Result;

use super::compose::{Composed, Finished};
use super::format::Writer;
use super::{isolinux, loader, menu};

pub(super) const WRITER: Writer = Writer {
    name: "pxe",
    suffix: "pxe",
    title: "the network boot folder",
    rest: "boot loader and scripts",
    folders: &["", "pxelinux.cfg"],
    write,
};

/// The package that PXELINUX comes from.
pub(super) const PACKAGE: &str = "pxelinux";
/// What a network card's PXE starts.
pub(super) const LOADER: &str = "/usr/lib/PXELINUX/pxelinux.0";

fn write(composed: &Composed<'_>, folder: &Path) -> Result<Vec<Finished>> {
    let mut files = composed.boot_files(folder)?;
    let command_line = menu::command_line(composed.checked);
    let identity = &composed.checked.distro.distro;
    let title = format!("{} {}", identity.name, identity.version);
    for (path, content) in [("boot.ipxe", ipxe(&title, &command_line)), (CONFIGURATION, pxelinux(&command_line))] {
        files.push(Finished::of(&folder.join(path), content.as_bytes())?);
    }
    for source in [LOADER, isolinux::CORE] {
        let (content, _) = loader::file(&composed.root.packages, source)?;
        files.push(Finished::of(&folder.join(source.rsplit('/').next().unwrap_or(source)), &content)?);
    }
    Ok(files)
}

/// Where PXELINUX looks last, after names made of the machine's addresses.
const CONFIGURATION: &str = "pxelinux.cfg/default";

/// The `initrd=` argument is for UEFI: the kernel asks the firmware for the file of that name.
fn ipxe(title: &str, command_line: &str) -> String {
    format!(
        "#!ipxe\n\
         # {title}\n\
         kernel vmlinuz initrd=initrd.img {command_line}\n\
         initrd initrd.img\n\
         boot\n"
    )
}

fn pxelinux(command_line: &str) -> String {
    format!("DEFAULT default\nLABEL default\n  LINUX vmlinuz\n  INITRD initrd.img\n  APPEND {command_line}\n")
}

#[cfg(test)]
mod tests {
    use super::{ipxe, pxelinux};

    #[test]
    fn scripts_name_files_beside_them() {
        let expected = "#!ipxe\n# toy 1.2\nkernel vmlinuz initrd=initrd.img quiet\ninitrd initrd.img\nboot\n";
        assert_eq!(ipxe("toy 1.2", "quiet"), expected);
        let expected = "DEFAULT default\nLABEL default\n  LINUX vmlinuz\n  INITRD initrd.img\n  APPEND quiet\n";
        assert_eq!(pxelinux("quiet"), expected);
    }
}
