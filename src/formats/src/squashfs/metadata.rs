//! Metadata blocks: 8 KiB of inodes, directory entries or table entries, each compressed for itself behind a 16-bit
//! header (bits 0-14 size in bytes, bit 15 set = stored as it is), and tables of them.
//!
//! Reference: Linux `fs/squashfs/squashfs_fs.h` (`SQUASHFS_COMPRESSED_BIT`), `cache.c` (`squashfs_read_table`).

use std::io::Write;

use super::Sink;
use super::compression::{Encoder, Encoders};

/// `SQUASHFS_METADATA_SIZE`.
pub(super) const SIZE: usize = 8192;
/// Bit 15 of a header.
pub(super) const STORED: u16 = 1 << 15;

/// Place of a thing in a table of metadata blocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Reference {
    /// Where its metadata block starts: bytes from the start of the table on disk.
    pub(super) block: u32,
    /// Where it starts in the unpacked block, in bytes.
    pub(super) offset: u16,
}

impl Reference {
    /// As superblock and extended attributes hold it: block in bits 16-47, offset in bits 0-15.
    pub(super) fn to_u64(self) -> u64 {
        u64::from(self.block) << 16 | u64::from(self.offset)
    }
}

/// Packs a stream of records into metadata blocks; records may cross from one block to the next.
pub(super) struct MetadataWriter {
    encoder: Encoder,
    packed: Vec<u8>,
    /// Starts of the blocks in `packed`.
    starts: Vec<u64>,
    open: Vec<u8>,
}

impl MetadataWriter {
    /// An empty table.
    pub(super) fn new(encoders: &Encoders) -> anyhow::Result<Self> {
        Ok(Self { encoder: encoders.make()?, packed: Vec::new(), starts: Vec::new(), open: Vec::new() })
    }

    /// Where the next record goes.
    pub(super) fn position(&self) -> Reference {
        Reference { block: self.packed.len() as u32, offset: self.open.len() as u16 }
    }

    /// Appends a record.
    pub(super) fn push(&mut self, mut record: &[u8]) -> anyhow::Result<()> {
        while !record.is_empty() {
            let (now, later) = record.split_at(record.len().min(SIZE - self.open.len()));
            self.open.extend_from_slice(now);
            record = later;
            if self.open.len() == SIZE {
                self.close()?;
            }
        }
        Ok(())
    }

    fn close(&mut self) -> anyhow::Result<()> {
        self.starts.push(self.packed.len() as u64);
        let (header, body) = match self.encoder.encode(&self.open)? {
            Some(body) => (body.len() as u16, body),
            None => (self.open.len() as u16 | STORED, self.open.clone()),
        };
        self.packed.extend(header.to_le_bytes());
        self.packed.extend(body);
        self.open.clear();
        Ok(())
    }

    /// The bytes on disk and where in them each block starts.
    pub(super) fn finish(mut self) -> anyhow::Result<(Vec<u8>, Vec<u64>)> {
        if !self.open.is_empty() {
            self.close()?;
        }
        Ok((self.packed, self.starts))
    }
}

/// Writes metadata blocks and behind them the list of their 64-bit places; gives back the place of the list.
pub(super) fn write_table<W: Write>(
    records: &[u8],
    encoders: &Encoders,
    sink: &mut Sink<'_, W>,
) -> anyhow::Result<u64> {
    let places = write_blocks(records, encoders, sink)?;
    let list_start = sink.position;
    sink.write(&places)?;
    Ok(list_start)
}

/// Writes metadata blocks; gives back the list of their 64-bit places in bytes.
pub(super) fn write_blocks<W: Write>(
    records: &[u8],
    encoders: &Encoders,
    sink: &mut Sink<'_, W>,
) -> anyhow::Result<Vec<u8>> {
    let mut writer = MetadataWriter::new(encoders)?;
    writer.push(records)?;
    let (packed, starts) = writer.finish()?;
    let places = starts.iter().flat_map(|start| (sink.position + start).to_le_bytes()).collect();
    sink.write(&packed)?;
    Ok(places)
}
