//! A disk as blocks of equal size, those left out that hold nothing but zeros; and work on them on all cores.

use anyhow::Result;
use bytes::Bytes;
use rayon::prelude::*;

use super::Disk;

/// Blocks that are worked on at once: 16 MiB of them at 64 KiB each, so that memory stays small.
const BATCH: usize = 256;

impl Disk {
    /// Number and content of each block that is not all zero, in ascending order. The disk's last block is filled up with
    /// zeros.
    pub(super) fn blocks(&self, block_bytes: usize) -> impl Iterator<Item = (u64, Bytes)> {
        let size = block_bytes as u64;
        let mut next = 0;
        let numbers = self.extents.iter().flat_map(move |(offset, content)| {
            let end = (offset + content.len() as u64).div_ceil(size);
            let range = next.max(offset / size)..end;
            next = next.max(end);
            range
        });
        numbers.map(move |number| (number, self.block(number * size, block_bytes))).filter(|(_, block)| !is_zero(block))
    }

    /// `length` bytes at `offset`, copied only where no single extent holds all of them.
    fn block(&self, offset: u64, length: usize) -> Bytes {
        let end = offset + length as u64;
        let first = self.extents.partition_point(|(start, content)| start + content.len() as u64 <= offset);
        let touched = self.extents.get(first..).unwrap_or_default();
        let touched = touched.get(..touched.partition_point(|&(start, _)| start < end)).unwrap_or_default();
        let part = |start: u64, content: &Bytes| {
            let from = offset.saturating_sub(start) as usize;
            content.slice(from..content.len().min((end - start) as usize))
        };
        if let [(start, content)] = touched
            && *start <= offset
            && end <= start + content.len() as u64
        {
            return part(*start, content);
        }
        let mut block = vec![0; length];
        for (start, content) in touched {
            let (at, part) = (start.saturating_sub(offset) as usize, part(*start, content));
            block[at..at + part.len()].copy_from_slice(&part);
        }
        block.into()
    }
}

/// Whether there is nothing in it.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    // By large pieces, which compilers turn into wide comparisons, and which end early.
    bytes.chunks(1024).all(|piece| piece.iter().fold(0, |sum, byte| sum | byte) == 0)
}

/// Gives `sink` what `work` made of each block, in the blocks' order. `work` runs on all cores.
pub(super) fn in_parallel<T: Send>(
    blocks: impl Iterator<Item = (u64, Bytes)>,
    work: impl Fn(&Bytes) -> Result<T> + Sync,
    mut sink: impl FnMut(u64, Bytes, T) -> Result<()>,
) -> Result<()> {
    let mut blocks = blocks.peekable();
    while blocks.peek().is_some() {
        let batch: Vec<(u64, Bytes)> = blocks.by_ref().take(BATCH).collect();
        let done: Vec<T> = batch.par_iter().map(|(_, block)| work(block)).collect::<Result<_>>()?;
        for ((number, block), made) in batch.into_iter().zip(done) {
            sink(number, block, made)?;
        }
    }
    Ok(())
}
