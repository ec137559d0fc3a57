//! Writes images: the parts that all formats share are made once, then each format is written, then all get their names.

use std::cell::OnceCell;
use std::fs::{self, File};
use std::io::{BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bytes::Bytes;
use formats::squashfs;
use formats::tree::Tree;
use sha2::{Digest, Sha256};

use super::disk::BootDisk;
use super::format::{Format, Target};
use super::{format, initramfs, megabytes, menu, output};
use crate::config::Checked;
use crate::fetch::hex;
use crate::progress::Progress;
use crate::root::RootTree;
use crate::signing::Signer;

/// What was written.
#[derive(Debug, Clone)]
pub struct Image {
    /// Its format.
    pub format: Format,
    /// The file or folder.
    pub path: PathBuf,
    /// The files, in the order in which they were written.
    pub files: Vec<Written>,
    /// Its parts and their sizes in bytes, largest first.
    pub parts: Vec<(&'static str, u64)>,
}

impl Image {
    /// Its size in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size_bytes).sum()
    }
}

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// sha256, hex.
    pub sha256: String,
}

/// Writes images, which appear only when all of them are complete.
///
/// `mtime` (seconds since 1970) is the time of every file in them; `signer` signs the programs that firmware starts.
///
/// # Errors
/// Class `Output`: a file cannot be written. Others: the project lacks what a format needs.
pub fn write(
    checked: &Checked,
    root: &RootTree,
    targets: &[Target],
    mtime: u32,
    signer: Option<&Signer>,
    progress: &dyn Progress,
) -> Result<Vec<Image>> {
    let Some(first) = targets.first() else { return Ok(Vec::new()) };
    format::check_images(checked, targets)?;
    let boots = targets.iter().any(|target| target.format.boots());
    let composed = match boots {
        true => Composed::make(checked, root, &first.path, mtime, progress)?,
        false => Composed::without_boot(checked, root, &first.path, mtime),
    };
    let composed = Composed { signer, ..composed };
    let mut folders = Vec::new();
    let mut finished = Vec::new();
    for target in targets {
        let writer = target.format.writer();
        let task = progress.start(&format!("writing {}", writer.title), 0);
        for folder in writer.folders {
            // Inner ones are removed first.
            folders.insert(0, NewFolder::make(&target.path.join(folder))?);
        }
        let files = (writer.write)(&composed, &target.path)?;
        task.finish(&megabytes(files.iter().map(|file| file.size_bytes).sum()));
        finished.push((target, files));
    }
    let publish = |(target, files): (&Target, Vec<Finished>)| {
        let files = files.into_iter().map(Finished::publish).collect::<Result<Vec<_>>>()?;
        let parts = composed.parts(target.format, files.iter().map(|file| file.size_bytes).sum());
        Ok(Image { format: target.format, path: target.path.clone(), files, parts })
    };
    finished.into_iter().map(publish).collect()
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
            command_line: menu::command_line(checked),
        }
    }
}

/// Writes kernel and initramfs to where [`BootFiles::of`] says, as [`write`] would put them into an image.
///
/// # Errors
/// Class `Output`: a file cannot be written.
pub fn write_boot_files(
    checked: &Checked,
    root: &RootTree,
    folder: &Path,
    mtime: u32,
    progress: &dyn Progress,
) -> Result<Vec<Written>> {
    let beside = folder.join("initrd.img");
    let composed = Composed::make(checked, root, &beside, mtime, progress)?;
    let task = progress.start("writing kernel and initramfs", 0);
    let files = composed.boot_files(folder)?.into_iter().map(Finished::publish).collect::<Result<Vec<_>>>()?;
    task.finish(&megabytes(files.iter().map(|file| file.size_bytes).sum()));
    Ok(files)
}

/// What every format is written from.
pub(super) struct Composed<'a> {
    pub(super) checked: &'a Checked,
    pub(super) root: &'a RootTree,
    /// With the root in it.
    pub(super) initramfs: Bytes,
    /// The time of every file, in seconds since 1970.
    pub(super) mtime: u32,
    /// What signs the programs that firmware starts.
    pub(super) signer: Option<&'a Signer>,
    /// An output, beside which there is room for temporary files.
    beside: &'a Path,
    squashfs_bytes: u64,
    /// The SquashFS with the container images that are not in the root.
    pub(super) medium_images: Option<Bytes>,
    boot_disk: OnceCell<BootDisk>,
}

impl<'a> Composed<'a> {
    /// Compresses the root and puts it into an initramfs, in unnamed files beside an output.
    fn make(
        checked: &'a Checked,
        root: &'a RootTree,
        beside: &'a Path,
        mtime: u32,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let whole = root.images.with_root(&root.tree)?;
        let squashfs = write_squashfs(checked, root, &whole, ("root", beside), mtime, progress)?;
        let medium = root.images.medium();
        let medium = medium.map(|tree| write_squashfs(checked, root, tree, ("images", beside), mtime, progress));
        let medium_images = medium.transpose()?;
        let squashfs_bytes = squashfs.len() as u64;
        let initramfs = write_initramfs(checked, root, squashfs, beside, mtime)?;
        let boot_disk = OnceCell::new();
        Ok(Self { checked, root, initramfs, mtime, signer: None, beside, squashfs_bytes, medium_images, boot_disk })
    }

    /// For what no machine boots: there is nothing to compress yet.
    fn without_boot(checked: &'a Checked, root: &'a RootTree, beside: &'a Path, mtime: u32) -> Self {
        let (initramfs, boot_disk) = (Bytes::new(), OnceCell::new());
        let (squashfs_bytes, medium_images) = (0, None);
        Self { checked, root, initramfs, mtime, signer: None, beside, squashfs_bytes, medium_images, boot_disk }
    }

