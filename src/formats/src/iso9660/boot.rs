//! El Torito 1.0, to write: the boot record volume descriptor, the boot catalog and isolinux' boot info table.

use anyhow::{Context, Result, ensure};

use super::{Lba, SECTOR_BYTES};
use crate::tree::show;

/// Bytes of a row of the catalog.
const ROW_BYTES: usize = 32;
/// The catalog is one sector; a section takes two rows.
pub(super) const MAX_ENTRIES: usize = SECTOR_BYTES / ROW_BYTES / 2;
/// Where the boot info table lies in a boot image, in bytes.
const INFO_TABLE_AT: usize = 8;
/// End of the boot info table, where its checksum starts.
const INFO_TABLE_END: usize = 64;

/// Firmware that a boot image is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// x86 BIOS.
    Bios,
    /// UEFI (UEFI 2.10, 13.3.2.1); the image is a FAT file system.
    Uefi,
}

impl Platform {
    /// Platform id of the catalog.
    fn id(self) -> u8 {
        match self {
            Self::Bios => 0,
            Self::Uefi => 0xef,
        }
    }
}

/// A boot image without emulation.
#[derive(Debug, Clone)]
pub struct BootEntry {
    /// Firmware it is for.
    pub platform: Platform,
    /// File of the tree that is the image.
    pub path: Vec<u8>,
    /// How much firmware loads, in 512-byte blocks. isolinux loads the rest itself and wants 4. Firmware derived from
    /// EDK2 takes 0 and 1 for "up to the end of the volume".
    pub load_blocks: u16,
    /// Whether isolinux' boot info table is written into the image.
    pub boot_info_table: bool,
}

/// Boot record volume descriptor (El Torito 2.0, figure 7; ECMA-119 8.2): at 0 type 0, at 1 `CD001`, at 6 version 1, at 7
/// boot system identifier (32 bytes), at 71 sector of the catalog (little-endian).
pub(super) fn descriptor(catalog: Lba) -> Vec<u8> {
    let mut sector = vec![0; SECTOR_BYTES];
    sector[1..7].copy_from_slice(b"CD001\x01");
    sector[7..30].copy_from_slice(b"EL TORITO SPECIFICATION");
    sector[71..75].copy_from_slice(&catalog.0.to_le_bytes());
    sector
}

/// The boot catalog (El Torito 2.1-2.5), rows of 32 bytes: validation entry, default entry (the first of `entries`), and
/// for every further entry a section header and a section entry. `images` says where each image lies.
pub(super) fn catalog(entries: &[BootEntry], images: &[Lba]) -> Vec<u8> {
    let mut rows = Vec::with_capacity(SECTOR_BYTES);
    for (index, (entry, &image)) in entries.iter().zip(images).enumerate() {
        if index == 0 {
            rows.extend(validation_entry(entry.platform));
        } else {
            rows.extend(section_header(entry.platform, index + 1 == entries.len()));
        }
        rows.extend(image_entry(entry, image));
    }
    rows
}

/// At 0 header id 1, at 1 platform, at 4 maker (24 bytes, empty), at 28 checksum (makes the sum of the row's 16-bit
/// little-endian words 0), at 30 the bytes 55 AA.
fn validation_entry(platform: Platform) -> [u8; ROW_BYTES] {
    let mut row = [0; ROW_BYTES];
    row[0] = 1;
    row[1] = platform.id();
    row[30..].copy_from_slice(&[0x55, 0xaa]);
    let sum = word_sum(&row);
    row[28..30].copy_from_slice(&sum.wrapping_neg().to_le_bytes());
    row
}

/// Sum of the 16-bit little-endian words of a row.
pub(super) fn word_sum(row: &[u8]) -> u16 {
    row.chunks_exact(2).fold(0, |sum, word| sum.wrapping_add(u16::from_le_bytes([word[0], word[1]])))
}

