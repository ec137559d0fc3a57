//! ISO 9660 images with Rock Ridge names and El Torito boot images: a writer ([`plan`], [`Plan::write`]) and a reader
//! ([`read`]).
//!
//! The planner decides where everything lies before a byte is written, so the writer makes one pass in ascending order,
//! and what depends on places (boot info table, MBR, GPT, records that point into an ESP) is made in between.
//!
//! Terms: a *sector* has 2048 bytes and is also the logical block; an [`Lba`] is a sector's number; an *extent* is a run
//! of sectors. A file has one extent, so it is smaller than 4 GiB.
//!
//! Left out: Joliet, interchange levels above 1 (Rock Ridge has the true names), relocated directories (more than 8
//! levels are refused), several extents a file, extended attributes, sessions.
//!
//! References: ECMA-119 4th edition (section numbers in comments are its), SUSP 1.12, RRIP 1.12, El Torito 1.0.

mod boot;
mod directory;
mod fields;
mod hybrid;
mod names;
mod plan;
mod read;
mod read_boot;
mod read_system_use;
mod system_use;
#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
mod tests_hybrid;
#[cfg(test)]
mod tests_read;
mod volume;

pub use self::boot::{BootEntry, Platform};
pub use self::hybrid::Hybrid;
pub use self::plan::{Inside, Options, Plan, plan};
pub use self::read::{Entry, Image, read};
pub use self::read_boot::BootImage;

/// Bytes of a sector.
pub const SECTOR_BYTES: usize = 2048;
/// Sectors at the start that belong to no file system (6.2.1): an MBR and a GPT.
pub const SYSTEM_AREA_SECTORS: u32 = 16;

/// Number of a 2048-byte sector, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lba(pub u32);

impl Lba {
    /// Offset in bytes from the start of the image.
    pub fn byte_offset(self) -> u64 {
        u64::from(self.0) * SECTOR_BYTES as u64
    }

    /// Number of the first of its 512-byte blocks, as BIOS, MBR and GPT count.
    pub fn block_512(self) -> u64 {
        u64::from(self.0) * 4
    }
}

impl std::fmt::Display for Lba {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LBA {}", self.0)
    }
}
