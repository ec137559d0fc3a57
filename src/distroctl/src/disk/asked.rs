//! A disk that asks to become the data disk. It begins with the words of [`MAGIC`]: as the name of a tar archive's first
//! member, which is how the drivers of docker-machine make disks and hand over the user's key, or just so. With
//! `distro.data=format-blank` one that begins and ends with a MiB of zeros asks too. No other disk is ever partitioned.
//!
//! It gets a GUID partition table with one data partition, which [`super::format`] then formats as one that the builder has
//! left empty. A power cut at any moment costs nothing: first the keys are put where that partition ends, behind the mark of
//! [`FORMATTING_MARK`], then the table is written, and the disk's first block, which asks, is replaced last of all.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use contract::cmdline;
use contract::data_partition::{ALIGNMENT_BYTES, BLANK_BYTES, FORMATTING_MARK, TYPE};

use super::archive;
use super::block::{self, Device};
use super::format::SMALLEST_BYTES;
use super::fresh::Fresh;
use super::gpt::crc32;
use super::search::CLASS_BLOCK;
use crate::console::log;
use crate::file::first_line;
use crate::guest::Guest;

/// What a disk begins with that may be partitioned and formatted.
const MAGIC: [&[u8]; 2] = [b"boot2podman, please format-me", b"boot2docker, please format-me"];
/// The archive must end within the part of the disk that the table and the gap behind it take.
const ARCHIVE_MAX_BYTES: usize = ALIGNMENT_BYTES as usize;
/// The mark, the length of the keys and their CRC-32 (8 bytes each, little-endian), the keys.
const KEYS_AT: usize = FORMATTING_MARK.len() + 16;
const KEYS_MAX_BYTES: usize = 256 << 10;

/// Partitions the first disk that asks for it; whether there is one now.
pub(super) fn partition(guest: &Guest, label: &str) -> bool {
    let is_blank_enough = guest.option(cmdline::DATA) == Some(cmdline::FORMAT_BLANK);
    let disks = || block::list(Path::new(CLASS_BLOCK)).into_iter().filter(|device| !device.partition);
    for may_be_blank in [false, true] {
        if may_be_blank && !is_blank_enough {
            break;
        }
        for device in disks() {
            let node = device.node();
            match Disk::open(&device).and_then(|disk| disk.map_or(Ok(false), |mut disk| disk.take(label, may_be_blank)))
            {
                Ok(true) => return true,
                Ok(false) => {}
                Err(error) => guest.warn(&format!("{} is not made the data disk: {error:#}", node.display())),
            }
        }
    }
    false
}

/// A whole disk, opened so that nobody else uses it.
struct Disk {
    name: String,
    file: File,
    size_bytes: u64,
    block_bytes: u64,
}

impl Disk {
    /// `None`: it cannot be written, or somebody uses it.
    fn open(device: &Device) -> Result<Option<Self>> {
        let entry = Path::new(CLASS_BLOCK).join(&device.name);
        let number = |name: &str| first_line(entry.join(name)).parse::<u64>().ok();
        let (Some(sectors), Some(block_bytes)) = (number("size"), number("queue/logical_block_size")) else {
            return Ok(None);
        };
        if number("ro") != Some(0) || !matches!(block_bytes, 512 | 4096) {
            return Ok(None);
        }
        let mut options = File::options();
        let opened = options.read(true).write(true).custom_flags(libc::O_EXCL).open(device.node());
        let Ok(file) = opened else { return Ok(None) };
        Ok(Some(Self { name: device.name.clone(), file, size_bytes: sectors * 512, block_bytes }))
    }

    /// Partitions it if it asks; whether it did.
    fn take(&mut self, label: &str, may_be_blank: bool) -> Result<bool> {
        if self.size_bytes < 2 * BLANK_BYTES {
            return Ok(false);
        }
        let head = self.read(0, ARCHIVE_MAX_BYTES)?;
        let asks = asks(&head);
        if !asks {
            if !may_be_blank {
                return Ok(false);
            }
            let tail = self.read(self.size_bytes - BLANK_BYTES, BLANK_BYTES as usize)?;
            if [&head, &tail].iter().any(|bytes| bytes.iter().any(|byte| *byte != 0)) {
                log(&format!("{}: not blank: its first or last MiB is not zero", self.name));
                return Ok(false);
            }
        }
        let disk_blocks = self.size_bytes / self.block_bytes;
        let unit = ALIGNMENT_BYTES / self.block_bytes;
        let usable_end = Fresh::usable_end(disk_blocks, self.block_bytes);
        let (first, end) = (unit, usable_end - usable_end % unit);
        let size = end.saturating_sub(first) * self.block_bytes;
        ensure!(size >= SMALLEST_BYTES, "it has {} MiB only", self.size_bytes >> 20);
        let mark_at = end * self.block_bytes - BLANK_BYTES;
        let keys = match Keys::decode(&self.read(mark_at, BLANK_BYTES as usize)?) {
            Some(kept) if asks => kept,
            _ => Keys(keys_of(&head)?),
        };
        let fresh = Fresh::new(self.block_bytes, disk_blocks, (first, end - 1), TYPE, label, random()?)?;
        log(&format!("{}: partitioning, as it asks for it; {} bytes of keys", self.name, keys.0.len()));
        if !asks {
            // From now on it asks even if it is no longer blank.
            self.write(0, MAGIC[0])?;
        }
        self.write(mark_at, &keys.encode())?;
        self.write(first * self.block_bytes, &vec![0; BLANK_BYTES as usize])?;
        for (at, bytes) in fresh.parts() {
            self.write(at, bytes)?;
        }
        self.reread()?;
        Ok(true)
    }

