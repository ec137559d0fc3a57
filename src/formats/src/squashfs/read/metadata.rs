//! Metadata blocks and the tables made of them, to read; [`crate::squashfs::metadata`] has the layout.

use std::collections::HashMap;
use std::sync::PoisonError;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;

use super::super::metadata::{SIZE, STORED};
use super::Image;
use crate::view::View;

/// Blocks that are kept unpacked, 8 KiB each.
const MAX_CACHED_BLOCKS: usize = 4096;

/// Unpacked blocks with where the next one starts, by their place.
#[derive(Default)]
pub(super) struct MetadataCache(HashMap<u64, (Bytes, u64)>);

/// Place of a thing in a table, as the superblock, directories and attributes pack it: where its block starts, in bytes
/// from the start of the table, in bits 16-47; the offset in the unpacked block in bits 0-15.
#[derive(Clone, Copy)]
pub(super) struct Place(pub(super) u64);

impl Place {
    pub(super) fn new(block: u32, offset: u16) -> Self {
        Self(u64::from(block) << 16 | u64::from(offset))
    }
}

/// Reads forward through the blocks of a table.
pub(super) struct Cursor<'a> {
    image: &'a Image,
    block: Bytes,
    /// Offset in `block`.
    at: usize,
    /// Where the next block starts, and where no more may start: bytes from the start of the file system.
    next: u64,
    end: u64,
}

impl Cursor<'_> {
    /// The next `len` bytes; memory is taken as they turn out to be there.
    pub(super) fn take(&mut self, len: usize, what: &str) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(len.min(SIZE));
        while bytes.len() < len {
            if self.at == self.block.len() {
                ensure!(self.next < self.end, "reading {what}: its table ends at byte {}", self.end);
                (self.block, self.next) = self.image.metadata_block(self.next, self.end)?;
                self.at = 0;
            }
            let rest = &self.block[self.at..];
            let now = rest.len().min(len - bytes.len());
            bytes.extend_from_slice(&rest[..now]);
            self.at += now;
        }
        Ok(bytes)
    }

    pub(super) fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(&self.take(N, what)?);
        Ok(array)
    }

    pub(super) fn u16(&mut self, what: &str) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array(what)?))
    }

    pub(super) fn u32(&mut self, what: &str) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub(super) fn u64(&mut self, what: &str) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }
}

impl Image {
    /// A cursor at a place of the table that starts at byte `table` and ends before byte `end`.
    pub(super) fn cursor(&self, table: u64, end: u64, place: Place) -> Result<Cursor<'_>> {
        let start = table.checked_add(place.0 >> 16).filter(|start| *start < end);
        let start = start.with_context(|| format!("place {:#x} is behind its table at byte {table}", place.0))?;
        let at = (place.0 & 0xffff) as usize;
        let (block, next) = self.metadata_block(start, end)?;
        let found = block.len();
        ensure!(at <= found, "offset {at} in the metadata block at byte {start}, which has {found} bytes");
        Ok(Cursor { image: self, block, at, next, end })
    }

    /// The unpacked block at byte `start` and where the next one starts.
    fn metadata_block(&self, start: u64, end: u64) -> Result<(Bytes, u64)> {
        let cache = || self.metadata.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((block, next)) = cache().0.get(&start) {
            return Ok((block.clone(), *next));
        }
        let context = || format!("reading the metadata block at byte {start}");
        let view = View::new(&self.bytes);
        let at = usize::try_from(start).with_context(context)?;
        let header = view.u16_le(at, "header of a metadata block")?;
        let length = usize::from(header & !STORED);
        ensure!((1..=SIZE).contains(&length), "metadata block at byte {start}: {length} bytes, expected 1 to {SIZE}");
        let stored = view.take(at + 2, length, "metadata block")?;
        let next = start + 2 + length as u64;
        ensure!(next <= end, "the metadata block at byte {start} goes beyond its table's end at byte {end}");
        let block = if header & STORED != 0 {
            self.bytes.slice(at + 2..at + 2 + length)
        } else {
            let mut block = vec![0; SIZE];
            let length = self.decoder.unpack(stored, &mut block).with_context(context)?;
            ensure!(length > 0, "metadata block at byte {start}: it is empty");
            block.truncate(length);
            Bytes::from(block)
        };
        let mut cache = cache();
        if cache.0.len() >= MAX_CACHED_BLOCKS {
            cache.0.clear();
        }
        cache.0.insert(start, (block.clone(), next));
        Ok((block, next))
    }

    /// Record `index` of the table whose list of 64-bit block places is at byte `list`. `N` divides 8192.
    pub(super) fn table_record<const N: usize>(&self, list: u64, index: u64, what: &str) -> Result<[u8; N]> {
        let per_block = (SIZE / N) as u64;
        let at = list.saturating_add(8 * (index / per_block));
        let at = usize::try_from(at).with_context(|| format!("place of {what} {index}"))?;
        let block = u64::from_le_bytes(View::new(&self.bytes).array(at, "place of a table's block")?);
        let offset = (index % per_block) * N as u64;
        let mut cursor = self.cursor(block, self.head.bytes_used, Place(offset))?;
        cursor.array(what).with_context(|| format!("reading {what} {index}"))
    }
}
