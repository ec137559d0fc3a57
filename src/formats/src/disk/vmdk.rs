//! VMware's VMDK, "stream-optimized": what VMware and VirtualBox import, alone or in an OVA. It is read from front to back
//! and not meant to be written to; both make a disk of their own from it.
//!
//! Terms: a *grain* is 64 KiB of the disk, stored as zlib makes it; a *grain table* leads to 512 grains, the *grain
//! directory* to the tables. What no table leads to is zero. Each is announced by a *marker* of one sector; positions and
//! sizes count sectors of 512 bytes; numbers are little-endian.
//!
//! | place | content |
//! |---|---|
//! | sector 0 | header, which says that the directory is at the end |
//! | sectors 1 to 20 | descriptor, a text |
//! | sector 128 | grains, each table behind those it leads to |
//! | then | directory, footer (the header again, with the directory's place), end-of-stream marker |
//!
//! Reference: VMware "Virtual Disk Format 5.0" (1.1 has the same), "Stream-Optimized Compressed Sparse Extents".

use std::io::Write;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::blocks::in_parallel;
use super::{Disk, SECTOR_BYTES};

const SECTOR: usize = SECTOR_BYTES as usize;
const GRAIN_SECTORS: u64 = 128;
const GRAIN_BYTES: usize = GRAIN_SECTORS as usize * SECTOR;
/// Entries of a grain table.
const TABLE_ENTRIES: u64 = 512;
const DESCRIPTOR_SECTOR: u64 = 1;
const DESCRIPTOR_SECTORS: u64 = 20;
/// Where grains begin.
const OVERHEAD_SECTORS: u64 = 128;
/// Place of the grain directory in the header, if only the footer knows it (`GD_AT_END`).
const AT_END: u64 = u64::MAX;
/// Line breaks can be checked, grains are compressed, markers are there.
const FLAGS: u32 = 1 | 1 << 16 | 1 << 17;

/// Types of markers.
const END_OF_STREAM: u32 = 0;
const GRAIN_TABLE: u32 = 1;
const GRAIN_DIRECTORY: u32 = 2;
const FOOTER: u32 = 3;

/// What the descriptor says besides what follows from the disk.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    /// The file's own name, in which no quotes may be.
    pub name: &'a str,
    /// Bytes that differ when the content does.
    pub id: [u8; 16],
}

/// Writes the disk as stream-optimized VMDK in one pass.
///
/// # Errors
/// If `out` gives one; if the disk is no multiple of 64 KiB or 2 TiB large.
pub fn write(disk: &Disk, options: &Options, out: &mut impl Write) -> Result<()> {
    ensure!(
        disk.size_bytes.is_multiple_of(GRAIN_BYTES as u64),
        "VMDK disk of {} bytes: expected a multiple of {GRAIN_BYTES}",
        disk.size_bytes
    );
    let capacity = disk.size_bytes / SECTOR_BYTES;
    ensure!(capacity <= u64::from(u32::MAX), "VMDK disk of {} bytes: expected less than 2 TiB", disk.size_bytes);

    let mut writer = Writer { out, sector: 0 };
    writer.append(&header(capacity, AT_END))?;
    let descriptor = descriptor(options, capacity);
    ensure!(descriptor.len() <= DESCRIPTOR_SECTORS as usize * SECTOR, "the VMDK's name {:?} is too long", options.name);
    writer.append(descriptor.as_bytes())?;
    writer.append(&vec![0; (OVERHEAD_SECTORS - writer.sector) as usize * SECTOR])?;

    let tables = capacity.div_ceil(GRAIN_SECTORS * TABLE_ENTRIES);
    let mut directory = vec![0; tables as usize];
    let mut table = Table::default();
    in_parallel(disk.blocks(GRAIN_BYTES), deflated, |number, _, deflated| {
        if number / TABLE_ENTRIES != table.number {
            table.finish(&mut writer, &mut directory)?;
            table = Table { number: number / TABLE_ENTRIES, entries: Vec::new() };
        }
        table.put(number % TABLE_ENTRIES, writer.place()?);
        let mut grain = (number * GRAIN_SECTORS).to_le_bytes().to_vec();
        grain.extend((deflated.len() as u32).to_le_bytes());
        grain.extend(deflated);
        writer.append(&grain)
    })?;
    table.finish(&mut writer, &mut directory)?;

    writer.marker(GRAIN_DIRECTORY, tables.div_ceil(SECTOR_BYTES / 4))?;
    let directory_sector = writer.sector;
    writer.append(&little_endian(&directory))?;
    writer.marker(FOOTER, 1)?;
    writer.append(&header(capacity, directory_sector))?;
    writer.marker(END_OF_STREAM, 0)
}

