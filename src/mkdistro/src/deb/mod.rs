//! Reads `.deb` packages without dpkg: the control fields and the files, as a [`Tree`].
//!
//! A package is an ar archive of `debian-binary` (`2.N`), `control.tar*` and `data.tar*`, in that order, and possibly others
//! whose name begins with `_`; see deb(5). Maintainer scripts, conffiles and checksums are left out: nothing is
//! configured at build time, and the package file as a whole has been verified before it comes here.

pub(crate) mod compression;
mod control;
pub(crate) mod packed;
#[cfg(test)]
pub(crate) mod tests;
mod unpack;

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use formats::ar;
use formats::tree::Tree;

pub use control::Control;
pub(crate) use unpack::MERGED;

/// Upper bound of a `control.tar` after decompression; real ones stay below 3 MB.
const MAX_CONTROL_BYTES: u64 = 64 << 20;
/// Upper bound of a `data.tar` after decompression; the largest of Debian are about 2 GB.
const MAX_DATA_BYTES: u64 = 8 << 30;

/// Where the content of the second member begins: magic (8), two headers (60 each) and `2.0\n`.
const CONTROL_OFFSET: usize = 8 + 60 + 4 + 60;

/// xz needs memory per thread, and packages are read in parallel anyway.
const MAX_THREADS: usize = 8;

/// A package.
#[derive(Debug, Clone)]
pub struct Package {
    /// What it says about itself.
    pub control: Control,
    /// The files that were asked for. `bin`, `sbin`, `lib*` are below `usr`, wherever the package has them.
    pub tree: Tree,
}

/// Reads the package file at `path`. Every node's origin is `origin`; files for whose path (relative, after the move to
/// `usr`) `keep` is false are not held in memory.
pub fn open(path: &Path, origin: &Arc<str>, keep: &dyn Fn(&[u8]) -> bool) -> Result<Package> {
    let bytes = std::fs::read(path).map(Bytes::from).with_context(|| format!("reading {}", path.display()))?;
    read(&bytes, origin, keep).with_context(|| format!("reading package {}", path.display()))
}

/// The same with the package's bytes.
pub fn read(bytes: &Bytes, origin: &Arc<str>, keep: &dyn Fn(&[u8]) -> bool) -> Result<Package> {
    let members = ar::members(bytes)?;
    let mut members = members.iter().filter(|member| !member.name.starts_with('_'));
    match members.next() {
        Some(first) if first.name == "debian-binary" => check_version(&first.content)?,
        Some(first) => bail!("expected the member debian-binary first, found {:?}", first.name),
        None => bail!("expected the member debian-binary, found none"),
    }
    let mut next = |stem: &str| -> Result<&ar::Member> {
        let member = members.next().with_context(|| format!("the member {stem}.tar is missing"))?;
        ensure!(member.name.starts_with(&format!("{stem}.tar")), "expected {stem}.tar, found {:?}", member.name);
        Ok(member)
    };
    let (control, data) = (next("control")?, next("data")?);
    let control = control::read(compression::decoder(&control.name, &control.content, MAX_CONTROL_BYTES, 1)?)
        .with_context(|| format!("reading its {}", control.name))?;
    let threads = thread::available_parallelism().map_or(1, |count| count.get().min(MAX_THREADS) as u32);
    let decoder = || compression::decoder(&data.name, &data.content, MAX_DATA_BYTES, threads);
    let tree = unpack::tree(&decoder, origin, keep).with_context(|| format!("reading its {}", data.name))?;
    Ok(Package { control, tree })
}

/// Reads what the package file at `path` says about itself, and only as much of the file as that takes.
pub fn control(path: &Path) -> Result<Control> {
    let read = || -> Result<Control> {
        let mut file = std::fs::File::open(path)?;
        // The magic, the header and content of debian-binary, and the header of control.tar; see deb(5).
        let mut bytes = vec![0; CONTROL_OFFSET];
        file.read_exact(&mut bytes).context("reading its first members")?;
        let size = std::str::from_utf8(&bytes[CONTROL_OFFSET - 12..CONTROL_OFFSET - 2]).ok();
        let size: u64 = size.and_then(|size| size.trim_end().parse().ok()).context("the size of control.tar")?;
        ensure!(size <= MAX_CONTROL_BYTES, "control.tar is {size} bytes long");
        file.take(size + size % 2).read_to_end(&mut bytes).context("reading control.tar")?;
        let members = ar::members(&Bytes::from(bytes))?;
        let member = members.get(1).filter(|member| member.name.starts_with("control.tar"));
        let member = member.context("expected control.tar as the second member")?;
        control::read(compression::decoder(&member.name, &member.content, MAX_CONTROL_BYTES, 1)?)
    };
    read().with_context(|| format!("reading package {}", path.display()))
}

fn check_version(text: &[u8]) -> Result<()> {
    let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    ensure!(line.starts_with(b"2."), "debian-binary: expected version 2.x, found {:?}", String::from_utf8_lossy(line));
    Ok(())
}
