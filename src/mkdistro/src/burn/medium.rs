//! What an image is written to: a block device, in tests anything.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::Result;

use crate::problem::{Class, Problem};

/// Something that can be written, and read back from itself instead of from a cache.
pub trait Medium: Read + Write + Seek {
    /// Waits until all that was written is on the medium, and forgets what is known of its content.
    fn settle(&mut self) -> io::Result<()>;
}

/// A block device that nobody else uses meanwhile.
#[derive(Debug)]
pub struct Device(File);

impl Device {
    /// Opens it for writing.
    ///
    /// # Errors
    /// Class `Output`: somebody uses it, or it may not be written.
    pub fn open(node: &Path) -> Result<Self> {
        use rustix::fs::{Mode, OFlags};

        let flags = OFlags::RDWR | OFlags::EXCL | OFlags::CLOEXEC;
        let opened = rustix::fs::open(node, flags, Mode::empty()).map_err(|error| {
            let hint = match error {
                rustix::io::Errno::BUSY => "unmount what is on it, and close the programs that use it",
                rustix::io::Errno::ACCESS | rustix::io::Errno::PERM => "writing to devices takes root: use sudo",
                rustix::io::Errno::ROFS => "it is write-protected; cards have a switch",
                _ => "",
            };
            Problem::error(Class::Output, format!("opening {} for writing: {error}", node.display()), hint)
        })?;
        Ok(Self(opened.into()))
    }

    /// Has the kernel read the new partition table. It does so by itself when the device is plugged in again.
    pub fn reread_partitions(&self) {
        use std::os::fd::AsRawFd;

        /// `_IO(0x12, 95)` of the kernel's `include/uapi/linux/fs.h`.
        const BLKRRPART: libc::c_int = 0x125f;
        // SAFETY: the descriptor is open, and the call takes no argument.
        unsafe { libc::ioctl(self.0.as_raw_fd(), BLKRRPART as _) };
    }
}

impl Medium for Device {
    /// Clean pages, as all are after a sync, are dropped at `POSIX_FADV_DONTNEED`; what is read then comes from the device.
    fn settle(&mut self) -> io::Result<()> {
        self.0.sync_all()?;
        Ok(rustix::fs::fadvise(&self.0, 0, None, rustix::fs::Advice::DontNeed)?)
    }
}

impl Read for Device {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }
}

impl Write for Device {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Seek for Device {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}
