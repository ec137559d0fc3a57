//! An MBR that lets the image boot from a disk or USB stick by BIOS (isolinux' "isohybrid").
//!
//! The code is syslinux' `isohdpfx.bin` (432 bytes). Bytes of the MBR from there on, little-endian:
//!
//! | offset | size | field                                                                       |
//! |--------|------|-----------------------------------------------------------------------------|
//! | 432    | 8    | first 512-byte block of `isolinux.bin`, which the code loads                |
//! | 440    | 4    | disk signature                                                              |
//! | 446    | 16   | partition: 80h, first CHS, type, last CHS, first block, number of blocks    |
//! | 510    | 2    | 55 AA                                                                       |
//!
//! The partition starts at block 0 and holds the whole image, so that its file system is found in it as well.

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use super::{Lba, Plan};
use crate::tree::show;

const CODE_BYTES: usize = 432;
/// "Hidden NTFS", what isohybrid uses: nothing mounts or formats it by itself.
const PARTITION_TYPE: u8 = 0x17;
/// Where isolinux has the mark that it can be started by this MBR, and the mark (syslinux `core/isolinux.asm`).
const MARK_AT: usize = 64;
const MARK: [u8; 4] = 0x7078_c0fb_u32.to_le_bytes();
/// The geometry isohybrid assumes, which makes a cylinder 1 MiB. A BIOS may derive it from the partition's last CHS, so
/// that is the end of a cylinder; the image itself is not filled up to it.
const HEADS: u64 = 64;
const BLOCKS_PER_TRACK: u64 = 32;

impl Plan {
    /// Makes the image bootable from a disk by BIOS: puts an MBR with `code` (`isohdpfx.bin`) into the system area, which
    /// loads the file at `boot_path` (`isolinux.bin`). The disk signature comes from the content.
    ///
    /// # Errors
    /// If code or file are not of that kind.
    pub fn make_hybrid(&mut self, code: &[u8], boot_path: &[u8]) -> Result<()> {
        ensure!(code.len() <= CODE_BYTES, "MBR code has {} bytes, at most {CODE_BYTES} fit", code.len());
        let lba = self.file(boot_path).with_context(|| format!("{} is not in the ISO image", show(boot_path)))?;
        let image = self.contents().find(|&(offset, content)| offset == lba.byte_offset() && !content.is_empty());
        ensure!(
            image.and_then(|(_, content)| content.get(MARK_AT..MARK_AT + 4)) == Some(&MARK),
            "{} cannot be started from an MBR: it lacks the mark {MARK:02x?} at byte {MARK_AT}",
            show(boot_path)
        );
        let mut mbr = code.to_vec();
        mbr.resize(512, 0);
        mbr[432..440].copy_from_slice(&lba.block_512().to_le_bytes());
        mbr[440..444].copy_from_slice(&self.signature());
        let blocks = Lba(self.sectors()).block_512();
        let blocks_32 = u32::try_from(blocks).context("an MBR cannot hold an image of 2 TiB")?;
        mbr[446] = 0x80;
        mbr[447..450].copy_from_slice(&chs(0));
        mbr[450] = PARTITION_TYPE;
        mbr[451..454].copy_from_slice(&chs(blocks.next_multiple_of(HEADS * BLOCKS_PER_TRACK) - 1));
        mbr[458..462].copy_from_slice(&blocks_32.to_le_bytes());
        mbr[510..].copy_from_slice(&[0x55, 0xaa]);
        self.set_system_area(mbr)
    }

    /// Four bytes that differ when the content does; never zero, which would mean "none".
    fn signature(&self) -> [u8; 4] {
        let mut hash = Sha256::new();
        for (offset, content) in self.contents() {
            hash.update(offset.to_le_bytes());
            hash.update(content);
        }
        let digest = hash.finalize();
        [digest[0] | 1, digest[1], digest[2], digest[3]]
    }
}

/// Cylinder, head and sector of a block: head, sector with the cylinder's two high bits, cylinder. Past cylinder 1023
/// the last one that can be said.
fn chs(block: u64) -> [u8; 3] {
    let cylinder = block / (HEADS * BLOCKS_PER_TRACK);
    let (head, sector, cylinder) = if cylinder > 1023 {
        (HEADS - 1, BLOCKS_PER_TRACK, 1023)
    } else {
        (block / BLOCKS_PER_TRACK % HEADS, block % BLOCKS_PER_TRACK + 1, cylinder)
    };
    [head as u8, sector as u8 | ((cylinder >> 2) as u8 & 0xc0), cylinder as u8]
}

#[cfg(test)]
mod tests {
    #[test]
    fn chs_of_blocks() {
        let cases = [
            (0, [0, 1, 0]),
            (31, [0, 32, 0]),
            (32, [1, 1, 0]),
            (2047, [63, 32, 0]),
            (2048 * 300 + 5, [0, 6 | 0x40, 44]),
            (1 << 40, [63, 32 | 0xc0, 255]),
        ];
        for (block, expected) in cases {
            assert_eq!(super::chs(block), expected, "{block}");
        }
    }
}
