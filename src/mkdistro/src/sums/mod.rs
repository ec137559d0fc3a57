//! `SHA256SUMS` beside the outputs, and its signature `SHA256SUMS.minisig`.
//!
//! The file is that of sha256sum(1) from coreutils. Entries of other files in the folder stay; entries whose file is gone
//! are dropped, so that `sha256sum -c SHA256SUMS` works as long as nobody touches the files.

mod list;
pub mod minisign;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::image;
use crate::progress::Progress;
use list::List;
use minisign::SecretKey;

/// The file's name.
pub const FILE: &str = "SHA256SUMS";
/// Its signature's name.
pub const SIGNATURE: &str = "SHA256SUMS.minisig";

/// Notes the outputs of a build, all in a folder or below it, with their sha256 (hex) in `SHA256SUMS` there, and signs
/// that file if there is a key.
///
/// `time` (seconds since 1970) goes into the signature: the image's, so that the same input gives the same signature.
/// Without a key a signature that does not fit any more is removed.
pub fn publish(
    folder: &Path,
    outputs: &[(PathBuf, String)],
    key: Option<&SecretKey>,
    time: u32,
    progress: &dyn Progress,
) -> Result<()> {
    if outputs.is_empty() {
        return Ok(());
    }
    // Two builds into one folder, one after the other: each reads what the other wrote.
    let lock = File::open(folder).with_context(|| format!("opening {}", folder.display()))?;
    lock.lock().with_context(|| format!("locking {}", folder.display()))?;

    let (sums, signature) = (folder.join(FILE), folder.join(SIGNATURE));
    let old = read(&sums)?.unwrap_or_default();
    let mut list = List::parse(&old);
    list.retain(|name| fs::symlink_metadata(folder.join(std::ffi::OsStr::from_bytes(name))).is_ok());
    for (path, sha256) in outputs {
        let name = path.strip_prefix(folder).ok().or(path.file_name().map(Path::new));
        let name = name.with_context(|| format!("{} has no file name", path.display()))?;
        list.set(name.as_os_str().as_bytes(), sha256);
    }
    let new = list.render();
    let changed = new != old;
    if changed {
        image::write_file(&sums, &new)?;
    }
    match key {
        Some(key) => {
            image::write_file(&signature, key.sign(&new, &format!("timestamp:{time}\tfile:{FILE}\thashed")).as_bytes())
        }
        None if changed && read(&signature)?.is_some() => {
            fs::remove_file(&signature).with_context(|| format!("removing {}", signature.display()))?;
            progress
                .warn(&format!("{} is removed: it was of an older {FILE}; sign again with --key", signature.display()));
            Ok(())
        }
        None => Ok(()),
    }
}

/// The content, None if there is no such file.
fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}
