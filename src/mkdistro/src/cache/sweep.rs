//! What the cache folder holds, and how it stays bounded: what no build has used for a month goes, then the longest unused
//! until the rest fits. Downloads stay: the lock may still name them, and a mirror may not have them any more.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use super::Kind;

/// A day, the least time between two sweeps and the age at which a temporary file belongs to no running process.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Its time of modification is that of the last sweep.
const STAMP: &str = "swept";

/// What folders of the cache are for, in the order shown.
const FOLDERS: [(&str, &str); 9] = [
    ("sha256", "downloads"),
    ("partial", "unfinished downloads"),
    ("unpacked", "packages, unpacked"),
    ("blocks", "compressed blocks"),
    ("pieces", "other parts of images"),
    ("kernel", "kernels from source"),
    ("boot", "kernel and initramfs for \"mkdistro run\""),
    ("builds", "what builds were made of"),
    ("tmp", "temporary files"),
];
/// Those that come from outside.
const DOWNLOADS: [&str; 2] = ["sha256", "partial"];

/// One folder of the cache.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// What it is for; its name if nothing here makes it.
    pub what: String,
    /// Number of files.
    pub files: u64,
    /// Their sizes in bytes.
    pub bytes: u64,
}

/// The folders of a cache that hold something. A cache that does not exist has none.
///
/// # Errors
/// A folder cannot be read.
pub fn parts(cache: &Path) -> Result<Vec<Part>> {
    let listed = match fs::read_dir(cache) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.with_context(|| format!("reading {}", cache.display()))?,
    };
    let mut parts = Vec::new();
    for entry in listed {
        let entry = entry.with_context(|| format!("reading {}", cache.display()))?;
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        let what = FOLDERS.iter().find(|(folder, _)| *folder == name).map_or(name.as_str(), |(_, what)| what);
        let files = files(&entry.path())?;
        let bytes = files.iter().map(|file| file.bytes).sum();
        let part = Part { what: what.to_owned(), files: files.len() as u64, bytes, name };
        parts.push(part);
    }
    let place = |part: &Part| FOLDERS.iter().position(|(folder, _)| *folder == part.name).unwrap_or(FOLDERS.len());
    parts.sort_by(|a, b| place(a).cmp(&place(b)).then_with(|| a.name.cmp(&b.name)));
    parts.retain(|part| part.files > 0);
    Ok(parts)
}

/// Removes all that a build can make again, with `downloads` these too. What was removed.
///
/// # Errors
/// A folder cannot be read or removed.
pub fn clean(cache: &Path, downloads: bool) -> Result<Vec<Part>> {
    let mut gone = parts(cache)?;
    gone.retain(|part| downloads || !DOWNLOADS.contains(&part.name.as_str()));
    for part in &gone {
        let path = cache.join(&part.name);
        match fs::remove_dir_all(&path) {
            // Another process has been quicker.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            removed => removed.with_context(|| format!("removing {}", path.display()))?,
        }
    }
    Ok(gone)
}

/// What a cache may keep.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// What has not been used for longer goes.
    pub age: Duration,
    /// Bytes of all products of builds.
    pub bytes: u64,
}

impl Default for Limits {
    /// A month; and what some fifty kernels and roots take, since each change of a compression keeps blocks of its own.
    fn default() -> Self {
        Self { age: 30 * DAY, bytes: 4 << 30 }
    }
}

/// Sweeps a cache that has not been swept for a day. A failure only means that it stays larger.
pub fn now_and_then(cache: &Path) {
    let stamp = cache.join(STAMP);
    let age = fs::metadata(&stamp).and_then(|found| found.modified()).ok().and_then(|time| time.elapsed().ok());
    if age.is_none_or(|age| age > DAY) && fs::write(&stamp, "").is_ok() {
        let _ = sweep(cache, Limits::default(), SystemTime::now());
    }
}

