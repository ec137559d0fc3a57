//! Writes what boots: SquashFS root, initramfs, ISO.

mod initramfs;
mod iso;
mod isolinux;
mod output;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bytes::Bytes;
use formats::squashfs;
use sha2::{Digest, Sha256};

use crate::config::Checked;
use crate::fetch::hex;
use crate::progress::Progress;
use crate::root::RootTree;

pub use isolinux::{BOOT_FILES, BOOT_PACKAGES};
pub use output::check as check_output;
pub use output::write as write_file;

/// What was written.
#[derive(Debug, Clone)]
pub struct Image {
    /// The file.
    pub path: PathBuf,
    /// Its parts and their sizes in bytes, largest first.
    pub parts: Vec<(String, u64)>,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// sha256, hex.
    pub sha256: String,
}

/// Writes the ISO to `path`, which appears only when it is complete.
///
/// `mtime` (seconds since 1970) is the time of every file in it.
pub fn write_iso(
    checked: &Checked,
    root: &RootTree,
    path: &Path,
    mtime: u32,
    progress: &dyn Progress,
) -> Result<Image> {
    let squashfs = write_squashfs(checked, root, path, mtime, progress)?;
    let initramfs = write_initramfs(checked, root, squashfs.clone(), path, mtime)?;
    let task = progress.start("writing the ISO", 0);
    let part = output::Part::create(path)?;
    iso::write(checked, root, initramfs.clone(), mtime, part.file(), path)?;
    let sha256 = hash(part.file())?;
    let size_bytes = part.publish()?;
    task.finish(&megabytes(size_bytes));
    let kernel = root.kernel.vmlinuz.len() as u64;
    let mut parts = vec![
        ("root (SquashFS)".to_string(), squashfs.len() as u64),
        ("kernel".to_string(), kernel),
        ("rest of the initramfs".to_string(), (initramfs.len() - squashfs.len()) as u64),
        ("boot loader and ISO".to_string(), size_bytes - kernel - initramfs.len() as u64),
    ];
    parts.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    Ok(Image { path: path.to_path_buf(), parts, size_bytes, sha256 })
}

/// What a machine starts without a boot loader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootFiles {
    /// The kernel.
    pub kernel: PathBuf,
    /// The initramfs with the root in it.
    pub initramfs: PathBuf,
    /// The kernel command line of the boot menu's first entry.
    pub command_line: String,
}

impl BootFiles {
    /// Where they are, or would be, in `folder`.
    pub fn of(checked: &Checked, folder: &Path) -> Self {
        Self {
            kernel: folder.join("vmlinuz"),
            initramfs: folder.join("initrd.img"),
            command_line: isolinux::command_line(checked),
        }
    }

    /// The files with their sha256, hex.
    pub fn hashes(&self) -> Result<Vec<(PathBuf, String)>> {
        let hash = |path: &PathBuf| {
            let file = File::open(path).with_context(|| format!("reading {}", path.display()))?;
            Ok((path.clone(), hash(&file)?))
        };
        [&self.kernel, &self.initramfs].into_iter().map(hash).collect()
    }
}

/// Writes kernel and initramfs into `folder`, as [`write_iso`] would put them into an ISO.
pub fn write_boot_files(
    checked: &Checked,
    root: &RootTree,
    folder: &Path,
    mtime: u32,
    progress: &dyn Progress,
) -> Result<BootFiles> {
    let files = BootFiles::of(checked, folder);
    let squashfs = write_squashfs(checked, root, &files.initramfs, mtime, progress)?;
    let initramfs = write_initramfs(checked, root, squashfs, &files.initramfs, mtime)?;
    for (path, content) in [(&files.kernel, &root.kernel.vmlinuz), (&files.initramfs, &initramfs)] {
        let part = output::Part::create(path)?;
        part.file().write_all(content).map_err(|error| output::explain(error.into(), path))?;
        part.publish()?;
    }
    Ok(files)
}

/// The root as SquashFS, through an unnamed temporary file beside the output, where there must be room anyway.
fn write_squashfs(
    checked: &Checked,
    root: &RootTree,
    beside: &Path,
    mtime: u32,
    progress: &dyn Progress,
) -> Result<Bytes> {
    let compression: squashfs::Compression = checked.distro.root.compression.parse()?;
    let options = squashfs::Options { compression, mtime, ..squashfs::Options::default() };
    let mut file = output::unnamed(beside)?;
    let total = root.tree.iter().filter_map(|(_, node)| node.content()).map(|content| content.len() as u64).sum();
    let task = progress.start("compressing the root", total);
    let summary = squashfs::write(&root.tree, &options, Some(&root.store), &mut file, &|done, _total| task.set(done))
        .map_err(|error| output::explain(error, beside))
        .context("writing the SquashFS root")?;
    task.finish(&megabytes(summary.total_bytes));
    output::mapped(&file)
}

/// The initramfs with the root in it, through another such file.
fn write_initramfs(checked: &Checked, root: &RootTree, squashfs: Bytes, beside: &Path, mtime: u32) -> Result<Bytes> {
    let parts = initramfs::Parts {
        settings: &checked.settings(),
        modules: &root.kernel.boot,
        shell: initramfs::Parts::shell_of(&root.tree),
        level: initramfs::level(checked.distro.root.compression.parse()?),
    };
    let file = output::unnamed(beside)?;
    initramfs::write(&parts, squashfs, mtime, &root.store, &file)
        .map_err(|error| output::explain(error, beside))
        .context("writing the initramfs")?;
    output::mapped(&file)
}

/// Megabytes with one decimal, for people.
pub fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

fn hash(file: &File) -> Result<String> {
    let mut reader = file;
    std::io::Seek::rewind(&mut reader).context("rewinding the ISO")?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = std::io::Read::read(&mut reader, &mut buffer).context("reading the ISO back")?;
        if count == 0 {
            return Ok(hex(hasher));
        }
        hasher.update(&buffer[..count]);
    }
}
