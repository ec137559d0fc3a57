//! Room and permission to write: for downloads, and for the image.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{BUILD, Finding, State};
use crate::image::megabytes;
use crate::lock::Locked;

/// Free room that a build should find: the compressed root and the image, with others beside it.
const OUTPUT_BYTES: u64 = 256 << 20;

/// Bytes of locked packages that the cache has not got; None without a lock. By name and size only: `build` looks closer.
pub(super) fn missing_downloads(cache: &Path, locked: Option<&Locked>) -> Option<u64> {
    let is_there = |sha256: &str, size: u64| {
        let path = cache.join("sha256").join(sha256.get(..2).unwrap_or_default()).join(sha256);
        fs::metadata(path).is_ok_and(|found| found.len() == size)
    };
    let packages = locked?.lock.packages.iter();
    Some(packages.filter(|package| !is_there(&package.sha256, package.size)).map(|package| package.size).sum())
}

/// The cache can be written to and has room for what is to come.
pub(super) fn cache(folder: &Path, missing: Option<u64>) -> Finding {
    let elsewhere = "choose another folder with --cache or XDG_CACHE_HOME";
    let bad = |found: String, fix: &str| Finding::bad("cache", BUILD, State::Broken, found, fix);
    let shown = folder.display();
    let free = match free_bytes(folder) {
        Ok(free) => free,
        Err(error) => return bad(format!("{shown}: {error}"), elsewhere),
    };
    let used = size_bytes(folder);
    let missing = missing.unwrap_or(0);
    let found = format!("{shown}: {} used, {} free", megabytes(used), megabytes(free));
    match missing {
        0 => Finding::ok("cache", BUILD, found),
        missing if free < missing => bad(format!("{found}, {} to come", megabytes(missing)), elsewhere),
        missing => Finding::ok("cache", BUILD, format!("{found}, {} to come", megabytes(missing))),
    }
}

/// The image goes into the project's folder, if no other is named.
pub(super) fn output(folder: &Path) -> Finding {
    let fix = "write elsewhere with --output";
    match free_bytes(folder) {
        Ok(free) if free >= OUTPUT_BYTES => Finding::ok("disk space", BUILD, format!("{} free", megabytes(free))),
        Ok(free) => {
            let found = format!("{} free, {} wanted", megabytes(free), megabytes(OUTPUT_BYTES));
            Finding::bad("disk space", BUILD, State::Broken, found, fix)
        }
        Err(error) => Finding::bad("disk space", BUILD, State::Broken, error.to_string(), fix),
    }
}

/// Free room where `folder` is or would be; fails if nothing can be written there.
fn free_bytes(folder: &Path) -> io::Result<u64> {
    let there = existing(folder);
    tempfile::tempfile_in(&there)?;
    let found = rustix::fs::statvfs(&there)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// The folder, or the nearest one above it that is there.
fn existing(folder: &Path) -> PathBuf {
    let above = folder.ancestors().map(|above| if above == Path::new("") { Path::new(".") } else { above });
    above.into_iter().find(|above| above.exists()).unwrap_or(Path::new("/")).to_path_buf()
}

fn size_bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => size_bytes(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    });
    sizes.sum()
}
