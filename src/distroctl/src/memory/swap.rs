//! Swap areas: the header that mkswap(8) writes, and swapon(2).
//!
//! First page of an area, `union swap_header` of the kernel's `include/linux/swap.h`, in the machine's own byte order: at 1024
//! the version (1), the last page's number, the count of bad pages, 32 bits each; a UUID of 16 bytes and a label of 16; at the
//! page's end, from 4086 on, `SWAPSPACE2`.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::FallocateFlags;

const PAGE: usize = 4096;
const MAGIC: &[u8; 10] = b"SWAPSPACE2";
const MAGIC_AT: usize = PAGE - MAGIC.len();
const HEADER_AT: usize = 1024;
/// `SWAP_FLAG_PREFER` and `SWAP_FLAG_DISCARD` of `include/linux/swap.h`.
const FLAG_PREFER: i32 = 0x8000;
const FLAG_DISCARD: i32 = 0x10000;

/// The header of an area of this many bytes; `None` if it is too small or too large for one.
fn header(size: u64) -> Option<[u8; PAGE]> {
    let last_page = u32::try_from(size / PAGE as u64).ok()?.checked_sub(1).filter(|last| *last >= 9)?;
    let mut page = [0u8; PAGE];
    page.get_mut(HEADER_AT..HEADER_AT + 4)?.copy_from_slice(&1u32.to_ne_bytes());
    page.get_mut(HEADER_AT + 4..HEADER_AT + 8)?.copy_from_slice(&last_page.to_ne_bytes());
    page.get_mut(MAGIC_AT..)?.copy_from_slice(MAGIC);
    Some(page)
}

/// Writes the header of an area.
pub(super) fn format(path: &Path, size: u64) -> Result<()> {
    let Some(page) = header(size) else { bail!("{}: {size} bytes cannot be swap", path.display()) };
    let write = || File::options().write(true).open(path)?.write_all(&page);
    write().with_context(|| format!("writing a swap header to {}", path.display()))
}

/// Uses an area. One that is in use already is fine.
pub(super) fn on(path: &Path, priority: u16) -> Result<()> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    let flags = FLAG_PREFER | FLAG_DISCARD | i32::from(priority & 0x7fff);
    // SAFETY: the path is a string that outlives the call.
    if unsafe { libc::swapon(name.as_ptr(), flags) } == 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    if error.raw_os_error() == Some(libc::EBUSY) {
        return Ok(());
    }
    Err(error).with_context(|| format!("using {} as swap", path.display()))
}

/// Whether a device begins with a swap header.
fn is_swap(path: &Path) -> bool {
    let mut page = [0u8; PAGE];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut page));
    read.is_ok() && page.get(MAGIC_AT..) == Some(&MAGIC[..])
}

/// Partitions with a swap header on the disk that the data partition is on: the disk is ours. A data disk without partitions
/// has none.
pub(super) fn partitions_beside(data: &str) -> Vec<PathBuf> {
    let class = Path::new("/sys/class/block");
    let Some(name) = data.strip_prefix("/dev/") else { return Vec::new() };
    if !class.join(name).join("partition").exists() {
        return Vec::new();
    }
    // /sys/class/block/vda1 leads to …/block/vda/vda1.
    let Some(disk) = std::fs::canonicalize(class.join(name)).ok().and_then(|path| path.parent().map(Path::to_path_buf))
    else {
        return Vec::new();
    };
    let entries = std::fs::read_dir(disk).into_iter().flatten().flatten();
    let others = entries.filter(|entry| entry.path().join("partition").exists()).map(|entry| entry.file_name());
    let nodes = others.filter(|other| other != name).map(|other| Path::new("/dev").join(other));
    let mut found: Vec<PathBuf> = nodes.filter(|node| is_swap(node)).collect();
    found.sort();
    found
}

/// Makes a swap file of this size. It must not have holes (swapon(8)), so its blocks are allocated.
pub(super) fn make_file(path: &Path, size: u64) -> Result<()> {
    if std::fs::metadata(path).is_ok_and(|file| file.len() == size) && is_swap(path) {
        return Ok(());
    }
    let make = || -> std::io::Result<()> {
        let _ = std::fs::remove_file(path);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, size)?;
        Ok(())
    };
    make()
        .inspect_err(|_| drop(std::fs::remove_file(path)))
        .with_context(|| format!("making {} of {} MiB", path.display(), size >> 20))?;
    format(path, size)
}

#[cfg(test)]
mod tests {
    use super::{HEADER_AT, MAGIC_AT, PAGE, header, is_swap, make_file, partitions_beside};

    #[test]
    fn writes_the_header_of_mkswap() {
        let page = header(1 << 20).unwrap();
        assert_eq!(page[HEADER_AT..HEADER_AT + 12], [1, 0, 0, 0, 255, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!((page.len(), &page[MAGIC_AT..]), (PAGE, &b"SWAPSPACE2"[..]));
        assert!(header(9 * PAGE as u64).is_none() && header(10 * PAGE as u64).is_some());
        assert!(header(u64::MAX).is_none());
    }

    #[test]
    fn makes_a_file_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("swapfile");
        make_file(&path, 1 << 20).unwrap();
        assert!(is_swap(&path) && std::fs::metadata(&path).unwrap().len() == 1 << 20);
        make_file(&path, 1 << 20).unwrap();
        make_file(&path, 2 << 20).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 2 << 20);
        assert!(!is_swap(folder.path()) && partitions_beside("/dev/nonexistent1").is_empty());
    }
}