/// At 0 header id 90h, 91h for the last; at 1 platform, at 2 number of entries (little-endian), at 4 identifier.
fn section_header(platform: Platform, is_last: bool) -> [u8; ROW_BYTES] {
    let mut row = [0; ROW_BYTES];
    row[..4].copy_from_slice(&[if is_last { 0x91 } else { 0x90 }, platform.id(), 1, 0]);
    row
}

/// Default and section entry: at 0 88h "bootable", at 1 media 0 "no emulation", at 2 load segment (0: the usual 7C0h),
/// at 4 system type 0, at 6 number of 512-byte blocks to load, at 8 sector of the image (little-endian).
fn image_entry(entry: &BootEntry, image: Lba) -> [u8; ROW_BYTES] {
    let mut row = [0; ROW_BYTES];
    row[0] = 0x88;
    row[6..8].copy_from_slice(&entry.load_blocks.to_le_bytes());
    row[8..12].copy_from_slice(&image.0.to_le_bytes());
    row
}

/// A copy of a boot image with its boot info table (syslinux `doc/isolinux.txt`), all numbers 32-bit little-endian: at 8
/// sector of the primary volume descriptor, at 12 sector and at 16 size in bytes of the image, at 20 sum of its words
/// from byte 64 on, at 24 to 64 zeros.
pub(super) fn with_info_table(image: &[u8], at: Lba, path: &[u8]) -> Result<Vec<u8>> {
    ensure!(
        image.len() > INFO_TABLE_END,
        "boot image {}: its {} bytes have no room for a boot info table",
        show(path),
        image.len()
    );
    let size = u32::try_from(image.len()).context("size of a boot image")?;
    let sum = image[INFO_TABLE_END..].chunks(4).fold(0u32, |sum, chunk| {
        let mut word = [0; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        sum.wrapping_add(u32::from_le_bytes(word))
    });
    let mut patched = image.to_vec();
    patched[INFO_TABLE_AT..INFO_TABLE_END].fill(0);
    for (index, number) in [super::SYSTEM_AREA_SECTORS, at.0, size, sum].into_iter().enumerate() {
        let field = INFO_TABLE_AT + 4 * index;
        patched[field..field + 4].copy_from_slice(&number.to_le_bytes());
    }
    Ok(patched)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn catalog_has_sections() {
        let entry =
            |platform, load_blocks| BootEntry { platform, path: b"x".to_vec(), load_blocks, boot_info_table: false };
        let entries = [entry(Platform::Bios, 4), entry(Platform::Uefi, 0), entry(Platform::Uefi, 1)];
        let catalog = catalog(&entries, &[Lba(0x123), Lba(0x456), Lba(7)]);
        assert_eq!(word_sum(&catalog[..32]), 0);
        let starts: Vec<&[u8]> = catalog.chunks(32).map(|row| &row[..12]).collect();
        let expected: [&[u8; 12]; 6] = [
            b"\x01\0\0\0\0\0\0\0\0\0\0\0",
            b"\x88\0\0\0\0\0\x04\0\x23\x01\0\0",
            b"\x90\xef\x01\0\0\0\0\0\0\0\0\0",
            b"\x88\0\0\0\0\0\0\0\x56\x04\0\0",
            b"\x91\xef\x01\0\0\0\0\0\0\0\0\0",
            b"\x88\0\0\0\0\0\x01\0\x07\0\0\0",
        ];
        assert_eq!(starts, expected);
    }

    #[test]
    fn info_table_is_exact() {
        let mut image = vec![0xcc; 64];
        image.extend([1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 5]);
        let patched = with_info_table(&image, Lba(0x30), b"x").unwrap();
        assert_eq!(patched[..8], [0xcc; 8]);
        assert_eq!(patched[8..24], [16, 0, 0, 0, 0x30, 0, 0, 0, 73, 0, 0, 0, 5, 0, 0, 0]);
        assert_eq!(patched[24..64], [0; 40]);
        assert_eq!(patched[64..], image[64..]);
        let error = with_info_table(&image[..64], Lba(0), b"x").unwrap_err().to_string();
        assert_eq!(error, "boot image /x: its 64 bytes have no room for a boot info table");
    }
}
