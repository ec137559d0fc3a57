//! The disk itself, byte for byte. What is zero is skipped, so that the file has holes where its file system can.

use std::io::{Seek, SeekFrom, Write};

use anyhow::{Context, Result};

use super::Disk;

/// Bytes that are looked at together: what file systems allocate at least.
const BLOCK_BYTES: usize = 4096;

/// Writes the disk from the start of `out`, which must be empty.
///
/// # Errors
/// If `out` gives one.
pub fn write(disk: &Disk, out: &mut (impl Write + Seek)) -> Result<()> {
    let mut written = 0;
    for (number, block) in disk.blocks(BLOCK_BYTES) {
        let offset = number * BLOCK_BYTES as u64;
        let context = || format!("writing a raw disk at byte {offset}");
        if offset != written {
            out.seek(SeekFrom::Start(offset)).with_context(context)?;
        }
        let room = disk.size_bytes - offset;
        let block = block.get(..room.min(block.len() as u64) as usize).unwrap_or(&block);
        out.write_all(block).with_context(context)?;
        written = offset + block.len() as u64;
    }
    if written < disk.size_bytes {
        out.seek(SeekFrom::Start(disk.size_bytes - 1)).context("writing the end of a raw disk")?;
        out.write_all(&[0]).context("writing the end of a raw disk")?;
    }
    Ok(())
}
