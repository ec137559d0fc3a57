//! Data and fragment blocks: compressed on all cores, written in order.

use std::borrow::Cow;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use super::Sink;
use super::compression::Encoders;

/// Input bytes a thread gets before results are written: small enough to bound memory, large enough that waiting for the
/// last block of each round costs little.
const ROUND_BYTES_PER_THREAD: u64 = 32 * 1024 * 1024;
/// Bit 24 of a size: the block is stored as it is.
pub(super) const STORED: u32 = 1 << 24;

/// Compressed blocks kept between builds.
pub trait BlockCache: Sync {
    /// What was put under the key. The cache answers for its bytes being unchanged.
    fn get(&self, key: &[u8; 32]) -> Option<Vec<u8>>;
    /// Keeps `value`; it is empty for a block that does not shrink. A cache that fails only loses time, so it tells nobody.
    fn put(&self, key: &[u8; 32], value: &[u8]);
}

/// Up to a block size of bytes, put together from ends of files or a part of one.
pub(super) struct Block<'a> {
    pub(super) parts: Vec<&'a [u8]>,
}

impl Block<'_> {
    fn length(&self) -> u64 {
        self.parts.iter().map(|part| part.len() as u64).sum()
    }

    fn bytes(&self) -> Cow<'_, [u8]> {
        match self.parts.as_slice() {
            [only] => Cow::Borrowed(only),
            parts => Cow::Owned(parts.concat()),
        }
    }
}

/// Where a block is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored {
    /// Bytes from the start of the file system.
    pub(super) start: u64,
    /// Size on disk as inodes and the fragment table hold it: bytes, bit 24 set if not compressed.
    pub(super) size: u32,
}

impl Stored {
    /// Bytes on disk.
    pub(super) fn length(&self) -> u64 {
        u64::from(self.size & !STORED)
    }

    /// `struct squashfs_fragment_entry`: start u64, size u32, unused u32.
    pub(super) fn fragment_entry(&self) -> [u8; 16] {
        let mut entry = [0; 16];
        entry[..8].copy_from_slice(&self.start.to_le_bytes());
        entry[8..12].copy_from_slice(&self.size.to_le_bytes());
        entry
    }
}

/// Compresses and writes all blocks.
pub(super) fn write<W: Write>(
    blocks: &[Block<'_>],
    encoders: &Encoders,
    cache: Option<&dyn BlockCache>,
    sink: &mut Sink<'_, W>,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> anyhow::Result<Vec<Stored>> {
    let total: u64 = blocks.iter().map(Block::length).sum();
    let done = AtomicU64::new(0);
    let pack = |block: &Block<'_>| -> anyhow::Result<Option<Vec<u8>>> {
        let packed = pack(&block.bytes(), encoders, cache)?;
        let length = block.length();
        progress(done.fetch_add(length, Ordering::Relaxed) + length, total);
        Ok(packed)
    };
    let mut stored = Vec::with_capacity(blocks.len());
    for round in rounds(blocks) {
        // One block is a fair piece of work to steal: milliseconds at least.
        let packed: Vec<_> = round.par_iter().with_max_len(1).map(pack).collect::<Result<_, _>>()?;
        for (block, packed) in round.iter().zip(packed) {
            let start = sink.position;
            match &packed {
                Some(bytes) => sink.write(bytes)?,
                None => block.parts.iter().try_for_each(|part| sink.write(part))?,
            }
            let flag = if packed.is_none() { STORED } else { 0 };
            stored.push(Stored { start, size: (sink.position - start) as u32 | flag });
        }
    }
    Ok(stored)
}

/// Cuts the list so that each piece is work for all threads.
fn rounds<'a, 'b>(blocks: &'a [Block<'b>]) -> impl Iterator<Item = &'a [Block<'b>]> {
    let limit = ROUND_BYTES_PER_THREAD * rayon::current_num_threads() as u64;
    let mut rest = blocks;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let over = |block: &Block<'_>| {
            bytes += block.length();
            bytes > limit
        };
        let count = rest.iter().position(over).unwrap_or(rest.len()).max(1);
        let (round, later) = rest.split_at_checked(count)?;
        rest = later;
        Some(round)
    })
}

fn pack(input: &[u8], encoders: &Encoders, cache: Option<&dyn BlockCache>) -> anyhow::Result<Option<Vec<u8>>> {
    let Some(cache) = cache else { return encoders.encode(input) };
    let key = encoders.key(input);
    match cache.get(&key) {
        Some(known) if known.is_empty() => return Ok(None),
        Some(known) if known.len() < input.len() => return Ok(Some(known)),
        _ => {}
    }
    let packed = encoders.encode(input)?;
    cache.put(&key, packed.as_deref().unwrap_or_default());
    Ok(packed)
}
