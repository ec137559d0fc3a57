//! Package files from cache or mirror, verified while they stream.

mod cache;
mod download;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::Result;

use crate::cache::Store;
use crate::lock::{self, Locked, LockedPackage};
use crate::oci::{self, FetchedImage};
use crate::problem::{Class, Problem};
use crate::progress::{Progress, Task};

pub use cache::Cache;
pub(crate) use cache::hex;
pub use download::Fetcher;
pub(crate) use download::{Failure, Object, Place};

/// Connections at a time. More does not fill a link better, and mirrors limit them.
const THREADS: usize = 8;

/// A locked project whose package files are all on this machine, verified.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The project and its lock.
    pub locked: Locked,
    /// Package name → verified file in the cache.
    pub files: BTreeMap<String, PathBuf>,
    /// The container images, by name.
    pub images: Vec<FetchedImage>,
    /// What earlier builds left beside them.
    pub store: Store,
    /// The cache's folder, for what is made of them.
    pub cache: PathBuf,
}

/// Fetches and verifies all packages and container images of the lock.
///
/// # Errors
/// Every package that could not be had, in one [`Problem`]: class `Verify` if something was wrong with a file, else
/// `Network`; `Output` if the cache could not be written.
pub fn fetch(locked: Locked, fetcher: &Fetcher, progress: &dyn Progress) -> Result<Fetched> {
    let mut packages: Vec<&LockedPackage> = locked.lock.packages.iter().collect();
    // The largest first, so that it does not keep the others waiting at the end.
    packages.sort_by_key(|package| std::cmp::Reverse(package.size));
    let total: u64 = packages.iter().map(|package| package.size).sum();
    let task = progress.start("fetching packages", total);
    let done = AtomicU64::new(0);
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(packages.len()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS.min(packages.len()) {
            scope.spawn(|| {
                while let Some(package) = packages.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = fetch_one(fetcher, package, &done, task.as_ref());
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((*package, result));
                }
            });
        }
    });
    let mut files = BTreeMap::new();
    let mut failures = BTreeMap::new();
    for (package, result) in results.into_inner().unwrap_or_else(PoisonError::into_inner) {
        match result {
            Ok(path) => drop(files.insert(package.name.clone(), path)),
            Err(failure) => drop(failures.insert(package.name.as_str(), (package, failure))),
        }
    }
    if !failures.is_empty() {
        task.finish(&format!("{} of {} packages failed", failures.len(), packages.len()));
        return Err(report(&locked, failures.into_values().collect()));
    }
    task.finish(&format!("{} packages, {:.1} MB", packages.len(), total as f64 / 1e6));
    let images = oci::fetch(&locked, fetcher, progress)?;
    Ok(Fetched { locked, files, images, store: fetcher.cache.store(), cache: fetcher.cache.dir().to_owned() })
}

fn fetch_one(
    fetcher: &Fetcher,
    package: &LockedPackage,
    all_done: &AtomicU64,
    task: &dyn Task,
) -> Result<PathBuf, Failure> {
    let object = Object {
        sha256: &package.sha256,
        size: package.size,
        suite: &package.suite,
        paths: vec![package.path.clone()],
    };
    // A download that begins again takes back what it had added; wrapping arithmetic covers that.
    let mine = Cell::new(0);
    fetcher.obtain(&object, &|have| {
        let added = u64::wrapping_sub(have, mine.replace(have));
        let before = all_done.fetch_add(added, Ordering::Relaxed);
        task.set(before.wrapping_add(added));
    })
}

/// All failures as one error: of the worst class, at most a few of each in full.
fn report(locked: &Locked, failures: Vec<(&LockedPackage, Failure)>) -> anyhow::Error {
    const SHOWN: usize = 5;
    let mut verify = Vec::new();
    let mut network = Vec::new();
    let mut offline = Vec::new();
    let mut hints = (String::new(), String::new());
    for (package, failure) in failures {
        let LockedPackage { name, version, .. } = package;
        match failure {
            Failure::Local(error) => return error.context(format!("fetching {name} {version}")),
            Failure::Mismatch { url, got, bytes } => {
                verify.push(mismatch(locked, package, &url, &got, bytes));
                let cause = if bytes == 0 { "the server sent nothing" } else { "the mirror has another file" };
                hints.0 = format!("{cause}; run again, try another mirror, or \"mkdistro lock --update\"");
            }
            Failure::Offline => offline.push(format!("{name} {version}")),
            Failure::Unavailable { tried, missing } => {
                let tried = tried.join("\n  ");
                let what = if missing { "no mirror has it any more" } else { "no mirror could deliver it" };
                network.push(format!("{name} {version}: {what}; tried\n  {tried}"));
                if missing || hints.1.is_empty() {
                    hints.1 = unavailable_hint(missing);
                }
            }
        }
    }
    let shorten = |lines: Vec<String>| {
        let more = lines.len().saturating_sub(SHOWN);
        let mut shown: Vec<String> = lines.into_iter().take(SHOWN).collect();
        shown.extend((more > 0).then(|| format!("and {more} more packages")));
        shown.join("\n")
    };
    if !verify.is_empty() {
        return Problem::error(Class::Verify, shorten(verify), hints.0);
    }
    if !network.is_empty() {
        return Problem::error(Class::Network, shorten(network), hints.1);
    }
    Problem::error(
        Class::Network,
        format!("not in the cache, and --offline was given: {}", offline.join(", ")),
        "run once without --offline",
    )
}

/// `sha256 of podman_5.4.2_amd64.deb: packages/lock.toml:118 says 9f2c…, got e3b0… (0 bytes)`.
fn mismatch(locked: &Locked, package: &LockedPackage, url: &str, got: &str, bytes: u64) -> String {
    let file = package.path.rsplit('/').next().unwrap_or(&package.path);
    let line = lock::line_of(&locked.checked.dir, &package.sha256).map_or(String::new(), |line| format!(":{line}"));
    let LockedPackage { sha256, size, .. } = package;
    format!("sha256 of {file}: {}{line} says {sha256} ({size} bytes), got {got} ({bytes} bytes) from {url}", lock::PATH)
}

fn unavailable_hint(missing: bool) -> String {
    if missing {
        "add a mirror that still has it (a snapshot archive keeps all versions) to [sources] in distro.toml, or take the \
         present versions with \"mkdistro lock --update\""
    } else {
        "check the network and proxy settings and run again (what has arrived is kept), or name another mirror in \
         [sources] of distro.toml"
    }
    .to_owned()
}

#[cfg(test)]
mod tests;
