//! What services write: each appends to a file of its own, so that it never waits for anybody. Lines are taken over from
//! there, and what was taken becomes a hole: the words are in memory once. Whoever begins anew finds the first byte that is
//! no hole.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::FallocateFlags;

use super::OLDER;
use super::line::{parts, severity};

/// Taken from one file at a time, so that no service keeps the others waiting.
const AT_A_TIME_BYTES: u64 = 256 << 10;
/// Of a service that has written more than this since the last look only the end is taken: whoever reads logs must not be
/// kept from it, and the processor not from its work.
const FLOOD_BYTES: u64 = 1 << 20;
const FLOOD_KEPT_BYTES: u64 = 64 << 10;
/// And messages of one service in this time: every message costs the processor, and pushes another one out of the ring.
const RATE_COUNT: u32 = 10_000;
const RATE_TIME: Duration = Duration::from_secs(30);
/// A line that is longer is taken in parts.
const LINE_MAX: usize = 8 << 10;

/// A file that is being read.
struct Taken {
    file: File,
    inode: u64,
    offset: u64,
}

/// How many messages a service has written lately.
struct Rate {
    since: Instant,
    count: u32,
}

impl Rate {
    /// Counts one; whether it is taken. What was not is told when the time is over.
    fn take(&mut self, now: Instant) -> (bool, Option<u32>) {
        let mut lost = None;
        if now.saturating_duration_since(self.since) >= RATE_TIME {
            lost = self.count.checked_sub(RATE_COUNT).filter(|lost| *lost > 0);
            *self = Self { since: now, count: 0 };
        }
        self.count = self.count.saturating_add(1);
        (self.count <= RATE_COUNT, lost)
    }
}

/// All files of the folder.
pub(super) struct Services {
    folder: PathBuf,
    open: BTreeMap<String, Taken>,
    rates: BTreeMap<String, Rate>,
}

impl Services {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.into(), open: BTreeMap::new(), rates: BTreeMap::new() }
    }

    /// Gives the lines that have come since, as service, severity, text; false if there may be more.
    pub(super) fn read(&mut self, mut each: impl FnMut(&str, u8, &str)) -> bool {
        let mut is_all = true;
        let now = Instant::now();
        for name in names(&self.folder) {
            let path = self.folder.join(&name);
            let rate = self.rates.entry(name.clone()).or_insert(Rate { since: now, count: 0 });
            let mut each = |line: &str| {
                let (is_taken, lost) = rate.take(now);
                if let Some(lost) = lost {
                    each(&name, 4, &format!("{lost} messages in {} s were too many: lost", RATE_TIME.as_secs()));
                }
                if is_taken {
                    let (severity, text) = severity(line);
                    parts(text).for_each(|part| each(&name, severity, part));
                }
            };
            // What PID 1 has put aside comes first.
            let older = self.folder.join(format!("{name}{OLDER}"));
            if let Ok(mut aside) = Taken::open(&older) {
                let current = self.open.remove(&name);
                if let Some(current) = current.filter(|current| current.inode == aside.inode) {
                    aside.offset = current.offset;
                }
                while !aside.read(&mut each, true) {}
                let _ = std::fs::remove_file(&older);
            }
            let inode = std::fs::metadata(&path).map_or(0, |file| file.ino());
            if self.open.get(&name).is_none_or(|taken| taken.inode != inode) {
                let Ok(taken) = Taken::open(&path) else { continue };
                self.open.insert(name.clone(), taken);
            }
            if let Some(taken) = self.open.get_mut(&name) {
                is_all &= taken.read(&mut each, false);
            }
        }
        is_all
    }
}

impl Taken {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open(path)?;
        let (inode, offset) = (file.metadata()?.ino(), first_data(&file));
        Ok(Self { file, inode, offset })
    }

    /// Takes whole lines, at the end of a file that is complete the rest too; false if there may be more.
    fn read(&mut self, each: &mut impl FnMut(&str), is_complete: bool) -> bool {
        let length = self.file.metadata().map_or(0, |file| file.len());
        if length < self.offset {
            // PID 1 has emptied it.
            self.offset = 0;
        }
        let waiting = length - self.offset;
        if waiting > FLOOD_BYTES {
            let skipped = waiting - FLOOD_KEPT_BYTES;
            each(&format!("<4>{skipped} bytes at once are too many: only the end is kept"));
            self.offset += skipped;
        }
        let mut bytes = Vec::new();
        let seek = self.file.seek(SeekFrom::Start(self.offset));
        if seek.is_err() || (&mut self.file).take(AT_A_TIME_BYTES).read_to_end(&mut bytes).is_err() {
            return true;
        }
        let is_all = (bytes.len() as u64) < AT_A_TIME_BYTES;
        let newline = bytes.iter().rposition(|&byte| byte == b'\n').map(|at| at + 1);
        let end = match newline {
            Some(end) if !(is_complete && is_all) => end,
            None if bytes.len() < LINE_MAX && !is_complete => 0,
            _ => bytes.len(),
        };
        let whole = bytes.get(..end).unwrap_or_default();
        for line in whole.split(|&byte| byte == b'\n') {
            let line = line.iter().position(|&byte| byte != 0).and_then(|at| line.get(at..)).unwrap_or_default();
            if !line.is_empty() {
                each(&String::from_utf8_lossy(line));
            }
        }
        self.offset = self.offset.saturating_add(end as u64);
        if end > 0 {
            let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            let _ = rustix::fs::fallocate(&self.file, hole, 0, self.offset);
        }
        is_all
    }
}

