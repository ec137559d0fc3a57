//! `kernel`: a folder with what a virtual machine monitor starts without a boot loader: `vmlinuz`, `initrd.img` and
//! `cmdline`, the kernel's command line.

use std::path::Path;

use anyhow::Result;

use super::compose::{Composed, Finished};
use super::format::Writer;
use super::menu;

pub(super) const WRITER: Writer = Writer {
    name: "kernel",
    suffix: "kernel",
    title: "kernel and initramfs",
    rest: "command line",
    is_folder: true,
    write,
};

fn write(composed: &Composed<'_>, folder: &Path) -> Result<Vec<Finished>> {
    let mut files = composed.boot_files(folder)?;
    let command_line = format!("{}\n", menu::command_line(composed.checked));
    files.push(Finished::of(&folder.join("cmdline"), command_line.as_bytes())?);
    Ok(files)
}