/// A grain table in the making.
#[derive(Default)]
struct Table {
    number: u64,
    /// Sector of each grain, 0 for none; empty as long as there is none.
    entries: Vec<u32>,
}

impl Table {
    fn put(&mut self, index: u64, sector: u32) {
        self.entries.resize(TABLE_ENTRIES as usize, 0);
        self.entries[index as usize] = sector;
    }

    fn finish(&self, writer: &mut Writer<impl Write>, directory: &mut [u32]) -> Result<()> {
        if self.entries.is_empty() {
            return Ok(());
        }
        writer.marker(GRAIN_TABLE, TABLE_ENTRIES * 4 / SECTOR_BYTES)?;
        directory[self.number as usize] = writer.place()?;
        writer.append(&little_endian(&self.entries))
    }
}

struct Writer<'a, W> {
    out: &'a mut W,
    /// Where the file ends by now.
    sector: u64,
}

impl<W: Write> Writer<'_, W> {
    /// Appends bytes and fills up the last sector.
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let fill = bytes.len().next_multiple_of(SECTOR) - bytes.len();
        let write = |out: &mut W| out.write_all(bytes).and_then(|()| out.write_all(&vec![0; fill]));
        write(self.out).with_context(|| format!("writing a VMDK disk at sector {}", self.sector))?;
        self.sector += ((bytes.len() + fill) / SECTOR) as u64;
        Ok(())
    }

    /// The next sector's number as tables hold it.
    fn place(&self) -> Result<u32> {
        u32::try_from(self.sector).context("a VMDK file of 2 TiB")
    }

    /// | offset | size | field |
    /// |---|---|---|
    /// | 0 | 8 | sectors of what follows |
    /// | 8 | 4 | 0: no grain |
    /// | 12 | 4 | type |
    fn marker(&mut self, kind: u32, sectors: u64) -> Result<()> {
        let mut marker = sectors.to_le_bytes().to_vec();
        marker.extend([0; 4]);
        marker.extend(kind.to_le_bytes());
        self.append(&marker)
    }
}

/// `SparseExtentHeader`:
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 4 | magic `KDMV` |
/// | 4 | 4 | version 3, that of stream-optimized files |
/// | 8 | 4 | flags |
/// | 12 | 8 | sectors of the disk |
/// | 20 | 8 | sectors of a grain |
/// | 28 | 8 + 8 | place and sectors of the descriptor |
/// | 44 | 4 | entries of a grain table |
/// | 48 | 8 | redundant directory: none |
/// | 56 | 8 | place of the directory |
/// | 64 | 8 | sectors before the grains |
/// | 72 | 1 | not closed properly: no |
/// | 73 | 4 | `\n`, space, `\r\n`: a transfer as text has spoilt none of them |
/// | 77 | 2 | compression: 1, deflate |
fn header(capacity: u64, directory: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SECTOR);
    bytes.extend(b"KDMV");
    bytes.extend(3_u32.to_le_bytes());
    bytes.extend(FLAGS.to_le_bytes());
    for number in [capacity, GRAIN_SECTORS, DESCRIPTOR_SECTOR, DESCRIPTOR_SECTORS] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend((TABLE_ENTRIES as u32).to_le_bytes());
    for number in [0, directory, OVERHEAD_SECTORS] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.push(0);
    bytes.extend(b"\n \r\n");
    bytes.extend(1_u16.to_le_bytes());
    bytes
}

/// The descriptor. The geometry is that of large disks, 255 heads and 63 sectors.
fn descriptor(options: &Options, capacity: u64) -> String {
    let id = u128::from_be_bytes(options.id);
    // All ones and one less mean "no parent" and "not known".
    let content_id = ((id >> 96) as u32) & 0x7fff_ffff;
    format!(
        "# Disk DescriptorFile\n\
         version=1\n\
         CID={content_id:08x}\n\
         parentCID=ffffffff\n\
         createType=\"streamOptimized\"\n\
         \n\
         # Extent description\n\
         RDONLY {capacity} SPARSE \"{}\"\n\
         \n\
         # The Disk Data Base\n\
         #DDB\n\
         \n\
         ddb.adapterType = \"ide\"\n\
         ddb.geometry.cylinders = \"{}\"\n\
         ddb.geometry.heads = \"255\"\n\
         ddb.geometry.sectors = \"63\"\n\
         ddb.longContentID = \"{id:032x}\"\n\
         ddb.virtualHWVersion = \"10\"\n",
        options.name,
        (capacity / (255 * 63)).clamp(1, 65535),
    )
}

fn little_endian(entries: &[u32]) -> Vec<u8> {
    entries.iter().flat_map(|entry| entry.to_le_bytes()).collect()
}

fn deflated(grain: &Bytes) -> Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(grain).context("compressing a grain")?;
    encoder.finish().context("compressing a grain")
}
