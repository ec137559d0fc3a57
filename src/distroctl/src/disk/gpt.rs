//! Growing one partition of a GUID partition table to the end of its disk. All else in the table stays as it is, byte for byte:
//! other partitions, their numbers, attributes, and entries of sizes that we never make. So this is no reader and writer of
//! tables, but an editor of their bytes; nothing is changed unless every check has passed.
//!
//! Terms: a *block* is the disk's logical block, 512 or 4096 bytes; its number is an LBA. The *primary* header is in block 1,
//! the *backup* in the last one, the entries beside each.
//!
//! Reference: UEFI specification 2.10, chapter 5 (section numbers in comments are its); numbers are little-endian.

use std::io::{Read, Seek, SeekFrom, Write};

use anyhow::{Context, Result, ensure};

/// Bytes of a header that its checksum covers, and the least of an entry.
const HEADER_BYTES: usize = 92;
const ENTRY_BYTES: usize = 128;
/// Most bytes of entries; the usual table has 16 KiB.
const MAX_ENTRIES_BYTES: usize = 1 << 20;
const SIGNATURE: &[u8] = b"EFI PART";

/// A disk's primary table as it is on the disk.
#[derive(Debug, Clone)]
pub(super) struct Table {
    block_bytes: u64,
    header: Vec<u8>,
    entries: Vec<u8>,
}

/// A partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Partition {
    pub(super) kind: [u8; 16],
    /// First and last block.
    pub(super) first: u64,
    pub(super) last: u64,
    /// Its name, in UTF-16.
    name: [u16; 36],
}

impl Partition {
    pub(super) fn is_named(&self, name: &str) -> bool {
        let units = self.name.iter().copied().take_while(|unit| *unit != 0);
        units.eq(name.encode_utf16())
    }
}

/// Whether a partition can be larger.
pub(super) enum Growth {
    /// Ready to be written.
    Larger(Grown),
    /// It reaches to the end already.
    Full,
    /// Another partition begins at this block, behind it.
    NotLast(u64),
}

/// A table in which one partition is larger.
pub(super) struct Grown {
    /// From block 0 on: what is there, MBR, primary header, entries.
    start: Vec<u8>,
    /// Up to the end of the disk: entries, backup header; and the byte it begins at.
    end: Vec<u8>,
    end_at: u64,
    /// The partition's first and last block now.
    pub(super) first: u64,
    pub(super) last: u64,
}

impl Table {
    /// Reads the primary table; `None` if the disk has none.
    ///
    /// # Errors
    /// If it cannot be read, or is damaged.
    pub(super) fn read(disk: &mut (impl Read + Seek), block_bytes: u64) -> Result<Option<Self>> {
        let mut header = vec![0; block_bytes as usize];
        read_at(disk, block_bytes, &mut header)?;
        if !header.starts_with(SIGNATURE) {
            return Ok(None);
        }
        let table = Self { block_bytes, header, entries: Vec::new() };
        ensure!(table.number(12, 4)? == HEADER_BYTES as u64, "GPT: a header of {} bytes", table.number(12, 4)?);
        ensure!(crc32(&table.summed_header()) == table.number(16, 4)?, "GPT: the header's checksum is wrong");
        ensure!(table.number(24, 8)? == 1, "GPT: the header says it is in block {}", table.number(24, 8)?);
        let (count, size) = (table.number(80, 4)? as usize, table.number(84, 4)? as usize);
        let length = count.checked_mul(size).filter(|length| (1..=MAX_ENTRIES_BYTES).contains(length));
        let length = length.with_context(|| format!("GPT: {count} entries of {size} bytes"))?;
        ensure!(size >= ENTRY_BYTES, "GPT: entries of {size} bytes");
        let mut entries = vec![0; length];
        let at = table.number(72, 8)?.checked_mul(block_bytes).context("GPT: place of the entries")?;
        read_at(disk, at, &mut entries)?;
        ensure!(crc32(&entries) == table.number(88, 4)?, "GPT: the checksum of the entries is wrong");
        Ok(Some(Self { entries, ..table }))
    }

