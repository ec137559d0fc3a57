//! The copy of all messages on the data disk: a file that is written, and compressed ones before it, all together within a
//! limit. Written to the medium every few seconds, and at once when something is bad.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::line::ERROR;

/// The file that is written; those before it are `messages.NUMBER.gz`.
const NAME: &str = "messages";
const PACKED: &str = ".gz";
/// Share of the limit that one file has before it is compressed.
const FILES: u64 = 8;
const SMALLEST_BYTES: u64 = 64 << 10;
/// Lines wait at most this long in memory.
const SYNC: Duration = Duration::from_secs(5);
/// After an error nothing is tried for this long.
const PAUSE: Duration = Duration::from_secs(60);

/// The copy.
pub(super) struct DiskLog {
    folder: PathBuf,
    limit_bytes: u64,
    file: File,
    size: u64,
    dirty_since: Option<Instant>,
    paused_until: Option<Instant>,
    packing: Option<Child>,
}

impl DiskLog {
    /// Opens it. After a power cut the last line may be half there: it is ended.
    pub(super) fn open(folder: &Path, limit_bytes: u64) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(NAME);
        let mut file = OpenOptions::new().create(true).append(true).read(true).mode(0o640).open(path)?;
        let size = file.metadata()?.len();
        if size > 0 {
            file.seek(SeekFrom::End(-1))?;
            let mut last = [0u8; 1];
            if file.read_exact(&mut last).is_ok() && last != *b"\n" {
                file.write_all(b"\n")?;
            }
        }
        let mut log = Self {
            folder: folder.into(),
            limit_bytes,
            file,
            size,
            dirty_since: None,
            paused_until: None,
            packing: None,
        };
        log.pack_leftover();
        Ok(log)
    }

    /// Appends lines, of which the worst has this severity. What cannot be written is lost; the ring still has it.
    pub(super) fn append(&mut self, lines: &str, severity: u8) -> io::Result<()> {
        if self.paused_until.is_some_and(|until| Instant::now() < until) {
            return Ok(());
        }
        let written = self.file.write_all(lines.as_bytes()).or_else(|error| {
            if error.kind() != io::ErrorKind::StorageFull || !self.remove_oldest() {
                return Err(error);
            }
            self.file.write_all(lines.as_bytes())
        });
        if let Err(error) = written {
            self.paused_until = Some(Instant::now() + PAUSE);
            return Err(error);
        }
        self.size = self.size.saturating_add(lines.len() as u64);
        let since = *self.dirty_since.get_or_insert_with(Instant::now);
        if severity <= ERROR {
            self.dirty_since = Some(since.checked_sub(SYNC).unwrap_or(since));
        }
        if self.size >= (self.limit_bytes / FILES).max(SMALLEST_BYTES) {
            self.rotate()?;
        }
        Ok(())
    }

    /// When [`DiskLog::tend`] has something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        self.dirty_since.map(|since| since + SYNC)
    }

    /// Writes to the medium what has waited long enough, or all.
    pub(super) fn tend(&mut self, all: bool) {
        if let Some(child) = &mut self.packing
            && child.try_wait().is_ok_and(|status| status.is_some())
        {
            self.packing = None;
            self.prune();
        }
        if self.dirty_since.is_some_and(|since| all || since.elapsed() >= SYNC) {
            self.dirty_since = None;
            let _ = self.file.sync_data();
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        let number = files(&self.folder).last().map_or(1, |(number, _)| number + 1);
        let path = self.folder.join(NAME);
        let old = self.folder.join(format!("{NAME}.{number:06}"));
        std::fs::rename(&path, &old)?;
        self.file.sync_data()?;
        self.file = OpenOptions::new().create(true).append(true).mode(0o640).open(path)?;
        self.size = 0;
        self.dirty_since = None;
        self.prune();
        self.pack(&old);
        Ok(())
    }

    /// One at a time; what is left plain is compressed at the next start.
    fn pack(&mut self, path: &Path) {
        if self.packing.is_none() {
            let gzip = Command::new("/usr/bin/busybox").arg("gzip").arg(path).stdin(Stdio::null()).spawn();
            self.packing = gzip.ok();
        }
    }

    fn pack_leftover(&mut self) {
        let plain = files(&self.folder).into_iter().find(|(_, path)| !is_packed(path));
        if let Some((_, path)) = plain {
            let _ = std::fs::remove_file(format!("{}{PACKED}", path.display()));
            self.pack(&path);
        }
    }

    /// Removes the oldest files that go beyond the limit.
    fn prune(&mut self) {
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        loop {
            let total: u64 = files(&self.folder).iter().map(|(_, path)| size(path)).sum();
            if total.saturating_add(self.limit_bytes / FILES) <= self.limit_bytes || !self.remove_oldest() {
                return;
            }
        }
    }

    fn remove_oldest(&self) -> bool {
        files(&self.folder).first().is_some_and(|(_, path)| std::fs::remove_file(path).is_ok())
    }
}

fn is_packed(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(PACKED.as_bytes())
}

/// The files before the one that is written, oldest first.
fn files(folder: &Path) -> Vec<(u32, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let number = name.strip_prefix(NAME)?.strip_prefix('.')?;
            Some((number.strip_suffix(PACKED).unwrap_or(number).parse().ok()?, entry.path()))
        })
        .collect();
    files.sort();
    files
}

/// All that is kept, oldest first, one text after the other.
pub(super) fn read_all(folder: &Path, mut each: impl FnMut(&str)) -> io::Result<()> {
    for (_, path) in files(folder) {
        let text = if is_packed(&path) {
            Command::new("/usr/bin/busybox").args(["gzip", "-dc"]).arg(&path).stdin(Stdio::null()).output()?.stdout
        } else {
            std::fs::read(&path)?
        };
        each(&String::from_utf8_lossy(&text));
    }
    let current = std::fs::read(folder.join(NAME))?;
    each(&String::from_utf8_lossy(&current));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{DiskLog, SMALLEST_BYTES, files, read_all};

    #[test]
    fn stays_within_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let limit = 4 * SMALLEST_BYTES;
        let mut log = DiskLog::open(folder.path(), limit).unwrap();
        // As if compression were not there.
        for number in 0..20_000 {
            log.append(&format!("line {number:06} {}\n", "x".repeat(40)), 6).unwrap();
            if let Some(child) = &mut log.packing {
                let _ = child.kill();
                let _ = child.wait();
                log.packing = None;
            }
        }
        log.tend(true);
        assert_eq!(log.due(), None);
        let total: u64 =
            std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
        assert!(total <= limit + SMALLEST_BYTES, "{total}");
        assert!(files(folder.path()).len() >= 2);
    }

    #[test]
    fn half_a_line_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("messages"), "one\ntw").unwrap();
        std::fs::write(folder.path().join("messages.000003"), "zero\n").unwrap();
        let mut log = DiskLog::open(folder.path(), 1 << 20).unwrap();
        if let Some(child) = &mut log.packing {
            let _ = child.wait();
        }
        log.append("three\n", 3).unwrap();
        assert!(log.due().is_some_and(|due| due <= std::time::Instant::now()));
        log.tend(false);
        let mut texts = String::new();
        read_all(folder.path(), |text| texts.push_str(text)).unwrap();
        assert_eq!(texts, "zero\none\ntw\nthree\n");
    }
}
