//! GUID partition tables with their protective MBR: a writer and a reader.
//!
//! Terms: a *block* has 512 bytes; its number is an LBA. The primary table is in the blocks 1 to 33 behind the MBR, the
//! backup in the last 33 of the disk, its header last.
//!
//! Left out: other block sizes, other numbers of entries than 128 when writing, repair of a damaged table.
//!
//! Reference: UEFI 2.10, chapter 5 (section numbers in comments are its); RFC 9562 for GUIDs. All numbers are
//! little-endian.

use std::fmt;

use anyhow::{Context, Result, ensure};
use flate2::Crc;
use sha2::{Digest, Sha256};

use crate::view::View;

/// Bytes of a block.
pub const BLOCK_BYTES: u64 = 512;
/// Blocks of a table: its header and its entries.
pub const TABLE_BLOCKS: u64 = 1 + (ENTRIES * ENTRY_BYTES) as u64 / BLOCK_BYTES;

const ENTRIES: usize = 128;
const ENTRY_BYTES: usize = 128;
const HEADER_BYTES: usize = 92;
/// UTF-16 units of a partition's name.
const NAME_UNITS: usize = 36;
/// Most bytes of entries that are read.
const MAX_ENTRIES_BYTES: usize = 1 << 20;

/// A GUID as it lies on a disk: its first three fields little-endian.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Guid(pub [u8; 16]);

impl Guid {
    /// An EFI System Partition.
    pub const ESP: Self = Self::new(0xc12a_7328, 0xf81f, 0x11d2, *b"\xba\x4b\x00\xa0\xc9\x3e\xc9\x3b");
    /// Data of a Linux file system.
    pub const LINUX_DATA: Self = Self::new(0x0fc6_3daf, 0x8483, 0x4772, *b"\x8e\x79\x3d\x69\xd8\x47\x7d\xe4");

    /// The GUID that is written `aaaaaaaa-bbbb-cccc-dddd-dddddddddddd`.
    pub const fn new(a: u32, b: u16, c: u16, d: [u8; 8]) -> Self {
        let (a, b, c) = (a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes());
        Self([a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]])
    }

    /// A GUID (version 8) that depends on nothing but `seed`, a digest of what it identifies, and `purpose`, so that the
    /// same image always has the same ones.
    pub fn derived(seed: &[u8], purpose: &str) -> Self {
        let digest = Sha256::new().chain_update(purpose).chain_update([0]).chain_update(seed).finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        bytes[7] = bytes[7] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(bytes)
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, at) in [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15].into_iter().enumerate() {
            let dash = if matches!(index, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{:02x}", self.0[at])?;
        }
        Ok(())
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// What it is for.
    pub kind: Guid,
    /// Which one it is.
    pub id: Guid,
    /// Its first block.
    pub first: u64,
    /// How many blocks it has.
    pub blocks: u64,
    /// Attributes (5.3.3): 0 required by the platform, 2 BIOS bootable; 60 read-only and 63 not mounted by itself for data.
    pub attributes: u64,
    /// Its name, up to 36 UTF-16 units.
    pub name: String,
}

impl Partition {
    /// Attribute: nothing should write to it.
    pub const READ_ONLY: u64 = 1 << 60;
    /// Attribute: nothing should mount it by itself.
    pub const NO_AUTOMOUNT: u64 = 1 << 63;

    fn end(&self) -> u64 {
        self.first.saturating_add(self.blocks)
    }
}

/// The partitions of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Which disk it is.
    pub disk: Guid,
    /// Blocks of the disk.
    pub blocks: u64,
    /// Partitions in the order of their numbers, the first has number 1.
    pub partitions: Vec<Partition>,
}

impl Table {
    /// The first block that a partition may take.
    pub const FIRST_USABLE: u64 = 1 + TABLE_BLOCKS;

    /// The block behind the last one that a partition of a disk of `blocks` may take.
    pub fn usable_end(blocks: u64) -> u64 {
        blocks.saturating_sub(TABLE_BLOCKS)
    }

    /// The primary table, from block 1 on: header, entries.
    ///
    /// # Errors
    /// If the partitions do not fit or overlap, or a name is too long.
    pub fn primary(&self) -> Result<Vec<u8>> {
        let entries = self.entries()?;
        let mut bytes = self.header(1, self.blocks - 1, 2, &entries);
        bytes.extend(entries);
        Ok(bytes)
    }

    /// The backup table, for the last [`TABLE_BLOCKS`] of the disk: entries, header.
    ///
    /// # Errors
    /// As [`Self::primary`].
    pub fn backup(&self) -> Result<Vec<u8>> {
        let mut bytes = self.entries()?;
        bytes.extend(self.header(self.blocks - 1, 1, Self::usable_end(self.blocks), &bytes));
        Ok(bytes)
    }

