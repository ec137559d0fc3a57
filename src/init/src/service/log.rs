//! Log files of services: each `NAME` and one `NAME.1` before it, so that no service can fill the RAM with words. They
//! have a small tmpfs of their own ([`crate::root`]); what does not fit between two checks is lost to its writer.
//!
//! `distroctl log-writer` takes lines over into the ring of all messages, for which the other half of the tmpfs is, and
//! leaves holes. So what counts is the room that a file takes, not its length; and nobody ever waits for that program.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::sync::atomic::{AtomicU64, Ordering};

use contract::paths::SERVICE_LOG_DIR;
use rustix::fs::FallocateFlags;

/// A log longer than this is moved to `.1`, however much room there is.
const LONGEST_BYTES: u64 = 1 << 20;
/// How often running services' logs are looked at; and while their file system is more than half full.
const CHECK_MS: u64 = 15_000;
const CHECK_FULL_MS: u64 = 3_000;

/// What the file system of the logs has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    size_bytes: u64,
    used_bytes: u64,
}

impl Room {
    /// One system call.
    pub(crate) fn now() -> Option<Self> {
        let found = rustix::fs::statvfs(SERVICE_LOG_DIR).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Some(Self {
            size_bytes: bytes(found.f_blocks),
            used_bytes: bytes(found.f_blocks.saturating_sub(found.f_bfree)),
        })
    }

    /// What one file may have, so that two for each of `count` services fit into half of the room.
    fn share_bytes(self, count: usize) -> u64 {
        let files = u64::try_from(count).unwrap_or(u64::MAX).saturating_mul(4).max(1);
        (self.size_bytes / files).min(LONGEST_BYTES)
    }

    /// Whether a file can have grown beyond the limit.
    pub(crate) fn is_worth_a_look(self) -> bool {
        self.used_bytes > limit_bytes()
    }

    /// How long to wait until the next look.
    pub(crate) fn next_check_ms(self) -> u64 {
        if self.used_bytes > self.size_bytes / 2 { CHECK_FULL_MS } else { CHECK_MS }
    }
}

static LIMIT_BYTES: AtomicU64 = AtomicU64::new(LONGEST_BYTES);

/// Sets the limit of each file for this many services.
pub(crate) fn set_up(count: usize) {
    if let Some(room) = Room::now() {
        LIMIT_BYTES.store(room.share_bytes(count), Ordering::Relaxed);
    }
}

fn limit_bytes() -> u64 {
    LIMIT_BYTES.load(Ordering::Relaxed)
}

/// The service's log, to append to.
pub(crate) fn open(name: &str) -> io::Result<File> {
    let path = format!("{SERVICE_LOG_DIR}/{name}");
    if std::fs::metadata(&path).is_ok_and(|file| room_bytes(&file) > limit_bytes()) {
        let _ = std::fs::rename(&path, format!("{path}.1"));
    }
    OpenOptions::new().create(true).append(true).mode(0o640).open(path)
}

/// The room that a file takes. `st_blocks` counts 512 bytes each (stat(2)).
fn room_bytes(file: &std::fs::Metadata) -> u64 {
    file.blocks().saturating_mul(512)
}

/// Cuts the log of a running service: its end is copied to `.1`, then the file is emptied. The service appends
/// (`O_APPEND`), so it goes on at the new end. Words written between the two calls are lost.
pub(crate) fn trim(name: &str) {
    let path = format!("{SERVICE_LOG_DIR}/{name}");
    let Ok(file) = std::fs::metadata(&path) else { return };
    if room_bytes(&file) <= limit_bytes() {
        return;
    }
    let _ = cut(&path, file.len());
}

fn cut(path: &str, size: u64) -> io::Result<()> {
    let mut log = OpenOptions::new().read(true).write(true).open(path)?;
    let start = size.saturating_sub(limit_bytes());
    // Gives back the room of what is not kept, so that the copy fits even if the file system is full.
    let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    let _ = rustix::fs::fallocate(&log, hole, 0, start);
    log.seek(SeekFrom::Start(start))?;
    let mut old = OpenOptions::new().create(true).truncate(true).write(true).mode(0o640).open(format!("{path}.1"))?;
    let copied = io::copy(&mut (&mut log).take(limit_bytes()), &mut old);
    log.set_len(0)?;
    copied.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::{Room, cut, limit_bytes};

    #[test]
    fn all_logs_fit() {
        let room = |size_bytes, used_bytes| Room { size_bytes, used_bytes };
        assert_eq!(room(16 << 20, 0).share_bytes(4), 1 << 20);
        assert_eq!(room(16 << 20, 0).share_bytes(16), 256 << 10);
        assert_eq!(room(6 << 20, 0).share_bytes(12), 128 << 10);
        assert_eq!(room(16 << 20, 0).share_bytes(0), 1 << 20);
        assert_eq!([4, 8, 9].map(|used| room(16, used).next_check_ms()), [15_000, 15_000, 3_000]);
        assert!(!room(16 << 20, 1 << 20).is_worth_a_look());
        assert!(room(16 << 20, (1 << 20) + 1).is_worth_a_look());
    }

    #[test]
    fn the_end_of_a_long_log_is_kept() {
        let path = std::env::temp_dir().join(format!("init-log-{}", std::process::id()));
        let path = path.to_str().unwrap();
        let limit = limit_bytes() as usize;
        let text: Vec<u8> = (0..limit + 1000).map(|at| at as u8).collect();
        std::fs::write(path, &text).unwrap();
        cut(path, text.len() as u64).unwrap();
        assert_eq!(std::fs::metadata(path).unwrap().len(), 0);
        assert!(std::fs::read(format!("{path}.1")).unwrap() == text[1000..]);
        std::fs::remove_file(path).unwrap();
        std::fs::remove_file(format!("{path}.1")).unwrap();
    }
}
