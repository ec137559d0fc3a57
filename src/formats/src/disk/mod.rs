//! Disk images for virtual machines: a sparse disk in memory ([`Disk`]) and writers of it as [`raw`], [`qcow2`], [`vmdk`],
//! [`vhd`] and [`ova`].
//!
//! Only what is not zero is written, and the same disk always gives the same bytes: no time, no random identifier. What a
//! format wants as an identifier comes from the caller.

mod blocks;
pub mod ova;
mod ovf;
pub mod qcow2;
pub mod raw;
#[cfg(test)]
mod tests;
pub mod vhd;
pub mod vmdk;

use anyhow::{Result, ensure};
use bytes::Bytes;

/// Bytes of a sector, the unit of a disk's size.
pub const SECTOR_BYTES: u64 = 512;

/// A disk that is zero wherever nothing was put.
#[derive(Debug, Clone)]
pub struct Disk {
    size_bytes: u64,
    /// Offset and content, in ascending order, without overlap.
    extents: Vec<(u64, Bytes)>,
}

impl Disk {
    /// A disk of zeros.
    ///
    /// # Errors
    /// If the size is 0 or no multiple of a sector.
    pub fn new(size_bytes: u64) -> Result<Self> {
        ensure!(
            size_bytes > 0 && size_bytes.is_multiple_of(SECTOR_BYTES),
            "disk of {size_bytes} bytes: expected a multiple of {SECTOR_BYTES}, at least one"
        );
        Ok(Self { size_bytes, extents: Vec::new() })
    }

    /// Its size.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Lays `content` at `offset` (in bytes).
    ///
    /// # Errors
    /// If something is there already, or the disk ends before.
    pub fn put(&mut self, offset: u64, content: Bytes) -> Result<()> {
        if content.is_empty() {
            return Ok(());
        }
        let end = offset.saturating_add(content.len() as u64);
        ensure!(end <= self.size_bytes, "{end} bytes do not fit on a disk of {}", self.size_bytes);
        let at = self.extents.partition_point(|&(start, _)| start < offset);
        let before = at.checked_sub(1).and_then(|index| self.extents.get(index));
        let clear = before.is_none_or(|(start, content)| start + content.len() as u64 <= offset)
            && self.extents.get(at).is_none_or(|&(start, _)| end <= start);
        ensure!(clear, "bytes {offset} to {end} of a disk are taken already");
        self.extents.insert(at, (offset, content));
        Ok(())
    }
}
