//! Output files: written under a temporary name beside the target, renamed when complete.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result};
use bytes::Bytes;
use tempfile::{Builder, NamedTempFile};

use crate::problem::{Class, Problem};

/// A file that does not have its name yet. Dropped without [`Part::publish`] it is removed.
pub(super) struct Part {
    temp: NamedTempFile,
    target: PathBuf,
}

impl Part {
    /// Makes the temporary file beside `target`.
    pub(super) fn create(target: &Path) -> Result<Self> {
        let folder = folder_of(target);
        let temp = Builder::new()
            .prefix(".mkdistro-")
            .suffix(".part")
            .tempfile_in(&folder)
            .map_err(|error| explain(error.into(), target))?;
        Ok(Self { temp, target: target.to_path_buf() })
    }

    /// The file.
    pub(super) fn file(&self) -> &File {
        self.temp.as_file()
    }

    /// Gives it its name and the mode the umask allows; its size in bytes.
    pub(super) fn publish(self) -> Result<u64> {
        let size = self.file().metadata().context("asking for the output's size")?.len();
        self.file().sync_all().map_err(|error| explain(error.into(), &self.target))?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666 & !umask());
        self.file().set_permissions(mode).context("setting the output's mode")?;
        let target = self.target.clone();
        self.temp.persist(&target).map_err(|error| explain(error.error.into(), &target))?;
        Ok(size)
    }
}

/// A file without a name in the folder of `target`.
pub(super) fn unnamed(target: &Path) -> Result<File> {
    tempfile::tempfile_in(folder_of(target)).map_err(|error| explain(error.into(), target))
}

/// The whole content of a file just written.
pub(super) fn read_back(file: &mut File) -> Result<Bytes> {
    let mut content = Vec::new();
    file.rewind().context("rewinding a temporary file")?;
    file.read_to_end(&mut content).context("reading a temporary file back")?;
    Ok(Bytes::from(content))
}

/// Turns an I/O error of the output into one that says what to do.
pub(super) fn explain(error: Error, target: &Path) -> Error {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>());
    let hint = match io.map(std::io::Error::kind) {
        Some(std::io::ErrorKind::StorageFull) => "the disk is full: free room, or write elsewhere with --output",
        Some(std::io::ErrorKind::PermissionDenied) => "write elsewhere with --output",
        Some(std::io::ErrorKind::NotFound) => "the folder must exist",
        Some(std::io::ErrorKind::FileTooLarge) => "a file-size limit (ulimit -f) stopped it",
        _ => "",
    };
    Problem::error(Class::Output, format!("writing {}: {error:#}", target.display()), hint)
}

fn folder_of(target: &Path) -> PathBuf {
    match target.parent() {
        Some(parent) if parent != Path::new("") => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// The process's umask. Read from the kernel's own report (proc(5), `/proc/self/status`), since asking by umask(2)
/// would change it for a moment.
fn umask() -> u32 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    line.and_then(|text| u32::from_str_radix(text.trim(), 8).ok()).unwrap_or(0o022)
}