    /// Header (5.3.2), one block. Offset, size in bytes, field:
    ///
    /// | at | size | field                        | at | size | field                          |
    /// |----|------|------------------------------|----|------|--------------------------------|
    /// | 0  | 8    | `EFI PART`                   | 48 | 8    | last usable block              |
    /// | 8  | 4    | revision 1.0                 | 56 | 16   | GUID of the disk               |
    /// | 12 | 4    | bytes of the header          | 72 | 8    | first block of the entries     |
    /// | 16 | 4    | CRC-32 of it, with 0 here    | 80 | 4    | number of entries              |
    /// | 24 | 8    | block of this header         | 84 | 4    | bytes of an entry              |
    /// | 32 | 8    | block of the other header    | 88 | 4    | CRC-32 of the entries          |
    /// | 40 | 8    | first usable block           |    |      |                                |
    fn header(&self, here: u64, other: u64, entries_at: u64, entries: &[u8]) -> Vec<u8> {
        let mut block = vec![0; BLOCK_BYTES as usize];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"EFI PART\0\0\x01\0");
        put(12, &(HEADER_BYTES as u32).to_le_bytes());
        put(24, &here.to_le_bytes());
        put(32, &other.to_le_bytes());
        put(40, &Self::FIRST_USABLE.to_le_bytes());
        put(48, &(Self::usable_end(self.blocks) - 1).to_le_bytes());
        put(56, &self.disk.0);
        put(72, &entries_at.to_le_bytes());
        put(80, &(ENTRIES as u32).to_le_bytes());
        put(84, &(ENTRY_BYTES as u32).to_le_bytes());
        put(88, &crc32(entries).to_le_bytes());
        let sum = crc32(&block[..HEADER_BYTES]);
        block[16..20].copy_from_slice(&sum.to_le_bytes());
        block
    }

    /// Entries (5.3.3): at 0 kind, at 16 GUID, at 32 first and at 40 last block, at 48 attributes, at 56 name in UTF-16.
    fn entries(&self) -> Result<Vec<u8>> {
        self.check()?;
        let mut bytes = Vec::with_capacity(ENTRIES * ENTRY_BYTES);
        for partition in &self.partitions {
            let start = bytes.len();
            bytes.extend(partition.kind.0);
            bytes.extend(partition.id.0);
            for number in [partition.first, partition.end() - 1, partition.attributes] {
                bytes.extend(number.to_le_bytes());
            }
            bytes.extend(partition.name.encode_utf16().flat_map(u16::to_le_bytes));
            bytes.resize(start + ENTRY_BYTES, 0);
        }
        bytes.resize(ENTRIES * ENTRY_BYTES, 0);
        Ok(bytes)
    }

    fn check(&self) -> Result<()> {
        let (count, blocks) = (self.partitions.len(), self.blocks);
        ensure!(count <= ENTRIES, "partition table: {count} partitions, at most {ENTRIES} are possible");
        ensure!(blocks > 1 + 2 * TABLE_BLOCKS, "partition table: a disk of {blocks} blocks has no room for it");
        let mut sorted: Vec<&Partition> = self.partitions.iter().collect();
        sorted.sort_by_key(|partition| partition.first);
        let mut usable = Self::FIRST_USABLE;
        for partition in sorted {
            let Partition { name, first, blocks, .. } = partition;
            let what = || format!("partition {name:?} of {blocks} blocks at {first}");
            ensure!(*first >= usable, "{}: the first free block is {usable}", what());
            usable = partition.end();
            let end = Self::usable_end(self.blocks);
            ensure!(*blocks > 0 && usable <= end, "{}: the disk has room up to block {end}", what());
            let units = name.encode_utf16().count();
            ensure!(units <= NAME_UNITS, "{}: the name has {units} units, at most {NAME_UNITS} fit", what());
        }
        Ok(())
    }
}

