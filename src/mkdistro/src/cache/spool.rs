//! Contents of files, copied one behind the other into a file without a name, and used there.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use anyhow::{Context, Result};
use bytes::Bytes;

use super::{Mapped, Store};

/// The file in the making. It is gone with the process, however that ends.
pub(crate) struct Spool {
    file: File,
    /// Where each content ends, in bytes.
    ends: Vec<usize>,
}

impl Store {
    /// An empty one, in the cache folder if there is one: the system's folder for temporary files may be in memory.
    pub(crate) fn spool(&self) -> Result<Spool> {
        let file = match &self.dir {
            Some(dir) => {
                let folder = dir.join("tmp");
                fs::create_dir_all(&folder).and_then(|()| tempfile::tempfile_in(folder))
            }
            None => tempfile::tempfile(),
        };
        Ok(Spool { file: file.context("making a temporary file")?, ends: Vec::new() })
    }
}

impl Spool {
    /// Appends the content of a file.
    pub(crate) fn copy(&mut self, path: &Path) -> io::Result<()> {
        let copied = io::copy(&mut File::open(path)?, &mut self.file)?;
        let length = usize::try_from(copied).map_err(io::Error::other)?;
        self.ends.push(self.ends.last().copied().unwrap_or(0) + length);
        Ok(())
    }

    /// All contents in their order.
    pub(crate) fn contents(self) -> Result<Vec<Bytes>> {
        let whole = Bytes::from_owner(Mapped::new(&self.file).context("mapping a temporary file")?);
        let starts = std::iter::once(&0).chain(&self.ends);
        Ok(starts.zip(&self.ends).map(|(start, end)| whole.slice(*start..*end)).collect())
    }
}
