//! The folder that all paths are below: `/`, or another one in tests.

use std::path::{Path, PathBuf};

use crate::file;

/// No file that is read here is larger.
const LIMIT_BYTES: u64 = 4 << 20;

/// A root folder.
#[derive(Debug, Clone)]
pub(crate) struct Root(PathBuf);

impl Root {
    /// The system's.
    pub(crate) fn system() -> Self {
        Self("/".into())
    }

    #[cfg(test)]
    pub(crate) fn at(path: &Path) -> Self {
        Self(path.into())
    }

    /// Whether it is the system's, so that mounts and the kernel's settings are real.
    pub(crate) fn is_system(&self) -> bool {
        self.0 == Path::new("/")
    }

    /// Where an absolute path is.
    pub(crate) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// A file's content; `None` if it cannot be read.
    pub(crate) fn read(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        file::read_limited(&self.path(path), LIMIT_BYTES).ok().flatten()
    }

    /// A file's text; empty if it cannot be read.
    pub(crate) fn text(&self, path: impl AsRef<Path>) -> String {
        self.read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The names in a folder, sorted; none if it cannot be read.
    pub(crate) fn names(&self, path: impl AsRef<Path>) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(path)).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }
}
