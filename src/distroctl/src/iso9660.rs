//! ISO 9660 volumes as far as they are told apart: the primary volume descriptor (ECMA-119 8.4), in sector 16 of 2048 bytes.
//! Nothing is mounted. Numbers that stand there in both byte orders are read little endian, which comes first.

use std::io::{self, Read, Seek, SeekFrom};

/// Bytes of a sector.
pub(crate) const SECTOR: u64 = 2048;

/// A part of a device, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) offset: u64,
    pub(crate) size: u64,
}

/// A primary volume descriptor: type 1 at 0, "CD001" at 1, the volume identifier at 40 (32 bytes), the root folder's record at
/// 156 (34 bytes), the volume set identifier at 190 (128 bytes). What was cut off is empty.
#[derive(Debug)]
pub(crate) struct Descriptor(Vec<u8>);

impl Descriptor {
    /// That of a device; `None` if there is none.
    pub(crate) fn read(device: &mut (impl Read + Seek)) -> io::Result<Option<Self>> {
        let bytes = read_at(device, 16 * SECTOR, SECTOR)?;
        Ok(bytes.starts_with(b"\x01CD001").then_some(Self(bytes)))
    }

    /// The volume's label, with the blanks that fill it up.
    pub(crate) fn volume(&self) -> &[u8] {
        self.0.get(40..72).unwrap_or_default()
    }

    /// The volume set's identifier, without the blanks that fill it up.
    pub(crate) fn volume_set(&self) -> String {
        let text = String::from_utf8_lossy(self.0.get(190..318).unwrap_or_default());
        text.trim_end_matches([' ', '\0']).to_string()
    }

    /// Where the root folder is.
    pub(crate) fn root(&self) -> Option<Extent> {
        extent(self.0.get(156..190)?)
    }
}

/// Where the file or folder of a folder's record is (9.1): extent at 2, in sectors; size at 10.
pub(crate) fn extent(record: &[u8]) -> Option<Extent> {
    let number = |at: usize| record.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes).map(u64::from);
    Some(Extent { offset: number(2)? * SECTOR, size: number(10)? })
}

/// Up to so many bytes: fewer, or none, where the device ends.
pub(crate) fn read_at(device: &mut (impl Read + Seek), at: u64, count: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    device.seek(SeekFrom::Start(at))?;
    device.take(count).read_to_end(&mut bytes)?;
    Ok(bytes)
}
