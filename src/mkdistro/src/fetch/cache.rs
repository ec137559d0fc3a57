//! The cache of downloaded files: `sha256/ab/abcd…`, named by content, and `partial/abcd….part` while they arrive.
//!
//! A file gets its final name only after size and hash have been right, and is hashed again whenever it is used (a second
//! per gigabyte): a stamp of size and time would not see a bad disk. Two processes that want the same file take turns by a
//! lock on the `.part` file, which the kernel releases however a process ends.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::cache::Store;
use crate::problem::{Class, Problem};

/// A folder of files named by their sha256.
#[derive(Debug, Clone)]
pub struct Cache {
    dir: PathBuf,
}

/// The locked `.part` file of one object.
#[derive(Debug)]
pub(super) struct Part {
    path: PathBuf,
    pub(super) file: File,
}

impl Cache {
    /// Opens the cache in `dir`, which is made if it is missing.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn open(dir: &Path) -> Result<Self> {
        for name in ["sha256", "partial"] {
            fs::create_dir_all(dir.join(name)).map_err(|error| failed("making the cache folder", dir, &error))?;
        }
        Ok(Self { dir: dir.to_owned() })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What builds keep in the same folder.
    pub fn store(&self) -> Store {
        Store::open(&self.dir)
    }

    /// Where a file is, or would be.
    pub fn path(&self, sha256: &str) -> PathBuf {
        self.dir.join("sha256").join(sha256.get(..2).unwrap_or_default()).join(sha256)
    }

    /// The file, if it is there and its content is right. A damaged one is removed.
    ///
    /// # Errors
    /// It cannot be read or removed.
    pub fn verified(&self, sha256: &str, size: u64) -> Result<Option<PathBuf>> {
        let path = self.path(sha256);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("opening", &path, &error)),
        };
        let mut hasher = Sha256::new();
        let found = hash(&mut file, size, &mut hasher).map_err(|error| failed("reading", &path, &error))?;
        if found == size && hex(hasher) == sha256 {
            return Ok(Some(path));
        }
        fs::remove_file(&path).map_err(|error| failed("removing the damaged file", &path, &error))?;
        Ok(None)
    }

    /// Opens the `.part` file of an object and waits until no other process writes to it.
    pub(super) fn part(&self, sha256: &str) -> Result<Part> {
        let path = self.dir.join("partial").join(format!("{sha256}.part"));
        loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
                .map_err(|error| failed("creating", &path, &error))?;
            file.lock().with_context(|| format!("locking {}", path.display()))?;
            // While we waited, the file may have got its final name: then the name means another file now.
            let locked = file.metadata().with_context(|| format!("reading {}", path.display()))?.ino();
            if fs::metadata(&path).is_ok_and(|named| named.ino() == locked) {
                return Ok(Part { path, file });
            }
        }
    }

    /// Gives a complete, verified `.part` file its final name.
    pub(super) fn keep(&self, part: Part, sha256: &str) -> Result<PathBuf> {
        let path = self.path(sha256);
        let folder = path.parent().unwrap_or(&self.dir);
        fs::create_dir_all(folder).map_err(|error| failed("making", folder, &error))?;
        fs::rename(&part.path, &path).map_err(|error| failed("renaming to", &path, &error))?;
        Ok(path)
    }
}

impl Part {
    /// Forgets what has arrived.
    pub(super) fn clear(&mut self) -> Result<()> {
        let cleared = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        cleared.map(drop).map_err(|error| failed("truncating", &self.path, &error))
    }

    /// Hashes what has arrived and leaves the position at its end. More than `size` bytes are forgotten.
    pub(super) fn resume(&mut self, size: u64, hasher: &mut Sha256) -> Result<u64> {
        let read = self.file.seek(SeekFrom::Start(0)).and_then(|_| hash(&mut self.file, size, hasher));
        let have = read.map_err(|error| failed("reading", &self.path, &error))?;
        if have > size {
            *hasher = Sha256::new();
            self.clear()?;
            return Ok(0);
        }
        Ok(have)
    }

    /// Removes it: another process has finished the object.
    pub(super) fn discard(self) -> Result<()> {
        fs::remove_file(&self.path).map_err(|error| failed("removing", &self.path, &error))
    }

    /// An error of writing to it.
    pub(super) fn write_failed(&self, error: &std::io::Error) -> anyhow::Error {
        failed("writing", &self.path, error)
    }
}

/// Hashes up to `size + 1` bytes; returns how many there were.
fn hash(file: &mut File, size: u64, hasher: &mut Sha256) -> std::io::Result<u64> {
    let mut buffer = vec![0; 256 << 10];
    let mut limited = file.take(size.saturating_add(1));
    let mut total = 0;
    loop {
        let count = match limited.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(buffer.get(..count).unwrap_or_default());
        total += count as u64;
    }
}

/// The digest in lower-case hex.
pub(crate) fn hex(hasher: Sha256) -> String {
    use std::fmt::Write;
    hasher.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn failed(action: &str, path: &Path, error: &std::io::Error) -> anyhow::Error {
    let hint = match error.kind() {
        std::io::ErrorKind::StorageFull => "make room, or choose another cache folder with XDG_CACHE_HOME",
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
            "choose a cache folder that you can write to with XDG_CACHE_HOME"
        }
        _ => "",
    };
    Problem::error(Class::Output, format!("cache: {action} {}: {error}", path.display()), hint)
}
