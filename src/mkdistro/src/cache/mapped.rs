//! A file as memory, read-only (mmap(2)).

use std::fs::File;
use std::io;
use std::ptr::{self, NonNull};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// A mapped file.
///
/// Only for files that nobody changes: those of the store, which are replaced by rename, and unnamed ones of our own. One
/// that shrank would end the process with SIGBUS.
#[derive(Debug)]
pub(crate) struct Mapped {
    start: NonNull<u8>,
    length: usize,
}

impl Mapped {
    /// Maps a whole file.
    ///
    /// # Errors
    /// Those of mmap(2).
    pub(crate) fn new(file: &File) -> io::Result<Self> {
        let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        if length == 0 {
            // mmap(2) refuses an empty one.
            return Ok(Self { start: NonNull::dangling(), length });
        }
        // SAFETY: a new mapping at a place of the kernel's choice overlaps no memory of ours.
        let start = unsafe { mmap(ptr::null_mut(), length, ProtFlags::READ, MapFlags::PRIVATE, file, 0)? };
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mapped at address 0"))?;
        Ok(Self { start, length })
    }
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `length` bytes are mapped readable at `start` until `self` is dropped (or none, at a dangling but
        // aligned address), and the files mapped here do not change.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        if self.length > 0 {
            // SAFETY: the mapping is ours alone, and every borrow of it ended before `self` did.
            let _ = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
        }
    }
}

// SAFETY: the memory is only read, and belongs to nobody else.
unsafe impl Send for Mapped {}
// SAFETY: as above.
unsafe impl Sync for Mapped {}
