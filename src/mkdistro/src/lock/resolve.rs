//! From a request to exact packages: verified Release files, their indices, and a walk over dependencies.
//!
//! The root takes only the files that recipes name and the libraries that those link to, found in the packages' own ELF
//! headers. So of the dependencies only libraries matter, as candidates: packages of the sections `libs` and `oldlibs`. All
//! of a library's own dependencies are followed in the same way. The highest version over all suites wins.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use super::{Lock, LockedPackage, LockedSuite, PATH, Request, SCHEMA};
use crate::archive::date;
use crate::archive::keyring::Keyring;
use crate::archive::packages::{self, Compression};
use crate::archive::release::{Expected, MAX_SIZE_BYTES, Release, ReleaseError};
use crate::config::Checked;
use crate::fetch::{Failure, Fetcher, Object};
use crate::problem::{Class, Problem};
use crate::progress::Progress;

mod pool;

use pool::{Candidate, Pool};

/// How many meta packages may point to each other before the kernel's own comes.
const MAX_META_PACKAGES: usize = 4;

/// Resolves what a project asks for against the present archive.
///
/// `builder`: packages that the builder itself needs. `previous`: the existing lock; suites may not be older than there.
/// `now`: seconds since 1970.
///
/// # Errors
/// Class `Config`: a package or component that no suite has, an unusable key ring. `Network`: no mirror answers.
/// `Verify`: a Release file or an index is not what it must be.
pub fn resolve(
    checked: &Checked,
    builder: &[&str],
    fetcher: &Fetcher,
    previous: Option<&Lock>,
    now: u64,
    progress: &dyn Progress,
) -> Result<Lock> {
    let request = Request::of(checked, builder);
    let keyring = read_keyring(checked)?;
    let mut suites = BTreeMap::new();
    let mut indices = Vec::new();
    for suite in &request.suites {
        let locked = previous.and_then(|lock| lock.suites.iter().find(|locked| locked.name == *suite));
        let not_before = locked.and_then(|locked| date::parse_rfc3339(&locked.date));
        let release = release(fetcher, &keyring, &Expected { suite, now, not_before }, Freshness::Required, progress)?;
        suites.insert(suite.clone(), date::format_rfc3339(release.date));
        for component in &request.components {
            let path = format!("{component}/binary-amd64/Packages");
            indices.push((suite.as_str(), index(fetcher, suite, &path, &release, progress)?));
        }
    }
    let task = progress.start("resolving packages", 0);
    let mut pool = Pool::default();
    for (suite, text) in &indices {
        let stanzas = packages::parse(text).with_context(|| format!("reading the package index of {suite}"))?;
        pool.add(suite, stanzas);
    }
    let (kernel, packages) = select(&pool, &request)?;
    task.finish(&format!("{} packages", packages.len()));
    Ok(Lock {
        schema: SCHEMA,
        request: request.hash(),
        kernel,
        suites: suites.into_iter().map(|(name, date)| LockedSuite { name, date }).collect(),
        packages,
    })
}

/// The keys that must have signed the project's suites.
pub(crate) fn read_keyring(checked: &Checked) -> Result<Keyring> {
    let name = &checked.distro.sources.keyring;
    let refused = |reason: String| {
        let hint = "it must hold the OpenPGP keys of the archive, ASCII-armoured or binary ([sources] keyring)";
        Problem::error(Class::Config, format!("reading the key ring {name}: {reason}"), hint)
    };
    let bytes = std::fs::read(checked.dir.join(name)).map_err(|error| refused(error.to_string()))?;
    Keyring::parse(&bytes).map_err(|error| refused(format!("{error:#}")))
}

/// Whether a Release file may be past its `Valid-Until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// It may not: what it lacks may be a security update.
    Required,
    /// It may: it is only asked for versions that are known already, as a snapshot archive has them.
    Any,
}

/// The verified Release file of a suite, from the first mirror that has an acceptable one.
pub(crate) fn release(
    fetcher: &Fetcher,
    keyring: &Keyring,
    expected: &Expected<'_>,
    freshness: Freshness,
    progress: &dyn Progress,
) -> Result<Release> {
    let suite = expected.suite;
    if fetcher.offline {
        let message = format!("reading suite {suite}: resolving needs a mirror, and --offline was given");
        return Err(Problem::error(Class::Network, message, "run without --offline"));
    }
    let path = format!("dists/{suite}/InRelease");
    let mut tried = Vec::new();
    let mut refused = None;
    for mirror in fetcher.mirrors.for_suite(suite)? {
        let url = format!("{}/{path}", mirror.base);
        match fetcher.small(mirror, &path, MAX_SIZE_BYTES) {
            Err(error) => tried.push(format!("{url}: {error}")),
            Ok(message) => match verify(&message, keyring, expected, freshness) {
                Ok(release) => {
                    // Not silent: a mirror in front gave something that must not be used.
                    if let Some(error) = refused {
                        progress.warn(&format!("{error:#}; used {url} instead"));
                    }
                    return Ok(release);
                }
                Err(error) => refused = refused.or(Some(error.problem(&url, suite))),
            },
        }
    }
    Err(refused.unwrap_or_else(|| {
        let message = format!("reading suite {suite}: no mirror has it; tried\n  {}", tried.join("\n  "));
        Problem::error(Class::Network, message, "check the network, [sources] suites and mirrors in distro.toml")
    }))
}