    /// Whether the build is to be quick rather than its output small.
    pub(super) fn is_quick(&self) -> bool {
        let compression = self.checked.distro.root.compression.parse();
        matches!(compression, Ok(squashfs::Compression::Zstd { level }) if level <= 3)
    }

    /// The kernel.
    pub(super) fn kernel(&self) -> &Bytes {
        &self.root.kernel.vmlinuz
    }

    /// What `write` writes, in an unnamed file.
    pub(super) fn unnamed(&self, write: impl FnOnce(&mut BufWriter<&File>) -> Result<()>) -> Result<Bytes> {
        let file = output::unnamed(self.beside)?;
        let mut out = BufWriter::with_capacity(1 << 20, &file);
        write(&mut out).and_then(|()| Ok(out.flush()?)).map_err(|error| output::explain(error, self.beside))?;
        drop(out);
        output::mapped(&file)
    }

    /// The disk that all formats of disks are written from; made once, in an unnamed file beside an output.
    pub(super) fn boot_disk(&self) -> Result<&BootDisk> {
        match self.boot_disk.get() {
            Some(disk) => Ok(disk),
            None => {
                let disk = BootDisk::make(self)?;
                Ok(self.boot_disk.get_or_init(|| disk))
            }
        }
    }

    /// Kernel and initramfs as files in a folder.
    pub(super) fn boot_files(&self, folder: &Path) -> Result<Vec<Finished>> {
        let files = BootFiles::of(self.checked, folder);
        [(files.kernel, self.kernel()), (files.initramfs, &self.initramfs)]
            .into_iter()
            .map(|(path, content)| Finished::of(&path, content))
            .collect()
    }

    /// The parts of an image of so many bytes, largest first.
    fn parts(&self, format: Format, size_bytes: u64) -> Vec<(&'static str, u64)> {
        if !format.boots() {
            return vec![(format.writer().rest, size_bytes)];
        }
        let (kernel, initramfs) = (self.kernel().len() as u64, self.initramfs.len() as u64);
        let mut parts = vec![
            ("root (SquashFS)", self.squashfs_bytes),
            ("kernel", kernel),
            ("rest of the initramfs", initramfs - self.squashfs_bytes),
        ];
        let images = self.medium_images.as_ref().filter(|_| format.is_medium()).map_or(0, |images| images.len() as u64);
        parts.extend((images > 0).then_some(("images (SquashFS)", images)));
        // Less than nothing if the format compresses.
        parts.push((format.writer().rest, size_bytes.saturating_sub(kernel + initramfs + images)));
        parts.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
        parts
    }
}

/// A complete file that does not have its name yet; without [`Finished::publish`] it vanishes.
pub(super) struct Finished {
    part: output::Part,
    path: PathBuf,
    size_bytes: u64,
    sha256: String,
}

impl Finished {
    /// A file that `write` fills, from its start.
    pub(super) fn new(path: &Path, write: impl FnOnce(&File) -> Result<()>) -> Result<Self> {
        let part = output::Part::create(path)?;
        write(part.file()).map_err(|error| output::explain(error, path))?;
        let (size_bytes, sha256) = hash(part.file()).with_context(|| format!("reading {} back", path.display()))?;
        Ok(Self { part, path: path.to_path_buf(), size_bytes, sha256 })
    }

    /// A file with this content.
    pub(super) fn of(path: &Path, content: &[u8]) -> Result<Self> {
        Self::new(path, |mut file| Ok(file.write_all(content)?))
    }

    fn publish(self) -> Result<Written> {
        self.part.publish()?;
        Ok(Written { path: self.path, size_bytes: self.size_bytes, sha256: self.sha256 })
    }
}

/// A folder for an output. Made here and still empty when dropped, it is removed.
struct NewFolder(Option<PathBuf>);

impl NewFolder {
    fn make(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Ok(Self(None));
        }
        fs::create_dir(path).map_err(|error| output::explain(error.into(), path))?;
        Ok(Self(Some(path.to_path_buf())))
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        // It stays if it has files.
        self.0.iter().for_each(|path| drop(fs::remove_dir(path)));
    }
}

/// A tree as SquashFS, through an unnamed temporary file beside the output, where there must be room anyway.
fn write_squashfs(
    checked: &Checked,
    root: &RootTree,
    tree: &Tree,
    (what, beside): (&str, &Path),
    mtime: u32,
    progress: &dyn Progress,
) -> Result<Bytes> {
    let compression: squashfs::Compression = checked.distro.root.compression.parse()?;
    let options = squashfs::Options { compression, mtime, ..squashfs::Options::default() };
    let mut file = output::unnamed(beside)?;
    let total = tree.iter().filter_map(|(_, node)| node.content()).map(|content| content.len() as u64).sum();
    let task = progress.start(&format!("compressing the {what}"), total);
    let summary = squashfs::write(tree, &options, Some(&root.store), &mut file, &|done, _total| task.set(done))
        .map_err(|error| output::explain(error, beside))
        .with_context(|| format!("writing the SquashFS of the {what}"))?;
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

/// Size and sha256 of a whole file.
fn hash(mut file: &File) -> Result<(u64, String)> {
    file.rewind()?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut size_bytes = 0;
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok((size_bytes, hex(hasher)));
        }
        size_bytes += count as u64;
        hasher.update(&buffer[..count]);
    }
}
