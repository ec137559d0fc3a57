//! Kernels that have been built, in the cache: `kernel/built/KEY` holds the files of one, `kernel/requests/HASH` the key
//! that a request led to. A request is known before Kconfig has run (source, merged options, compiler), the key after it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::fetch::hex;
use crate::problem::{Class, Problem};

/// Changes when a result from the same inputs would be another one.
const SCHEME: &str = "1";

const SUMS: &str = "SHA256SUMS";

/// Files of a result: name, and where the build leaves it below its output folder.
pub(super) const FILES: [(&str, &str); 5] = [
    ("vmlinuz", "arch/x86/boot/bzImage"),
    ("config", ".config"),
    ("release", "include/config/kernel.release"),
    ("modules.builtin", "modules.builtin"),
    ("modules.builtin.modinfo", "modules.builtin.modinfo"),
];

/// A kernel built from source.
#[derive(Debug, Clone)]
pub struct Built {
    /// `uname -r`.
    pub release: String,
    /// The bootable kernel.
    pub vmlinuz: Bytes,
    /// Its configuration.
    pub config: String,
    /// `modules.builtin`.
    pub builtin: String,
}

/// The part of the cache that holds them.
pub(super) struct Store {
    dir: PathBuf,
}

/// sha256 of parts, each with its length, so that no two lists give the same.
pub(super) fn hash(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in [SCHEME].iter().chain(parts) {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hex(hasher)
}

impl Store {
    pub(super) fn new(cache: &Path) -> Self {
        Self { dir: cache.join("kernel") }
    }

    /// What was built for a request, if it is there and undamaged.
    pub(super) fn find(&self, request: &str) -> Option<Built> {
        let key = fs::read_to_string(self.request(request)).ok()?;
        self.load(&self.built(&key)).ok()
    }

    /// The configuration that a request leads to, from `find` or from an earlier [`Self::keep_config`].
    pub(super) fn find_config(&self, request: &str) -> Option<String> {
        let key = fs::read_to_string(self.request(request)).ok()?;
        fs::read_to_string(self.built(&key).join("config")).ok()
    }

    /// Puts the result of a build away: `output` is its output folder. The request leads to it from now on.
    pub(super) fn keep(&self, request: &str, key: &str, output: &Path) -> Result<Built> {
        let target = self.built(key);
        if self.load(&target).is_err() {
            let parent = self.dir.join("built");
            fs::create_dir_all(&parent).map_err(|error| failed("making", &parent, &error))?;
            let partial =
                tempfile::tempdir_in(&parent).map_err(|error| failed("making a folder in", &parent, &error))?;
            let mut sums = String::new();
            for (name, place) in FILES {
                let content = fs::read(output.join(place)).with_context(|| format!("reading {place} of the build"))?;
                let mut hasher = Sha256::new();
                hasher.update(&content);
                sums.push_str(&format!("{}  {name}\n", hex(hasher)));
                let path = partial.path().join(name);
                fs::write(&path, content).map_err(|error| failed("writing", &path, &error))?;
            }
            let path = partial.path().join(SUMS);
            fs::write(&path, sums).map_err(|error| failed("writing", &path, &error))?;
            // A damaged one of the same name is in the way.
            if target.exists() {
                fs::remove_dir_all(&target).map_err(|error| failed("removing", &target, &error))?;
            }
            fs::rename(partial.path(), &target).map_err(|error| failed("renaming to", &target, &error))?;
        }
        self.point(request, key)?;
        self.load(&target)
    }

    /// Whether a key has been built; then the request leads to it from now on.
    pub(super) fn adopt(&self, request: &str, key: &str) -> Result<Option<Built>> {
        match self.load(&self.built(key)) {
            Ok(built) => {
                self.point(request, key)?;
                Ok(Some(built))
            }
            Err(_) => Ok(None),
        }
    }

    /// Where the source of this hash is unpacked and built.
    pub(super) fn source(&self, sha256: &str) -> PathBuf {
        self.dir.join("source").join(sha256)
    }

    fn built(&self, key: &str) -> PathBuf {
        self.dir.join("built").join(key.trim())
    }

    fn request(&self, request: &str) -> PathBuf {
        self.dir.join("requests").join(request)
    }

    fn point(&self, request: &str, key: &str) -> Result<()> {
        let path = self.request(request);
        let folder = self.dir.join("requests");
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(&folder)?;
            let mut file = tempfile::NamedTempFile::new_in(&folder)?;
            file.write_all(key.as_bytes())?;
            file.persist(&path).map_err(|error| error.error)?;
            Ok(())
        };
        write().map_err(|error| failed("writing", &path, &error))
    }

    /// Reads a result and compares it with its sums.
    fn load(&self, dir: &Path) -> Result<Built> {
        let sums =
            fs::read_to_string(dir.join(SUMS)).with_context(|| format!("reading {SUMS} of {}", dir.display()))?;
        let read = |name: &str| -> Result<Bytes> {
            let path = dir.join(name);
            let content = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
            let mut hasher = Sha256::new();
            hasher.update(&content);
            let line = format!("{}  {name}", hex(hasher));
            anyhow::ensure!(sums.lines().any(|sum| sum == line), "{} is damaged", path.display());
            Ok(content.into())
        };
        let text = |name: &str| -> Result<String> {
            String::from_utf8(read(name)?.to_vec()).with_context(|| format!("reading {name} of the kernel"))
        };
        Ok(Built {
            release: text("release")?.trim().to_owned(),
            vmlinuz: read("vmlinuz")?,
            config: text("config")?,
            builtin: text("modules.builtin")?,
        })
    }
}

pub(super) fn failed(action: &str, path: &Path, error: &std::io::Error) -> anyhow::Error {
    let hint = match error.kind() {
        std::io::ErrorKind::StorageFull => "a kernel build takes 3 GB in the cache; --cache puts it elsewhere",
        _ => "",
    };
    Problem::error(Class::Output, format!("cache: {action} {}: {error}", path.display()), hint)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{FILES, Store, hash};

    #[test]
    fn keeps_and_finds() {
        let dir = tempfile::tempdir().unwrap();
        let output = dir.path().join("build");
        for (name, place) in FILES {
            let path = output.join(place);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("the {name}\n")).unwrap();
        }
        let store = Store::new(&dir.path().join("cache"));
        assert!(store.find("r1").is_none());
        assert_eq!(store.keep("r1", "k", &output).unwrap().release, "the release");
        let found = store.find("r1").unwrap();
        assert_eq!((&found.vmlinuz[..], found.config.as_str()), (&b"the vmlinuz\n"[..], "the config\n"));
        assert_eq!(store.find_config("r1").as_deref(), Some("the config\n"));
        assert!(store.find("r2").is_none());
        assert!(store.adopt("r2", "k").unwrap().is_some() && store.find("r2").is_some());
        assert!(store.adopt("r2", "other").unwrap().is_none());
        // A damaged result counts as none, and is replaced.
        fs::write(dir.path().join("cache/kernel/built/k/vmlinuz"), "bad").unwrap();
        assert!(store.find("r1").is_none());
        store.keep("r1", "k", &output).unwrap();
        assert!(store.find("r1").is_some());
        assert_eq!(fs::read_dir(dir.path().join("cache/kernel/built")).unwrap().count(), 1);
    }

    #[test]
    fn hashes_tell_parts_apart() {
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
        assert_eq!(hash(&["a"]), hash(&["a"]));
    }
}