    /// The partition of this number, from 1; `None` if that entry is not in use.
    pub(super) fn partition(&self, number: u32) -> Option<Partition> {
        self.decode(self.entries.get(self.entry_at(number)?..)?)
    }

    /// The table with this partition grown to the end of a disk of `disk_blocks`, to a multiple of `unit_bytes`, if it gains
    /// as much at least.
    ///
    /// # Errors
    /// If there is no such partition, or the table does not fit the disk.
    pub(super) fn grown(
        &self,
        disk: &mut (impl Read + Seek),
        number: u32,
        disk_blocks: u64,
        unit_bytes: u64,
    ) -> Result<Growth> {
        let entry_at = self.entry_at(number).context("GPT: no such partition")?;
        let partition = self.partition(number).context("GPT: no such partition")?;
        let entries_blocks = (self.entries.len() as u64).div_ceil(self.block_bytes);
        let usable_end = disk_blocks.checked_sub(1 + entries_blocks).context("GPT: the disk is too small")?;
        let unit = (unit_bytes / self.block_bytes).max(1);
        let end = usable_end - usable_end % unit;
        if end < partition.last.saturating_add(1).saturating_add(unit) {
            return Ok(Growth::Full);
        }
        let mut others = self.entries.chunks(self.number(84, 4)? as usize).filter_map(|entry| self.decode(entry));
        if let Some(other) = others.find(|other| other.first > partition.first) {
            return Ok(Growth::NotLast(other.first));
        }
        // What lies directly behind the header, as in every table that tools make, is written with it at once.
        ensure!(self.number(72, 8)? == 2, "GPT: its entries begin at block {}, not at 2", self.number(72, 8)?);
        let primary_end = 2 + entries_blocks;
        ensure!(primary_end <= self.number(40, 8)?, "GPT: entries where partitions may be");

        let mut entries = self.entries.clone();
        put(&mut entries, entry_at + 40, &(end - 1).to_le_bytes())?;
        let last_block = disk_blocks - 1;
        let primary = self.header_with(&entries, 1, last_block, 2, usable_end - 1)?;
        let backup = self.header_with(&entries, last_block, 1, usable_end, usable_end - 1)?;

        let mut start = vec![0; (primary_end * self.block_bytes) as usize];
        read_at(disk, 0, &mut start)?;
        protect(&mut start, disk_blocks);
        put(&mut start, self.block_bytes as usize, &primary)?;
        put(&mut start, 2 * self.block_bytes as usize, &entries)?;
        let mut tail = entries;
        tail.resize((entries_blocks * self.block_bytes) as usize, 0);
        tail.extend(backup);
        Ok(Growth::Larger(Grown {
            start,
            end: tail,
            end_at: usable_end * self.block_bytes,
            first: partition.first,
            last: end - 1,
        }))
    }

    /// The header (5.3.2) for these entries: 24 own block, 32 that of the other header, 48 last usable block, 72 first block of
    /// the entries, 88 their checksum, 16 its own.
    fn header_with(&self, entries: &[u8], own: u64, other: u64, entries_at: u64, last_usable: u64) -> Result<Vec<u8>> {
        let mut table = Self { header: self.header.clone(), entries: Vec::new(), ..*self };
        for (at, number) in [(24, own), (32, other), (48, last_usable), (72, entries_at)] {
            put(&mut table.header, at, &number.to_le_bytes())?;
        }
        put(&mut table.header, 88, &(crc32(entries) as u32).to_le_bytes())?;
        let sum = crc32(&table.summed_header()) as u32;
        put(&mut table.header, 16, &sum.to_le_bytes())?;
        Ok(table.header)
    }

    /// What the header's checksum covers: zeros in its own place.
    fn summed_header(&self) -> Vec<u8> {
        let mut bytes = self.header.clone();
        bytes.truncate(HEADER_BYTES);
        bytes.iter_mut().skip(16).take(4).for_each(|byte| *byte = 0);
        bytes
    }

