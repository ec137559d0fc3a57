//! The exact sources of what is in an image: found in the suites' signed source indices, fetched, verified.
//!
//! Of a package the source package that the lock names is meant; of a rebuild without changes (`1.2-3+b1`) that is `1.2-3`.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::archive::date;
use crate::archive::release::Expected;
use crate::archive::sources::{self, SourceFile, SourcePackage};
use crate::fetch::{Failure, Fetcher, Object};
use crate::lock::{self, Freshness, Locked};
use crate::problem::{Class, Problem};
use crate::progress::Progress;
use crate::sbom::Source;

/// A source package and the suite whose mirrors have it.
#[derive(Debug, Clone)]
pub struct Located {
    /// The suite.
    pub suite: String,
    /// What it consists of.
    pub package: SourcePackage,
}

/// Finds sources in the present indices of the locked suites. `now`: seconds since 1970.
///
/// # Errors
/// Class `Network`: no mirror answers, or the archive has moved on and does not have a source any more. `Verify`: a Release
/// file or an index is not what it must be.
pub fn locate(
    locked: &Locked,
    wanted: &BTreeSet<&Source>,
    fetcher: &Fetcher,
    now: u64,
    progress: &dyn Progress,
) -> Result<Vec<Located>> {
    let keyring = lock::read_keyring(&locked.checked)?;
    let names: BTreeSet<(&str, &str)> =
        wanted.iter().map(|source| (source.name.as_str(), source.version.as_str())).collect();
    let mut found: BTreeMap<(String, String), Located> = BTreeMap::new();
    let mut others: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for suite in &locked.lock.suites {
        let expected = Expected { suite: &suite.name, now, not_before: date::parse_rfc3339(&suite.date) };
        let release = lock::release(fetcher, &keyring, &expected, Freshness::Any, progress)?;
        for component in &locked.checked.distro.sources.components {
            let index = format!("{component}/source/Sources");
            let text = lock::index(fetcher, &suite.name, &index, &release, progress)?;
            let in_suite = sources::find(&text, &names)
                .with_context(|| format!("reading the source index of {} ({component})", suite.name))?;
            for package in in_suite.packages {
                let key = (package.name.clone(), package.version.clone());
                found.entry(key).or_insert(Located { suite: suite.name.clone(), package });
            }
            for (name, version) in in_suite.others {
                others.entry(name).or_default().insert(version);
            }
        }
    }
    let lacking = wanted.iter().filter(|source| !found.contains_key(&(source.name.clone(), source.version.clone())));
    let lacking: Vec<String> = lacking.map(|source| lacking_line(source, &others)).collect();
    if lacking.is_empty() {
        return Ok(found.into_values().collect());
    }
    let dates: Vec<String> =
        locked.lock.suites.iter().map(|suite| format!("{} of {}", suite.name, suite.date)).collect();
    Err(Problem::error(
        Class::Network,
        format!("the archive does not have the sources of these packages any more:\n  {}", lacking.join("\n  ")),
        format!(
            "name a snapshot archive of the time of packages/lock.toml ({}) with --mirror, or take the present versions with \
             \"mkdistro lock --update\"",
            dates.join(", ")
        ),
    ))
}

fn lacking_line(source: &Source, others: &BTreeMap<String, BTreeSet<String>>) -> String {
    let Source { name, version } = source;
    match others.get(name) {
        None => format!("{name} {version}: no suite has it"),
        Some(versions) => {
            let versions: Vec<&str> = versions.iter().map(String::as_str).collect();
            format!("{name} {version}: the suites have {}", versions.join(", "))
        }
    }
}

/// Fetches all files of the sources into a folder, verified. Those that are there with the right content stay.
///
/// # Errors
/// Class `Network` or `Verify`: a file that no mirror has, or that is another one. `Output`: the folder cannot be written.
pub fn fetch(located: &[Located], folder: &Path, fetcher: &Fetcher, progress: &dyn Progress) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
    let total: u64 = located.iter().flat_map(|source| &source.package.files).map(|file| file.size).sum();
    let task = progress.start("fetching sources", total);
    let mut done = 0;
    for Located { suite, package } in located {
        for file in &package.files {
            let path = format!("{}/{}", package.directory, file.name);
            let object = Object { sha256: &file.sha256, size: file.size, suite, paths: vec![path] };
            let cached = fetcher.obtain(&object, &|have| task.set(done + have));
            place(&cached.map_err(|failure| failed(package, file, failure))?, &folder.join(&file.name))?;
            done += file.size;
        }
    }
    task.finish(&format!("{} sources, {:.1} MB", located.len(), total as f64 / 1e6));
    Ok(())
}

/// Copies out of the cache, by rename from a temporary name. Not as a hard link: what is then edited would be the cache's.
fn place(cached: &Path, target: &Path) -> Result<()> {
    let part: PathBuf = target.with_file_name(format!(".{}.part", target.file_name().unwrap_or_default().display()));
    let copied = std::fs::copy(cached, &part).and_then(|_| std::fs::rename(&part, target));
    copied.map_err(|error| {
        let _ = std::fs::remove_file(&part);
        unwritable(target, &error)
    })
}

fn unwritable(path: &Path, error: &std::io::Error) -> anyhow::Error {
    Problem::error(Class::Output, format!("writing {}: {error}", path.display()), "write elsewhere with --output")
}

fn failed(package: &SourcePackage, file: &SourceFile, failure: Failure) -> anyhow::Error {
    let what = format!("{} of source {} {}", file.name, package.name, package.version);
    match failure {
        Failure::Local(error) => error.context(format!("fetching {what}")),
        Failure::Offline => Problem::error(
            Class::Network,
            format!("{what} is not in the cache, and --offline was given"),
            "run once without --offline",
        ),
        Failure::Mismatch { url, got, bytes } => Problem::error(
            Class::Verify,
            format!(
                "sha256 of {what}: the index says {} ({} bytes), got {got} ({bytes} bytes) from {url}",
                file.sha256, file.size
            ),
            "run again, or try another mirror with --mirror",
        ),
        Failure::Unavailable { tried, .. } => Problem::error(
            Class::Network,
            format!("{what}: no mirror could deliver it; tried\n  {}", tried.join("\n  ")),
            "run again (what has arrived is kept), or name another mirror with --mirror",
        ),
    }
}
