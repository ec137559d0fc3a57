//! Disk images for guests: a sparse raw file with a labelled ext4 file system, made by the host's mke2fs(8).

use crate::process::run;
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Long enough for a slow disk; mke2fs writes few blocks of a sparse file.
const MKE2FS_LIMIT: Duration = Duration::from_secs(300);

/// Reads `512M`, `8G`, `1T`, `100K` (binary units) or a number of bytes.
pub fn parse_size(text: &str) -> Result<u64> {
    let (digits, shift) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 10),
        Some((at, 'm' | 'M')) => (&text[..at], 20),
        Some((at, 'g' | 'G')) => (&text[..at], 30),
        Some((at, 't' | 'T')) => (&text[..at], 40),
        _ => (text, 0),
    };
    let size = digits.parse::<u64>().ok().and_then(|count| count.checked_mul(1 << shift));
    match size {
        Some(size) if size > 0 => Ok(size),
        _ => bail!("size {text:?}: expected a number with K, M, G or T, e.g. 8G"),
    }
}

/// Makes a sparse raw image of `size_bytes` at `path` with an ext4 file system labelled `label` on the whole disk.
///
/// It appears by rename, so an interrupted run leaves no half-made disk; an existing file is an error.
pub fn create_data_disk(path: &Path, size_bytes: u64, label: &str) -> Result<()> {
    if path.exists() {
        bail!("creating the disk {}: it exists already", path.display());
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let part = tempfile::Builder::new()
        .prefix(".disk-")
        .tempfile_in(folder)
        .with_context(|| format!("creating a file in {}", folder.display()))?;
    make_sparse(part.as_file(), size_bytes)?;
    format_ext4(part.path(), label, 0)?;
    part.persist_noclobber(path).with_context(|| format!("renaming the new disk to {}", path.display()))?;
    Ok(())
}

fn make_sparse(file: &File, size_bytes: u64) -> Result<()> {
    file.set_len(size_bytes).with_context(|| format!("making a disk of {size_bytes} bytes"))
}

/// Makes an ext4 file system labelled `label` in an image file from `offset_bytes` to its end.
pub fn format_ext4(image: &Path, label: &str, offset_bytes: u64) -> Result<()> {
    let mke2fs = find_program("mke2fs").context(
        "making an ext4 file system: mke2fs not found\nhint: install e2fsprogs, or give a disk that exists already",
    )?;
    let size = std::fs::metadata(image).with_context(|| format!("reading the size of {}", image.display()))?.len();
    let kib = size.saturating_sub(offset_bytes) / 1024;
    let mut command = Command::new(mke2fs);
    command.args(["-q", "-F", "-t", "ext4", "-L", label, "-E", &format!("offset={offset_bytes}")]);
    run(command.arg(image).arg(format!("{kib}k")), MKE2FS_LIMIT)?;
    Ok(())
}

/// A program of `PATH` or of the folders for administrators, which an ordinary user's `PATH` lacks on Debian.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(name)).find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, size) in [("1", 1), ("100K", 102_400), ("512m", 512 << 20), ("8G", 8 << 30), ("2T", 2 << 40)] {
            assert_eq!(parse_size(text).unwrap(), size, "{text}");
        }
        for text in ["", "0", "G", "-1", "1.5G", "99999999999T", "8Gé"] {
            assert!(parse_size(text).unwrap_err().to_string().contains("e.g. 8G"), "{text}");
        }
    }

    #[test]
    fn a_labelled_sparse_disk() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.raw");
        create_data_disk(&path, 64 << 20, "boot2podman-data").unwrap();
        let metadata = path.metadata().unwrap();
        assert_eq!(metadata.len(), 64 << 20);
        assert!(metadata.blocks() * 512 < 16 << 20, "{} blocks", metadata.blocks());
        // ext4 superblock at 1024: s_magic at 0x38, s_volume_name at 0x78 (kernel Documentation/filesystems/ext4).
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes[1024 + 0x38..1024 + 0x3a], [0x53, 0xef]);
        assert_eq!(&bytes[1024 + 0x78..1024 + 0x88], b"boot2podman-data");
        assert!(create_data_disk(&path, 64 << 20, "x").unwrap_err().to_string().contains("exists already"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
