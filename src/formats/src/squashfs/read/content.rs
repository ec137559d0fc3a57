//! Contents of files: blocks and fragments, to read.

use std::collections::HashMap;
use std::sync::PoisonError;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use rayon::prelude::*;

use super::super::blocks::STORED;
use super::inode::Spread;
use super::{Entry, EntryKind, Image};
use crate::tree::show;
use crate::view::View;

/// Unpacked fragments that are kept.
const MAX_CACHED_BYTES: usize = 64 << 20;

/// Unpacked fragments by their numbers.
#[derive(Default)]
pub(super) struct Fragments {
    unpacked: HashMap<u32, Bytes>,
    bytes: usize,
}

/// One block on disk and its part of the content.
type Piece<'a> = (u64, u32, &'a mut [u8]);

impl Image {
    /// The content of a file, which may have at most `max_bytes`.
    ///
    /// # Errors
    /// If the entry is no file, or its blocks are damaged.
    pub fn content(&self, entry: &Entry, max_bytes: u64) -> Result<Bytes> {
        let context = || format!("reading {}", show(&entry.path));
        ensure!(entry.kind == EntryKind::File, "{} is no file", show(&entry.path));
        let found = entry.size_bytes;
        ensure!(found <= max_bytes, "{} has {found} bytes, expected at most {max_bytes}", show(&entry.path));
        let inode = self.inode(entry.place, found / u64::from(self.head.block_size) + 1).with_context(context)?;
        let spread = inode.spread.with_context(context)?;
        ensure!(spread.size_bytes == found, "{} is an entry of another image", show(&entry.path));
        self.unpack_file(&spread).with_context(context)
    }

    fn unpack_file(&self, spread: &Spread) -> Result<Bytes> {
        // Files in one fragment are the most by far.
        if let (Some((fragment, offset)), true) = (spread.tail, spread.blocks.is_empty()) {
            return Ok(Bytes::copy_from_slice(self.tail(fragment, offset, spread.size_bytes)?.as_ref()));
        }
        let mut content = vec![0; usize::try_from(spread.size_bytes).context("size of the file")?];
        let mut pieces: Vec<Piece<'_>> = Vec::with_capacity(spread.blocks.len());
        let mut start = spread.start;
        let block_size = self.head.block_size as usize;
        let whole = content.len().min(spread.blocks.len() * block_size);
        let (body, end) = content.split_at_mut(whole);
        for (part, &size) in body.chunks_mut(block_size).zip(&spread.blocks) {
            pieces.push((start, size, part));
            start = start.saturating_add(u64::from(size & !STORED));
        }
        let read = |(start, size, part): Piece<'_>| self.unpack_block(start, size, part);
        pieces.into_par_iter().with_max_len(1).try_for_each(read)?;
        if let Some((fragment, offset)) = spread.tail {
            end.copy_from_slice(&self.tail(fragment, offset, end.len() as u64)?);
        }
        Ok(content.into())
    }

    /// Fills `part`, which is zeros, from a block that must have just its size.
    fn unpack_block(&self, start: u64, size: u32, part: &mut [u8]) -> Result<()> {
        if size == 0 {
            return Ok(());
        }
        let stored = self.stored(start, size)?;
        let length = if size & STORED == 0 {
            let unpacked = self.decoder.unpack(stored, part);
            unpacked.with_context(|| format!("unpacking the block at byte {start}"))?
        } else {
            let length = stored.len();
            part.get_mut(..length).context("a block larger than its part of the file")?.copy_from_slice(stored);
            length
        };
        ensure!(length == part.len(), "the block at byte {start} holds {length} bytes, expected {}", part.len());
        Ok(())
    }

    /// `length` bytes at `offset` of a fragment.
    fn tail(&self, fragment: u32, offset: u32, length: u64) -> Result<Bytes> {
        let unpacked = self.fragment(fragment)?;
        let found = unpacked.len();
        let range = usize::try_from(length).ok().and_then(|length| {
            let end = (offset as usize).checked_add(length).filter(|end| *end <= found)?;
            Some(offset as usize..end)
        });
        let range = range.with_context(|| {
            format!("fragment {fragment} has {found} bytes, expected {length} at byte {offset} of it")
        })?;
        Ok(unpacked.slice(range))
    }

    /// A fragment, unpacked.
    pub(super) fn fragment(&self, number: u32) -> Result<Bytes> {
        let cache = || self.fragments.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = cache().unpacked.get(&number) {
            return Ok(known.clone());
        }
        let (start, size) = self.fragment_place(number)?;
        let stored = self.stored(start, size)?;
        let unpacked = if size & STORED == 0 {
            let mut unpacked = vec![0; self.head.block_size as usize];
            let length = self.decoder.unpack(stored, &mut unpacked);
            unpacked.truncate(length.with_context(|| format!("unpacking fragment {number} at byte {start}"))?);
            Bytes::from(unpacked)
        } else {
            Bytes::copy_from_slice(stored)
        };
        let mut cache = cache();
        if cache.bytes + unpacked.len() > MAX_CACHED_BYTES {
            *cache = Fragments::default();
        }
        if cache.unpacked.insert(number, unpacked.clone()).is_none() {
            cache.bytes += unpacked.len();
        }
        Ok(unpacked)
    }

    /// Where a fragment starts, and its size with the flag.
    pub(super) fn fragment_place(&self, number: u32) -> Result<(u64, u32)> {
        ensure!(number < self.head.fragments, "fragment {number} of {}", self.head.fragments);
        let record: [u8; 16] = self.table_record(self.head.fragment_table, number.into(), "fragment")?;
        let record = View::new(&record);
        Ok((u64::from_le_bytes(record.array(0, "place")?), record.u32_le(8, "size")?))
    }

    fn stored(&self, start: u64, size: u32) -> Result<&[u8]> {
        let (length, most) = (size & !STORED, self.head.block_size);
        ensure!(length <= most, "the block at byte {start} has {length} bytes, expected at most {most}");
        let at = usize::try_from(start).context("place of a block")?;
        View::new(&self.bytes).take(at, length as usize, "block")
    }
}
