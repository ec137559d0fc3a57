//! What a guest wrote to a recorded disk, and the disk as a power cut may leave it.
//!
//! A disk with a volatile cache owes nothing for what it was given after the last flush: each such write may be there, be
//! missing, or be there in part. Ending QEMU shows none of this, since the host keeps what QEMU has written. Every cut between
//! two requests of one boot can be made from its record, without booting again.
//!
//! Reference: QEMU `block/blklogwrites.c`, whose format is that of the kernel's dm-log-writes
//! (`Documentation/admin-guide/device-mapper/log-writes.rst`, `drivers/md/dm-log-writes.c`). All numbers are little-endian.
//!
//! | offset | size | super block, the first sector |
//! |---|---|---|
//! | 0 | 8 | magic |
//! | 8 | 8 | version, 1 |
//! | 16 | 8 | number of entries |
//! | 24 | 4 | sector size in bytes |
//!
//! | offset | size | entry, a sector each |
//! |---|---|---|
//! | 0 | 8 | first sector of 512 bytes |
//! | 8 | 8 | number of sectors |
//! | 16 | 8 | flags: 1 flush, 2 FUA, 4 discard, 8 mark |
//! | 24 | 8 | length of a mark's text |
//!
//! The data of a write follow its entry, in whole sectors.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

const MAGIC: u64 = 0x006a_7366_7773_6872;
const FLUSH: u64 = 1;
const DISCARD: u64 = 4;
const MARK: u64 = 8;
/// Unit of an entry's numbers; QEMU's record has sectors of this size too.
const SECTOR: u64 = 512;
/// No request of a guest is longer.
const REQUEST_MAX: u64 = 1 << 30;

/// What becomes of a request that no flush has followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is on the disk.
    Kept,
    /// It is not.
    Lost,
    /// So many of its first sectors are.
    Torn(u64),
}

/// The requests that changed a disk, in their order.
#[derive(Debug)]
pub struct WriteLog {
    path: PathBuf,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    sector: u64,
    sectors: u64,
    flags: u64,
    /// Where its data are in the record, in bytes.
    data: u64,
}

impl WriteLog {
    /// Reads the record of a machine that has ended.
    pub fn read(path: &Path) -> Result<Self> {
        let entries = (|| {
            let file = File::open(path)?;
            read_entries(&file, file.metadata()?.len())
        })();
        let entries = entries.with_context(|| format!("reading the record of writes {}", path.display()))?;
        Ok(Self { path: path.into(), entries })
    }

    /// Number of requests; a power cut comes after any number of them.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Number of flushes.
    pub fn flushes(&self) -> usize {
        self.entries.iter().filter(|entry| entry.flags & FLUSH != 0).count()
    }

    /// Makes `disk`, which is as it was before the record began, what it may be when the power goes after `count` requests.
    ///
    /// What the last flush among them covers is there; `fate` decides about each write after it, given its number of sectors.
    pub fn replay(&self, disk: &Path, count: usize, mut fate: impl FnMut(u64) -> Fate) -> Result<()> {
        let entries = self.entries.get(..count).with_context(|| format!("{count} of {} requests", self.len()))?;
        let safe = entries.iter().rposition(|entry| entry.flags & FLUSH != 0).map_or(0, |last| last + 1);
        let record = File::open(&self.path).with_context(|| format!("opening {}", self.path.display()))?;
        let target = OpenOptions::new().write(true).open(disk);
        let target = target.with_context(|| format!("opening {}", disk.display()))?;
        for (number, entry) in entries.iter().enumerate() {
            let fate = if number < safe { Fate::Kept } else { fate(entry.sectors) };
            let sectors = match fate {
                Fate::Kept => entry.sectors,
                Fate::Lost => 0,
                Fate::Torn(sectors) => sectors.min(entry.sectors),
            };
            entry.apply(&record, &target, sectors).with_context(|| format!("writing {} again", disk.display()))?;
        }
        Ok(())
    }
}

impl Entry {
    fn apply(&self, record: &File, disk: &File, sectors: u64) -> Result<()> {
        if sectors == 0 || self.flags & MARK != 0 {
            return Ok(());
        }
        let (at, length) = (self.sector * SECTOR, sectors * SECTOR);
        if self.flags & DISCARD != 0 {
            use rustix::fs::{FallocateFlags, fallocate};
            fallocate(disk, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, at, length)?;
            return Ok(());
        }
        let mut data = vec![0; usize::try_from(length)?];
        record.read_exact_at(&mut data, self.data)?;
        Ok(disk.write_all_at(&data, at)?)
    }
}