/// The protective MBR of a disk (5.2.3), with boot code for BIOS and a signature for the disk; offset, size in bytes:
///
/// | at  | size | field                                                                                       |
/// |-----|------|---------------------------------------------------------------------------------------------|
/// | 0   | 440  | `code`, ignored by UEFI                                                                     |
/// | 440 | 4    | signature of the disk; 0 in a plain protective MBR                                          |
/// | 446 | 16   | partition of type EEh from block 1 to the end, or as far as 32 bits reach                   |
/// | 462 | 16   | if `is_active`: an active partition of type 0 and one block                                 |
/// | 510 | 2    | 55 AA                                                                                       |
///
/// Some BIOSes start no disk without an active partition. It must not be the one of type EEh: EDK2 takes that for an
/// invalid protective MBR and does not look for a GPT. A row of type 0 is "unused" for every other reader, so the MBR
/// stays a protective one for Linux and partition tools.
///
/// # Errors
/// If the code is too long.
pub fn protective_mbr(code: &[u8], signature: [u8; 4], blocks: u64, is_active: bool) -> Result<[u8; 512]> {
    ensure!(code.len() <= 440, "MBR code has {} bytes, at most 440 fit", code.len());
    let mut mbr = [0; 512];
    mbr[..code.len()].copy_from_slice(code);
    mbr[440..444].copy_from_slice(&signature);
    // CHS addresses: 0/0/2 and the highest there is.
    mbr[446..454].copy_from_slice(&[0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff]);
    mbr[454..458].copy_from_slice(&1u32.to_le_bytes());
    mbr[458..462].copy_from_slice(&u32::try_from(blocks.saturating_sub(1)).unwrap_or(u32::MAX).to_le_bytes());
    if is_active {
        // CHS addresses: 0/0/1, twice.
        mbr[462..470].copy_from_slice(&[0x80, 0, 1, 0, 0, 0, 1, 0]);
        mbr[474..478].copy_from_slice(&1u32.to_le_bytes());
    }
    mbr[510..].copy_from_slice(&[0x55, 0xaa]);
    Ok(mbr)
}

