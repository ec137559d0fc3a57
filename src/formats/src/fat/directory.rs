//! Folders: 32-byte entries, and before each entry with a long name the entries that hold it.

use anyhow::{Result, ensure};

use super::names::{self, Name};
use crate::civil::civil;
use crate::tree::{Kind, show};

/// Bytes of an entry.
pub(super) const ENTRY_BYTES: usize = 32;
/// UTF-16 units of a long name in an entry.
const UNITS: usize = 13;
/// Where they are in it.
const UNITS_AT: [usize; UNITS] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
/// Largest folder, in entries.
const MAX_ENTRIES: usize = 65536;

const ATTRIBUTE_LABEL: u8 = 0x08;
const ATTRIBUTE_DIRECTORY: u8 = 0x10;
const ATTRIBUTE_ARCHIVE: u8 = 0x20;
const ATTRIBUTES_LONG_NAME: u8 = 0x0f;

/// One file or folder of a folder.
pub(super) struct Entry {
    name: Name,
    path: Vec<u8>,
    is_folder: bool,
    size: u32,
}

/// Date and time of an entry: two-second steps since 1980.
pub(super) struct Date {
    date: [u8; 2],
    time: [u8; 2],
}

impl Date {
    pub(super) fn of(unix_secs: u32) -> Self {
        // 1980-01-01 and 2106-02-07, the last of 32 bits.
        let civil = civil(unix_secs.max(315_532_800));
        let date = (civil.year - 1980) << 9 | civil.month << 5 | civil.day;
        let time = civil.hour << 11 | civil.minute << 5 | (civil.second / 2);
        Self { date: (date as u16).to_le_bytes(), time: (time as u16).to_le_bytes() }
    }
}

/// The entries of a folder.
pub(super) fn entries<'a>(folder: &[u8], children: impl Iterator<Item = (&'a [u8], &'a Kind)>) -> Result<Vec<Entry>> {
    let (children, kinds): (Vec<&[u8]>, Vec<&Kind>) = children.unzip();
    let entry = |((name, child), kind): ((Name, &&[u8]), &Kind)| Entry {
        name,
        path: if folder.is_empty() { child.to_vec() } else { [folder, child].join(&b'/') },
        is_folder: *kind == Kind::Directory,
        size: match kind {
            Kind::File(content) => content.len() as u32,
            _ => 0,
        },
    };
    Ok(names::names(&children)?.into_iter().zip(&children).zip(kinds).map(entry).collect())
}

/// Bytes that a folder's entries take.
pub(super) fn size_bytes(folder: &[u8], entries: &[Entry], label: &[u8; 11]) -> usize {
    let own = if folder.is_empty() { usize::from(label != &[b' '; 11]) } else { 2 };
    let rows: usize = entries.iter().map(|entry| 1 + entry.name.long.len().div_ceil(UNITS)).sum();
    (own + rows) * ENTRY_BYTES
}

/// A folder's bytes. The root begins with the label, every other one with itself (at cluster `here`) and its parent (at
/// `parent`; 0 is the root). `first` gives the first cluster of an entry.
pub(super) fn encode(
    folder: &[u8],
    entries: &[Entry],
    label: &[u8; 11],
    date: &Date,
    here: u32,
    parent: u32,
    first: impl Fn(&[u8]) -> u32,
) -> Result<Vec<u8>> {
    let size = size_bytes(folder, entries, label);
    ensure!(
        size / ENTRY_BYTES <= MAX_ENTRIES,
        "{} has more than {MAX_ENTRIES} entries in a FAT file system",
        show(folder)
    );
    let mut bytes = Vec::with_capacity(size);
    if !folder.is_empty() {
        bytes.extend(row(b".          ", ATTRIBUTE_DIRECTORY, date, here, 0));
        bytes.extend(row(b"..         ", ATTRIBUTE_DIRECTORY, date, parent, 0));
    } else if label != &[b' '; 11] {
        bytes.extend(row(label, ATTRIBUTE_LABEL, date, 0, 0));
    }
    for entry in entries {
        bytes.extend(long_name(&entry.name));
        let attributes = if entry.is_folder { ATTRIBUTE_DIRECTORY } else { ATTRIBUTE_ARCHIVE };
        bytes.extend(row(&entry.name.short, attributes, date, first(&entry.path), entry.size));
    }
    Ok(bytes)
}

/// At 0 name, at 11 attributes, at 14 time and at 16 date of creation, at 18 date of the last access, at 22 time and at 24
/// date of the last change, at 26 first cluster, at 28 size in bytes.
fn row(name: &[u8; 11], attributes: u8, date: &Date, cluster: u32, size: u32) -> [u8; ENTRY_BYTES] {
    let mut row = [0; ENTRY_BYTES];
    row[..11].copy_from_slice(name);
    row[11] = attributes;
    for (at, field) in [(14, date.time), (16, date.date), (18, date.date), (22, date.time), (24, date.date)] {
        row[at..at + 2].copy_from_slice(&field);
    }
    row[26..28].copy_from_slice(&(cluster as u16).to_le_bytes());
    row[28..].copy_from_slice(&size.to_le_bytes());
    row
}

/// The entries of a long name, its end first. At 0 number, 40h added to the first of them; at 11 attributes, at 13
/// checksum of the short name; the units are ended by 0, then filled with FFFFh.
fn long_name(name: &Name) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, units) in name.long.chunks(UNITS).enumerate().rev() {
        let mut row = [0; ENTRY_BYTES];
        let is_end = (index + 1) * UNITS >= name.long.len();
        row[0] = (index + 1) as u8 | if is_end { 0x40 } else { 0 };
        row[11] = ATTRIBUTES_LONG_NAME;
        row[13] = names::checksum(&name.short);
        let filled = units.iter().copied().chain([0]).chain(std::iter::repeat(0xffff));
        for (at, unit) in UNITS_AT.into_iter().zip(filled) {
            row[at..at + 2].copy_from_slice(&unit.to_le_bytes());
        }
        bytes.extend(row);
    }
    bytes
}
