//! What builds leave for the next one: `blocks`, `unpacked` and `pieces` beside the downloads in the cache folder, each a
//! folder of files named by what their content follows from.
//!
//! A file is its content and then sha256 over name and content (32 bytes). What does not fit its hash counts as absent and
//! is written again, so neither a bad disk nor a power cut can reach an image; that is also why nothing is synced. Files
//! appear by rename and are never changed afterwards: any number of builds may use one cache, end at any moment, and keep
//! using what another has just swept away.
//!
//! One file per block, not one pack: reading the 1,300 blocks of the default root takes 40 ms either way, and a pack would
//! need locks, an index and a collector.

mod blocks;
mod mapped;
mod spool;
pub mod sweep;
#[cfg(test)]
mod tests;
pub mod unchanged;

use std::fs::{self, File, FileTimes};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::hashing::Hashing;

pub(crate) use mapped::Mapped;

/// Bytes of the hash behind a content.
const HASH_BYTES: usize = 32;
/// A file used again says so in its time, but not more often than this: a write per read would be dear.
const TOUCH_AFTER: Duration = Duration::from_secs(24 * 3600);

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A compressed block of a SquashFS.
    Block,
    /// The files of a package that builds use, uncompressed.
    Unpacked,
    /// Any other product that is slow to make.
    Piece,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Block, Self::Unpacked, Self::Piece];

    fn folder(self) -> &'static str {
        match self {
            Self::Block => "blocks",
            Self::Unpacked => "unpacked",
            Self::Piece => "pieces",
        }
    }
}

/// Name of a content: sha256 over everything that determines it.
pub(crate) type Key = [u8; 32];

/// The key of parts that must not run into each other.
pub(crate) fn key(parts: &[&[u8]]) -> Key {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// sha256 of this program, which stands for all its rules. None if it cannot be read.
pub(crate) fn builder() -> Option<&'static Key> {
    static BUILDER: OnceLock<Option<Key>> = OnceLock::new();
    let hash = || {
        let mut hash = Sha256::new();
        // Not its path, under which an update may have put another one.
        hash_all(&File::open("/proc/self/exe").ok()?, &mut hash).ok()?;
        Some(hash.finalize().into())
    };
    BUILDER.get_or_init(hash).as_ref()
}

/// The store. Its failures cost time and nothing else, so nobody is told of them.
#[derive(Debug, Clone, Default)]
pub struct Store {
    dir: Option<PathBuf>,
}

impl Store {
    /// The one in a cache folder.
    pub fn open(cache: &Path) -> Self {
        Self { dir: Some(cache.to_owned()) }
    }

    /// One that keeps nothing.
    pub fn none() -> Self {
        Self::default()
    }

    fn path(&self, kind: Kind, key: &Key) -> Option<PathBuf> {
        let name = hex(key);
        Some(self.dir.as_ref()?.join(kind.folder()).join(&name[..2]).join(&name))
    }

    /// The content under a key, on the heap.
    pub(crate) fn read(&self, kind: Kind, key: &Key) -> Option<Vec<u8>> {
        let mut file = File::open(self.path(kind, key)?).ok()?;
        let length = usize::try_from(file.metadata().ok()?.len()).ok()?;
        let mut content = Vec::with_capacity(length);
        file.read_to_end(&mut content).ok()?;
        let end = content.len().checked_sub(HASH_BYTES)?;
        let mut hash = Sha256::new_with_prefix(key);
        hash.update(&content[..end]);
        if hash.finalize()[..] != content[end..] {
            return None;
        }
        touch(&file);
        content.truncate(end);
        Some(content)
    }

    /// The content under a key, mapped: it takes no memory that the kernel could not take back.
    pub(crate) fn map(&self, kind: Kind, key: &Key) -> Option<Bytes> {
        let file = File::open(self.path(kind, key)?).ok()?;
        let mapped = Mapped::new(&file).ok()?;
        let end = mapped.as_ref().len().checked_sub(HASH_BYTES)?;
        // Through a small buffer: what is looked at through the mapping would count as memory of this process.
        let mut hash = Sha256::new_with_prefix(key);
        hash_all((&file).take(end as u64), &mut hash).ok()?;
        if hash.finalize()[..] != mapped.as_ref()[end..] {
            return None;
        }
        touch(&file);
        Some(Bytes::from_owner(mapped).slice(..end))
    }

    /// Keeps what `write` writes. None if that or the store fails.
    pub(crate) fn keep(
        &self,
        kind: Kind,
        key: &Key,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Option<()> {
        let (dir, path) = (self.dir.as_ref()?, self.path(kind, key)?);
        let temporary = temporary(dir).ok()?;
        {
            let file = BufWriter::with_capacity(128 << 10, temporary.as_file());
            let mut out = Hashing::new(file, Sha256::new_with_prefix(key));
            write(&mut out).ok()?;
            let (mut file, hash) = out.finish();
            file.write_all(&hash.finalize()).and_then(|()| file.flush()).ok()?;
        }
        fs::create_dir_all(path.parent()?).ok()?;
        temporary.persist(path).ok().map(drop)
    }
}

/// A file in the cache that has no name yet; a killed process leaves it in `tmp`, which [`sweep`] empties.
fn temporary(cache: &Path) -> io::Result<tempfile::NamedTempFile> {
    let folder = cache.join("tmp");
    fs::create_dir_all(&folder)?;
    tempfile::Builder::new().prefix("part-").tempfile_in(folder)
}

/// Notes that a file was of use.
fn touch(file: &File) {
    let now = SystemTime::now();
    let modified = file.metadata().and_then(|found| found.modified());
    if modified.is_ok_and(|time| now.duration_since(time).is_ok_and(|age| age > TOUCH_AFTER)) {
        let _ = file.set_times(FileTimes::new().set_modified(now));
    }
}

/// Hashes all that can be read.
fn hash_all(mut from: impl Read, hash: &mut Sha256) -> io::Result<()> {
    let mut buffer = vec![0; 128 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => hash.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