/// Reads the primary table of a disk image, its checksums too; None if there is none.
///
/// # Errors
/// If it is damaged.
pub fn read(disk: &[u8]) -> Result<Option<Table>> {
    let view = View::new(disk);
    let block = BLOCK_BYTES as usize;
    if disk.get(block..block + 8) != Some(b"EFI PART") {
        return Ok(None);
    }
    let header = view.sub(block, HEADER_BYTES, "header of the GPT")?;
    let mut zeroed = header.bytes().to_vec();
    zeroed[16..20].fill(0);
    ensure!(crc32(&zeroed) == header.u32_le(16, "its checksum")?, "header of the GPT: its checksum is wrong");
    let entries_at = header.u64_le(72, "place of the GPT's entries")?.checked_mul(BLOCK_BYTES);
    let (count, size) =
        (header.u32_le(80, "number of entries")? as usize, header.u32_le(84, "bytes of an entry")? as usize);
    ensure!(size >= ENTRY_BYTES, "header of the GPT: entries of {size} bytes");
    let len = count
        .checked_mul(size)
        .filter(|len| *len <= MAX_ENTRIES_BYTES)
        .context("header of the GPT: too many entries")?;
    let at = entries_at.and_then(|at| usize::try_from(at).ok()).context("header of the GPT: place of the entries")?;
    let entries = view.sub(at, len, "entries of the GPT")?;
    ensure!(
        crc32(entries.bytes()) == header.u32_le(88, "their checksum")?,
        "entries of the GPT: their checksum is wrong"
    );
    let mut partitions = Vec::new();
    for index in 0..count {
        let entry = entries.sub(index * size, ENTRY_BYTES, "entry of the GPT")?;
        let kind = Guid(entry.array(0, "kind of a partition")?);
        if kind == Guid::default() {
            continue;
        }
        let first = entry.u64_le(32, "first block of a partition")?;
        let last = entry.u64_le(40, "last block of a partition")?;
        let blocks = last.checked_sub(first).and_then(|blocks| blocks.checked_add(1));
        let units = entry.take(56, 2 * NAME_UNITS, "name of a partition")?.as_chunks::<2>().0;
        let units: Vec<u16> =
            units.iter().map(|unit| u16::from_le_bytes(*unit)).take_while(|unit| *unit != 0).collect();
        partitions.push(Partition {
            kind,
            id: Guid(entry.array(16, "GUID of a partition")?),
            first,
            blocks: blocks.with_context(|| format!("partition {}: from block {first} to {last}", index + 1))?,
            attributes: entry.u64_le(48, "attributes of a partition")?,
            name: String::from_utf16_lossy(&units),
        });
    }
    let blocks = header.u64_le(32, "block of the backup")?.saturating_add(1);
    Ok(Some(Table { disk: Guid(header.array(56, "GUID of the disk")?), blocks, partitions }))
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foreign::run;

    fn partition(name: &str, kind: Guid, first: u64, blocks: u64) -> Partition {
        Partition { kind, id: Guid::derived(b"seed", name), first, blocks, attributes: 0, name: name.into() }
    }

    fn table() -> Table {
        let mut data = partition("data \u{e4}", Guid::LINUX_DATA, 4096, 2048);
        data.attributes = Partition::READ_ONLY;
        let partitions = vec![partition("esp", Guid::ESP, 34, 100), data];
        Table { disk: Guid::derived(b"seed", "disk"), blocks: 8192, partitions }
    }

    fn disk(table: &Table) -> Vec<u8> {
        let mut disk = protective_mbr(b"code", [1, 2, 3, 4], table.blocks, true).unwrap().to_vec();
        disk.extend(table.primary().unwrap());
        disk.resize((Table::usable_end(table.blocks) * BLOCK_BYTES) as usize, 0);
        disk.extend(table.backup().unwrap());
        disk
    }

    #[test]
    fn guids_are_shown_as_usual() {
        assert_eq!(Guid::ESP.to_string(), "c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
        assert_eq!(Guid::LINUX_DATA.to_string(), "0fc63daf-8483-4772-8e79-3d69d8477de4");
        let derived = Guid::derived(b"seed", "disk").to_string();
        assert_eq!((&derived[14..15], derived.len()), ("8", 36));
        assert!(matches!(&derived[19..20], "8" | "9" | "a" | "b"), "{derived}");
        assert_ne!(Guid::derived(b"seed", "a"), Guid::derived(b"seed", "b"));
        assert_ne!(Guid::derived(b"seed", "a"), Guid::derived(b"deed", "a"));
    }

    #[test]
    fn other_programs_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        std::fs::write(&path, disk(&table())).unwrap();
        let path = path.to_str().unwrap();
        let verdict = run("sgdisk", &["-v", path], None);
        assert!(verdict.contains("No problems found."), "{verdict}");
        let list = run("sgdisk", &["-p", "-i", "2", path], None);
        for expected in [
            format!("Disk identifier (GUID): {}", table().disk.to_string().to_uppercase()),
            "Partition name: 'data \u{e4}'".into(),
            "First sector: 4096".into(),
            "Last sector: 6143".into(),
            "Attribute flags: 1000000000000000".into(),
        ] {
            assert!(list.contains(&expected), "{expected} is not in\n{list}");
        }
        let dump = run("sfdisk", &["-d", path], None);
        assert!(dump.contains("label: gpt\n") && dump.contains("size=        2048, type=0FC63DAF"), "{dump}");
    }

    #[test]
    fn reader_gives_back_the_table() {
        let bytes = disk(&table());
        assert_eq!(read(&bytes).unwrap(), Some(table()));
        assert_eq!(bytes.len() as u64, 8192 * BLOCK_BYTES);
        assert_eq!(read(&bytes[..512]).unwrap(), None);
        for len in [520, 600, 1024, 10_000] {
            read(&bytes[..len]).unwrap_err();
        }
        for (at, expected) in [(512 + 60, "header of the GPT: its"), (1024 + 60, "entries of the GPT: their")] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            let error = read(&damaged).unwrap_err().to_string();
            assert_eq!(error, format!("{expected} checksum is wrong"));
        }
    }

    #[test]
    fn mbr_is_exact() {
        let mbr = protective_mbr(&[0x90; 440], [1, 2, 3, 4], 8192, true).unwrap();
        assert_eq!(mbr[439..446], [0x90, 1, 2, 3, 4, 0, 0]);
        assert_eq!(mbr[446..462], [0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0xff, 0x1f, 0, 0]);
        assert_eq!(mbr[462..478], [0x80, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
        assert_eq!(mbr[478..], [[0; 32].as_slice(), &[0x55, 0xaa]].concat());
        let plain = protective_mbr(&[], [0; 4], 1 << 40, false).unwrap();
        assert_eq!(plain[458..478], [[0xff; 4].as_slice(), &[0; 16]].concat());
        assert!(protective_mbr(&[0; 441], [0; 4], 1, false).is_err());
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let error = |partitions: Vec<Partition>| Table { partitions, ..table() }.primary().unwrap_err().to_string();
        let esp = |first, blocks| partition("esp", Guid::ESP, first, blocks);
        assert_eq!(error(vec![esp(33, 9)]), "partition \"esp\" of 9 blocks at 33: the first free block is 34");
        assert_eq!(
            error(vec![esp(50, 5), esp(40, 11)]),
            "partition \"esp\" of 5 blocks at 50: the first free block is 51"
        );
        assert_eq!(
            error(vec![esp(8000, 160)]),
            "partition \"esp\" of 160 blocks at 8000: the disk has room up to block 8159"
        );
        assert!(error(vec![esp(40, 0)]).contains("of 0 blocks"));
        assert!(error(vec![esp(40, u64::MAX)]).contains("room up to"));
        assert!(error(vec![partition(&"n".repeat(37), Guid::ESP, 40, 1)]).ends_with("37 units, at most 36 fit"));
        assert!(error(vec![esp(40, 1); 129]).starts_with("partition table: 129 partitions"));
        assert!(Table { blocks: 67, ..table() }.backup().is_err());
    }
}