    fn read(&mut self, at: u64, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        let mut read = || {
            self.file.seek(SeekFrom::Start(at))?;
            self.file.read_exact(&mut bytes)
        };
        read().with_context(|| format!("reading it at byte {at}"))?;
        Ok(bytes)
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        let mut write = || {
            self.file.seek(SeekFrom::Start(at))?;
            self.file.write_all(bytes)?;
            self.file.sync_all()
        };
        write().with_context(|| format!("writing to it at byte {at}"))
    }

    /// Has the kernel read the partition table; device nodes are there when it returns.
    fn reread(&self) -> Result<()> {
        /// `BLKRRPART`, `_IO(0x12, 95)` of the kernel's `include/uapi/linux/fs.h`.
        const BLKRRPART: libc::c_int = 0x125f;
        // SAFETY: the descriptor is open, and the call takes no pointer.
        match unsafe { libc::ioctl(self.file.as_raw_fd(), BLKRRPART as _) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()).context("having the kernel read its partition table"),
        }
    }
}

fn asks(head: &[u8]) -> bool {
    MAGIC.iter().any(|magic| head.starts_with(magic))
}

/// `.ssh/authorized_keys` of the archive that the disk begins with; empty if there is none.
fn keys_of(head: &[u8]) -> Result<Vec<u8>> {
    let mut keys = Vec::new();
    for member in archive::members(head) {
        let member = member.context("the archive that it begins with")?;
        let name = member.name.trim_start_matches("./");
        if matches!(name, ".ssh/authorized_keys" | ".ssh/authorized_keys2") {
            keys.extend(member.content);
            keys.push(b'\n');
        }
    }
    if keys.len() > KEYS_MAX_BYTES {
        bail!("its .ssh/authorized_keys has {} bytes, at most {KEYS_MAX_BYTES} are taken", keys.len());
    }
    Ok(keys)
}

/// The user's keys, as they wait behind the mark until there is a file system.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Keys(pub(super) Vec<u8>);

impl Keys {
    /// A partition's last [`BLANK_BYTES`].
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = FORMATTING_MARK.to_vec();
        if !self.0.is_empty() {
            bytes.extend((self.0.len() as u64).to_le_bytes());
            bytes.extend(crc32(&self.0).to_le_bytes());
            bytes.extend(&self.0);
        }
        bytes.resize(BLANK_BYTES as usize, 0);
        bytes
    }

    /// Of a partition's last [`BLANK_BYTES`]; `None` if the mark is not there, or something else is behind it.
    pub(super) fn decode(tail: &[u8]) -> Option<Self> {
        let number = |at: usize| Some(u64::from_le_bytes(tail.get(at..at + 8)?.try_into().ok()?));
        tail.strip_prefix(FORMATTING_MARK)?;
        let length = usize::try_from(number(FORMATTING_MARK.len())?).ok().filter(|length| *length <= KEYS_MAX_BYTES)?;
        let (keys, rest) = match length {
            0 => (&[][..], tail.get(FORMATTING_MARK.len()..)?),
            _ => (tail.get(KEYS_AT..KEYS_AT + length)?, tail.get(KEYS_AT + length..)?),
        };
        let is_whole = length == 0 || number(FORMATTING_MARK.len() + 8)? == crc32(keys);
        (is_whole && rest.iter().all(|byte| *byte == 0)).then(|| Self(keys.to_vec()))
    }
}

/// Random bytes for two GUIDs.
fn random() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).context("reading /dev/urandom")?;
    Ok(bytes)
}

#[cfg(test)]
#[path = "asked_tests.rs"]
mod tests;