fn read_entries(file: &File, size: u64) -> Result<Vec<Entry>> {
    let mut sector = [0; SECTOR as usize];
    file.read_exact_at(&mut sector, 0).context("the super block")?;
    let (magic, version, count) = (number(&sector, 0), number(&sector, 8), number(&sector, 16));
    let sector_size = number(&sector, 24) & u64::from(u32::MAX);
    if (magic, version, sector_size) != (MAGIC, 1, SECTOR) {
        bail!("expected magic {MAGIC:#x}, version 1, sectors of {SECTOR}, found {magic:#x}, {version}, {sector_size}");
    }
    let mut entries = Vec::new();
    let mut at = SECTOR;
    // The count is brought up to date with flushes only; what came after the last is cut off, as power would.
    for entry in 0..count {
        file.read_exact_at(&mut sector, at).with_context(|| format!("entry {entry} at byte {at} of {size}"))?;
        let (first, sectors, flags) = (number(&sector, 0), number(&sector, 8), number(&sector, 16));
        let has_data = flags & (DISCARD | MARK) == 0;
        if has_data && sectors > REQUEST_MAX / SECTOR {
            bail!("entry {entry} at byte {at}: {sectors} sectors");
        }
        let data = at + SECTOR;
        entries.push(Entry { sector: first, sectors, flags, data });
        let text = if flags & MARK != 0 { number(&sector, 24).div_ceil(SECTOR) } else { 0 };
        at = data + SECTOR * if has_data { sectors } else { text.min(size) };
    }
    Ok(entries)
}

fn number(bytes: &[u8], at: usize) -> u64 {
    let field = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>());
    field.map_or(0, |field| u64::from_le_bytes(*field))
}

#[cfg(test)]
mod tests {
    use super::{Fate, WriteLog};
    use std::path::Path;

    /// As QEMU writes it: 1 sector of 7 to sector 2, a flush, 2 sectors of 8 to sector 3, a discard of sector 2.
    fn record(path: &Path) {
        let mut bytes = vec![0; 512];
        bytes[..8].copy_from_slice(b"rhswfsj\0");
        (bytes[8], bytes[16], bytes[25]) = (1, 4, 2);
        let mut entry = |sector: u8, sectors: u8, flags: u8, fill: u8| {
            let mut header = vec![0; 512];
            (header[0], header[8], header[16]) = (sector, sectors, flags);
            bytes.extend(header);
            if flags == 0 {
                bytes.extend(vec![fill; 512 * usize::from(sectors)]);
            }
        };
        entry(2, 1, 0, 7);
        entry(0, 0, 1, 0);
        entry(3, 2, 0, 8);
        entry(2, 1, 4, 0);
        std::fs::write(path, bytes).unwrap();
    }

    /// First bytes of the sectors 2, 3, 4 after a cut.
    fn after(count: usize, fate: Fate) -> [u8; 3] {
        let folder = tempfile::tempdir().unwrap();
        let (log, disk) = (folder.path().join("log"), folder.path().join("disk"));
        record(&log);
        std::fs::write(&disk, [1; 8 * 512]).unwrap();
        let log = WriteLog::read(&log).unwrap();
        assert_eq!((log.len(), log.flushes(), log.is_empty()), (4, 1, false));
        log.replay(&disk, count, |_| fate).unwrap();
        let bytes = std::fs::read(&disk).unwrap();
        assert_eq!(bytes.len(), 8 * 512);
        [2, 3, 4].map(|sector| bytes[sector * 512])
    }

    #[test]
    fn what_a_flush_covers_stays() {
        assert_eq!(after(4, Fate::Kept), [0, 8, 8]);
        assert_eq!(after(4, Fate::Lost), [7, 1, 1]);
        assert_eq!(after(3, Fate::Torn(1)), [7, 8, 1]);
        assert_eq!(after(2, Fate::Lost), [7, 1, 1]);
        assert_eq!(after(1, Fate::Lost), [1, 1, 1]);
        assert_eq!(after(0, Fate::Kept), [1, 1, 1]);
    }

    #[test]
    fn broken_records() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        for (at, byte, message) in [(0, 0, "magic"), (8, 2, "version"), (25, 8, "2048"), (512 + 12, 1, "sectors")] {
            record(&path);
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[at] = byte;
            std::fs::write(&path, bytes).unwrap();
            let error = format!("{:#}", WriteLog::read(&path).unwrap_err());
            assert!(error.contains(message), "{error}");
        }
        record(&path);
        let bytes = std::fs::read(&path).unwrap();
        for length in [0, 100, 600, 1100] {
            std::fs::write(&path, &bytes[..length]).unwrap();
            assert!(WriteLog::read(&path).is_err(), "{length}");
        }
    }
}
