//! A new GUID partition table with one partition, for a disk that has none. Terms and reference as in [`super::gpt`].

use anyhow::{Context, Result, ensure};

use super::gpt::crc32;

const ENTRIES: usize = 128;
const ENTRY_BYTES: usize = 128;
const HEADER_BYTES: u32 = 92;
/// Revision 1.0 (5.3.2).
const REVISION: u32 = 0x1_0000;

/// The table's bytes, and where they go.
#[derive(Debug)]
pub(super) struct Fresh {
    /// Entries and backup header, up to the end of the disk.
    end: Vec<u8>,
    end_at: u64,
    /// Header and entries, from block 1 on.
    primary: Vec<u8>,
    block_bytes: u64,
    /// Block 0, with the protective MBR.
    first: Vec<u8>,
}

impl Fresh {
    /// The block that the backup begins at: partitions end before.
    pub(super) fn usable_end(disk_blocks: u64, block_bytes: u64) -> u64 {
        disk_blocks.saturating_sub(1 + (ENTRIES * ENTRY_BYTES) as u64 / block_bytes)
    }

    /// `blocks`: the partition's first and last. `random`: for the GUIDs of disk and partition.
    ///
    /// # Errors
    /// If the name is longer than an entry has room for, or the partition is not between the two tables.
    pub(super) fn new(
        block_bytes: u64,
        disk_blocks: u64,
        blocks: (u64, u64),
        kind: [u8; 16],
        name: &str,
        random: [u8; 32],
    ) -> Result<Self> {
        let entries_blocks = (ENTRIES * ENTRY_BYTES) as u64 / block_bytes;
        let usable_end = Self::usable_end(disk_blocks, block_bytes);
        ensure!(2 + entries_blocks <= blocks.0 && blocks.0 <= blocks.1 && blocks.1 < usable_end, "GPT: no room");
        let (disk_id, partition_id) = random.split_at(16);
        let mut entries = Vec::with_capacity(ENTRIES * ENTRY_BYTES);
        entries.extend(kind);
        entries.extend(guid(partition_id));
        entries.extend(blocks.0.to_le_bytes());
        entries.extend(blocks.1.to_le_bytes());
        entries.extend([0; 8]);
        entries.extend(name.encode_utf16().flat_map(u16::to_le_bytes));
        ensure!(entries.len() <= ENTRY_BYTES, "GPT: the name {name:?} is too long");
        entries.resize(ENTRIES * ENTRY_BYTES, 0);

        let header = |own: u64, other: u64, entries_at: u64| {
            let mut header = b"EFI PART".to_vec();
            header.extend([REVISION, HEADER_BYTES, 0, 0].into_iter().flat_map(u32::to_le_bytes));
            header.extend([own, other, 2 + entries_blocks, usable_end - 1].into_iter().flat_map(u64::to_le_bytes));
            header.extend(guid(disk_id));
            header.extend(entries_at.to_le_bytes());
            let numbers = [ENTRIES as u32, ENTRY_BYTES as u32, crc32(&entries) as u32];
            header.extend(numbers.into_iter().flat_map(u32::to_le_bytes));
            let sum = (crc32(&header) as u32).to_le_bytes();
            header.splice(16..20, sum);
            header.resize(block_bytes as usize, 0);
            header
        };
        let last = disk_blocks - 1;
        let end = [entries.clone(), header(last, 1, usable_end)].concat();
        let primary = [header(1, last, 2), entries.clone()].concat();
        let first = protective(disk_blocks, block_bytes).context("GPT: a block is too small")?;
        Ok(Self { end, end_at: usable_end * block_bytes, primary, block_bytes, first })
    }

    /// Bytes and their place, in the order to write them: until the last, a single block, the disk is what it was.
    pub(super) fn parts(&self) -> [(u64, &[u8]); 3] {
        [(self.end_at, &self.end), (self.block_bytes, &self.primary), (0, &self.first)]
    }
}

/// Version 4 of RFC 9562 from random bytes; the version is in the highest bits of the third field, which is little-endian.
fn guid(random: &[u8]) -> [u8; 16] {
    let mut guid = [0; 16];
    guid.iter_mut().zip(random).for_each(|(byte, random)| *byte = *random);
    guid[7] = guid[7] & 0x0f | 0x40;
    guid[8] = guid[8] & 0x3f | 0x80;
    guid
}

/// The protective MBR (5.2.3): one partition of type 0xEE over all of the disk.
fn protective(disk_blocks: u64, block_bytes: u64) -> Option<Vec<u8>> {
    let mut block = vec![0; block_bytes as usize];
    let size = u32::try_from(disk_blocks - 1).unwrap_or(u32::MAX);
    let row = [&[0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff][..], &1_u32.to_le_bytes(), &size.to_le_bytes()].concat();
    block.get_mut(446..462)?.copy_from_slice(&row);
    block.get_mut(510..512)?.copy_from_slice(&[0x55, 0xaa]);
    Some(block)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;
    use std::process::Command;

    use super::Fresh;
    use crate::disk::gpt::Table;

    #[test]
    fn sgdisk_and_our_reader_take_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk");
        for block_bytes in [512, 4096] {
            let mut file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
            file.set_len(64 << 20).unwrap();
            let blocks = (64 << 20) / block_bytes;
            let unit = (1 << 20) / block_bytes;
            let place = (unit, 62 * unit - 1);
            let kind = contract::data_partition::TYPE;
            let fresh = Fresh::new(block_bytes, blocks, place, kind, "boot2podman-data", [7; 32]).unwrap();
            for (at, bytes) in fresh.parts() {
                file.write_all_at(bytes, at).unwrap();
            }
            let partition = Table::read(&mut file, block_bytes).unwrap().unwrap().partition(1).unwrap();
            assert_eq!((partition.kind, partition.first, partition.last), (kind, place.0, place.1));
            assert!(partition.is_named("boot2podman-data"));
            if block_bytes == 512 {
                let output = Command::new("/usr/sbin/sgdisk").arg("-v").arg(&path).output().unwrap();
                let text = String::from_utf8_lossy(&output.stdout);
                assert!(text.contains("No problems found"), "{text}");
            }
        }
        let new = |place, name| Fresh::new(512, 131_072, place, [1; 16], name, [0; 32]);
        for place in [(33, 100), (100, 99), (2048, 131_072 - 33)] {
            assert!(new(place, "a").is_err(), "{place:?}");
        }
        let name = "a".repeat(37);
        assert!(new((2048, 4095), &name[..36]).is_ok() && new((2048, 4095), &name).is_err());
    }
}
