//! The data disk's partition: whether it is ours by its type ([`contract::data_partition`]), and growing it to the end of its
//! disk.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use contract::data_partition;

use super::block::Device;
use super::gpt::{Growth, Table};
use crate::console::log;
use crate::file::first_line;

/// The unit of sizes in sysfs, whatever the disk's own is.
const SYSFS_SECTOR_BYTES: u64 = 512;

/// A partition and its disk as the kernel sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The disk's device node.
    disk: PathBuf,
    disk_bytes: u64,
    block_bytes: u64,
    /// The partition's number, from 1.
    number: u32,
    start_bytes: u64,
    pub(super) size_bytes: u64,
}

impl Place {
    /// From its entry below `class_block`; `None` if it is no partition (any more), or cannot be written.
    pub(super) fn of(device: &Device, class_block: &Path) -> Option<Self> {
        let entry = std::fs::canonicalize(class_block.join(&device.name)).ok()?;
        let disk = entry.parent()?;
        let number = |path: PathBuf| first_line(path).parse::<u64>().ok();
        let bytes = |path: PathBuf| number(path)?.checked_mul(SYSFS_SECTOR_BYTES);
        if [&entry, disk].iter().any(|device| first_line(device.join("ro")) == "1") {
            return None;
        }
        Some(Self {
            disk: Path::new("/dev").join(disk.file_name()?.to_str()?.replace('!', "/")),
            disk_bytes: bytes(disk.join("size"))?,
            block_bytes: number(disk.join("queue/logical_block_size")).filter(|bytes| matches!(bytes, 512 | 4096))?,
            number: number(entry.join("partition"))?.try_into().ok()?,
            start_bytes: bytes(entry.join("start"))?,
            size_bytes: bytes(entry.join("size"))?,
        })
    }

    /// Whether the partition table says that it is the data partition with this label.
    pub(super) fn is_set_aside(&self, label: &str) -> Result<bool> {
        let mut disk = self.open(false)?;
        let Some(table) = Table::read(&mut disk, self.block_bytes)? else { return Ok(false) };
        Ok(table
            .partition(self.number)
            .is_some_and(|partition| partition.kind == data_partition::TYPE && partition.is_named(label)))
    }

    /// Whether the partition table gives it this name, whatever its type.
    pub(super) fn is_named(&self, name: &str) -> Result<bool> {
        let table = Table::read(&mut self.open(false)?, self.block_bytes)?;
        Ok(table.and_then(|table| table.partition(self.number)).is_some_and(|partition| partition.is_named(name)))
    }

    /// Grows the partition to the end of its disk if it is the last one of a GUID partition table: there, then in the kernel,
    /// which goes on to use it meanwhile.
    ///
    /// # Errors
    /// If the table is damaged, is not what the kernel knows, or cannot be written.
    pub(super) fn grow(&mut self) -> Result<()> {
        let mut disk = self.open(false)?;
        let Some(table) = Table::read(&mut disk, self.block_bytes)? else { return Ok(()) };
        let partition = table.partition(self.number).context("the partition table has no such partition")?;
        let bytes = |blocks: u64| blocks.checked_mul(self.block_bytes);
        let size = partition.last.checked_sub(partition.first).and_then(|last| bytes(last + 1));
        ensure!(
            (bytes(partition.first), size) == (Some(self.start_bytes), Some(self.size_bytes)),
            "the partition table has been changed since the kernel read it"
        );
        let blocks = self.disk_bytes / self.block_bytes;
        let grown = match table.grown(&mut disk, self.number, blocks, data_partition::ALIGNMENT_BYTES)? {
            Growth::Larger(grown) => grown,
            Growth::Full => return Ok(()),
            Growth::NotLast(block) => {
                let disk = self.disk.display();
                log(&format!("partition {} of {disk} is not grown: another begins at block {block}", self.number));
                return Ok(());
            }
        };
        grown.write(&mut self.open(true)?, |disk| disk.sync_all())?;
        let size_bytes = (grown.last - grown.first + 1) * self.block_bytes;
        resize_in_kernel(&disk, self.number, self.start_bytes, size_bytes)
            .context("telling the kernel; the next boot will know")?;
        log(&format!(
            "partition {} of {}: grown from {} to {} MiB",
            self.number,
            self.disk.display(),
            self.size_bytes >> 20,
            size_bytes >> 20
        ));
        self.size_bytes = size_bytes;
        Ok(())
    }

