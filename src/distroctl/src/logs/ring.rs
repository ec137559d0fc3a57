//! The ring of all messages: a few segment files in the tmpfs of the logs, the oldest of which goes when there is no room.
//! One process writes, any number read; a reader that is too slow misses what has gone.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Segments that are there at a time.
const SEGMENTS: usize = 4;
/// A reader takes at most this much of a segment at once.
const CHUNK_BYTES: u64 = 256 << 10;

/// Numbers of the segments, in order.
fn numbers(folder: &Path) -> Vec<u32> {
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut numbers: Vec<u32> = names.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

fn path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:08}"))
}

/// The writing end.
pub(super) struct Ring {
    folder: PathBuf,
    gid: u32,
    number: u32,
    file: Option<File>,
    size: u64,
    segment_bytes: u64,
}

impl Ring {
    /// Makes the folder, or goes on where an earlier writer ended. Root and the group read it.
    pub(super) fn open(folder: &Path, segment_bytes: u64, gid: u32) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o750).create(folder)?;
        let _ = std::os::unix::fs::chown(folder, None, Some(gid));
        let number = numbers(folder).last().map_or(0, |number| number.wrapping_add(1));
        Ok(Self { folder: folder.into(), gid, number, file: None, size: 0, segment_bytes })
    }

    /// Whether an earlier writer has left something.
    pub(super) fn is_continued(&self) -> bool {
        self.number > 0
    }

    /// Appends whole lines. Without room the oldest segment goes.
    pub(super) fn append(&mut self, lines: &str) -> io::Result<()> {
        if self.size >= self.segment_bytes {
            self.next_segment();
        }
        loop {
            match self.write(lines.as_bytes()) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::StorageFull && self.drop_oldest() => {
                    // Part of it may be there: what is whole in a segment is all that counts.
                    self.next_segment();
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let path = path(&self.folder, self.number);
                let file = OpenOptions::new().create(true).append(true).mode(0o640).open(path)?;
                let _ = std::os::unix::fs::fchown(&file, None, Some(self.gid));
                self.file.insert(file)
            }
        };
        file.write_all(bytes)?;
        self.size = self.size.saturating_add(bytes.len() as u64);
        Ok(())
    }

    fn next_segment(&mut self) {
        self.file = None;
        self.size = 0;
        self.number = self.number.wrapping_add(1);
        while numbers(&self.folder).len() >= SEGMENTS && self.drop_oldest() {}
    }

    fn drop_oldest(&self) -> bool {
        let oldest = numbers(&self.folder).first().copied();
        oldest.is_some_and(|number| std::fs::remove_file(path(&self.folder, number)).is_ok())
    }
}

/// A reader's place.
#[derive(Debug, Clone)]
pub(super) struct Cursor {
    folder: PathBuf,
    number: u32,
    offset: u64,
}

impl Cursor {
    /// Before the oldest message.
    pub(super) fn first(folder: &Path) -> Self {
        Self { folder: folder.into(), number: 0, offset: 0 }
    }

    /// After the newest message.
    pub(super) fn end(folder: &Path) -> Self {
        let number = numbers(folder).last().copied().unwrap_or(0);
        let offset = std::fs::metadata(path(folder, number)).map_or(0, |file| file.len());
        Self { folder: folder.into(), number, offset }
    }

    /// Reads what has come since; gives it line by line. False if there was nothing.
    pub(super) fn read(&mut self, mut each: impl FnMut(&str)) -> io::Result<bool> {
        let mut has_news = false;
        loop {
            let (text, is_all) = self.chunk()?;
            let end = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            let whole = text.get(..end).unwrap_or_default();
            for line in whole.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
                has_news = true;
                each(&String::from_utf8_lossy(line));
            }
            self.offset = self.offset.saturating_add(end as u64);
            if end > 0 && !is_all {
                continue;
            }
            // A later segment means that nothing is added to this one.
            let Some(next) = numbers(&self.folder).into_iter().find(|number| *number > self.number) else {
                return Ok(has_news);
            };
            (self.number, self.offset) = (next, 0);
        }
    }

    /// The next bytes of the segment; whether these are all.
    fn chunk(&self) -> io::Result<(Vec<u8>, bool)> {
        let mut file = match File::open(path(&self.folder, self.number)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), true)),
            other => other?,
        };
        file.seek(SeekFrom::Start(self.offset))?;
        let mut text = Vec::new();
        file.take(CHUNK_BYTES).read_to_end(&mut text)?;
        let is_all = (text.len() as u64) < CHUNK_BYTES;
        Ok((text, is_all))
    }
}

#[cfg(test)]
mod tests {
    use super::{Cursor, Ring, SEGMENTS, numbers};

    fn read(cursor: &mut Cursor) -> Vec<String> {
        let mut lines = Vec::new();
        cursor.read(|line| lines.push(line.to_string())).unwrap();
        lines
    }

    #[test]
    fn the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let gid = rustix::process::getgid().as_raw();
        let mut ring = Ring::open(folder.path(), 10, gid).unwrap();
        assert!(!ring.is_continued());
        let (mut early, mut late) = (Cursor::first(folder.path()), Cursor::first(folder.path()));
        ring.append("1 a\n").unwrap();
        assert_eq!(read(&mut early), ["1 a"]);
        assert_eq!(read(&mut early), Vec::<String>::new());
        for number in 2..=20 {
            ring.append(&format!("{number} a\n")).unwrap();
        }
        assert_eq!(numbers(folder.path()).len(), SEGMENTS);
        let kept = read(&mut late);
        assert_eq!(kept.last().map(String::as_str), Some("20 a"));
        assert!((6..=12).contains(&kept.len()), "{kept:?}");
        assert_eq!(read(&mut early), kept);
        let mut end = Cursor::end(folder.path());
        drop(ring);
        let mut ring = Ring::open(folder.path(), 10, gid).unwrap();
        assert!(ring.is_continued());
        ring.append("new\nlines\n").unwrap();
        assert_eq!(read(&mut end), ["new", "lines"]);
        assert_eq!(read(&mut early), ["new", "lines"]);
    }

    #[test]
    fn half_a_line_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let mut cursor = Cursor::first(folder.path());
        assert_eq!(read(&mut cursor), Vec::<String>::new());
        std::fs::write(folder.path().join("00000000"), "one\ntw").unwrap();
        assert_eq!(read(&mut cursor), ["one"]);
        std::fs::write(folder.path().join("00000000"), "one\ntwo\n").unwrap();
        assert_eq!(read(&mut cursor), ["two"]);
    }
}