/// Names of services that have written something, in order; not what was put aside.
pub(super) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| !name.ends_with(OLDER) && !name.starts_with('.'));
    names.sort();
    names
}

/// What has not been taken over yet.
pub(super) fn rest(folder: &Path, name: &str) -> String {
    let mut text = String::new();
    for name in [format!("{name}{OLDER}"), name.to_string()] {
        let Ok(mut file) = File::open(folder.join(name)) else { continue };
        let mut bytes = Vec::new();
        let start = first_data(&file);
        if file.seek(SeekFrom::Start(start)).is_ok() && file.take(FLOOD_BYTES).read_to_end(&mut bytes).is_ok() {
            text.push_str(String::from_utf8_lossy(&bytes).trim_start_matches('\0'));
        }
    }
    text
}

/// Where the first byte is that is no hole; holes within a page are zeros.
fn first_data(file: &File) -> u64 {
    match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(0)) {
        Ok(offset) => offset,
        // Nothing but holes (lseek(2)).
        Err(rustix::io::Errno::NXIO) => file.metadata().map_or(0, |file| file.len()),
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::Path;

    use std::time::Instant;

    use super::{FLOOD_BYTES, RATE_COUNT, RATE_TIME, Rate, Services, names, rest};

    fn append(folder: &Path, name: &str, text: &str) {
        let mut file = std::fs::File::options().create(true).append(true).open(folder.join(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn read(services: &mut Services) -> Vec<String> {
        let mut lines = Vec::new();
        services.read(|name, severity, text| lines.push(format!("{name} {severity} {text}")));
        lines
    }

    #[test]
    fn takes_lines_once() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut services = Services::new(folder);
        append(folder, "b", "one\n<3>two\nthr");
        append(folder, "a", "x\n\n");
        assert_eq!(read(&mut services), ["a 6 x", "b 6 one", "b 3 two"]);
        assert_eq!(read(&mut services), Vec::<String>::new());
        assert_eq!(rest(folder, "b"), "thr");
        append(folder, "b", "ee\nfour\n");
        assert_eq!(read(&mut services), ["b 6 three", "b 6 four"]);
        // One that begins anew takes nothing twice.
        append(folder, "b", "five\n");
        assert_eq!(read(&mut Services::new(folder)), ["b 6 five"]);
        assert_eq!((rest(folder, "b"), names(folder)), (String::new(), vec!["a".into(), "b".into()]));
    }

    #[test]
    fn follows_what_init_does_with_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut services = Services::new(folder);
        append(folder, "a", "one\n");
        assert_eq!(read(&mut services), ["a 6 one"]);
        // A start puts the file aside.
        append(folder, "a", "two\nhalf");
        std::fs::rename(folder.join("a"), folder.join("a.1")).unwrap();
        append(folder, "a", "three\n");
        assert_eq!(read(&mut services), ["a 6 two", "a 6 half", "a 6 three"]);
        assert!(!folder.join("a.1").exists());
        // A trim copies the end, with what was taken as zeros, and empties the file.
        append(folder, "a", "four\n");
        std::fs::write(folder.join("a.1"), b"\0\0\0four\n").unwrap();
        std::fs::File::options().write(true).open(folder.join("a")).unwrap().set_len(0).unwrap();
        append(folder, "a", "five\n");
        assert_eq!(read(&mut services), ["a 6 four", "a 6 five"]);
    }

    #[test]
    fn too_many_messages_are_counted_only() {
        let begin = Instant::now();
        let mut rate = Rate { since: begin, count: 0 };
        assert!((0..RATE_COUNT).all(|_| rate.take(begin) == (true, None)));
        assert!((0..7).all(|_| rate.take(begin + RATE_TIME / 2) == (false, None)));
        assert_eq!(rate.take(begin + RATE_TIME), (true, Some(7)));
        assert_eq!(rate.take(begin + RATE_TIME * 2), (true, None));
    }

    #[test]
    fn a_flood_is_cut_short() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        append(folder, "a", &"0123456789abcde\n".repeat(FLOOD_BYTES as usize / 8));
        let lines = read(&mut Services::new(folder));
        assert!(lines[0].starts_with("a 4 ") && lines[0].contains("only the end is kept"), "{}", lines[0]);
        assert_eq!(lines.last().map(String::as_str), Some("a 6 0123456789abcde"));
        assert!(lines.len() < 5000, "{}", lines.len());
        append(folder, "b", &"y".repeat(20_000));
        assert_eq!(read(&mut Services::new(folder)).len(), 10, "a line without an end comes in parts");
    }
}