    fn open(&self, write: bool) -> Result<File> {
        let opened = File::options().read(true).write(write).open(&self.disk);
        opened.with_context(|| format!("opening {}", self.disk.display()))
    }
}

/// `BLKPG` with `BLKPG_RESIZE_PARTITION` (kernel `include/uapi/linux/blkpg.h`): only the size changes, whatever is mounted.
fn resize_in_kernel(disk: &File, number: u32, start_bytes: u64, size_bytes: u64) -> Result<()> {
    /// `_IO(0x12, 105)`.
    const BLKPG: libc::c_int = 0x1269;
    const BLKPG_RESIZE_PARTITION: libc::c_int = 3;

    /// `struct blkpg_partition`: bytes from the disk's start, bytes, number, two names that nobody uses.
    #[repr(C)]
    struct Partition {
        start: i64,
        length: i64,
        number: libc::c_int,
        names: [u8; 128],
    }

    /// `struct blkpg_ioctl_arg`.
    #[repr(C)]
    struct Argument {
        operation: libc::c_int,
        flags: libc::c_int,
        length: libc::c_int,
        data: *mut Partition,
    }

    let (Ok(start), Ok(length)) = (start_bytes.try_into(), size_bytes.try_into()) else { bail!("it is too large") };
    let mut partition = Partition { start, length, number: number as libc::c_int, names: [0; 128] };
    let argument = Argument {
        operation: BLKPG_RESIZE_PARTITION,
        flags: 0,
        length: size_of::<Partition>() as libc::c_int,
        data: &raw mut partition,
    };
    // SAFETY: the descriptor is open; the kernel reads both structures, of the layout it defines, and both outlive the call.
    match unsafe { libc::ioctl(disk.as_raw_fd(), BLKPG as _, &raw const argument) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Device, Place};
    use std::path::Path;

    #[test]
    fn reads_what_the_kernel_knows() {
        let root = tempfile::tempdir().unwrap();
        let class = root.path().join("class");
        let disk = root.path().join("devices/vda");
        let write = |path: &str, text: &str| {
            let path = disk.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, format!("{text}\n")).unwrap();
        };
        for (path, text) in [
            ("size", "8192"),
            ("ro", "0"),
            ("queue/logical_block_size", "512"),
            ("vda2/partition", "2"),
            ("vda2/start", "2048"),
            ("vda2/size", "4096"),
            ("vda2/ro", "0"),
        ] {
            write(path, text);
        }
        std::fs::create_dir_all(&class).unwrap();
        for (name, target) in [("vda", disk.clone()), ("vda2", disk.join("vda2"))] {
            std::os::unix::fs::symlink(target, class.join(name)).unwrap();
        }
        let device = |name: &str| Device { name: name.into(), partition: true, removable: false };
        let place = Place::of(&device("vda2"), &class).unwrap();
        assert_eq!(place.disk, Path::new("/dev/vda"));
        assert_eq!((place.number, place.block_bytes, place.disk_bytes), (2, 512, 8192 * 512));
        assert_eq!((place.start_bytes, place.size_bytes), (1 << 20, 2 << 20));
        assert_eq!(Place::of(&device("vda"), &class), None, "no partition");
        assert_eq!(Place::of(&device("vdb1"), &class), None);
        for (path, text) in [("ro", "1"), ("queue/logical_block_size", "100")] {
            write(path, text);
            assert_eq!(Place::of(&device("vda2"), &class), None, "{path} {text}");
            write("ro", "0");
        }
    }
}