fn verify(
    message: &[u8],
    keyring: &Keyring,
    expected: &Expected<'_>,
    freshness: Freshness,
) -> Result<Release, ReleaseError> {
    match Release::verify(message, keyring, expected) {
        // As of the last moment that it was valid.
        Err(ReleaseError::Expired { until, .. }) if freshness == Freshness::Any => {
            Release::verify(message, keyring, &Expected { now: until, ..*expected })
        }
        result => result,
    }
}

/// The text of an index, `COMPONENT/binary-amd64/Packages` or `COMPONENT/source/Sources`, by the hash that Release has for it.
pub(crate) fn index(
    fetcher: &Fetcher,
    suite: &str,
    plain: &str,
    release: &Release,
    progress: &dyn Progress,
) -> Result<String> {
    let (folder, _) = plain.rsplit_once('/').unwrap_or(("", plain));
    let component = plain.split('/').next().unwrap_or_default();
    let listed = Compression::ALL
        .into_iter()
        .find_map(|compression| Some((compression, release.indices.get(&format!("{plain}{}", compression.suffix()))?)));
    let Some((compression, (size, sha256))) = listed else {
        let message = format!("suite {suite} has no component {component:?} for amd64");
        let hint = format!("it has {}; check [sources] components in distro.toml", release.components.join(", "));
        return Err(Problem::error(Class::Config, message, hint));
    };
    let mut paths = vec![format!("dists/{suite}/{plain}{}", compression.suffix())];
    if release.by_hash {
        paths.insert(0, format!("dists/{suite}/{folder}/by-hash/SHA256/{sha256}"));
    }
    let object = Object { sha256, size: *size, suite, paths };
    let task = progress.start(&format!("reading suite {suite} ({component})"), *size);
    let path = fetcher.obtain(&object, &|have| task.set(have)).map_err(|failure| index_failure(suite, failure))?;
    let unpacked = release.indices.get(plain).map(|(size, _)| *size);
    let text = packages::read(&path, compression, unpacked)?;
    task.finish(&format!("of {}", date::format_rfc3339(release.date)));
    Ok(text)
}

fn index_failure(suite: &str, failure: Failure) -> anyhow::Error {
    let hint = "the mirror may be in the middle of an update: run again, or name another mirror in [sources]";
    match failure {
        Failure::Local(error) => error.context(format!("fetching the package index of {suite}")),
        Failure::Mismatch { url, got, bytes } => {
            let message =
                format!("package index of {suite}: not what Release says: got {got} ({bytes} bytes) from {url}");
            Problem::error(Class::Verify, message, hint)
        }
        Failure::Unavailable { tried, .. } => {
            let message =
                format!("package index of {suite}: no mirror could deliver it; tried\n  {}", tried.join("\n  "));
            Problem::error(Class::Network, message, hint)
        }
        Failure::Offline => {
            let message = format!("package index of {suite}: not in the cache, and --offline was given");
            Problem::error(Class::Network, message, "run without --offline")
        }
    }
}

/// The kernel's package, and all packages by name.
fn select(pool: &Pool<'_>, request: &Request) -> Result<(String, Vec<LockedPackage>)> {
    let mut selected = BTreeMap::new();
    let mut unknown = Vec::new();
    for (name, asker) in &request.packages {
        match pool.best(name) {
            Some(candidate) => drop(selected.insert(candidate.stanza.name, candidate)),
            None => unknown.push(unknown_package(pool, request, name, asker)),
        }
    }
    if pool.best(&request.kernel).is_none() {
        unknown.push(unknown_package(pool, request, &request.kernel, "distro.toml: [kernel] package"));
    }
    if !unknown.is_empty() {
        let hint = format!("packages are named as in Debian; after a correction run \"mkdistro lock\" to write {PATH}");
        return Err(Problem::error(Class::Config, unknown.join("\n"), hint));
    }
    let mut waiting: Vec<Candidate<'_>> = selected.values().copied().collect();
    while let Some(candidate) = waiting.pop() {
        for library in pool.libraries_of(&candidate)? {
            if selected.insert(library.stanza.name, library).is_none() {
                waiting.push(library);
            }
        }
    }
    let kernel = pool.kernel(&request.kernel, MAX_META_PACKAGES)?;
    selected.insert(kernel.stanza.name, kernel);
    let packages = selected.values().map(locked).collect::<Result<_>>()?;
    Ok((kernel.stanza.name.to_owned(), packages))
}

fn unknown_package(pool: &Pool<'_>, request: &Request, name: &str, asker: &str) -> String {
    let nearest = pool.nearest(name).map_or(String::new(), |nearest| format!("; did you mean {nearest:?}?"));
    format!(
        "{asker}: no package {name:?} in {} ({}){nearest}",
        request.suites.join(", "),
        request.components.join(", ")
    )
}

fn locked(candidate: &Candidate<'_>) -> Result<LockedPackage> {
    let stanza = &candidate.stanza;
    let package = LockedPackage {
        name: stanza.name.to_owned(),
        version: stanza.version.to_owned(),
        suite: candidate.suite.to_owned(),
        source: stanza.source_and_version(),
        path: stanza.filename.to_owned(),
        size: stanza.size,
        sha256: stanza.sha256.to_owned(),
    };
    match package.wrong_value() {
        None => Ok(package),
        Some(reason) => {
            let message = format!("package index of {}: {} {}: {reason}", package.suite, package.name, package.version);
            Err(Problem::error(Class::Verify, message, "the archive has an entry that cannot be; try another mirror"))
        }
    }
}
