//! El Torito's boot catalog, to read. The writer's `boot` module has the layouts.

use anyhow::{Context, Result, bail, ensure};

use super::boot::word_sum;
use super::{Lba, SECTOR_BYTES};
use crate::view::View;

const ROW_BYTES: usize = 32;

/// One boot image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootImage {
    /// Platform id: 0 BIOS, 0xEF UEFI.
    pub platform: u8,
    /// Whether firmware may boot it.
    pub is_bootable: bool,
    /// Emulation: 0 none, 1-3 floppy, 4 hard disk.
    pub media: u8,
    /// How much firmware loads, in 512-byte blocks.
    pub load_blocks: u16,
    /// Its first sector.
    pub lba: Lba,
}

/// Reads a catalog of one sector.
pub(super) fn catalog(image: &View, lba: Lba) -> Result<Vec<BootImage>> {
    let at = usize::try_from(lba.byte_offset()).context("offset")?;
    let sector = image.sub(at, SECTOR_BYTES, "boot catalog")?;
    let validation = sector.sub(0, ROW_BYTES, "validation entry")?;
    validation.expect(30, &[0x55, 0xaa], "key of the validation entry")?;
    ensure!(validation.u8(0, "header id")? == 1, "validation entry at byte {at}: header id is not 1");
    ensure!(word_sum(validation.bytes()) == 0, "validation entry at byte {at}: its words do not add up to 0");
    let platform = validation.u8(1, "platform")?;
    let mut images = vec![image_entry(&sector, ROW_BYTES, platform)?];
    let mut row = 2 * ROW_BYTES;
    while row < SECTOR_BYTES {
        let id = sector.u8(row, "section header")?;
        if id == 0 {
            break;
        }
        ensure!(id == 0x90 || id == 0x91, "section header at byte {}: id {id:#x}", sector.offset(row));
        let platform = sector.u8(row + 1, "platform")?;
        let count = sector.u16_le(row + 2, "number of section entries")?;
        row += ROW_BYTES;
        for _ in 0..count {
            images.push(image_entry(&sector, row, platform)?);
            row += ROW_BYTES;
        }
        if id == 0x91 {
            break;
        }
    }
    Ok(images)
}

fn image_entry(sector: &View, at: usize, platform: u8) -> Result<BootImage> {
    let row = sector.sub(at, ROW_BYTES, "boot entry")?;
    let is_bootable = match row.u8(0, "boot indicator")? {
        0x88 => true,
        0 => false,
        other => bail!("boot entry at byte {}: expected boot indicator 0x88 or 0, found {other:#x}", row.offset(0)),
    };
    Ok(BootImage {
        platform,
        is_bootable,
        media: row.u8(1, "media type")? & 0x0f,
        load_blocks: row.u16_le(6, "number of blocks to load")?,
        lba: Lba(row.u32_le(8, "sector of a boot image")?),
    })
}
