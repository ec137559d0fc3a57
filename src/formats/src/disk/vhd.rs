//! Microsoft's VHD, "fixed": the raw disk and a footer of one sector. Azure takes no other kind, Hyper-V takes it as it is,
//! so one file serves both; it has holes where the file system can, and upload tools leave zeros out. A dynamic one would be
//! smaller on other file systems, but useless to Azure, which also wants the disk to be a multiple of 1 MiB.
//!
//! Reference: Microsoft "Virtual Hard Disk Image Format Specification" 1.0; numbers are big-endian.

use std::io::{Seek, SeekFrom, Write};

use anyhow::{Context, Result, ensure};

use super::{Disk, SECTOR_BYTES, raw};

/// What the disk must be a multiple of.
const UNIT_BYTES: u64 = 1 << 20;
/// The largest disk of the specification.
const MAX_BYTES: u64 = 2040 << 30;

/// Writes the disk as fixed VHD from the start of `out`, which must be empty. `id` are bytes that differ when the content
/// does.
///
/// # Errors
/// If `out` gives one; if the disk is no multiple of 1 MiB or above 2040 GiB.
pub fn write(disk: &Disk, id: [u8; 16], out: &mut (impl Write + Seek)) -> Result<()> {
    ensure!(
        disk.size_bytes.is_multiple_of(UNIT_BYTES) && disk.size_bytes <= MAX_BYTES,
        "VHD disk of {} bytes: expected a multiple of {UNIT_BYTES}, at most {MAX_BYTES}",
        disk.size_bytes
    );
    raw::write(disk, out)?;
    out.seek(SeekFrom::Start(disk.size_bytes)).context("writing the footer of a VHD disk")?;
    out.write_all(&footer(disk.size_bytes, id)).context("writing the footer of a VHD disk")
}

/// | offset | size | field |
/// |---|---|---|
/// | 0 | 8 | `conectix` |
/// | 8 | 4 | features: 2, always set |
/// | 12 | 4 | version 1.0 |
/// | 16 | 8 | place of further headers: none |
/// | 24 | 4 | seconds since 2000: 0, the same bytes at any time |
/// | 28 | 4 + 4 + 4 | program, its version, its system |
/// | 40 | 8 + 8 | size at first, and now |
/// | 56 | 2 + 1 + 1 | cylinders, heads, sectors of a track |
/// | 60 | 4 | type: 2, fixed |
/// | 64 | 4 | checksum: complement of the sum of all other bytes |
/// | 68 | 16 | UUID |
///
/// The program is Hyper-V's: of one that they do not know, readers take the size from the geometry, which is rounded.
fn footer(size_bytes: u64, id: [u8; 16]) -> [u8; SECTOR_BYTES as usize] {
    let (cylinders, heads, sectors) = geometry(size_bytes / SECTOR_BYTES);
    let mut footer = [0; SECTOR_BYTES as usize];
    let mut put = |at: usize, bytes: &[u8]| footer[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"conectix");
    put(8, &2_u32.to_be_bytes());
    put(12, &0x0001_0000_u32.to_be_bytes());
    put(16, &u64::MAX.to_be_bytes());
    put(28, b"win ");
    put(32, &0x000a_0000_u32.to_be_bytes());
    put(36, b"Wi2k");
    put(40, &size_bytes.to_be_bytes());
    put(48, &size_bytes.to_be_bytes());
    put(56, &cylinders.to_be_bytes());
    put(58, &[heads, sectors]);
    put(60, &2_u32.to_be_bytes());
    put(68, &id);
    let sum: u32 = footer.iter().map(|byte| u32::from(*byte)).sum();
    footer[64..68].copy_from_slice(&(!sum).to_be_bytes());
    footer
}

/// Cylinders, heads and sectors of a track (the specification's appendix "CHS Calculation"): of small disks 17 or 31 sectors,
/// of large ones as many as possible.
fn geometry(total_sectors: u64) -> (u16, u8, u8) {
    let total = total_sectors.min(65535 * 16 * 255);
    let (sectors, heads) = if total >= 65535 * 16 * 63 {
        (255, 16)
    } else {
        let heads = (total / 17).div_ceil(1024).max(4);
        let per_head = |sectors: u64, heads: u64| total / sectors >= heads * 1024;
        if !per_head(17, heads) && heads <= 16 {
            (17, heads)
        } else if !per_head(31, 16) {
            (31, 16)
        } else {
            (63, 16)
        }
    };
    ((total / sectors / heads) as u16, heads as u8, sectors as u8)
}

#[cfg(test)]
mod tests {
    #[test]
    fn geometry_of_small_and_large_disks() {
        for (mib, expected) in [
            (1, (30, 4, 17)),
            (100, (1003, 12, 17)),
            (1024, (2080, 16, 63)),
            (2048, (4161, 16, 63)),
            (200 << 10, (65535, 16, 255)),
        ] {
            let (cylinders, heads, sectors) = super::geometry(mib << 11);
            assert!(u64::from(cylinders) * u64::from(heads) * u64::from(sectors) <= mib << 11, "{mib}");
            if mib != 200 << 10 {
                assert_eq!((cylinders, heads, sectors), expected, "{mib}");
            }
        }
    }

    #[test]
    fn the_sum_of_a_footer_is_its_complement() {
        let footer = super::footer(1 << 31, [7; 16]);
        let stored = u32::from_be_bytes([footer[64], footer[65], footer[66], footer[67]]);
        let others = footer.iter().enumerate().filter(|(at, _)| !(64..68).contains(at));
        assert_eq!(!others.map(|(_, byte)| u32::from(*byte)).sum::<u32>(), stored);
        assert_eq!(footer[40..56], [&(1_u64 << 31).to_be_bytes()[..]; 2].concat());
    }
}