    /// Offset of an entry among the entries.
    fn entry_at(&self, number: u32) -> Option<usize> {
        let size = self.number(84, 4).ok()? as usize;
        let at = (number as usize).checked_sub(1)?.checked_mul(size)?;
        (at.checked_add(size)? <= self.entries.len()).then_some(at)
    }

    /// An entry (5.3.3): at 0 type, at 32 first and at 40 last block, at 56 name; unused if the type is 0.
    fn decode(&self, entry: &[u8]) -> Option<Partition> {
        let kind: [u8; 16] = entry.get(..16)?.try_into().ok()?;
        let mut name = [0; 36];
        for (unit, bytes) in name.iter_mut().zip(entry.get(56..ENTRY_BYTES)?.as_chunks::<2>().0) {
            *unit = u16::from_le_bytes(*bytes);
        }
        let number = |at: usize| Some(u64::from_le_bytes(entry.get(at..at + 8)?.try_into().ok()?));
        (kind != [0; 16]).then_some(Partition { kind, first: number(32)?, last: number(40)?, name })
    }

    /// A number of the header, of at most 8 bytes.
    fn number(&self, at: usize, size: usize) -> Result<u64> {
        let mut bytes = [0; 8];
        let source = self.header.get(at..at + size).context("GPT: the header is cut off")?;
        bytes.iter_mut().zip(source).for_each(|(byte, source)| *byte = *source);
        Ok(u64::from_le_bytes(bytes))
    }
}

impl Grown {
    /// Writes the backup first, `sync`s, then the primary: what a power cut leaves is the old table or the new one, because
    /// header and entries of up to 24 partitions lie within the first 4 KiB, which disks and kernel write at once.
    ///
    /// # Errors
    /// If `disk` gives one.
    pub(super) fn write<D: Write + Seek>(
        &self,
        disk: &mut D,
        sync: impl Fn(&mut D) -> std::io::Result<()>,
    ) -> Result<()> {
        for (what, at, bytes) in [("backup", self.end_at, &self.end), ("primary", 0, &self.start)] {
            let mut write = || {
                disk.seek(SeekFrom::Start(at))?;
                disk.write_all(bytes)?;
                sync(disk)
            };
            write().with_context(|| format!("writing the {what} partition table"))?;
        }
        Ok(())
    }
}

/// Has the protective partition of the MBR (5.2.3), if there is one, reach to the end of the disk: its size is at 12.
fn protect(start: &mut [u8], disk_blocks: u64) {
    let size = u32::try_from(disk_blocks - 1).unwrap_or(u32::MAX);
    let Some(rows) = start.get_mut(446..510) else { return };
    for row in rows.as_chunks_mut::<16>().0 {
        if row[4] == 0xee && row[8..12] == [1, 0, 0, 0] {
            row[12..].copy_from_slice(&size.to_le_bytes());
        }
    }
}

fn put(bytes: &mut [u8], at: usize, content: &[u8]) -> Result<()> {
    let place = at.checked_add(content.len()).and_then(|end| bytes.get_mut(at..end));
    place.context("GPT: out of its bounds")?.copy_from_slice(content);
    Ok(())
}

fn read_at(disk: &mut (impl Read + Seek), at: u64, bytes: &mut [u8]) -> Result<()> {
    let mut read = || {
        disk.seek(SeekFrom::Start(at))?;
        disk.read_exact(bytes)
    };
    read().with_context(|| format!("reading the partition table at byte {at}"))
}

/// CRC-32 of 5.3.2 (ISO 3309, reflected polynomial EDB88320h), bit by bit: a table has 16 KiB.
pub(super) fn crc32(bytes: &[u8]) -> u64 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    u64::from(!crc)
}

#[cfg(test)]
#[path = "gpt_tests.rs"]
mod tests;
