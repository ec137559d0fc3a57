//! Who loads what in a finished root: each need on its own, where [`super::closure`] only tells of the first.

use anyhow::{Context, Result};
use formats::tree::{Tree, show};

use super::file::ElfFile;
use super::search::Pool;

/// A root, as the dynamic loader sees it.
pub struct Loader {
    pool: Pool,
}

impl Loader {
    /// For a root that has all its libraries.
    pub fn new(root: &Tree) -> Self {
        Self { pool: Pool::new(root, &[]) }
    }

    /// What the file at a real path loads itself, without what that loads in turn: libraries and interpreter, each with
    /// the links that lead to it. Nothing for files that load none, and not what the root does not have.
    ///
    /// # Errors
    /// If it is a damaged ELF file.
    pub fn needs(&self, path: &[u8]) -> Result<Vec<Vec<u8>>> {
        let content = self.pool.content(path).unwrap_or_default();
        let file = ElfFile::read(content).with_context(|| format!("reading the ELF file {}", show(path)))?;
        let Some(file) = file else { return Ok(Vec::new()) };
        let folders = file.search_folders(path);
        let libraries = file.needed.iter().filter_map(|soname| self.pool.library(soname, &folders));
        let interpreter = file.interpreter.iter().filter_map(|path| self.pool.file(path));
        Ok(libraries.chain(interpreter).flatten().collect())
    }

    /// A library that a recipe names by soname or absolute path, with the links that lead to it.
    pub fn named(&self, soname: &str) -> Vec<Vec<u8>> {
        let found = match soname.strip_prefix('/') {
            Some(path) => self.pool.file(path.as_bytes()),
            None => self.pool.library(soname.as_bytes(), &[]),
        };
        found.unwrap_or_default()
    }
}
