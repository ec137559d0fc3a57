//! Takes files out of a layer onto the host.
//!
//! Folders and files get the mode they have in the layer, set-uid bits left out, and the caller as owner. Links are made
//! last, so that nothing is ever written through one of them; devices, pipes and sockets are passed over.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use formats::tree::show;

use super::{Entry, EntryKind, Layer};

/// Writes what is at `path` of a layer to `target`, which must not exist or be an empty folder. Gives back the paths that
/// were passed over.
///
/// # Errors
/// If a file is damaged or cannot be written.
pub fn extract(layer: &Layer, path: &[u8], target: &Path) -> Result<Vec<String>> {
    let is_empty = fs::read_dir(target).is_ok_and(|mut entries| entries.next().is_none());
    let is_free = is_empty || fs::symlink_metadata(target).is_err();
    ensure!(is_free, "writing to {}: it exists\nhint: name a new file or folder", target.display());
    let below = layer.entries().filter_map(|(found, entry)| Some((found, relative(found, path)?, entry)));
    let below: Vec<(&[u8], PathBuf, &Entry)> =
        below.map(|(found, name, entry)| (found, join(target, name), entry)).collect();
    let mut skipped = Vec::new();
    for (found, place, entry) in &below {
        let context = || format!("writing {}", place.display());
        match &entry.kind {
            EntryKind::Directory if is_empty && *found == path => {}
            EntryKind::Directory => fs::create_dir(place).with_context(context)?,
            EntryKind::File => {
                let content = layer.content(found)?;
                let mut file = File::create_new(place).with_context(context)?;
                file.write_all(&content).with_context(context)?;
                file.set_permissions(mode(entry)).with_context(context)?;
            }
            EntryKind::Symlink(_) => {}
            _ => skipped.push(show(found)),
        }
    }
    for (_, place, entry) in &below {
        if let EntryKind::Symlink(link) = &entry.kind {
            let link = std::ffi::OsStr::from_bytes(link);
            symlink(link, place).with_context(|| format!("writing {}", place.display()))?;
        }
    }
    // From the inside out: a folder may not be writable.
    for (found, place, entry) in below.iter().rev() {
        if entry.kind == EntryKind::Directory && !(is_empty && *found == path) {
            fs::set_permissions(place, mode(entry)).with_context(|| format!("writing {}", place.display()))?;
        }
    }
    Ok(skipped)
}

fn mode(entry: &Entry) -> Permissions {
    Permissions::from_mode(u32::from(entry.mode & 0o777))
}

/// `found` from `path` on; None if it is not below it.
fn relative<'a>(found: &'a [u8], path: &[u8]) -> Option<&'a [u8]> {
    let rest = found.strip_prefix(path)?;
    if rest.is_empty() || path.is_empty() { Some(rest) } else { rest.strip_prefix(b"/") }
}

fn join(target: &Path, name: &[u8]) -> PathBuf {
    if name.is_empty() { target.to_path_buf() } else { target.join(std::ffi::OsStr::from_bytes(name)) }
}
