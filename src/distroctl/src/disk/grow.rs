//! Grows what the data disk has room for: the partition to the end of its disk, then the file system, mounted, to the end of
//! the partition. What cannot be grown works as it is.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::fs::{SeekFrom, seek};

use super::block::Device;
use super::partition::Place;
use super::search::CLASS_BLOCK;
use super::superblock;
use crate::console::log;
use crate::guest::Guest;

const RESIZE2FS: &str = "/usr/sbin/resize2fs";
/// Less is not worth it: a last block group that is not larger than its own tables is left out, at each boot again.
const WORTHWHILE_BYTES: u64 = 4 << 20;

/// Grows the partition that the file system lies in, if it lies in one.
pub(super) fn partition(guest: &Guest, device: &Device) {
    let Some(mut place) = Place::of(device, Path::new(CLASS_BLOCK)).filter(|_| device.partition) else { return };
    if let Err(error) = place.grow() {
        guest.warn(&format!("{} is not grown: {error:#}", device.node().display()));
    }
}

/// Grows the mounted ext4 file system of a device.
pub(super) fn file_system(guest: &Guest, node: &Path) {
    if let Err(error) = grow_ext(node) {
        guest.warn(&format!("the file system of {} is not grown: {error:#}", node.display()));
    }
}

pub(super) fn grow_ext(node: &Path) -> Result<()> {
    let device = File::open(node).context("opening it")?;
    let Some(has_bytes) = superblock::ext_size_bytes(&device).context("reading its superblock")? else { return Ok(()) };
    let room_bytes = seek(&device, SeekFrom::End(0)).context("asking for its size")?;
    if room_bytes < has_bytes.saturating_add(WORTHWHILE_BYTES) {
        return Ok(());
    }
    let status = Command::new(RESIZE2FS).arg(node).stdin(Stdio::null()).stdout(std::io::stderr()).status();
    let status = status.with_context(|| format!("starting {RESIZE2FS}"))?;
    ensure!(status.success(), "{RESIZE2FS} ended with {status}");
    log(&format!("file system of {}: grown from {} to {} MiB", node.display(), has_bytes >> 20, room_bytes >> 20));
    Ok(())
}
