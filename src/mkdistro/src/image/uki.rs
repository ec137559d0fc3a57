//! `uki`: kernel, initramfs and command line in one EFI program, which firmware starts without a boot loader: a unified
//! kernel image (UAPI.5 specification).
//!
//! It is systemd's stub with further sections: `.osrel`, `.cmdline`, `.uname`, `.initrd` and `.linux`. Where the project has
//! a key ([`crate::signing`]) it is signed, and the signature covers all of them.

use std::io::BufWriter;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use bytes::Bytes;
use formats::pe::Program;
use formats::tree::Node;

use super::compose::{Composed, Finished};
use super::format::Writer;
use super::{loader, menu};

pub(super) const WRITER: Writer =
    Writer { name: "uki", suffix: "efi", title: "the unified kernel image", rest: "EFI stub", folders: &[], write };

/// The package that the stub comes from.
pub(super) const PACKAGE: &str = "systemd-boot-efi";
/// The stub.
pub(super) const STUB: &str = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";

fn write(composed: &Composed<'_>, path: &Path) -> Result<Vec<Finished>> {
    let program = program(composed)?;
    let file = Finished::new(path, |file| {
        let mut out = BufWriter::with_capacity(1 << 20, file);
        program.write(&mut out)?;
        Ok(out.flush()?)
    })?;
    Ok(vec![file])
}

/// The image, signed if there is what signs.
pub(super) fn program(composed: &Composed<'_>) -> Result<Program> {
    let root = composed.root;
    let os_release = root.tree.lookup(b"etc/os-release").and_then(Node::content).cloned().unwrap_or_default();
    let sections = [
        (".osrel", os_release),
        (".cmdline", Bytes::from(menu::command_line(composed.checked))),
        (".uname", Bytes::from(root.kernel.release.clone())),
        (".initrd", composed.initramfs.clone()),
        (".linux", composed.kernel().clone()),
    ];
    let (stub, _) = loader::file(&root.packages, STUB)?;
    let mut program = Program::append(&stub, &sections).context("making the unified kernel image")?;
    if let Some(signer) = composed.signer {
        signer.sign(&mut program).context("signing the unified kernel image")?;
    }
    Ok(program)
}