fn sweep(cache: &Path, limits: Limits, now: SystemTime) -> Result<()> {
    let age = |file: &Found| now.duration_since(file.modified).unwrap_or_default();
    for file in files(&cache.join("tmp"))?.iter().filter(|file| age(file) > DAY) {
        let _ = fs::remove_file(&file.path);
    }
    for file in files(&cache.join("builds"))?.iter().filter(|file| age(file) > limits.age) {
        let _ = fs::remove_file(&file.path);
    }
    let mut kept = Vec::new();
    for kind in Kind::ALL {
        kept.extend(files(&cache.join(kind.folder()))?);
    }
    kept.sort_by_key(|file| std::cmp::Reverse(file.modified));
    let mut bytes = 0;
    for file in kept {
        bytes += file.bytes;
        if bytes > limits.bytes || age(&file) > limits.age {
            let _ = fs::remove_file(&file.path);
        }
    }
    Ok(())
}

struct Found {
    path: PathBuf,
    bytes: u64,
    modified: SystemTime,
}

/// All files below a folder. What vanishes while it is looked at is left out.
fn files(folder: &Path) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let listed = match fs::read_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            listed => listed.with_context(|| format!("reading {}", folder.display()))?,
        };
        for entry in listed {
            let entry = entry.with_context(|| format!("reading {}", folder.display()))?;
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                folders.push(entry.path());
            } else {
                let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                found.push(Found { path: entry.path(), bytes: metadata.len(), modified });
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cache with files of an age in days.
    fn cache(files: &[(&str, usize, u32)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes, days) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, vec![0; *bytes]).unwrap();
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(SystemTime::now() - *days * DAY).unwrap();
        }
        dir
    }

    fn left(cache: &tempfile::TempDir) -> Vec<String> {
        let mut left: Vec<String> = files(cache.path())
            .unwrap()
            .iter()
            .map(|file| file.path.strip_prefix(cache.path()).unwrap().display().to_string())
            .collect();
        left.sort();
        left
    }

    #[test]
    fn old_and_too_much_goes() {
        let cache = cache(&[
            ("blocks/aa/new", 10, 0),
            ("unpacked/aa/used", 10, 3),
            ("pieces/aa/older", 10, 5),
            ("blocks/ab/old", 1, 31),
            ("sha256/aa/download", 1000, 400),
            ("tmp/running", 1, 0),
            ("tmp/killed", 1, 2),
            ("builds/old", 1, 31),
            ("builds/new", 1, 29),
        ]);
        let limits = Limits { bytes: 25, ..Limits::default() };
        sweep(cache.path(), limits, SystemTime::now()).unwrap();
        let expected = ["blocks/aa/new", "builds/new", "sha256/aa/download", "tmp/running", "unpacked/aa/used"];
        assert_eq!(left(&cache), expected);
    }

    #[test]
    fn at_most_once_a_day() {
        let cache = cache(&[("tmp/a", 1, 2)]);
        now_and_then(cache.path());
        assert_eq!(left(&cache), ["swept"]);
        fs::create_dir_all(cache.path().join("tmp")).unwrap();
        fs::write(cache.path().join("tmp/b"), "").unwrap();
        let file = fs::File::options().write(true).open(cache.path().join("tmp/b")).unwrap();
        file.set_modified(SystemTime::now() - 2 * DAY).unwrap();
        now_and_then(cache.path());
        assert_eq!(left(&cache), ["swept", "tmp/b"]);
    }

    #[test]
    fn tells_and_cleans() {
        let cache = cache(&[("blocks/aa/b", 10, 0), ("sha256/aa/d", 7, 0), ("sha256/ab/e", 3, 0), ("mine/x", 1, 0)]);
        let shown: Vec<(String, u64, u64)> =
            parts(cache.path()).unwrap().into_iter().map(|part| (part.what, part.files, part.bytes)).collect();
        let expected = [("downloads", 2, 10), ("compressed blocks", 1, 10), ("mine", 1, 1)];
        assert_eq!(shown, expected.map(|(what, files, bytes)| (what.to_string(), files, bytes)));
        assert_eq!(clean(cache.path(), false).unwrap().len(), 2);
        assert_eq!(left(&cache), ["sha256/aa/d", "sha256/ab/e"]);
        clean(cache.path(), true).unwrap();
        assert_eq!(left(&cache), [""; 0]);
        assert_eq!(parts(&cache.path().join("none")).unwrap(), []);
    }
}
