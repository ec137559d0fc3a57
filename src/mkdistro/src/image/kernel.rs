//! `kernel`: a folder with what a virtual machine monitor starts without a boot loader:
//!
//! | file | for |
//! |---|---|
//! | `vmlinuz` | QEMU's `-kernel`, kexec |
//! | `vmlinux` | the same uncompressed, an ELF file: Firecracker, cloud-hypervisor, QEMU's PVH boot |
//! | `initrd.img` | all of them |
//! | `cmdline` | the kernel's command line, on one line |

use std::path::Path;

use anyhow::{Context, Result};

use super::compose::{Composed, Finished};
use super::format::Writer;
use super::menu;
use crate::kernel::bzimage;

pub(super) const WRITER: Writer = Writer {
    name: "kernel",
    suffix: "kernel",
    title: "kernel and initramfs",
    rest: "uncompressed kernel",
    folders: &[""],
    write,
};

fn write(composed: &Composed<'_>, folder: &Path) -> Result<Vec<Finished>> {
    let release = &composed.root.kernel.release;
    let vmlinux = bzimage::vmlinux(composed.kernel()).with_context(|| format!("unpacking the kernel {release}"))?;
    let mut files = composed.boot_files(folder)?;
    files.push(Finished::of(&folder.join("vmlinux"), &vmlinux)?);
    let command_line = format!("{}\n", menu::command_line(composed.checked));
    files.push(Finished::of(&folder.join("cmdline"), command_line.as_bytes())?);
    Ok(files)
}
