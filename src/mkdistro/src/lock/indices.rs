//! The suites as they are now: verified Release files and the package indices that these give the hashes of.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::ErrorKind;

use anyhow::{Context, Result};

use super::Lock;
use super::resolve::pool::{Candidate, Pool};
use crate::archive::date;
use crate::archive::keyring::Keyring;
use crate::archive::packages::{self, Compression, Stanza};
use crate::archive::relation;
use crate::archive::release::{Expected, MAX_SIZE_BYTES, Release, ReleaseError};
use crate::builtin::Builtin;
use crate::config::Checked;
use crate::fetch::{Failure, Fetcher, Object};
use crate::problem::{Class, Problem};
use crate::progress::Progress;

/// What the suites say about a package. Libraries, which are found by need, are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Described {
    /// Its description's first line.
    pub summary: String,
    /// Packages of the same source that it depends on.
    pub parts: Vec<String>,
    /// Other packages that it depends on; of alternatives the first.
    pub depends: Vec<String>,
}

/// Verified indices of all suites of a project.
#[derive(Debug)]
pub struct Indices {
    /// `Date` of each suite's Release file, RFC 3339 in UTC.
    pub(super) dates: BTreeMap<String, String>,
    /// Suite and text of each index, in distro.toml's order.
    texts: Vec<(String, String)>,
}

impl Indices {
    /// Reads them. `previous`: the existing lock; suites may not be older than there. `now`: seconds since 1970.
    ///
    /// # Errors
    /// Class `Config`: a component that no suite has, an unusable key ring. `Network`: no mirror answers. `Verify`: a
    /// Release file or an index is not what it must be.
    pub fn read(
        checked: &Checked,
        fetcher: &Fetcher,
        previous: Option<&Lock>,
        now: u64,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let sources = &checked.distro.sources;
        let keyring = read_keyring(checked)?;
        let mut dates = BTreeMap::new();
        let mut texts = Vec::new();
        for suite in &sources.suites {
            let locked = previous.and_then(|lock| lock.suites.iter().find(|locked| locked.name == *suite));
            let not_before = locked.and_then(|locked| date::parse_rfc3339(&locked.date));
            let expected = Expected { suite, now, not_before };
            let release = release(fetcher, &keyring, &expected, Freshness::Required, progress)?;
            dates.insert(suite.clone(), date::format_rfc3339(release.date));
            for component in &sources.components {
                let path = format!("{component}/binary-amd64/Packages");
                texts.push((suite.clone(), index(fetcher, suite, &path, &release, progress)?));
            }
        }
        Ok(Self { dates, texts })
    }

    /// What the suites say about a package, or the name nearest to it.
    ///
    /// # Errors
    /// An index that cannot be read.
    pub fn describe(&self, name: &str) -> Result<Result<Described, Option<String>>> {
        let mut pool = Pool::default();
        for indexed in self.stanzas() {
            let (suite, stanzas) = indexed?;
            pool.add(suite, stanzas);
        }
        let Some(Candidate { stanza, .. }) = pool.best(name) else {
            return Ok(Err(pool.nearest(name).map(str::to_owned)));
        };
        let mut described = Described { summary: stanza.description.to_owned(), ..Described::default() };
        let source =
            |stanza: &Stanza<'_>| stanza.source_and_version().split(" (").next().unwrap_or_default().to_owned();
        for field in [stanza.pre_depends, stanza.depends] {
            let entries = relation::parse(field).with_context(|| format!("{name} depends on {field:?}"))?;
            for relation in entries.iter().filter_map(|alternatives| alternatives.first()) {
                let found = pool.best(relation.name).map(|candidate| candidate.stanza);
                let list = match found {
                    Some(found) if found.is_library() => continue,
                    Some(found) if source(&found) == source(&stanza) => &mut described.parts,
                    _ => &mut described.depends,
                };
                if !list.iter().any(|name| name == relation.name) {
                    list.push(relation.name.to_owned());
                }
            }
        }
        Ok(Ok(described))
    }

    /// The packages of each index, with its suite.
    pub(super) fn stanzas(&self) -> impl Iterator<Item = Result<(&str, Vec<Stanza<'_>>)>> {
        self.texts.iter().map(|(suite, text)| {
            let stanzas = packages::parse(text).with_context(|| format!("reading the package index of {suite}"))?;
            Ok((suite.as_str(), stanzas))
        })
    }
}

/// The keys that must have signed the project's suites.
pub(crate) fn read_keyring(checked: &Checked) -> Result<Keyring> {
    let name = &checked.distro.sources.keyring;
    let refused = |reason: String| {
        let hint = "it must hold the OpenPGP keys of the archive, ASCII-armoured or binary ([sources] keyring)";
        Problem::error(Class::Config, format!("reading the key ring {name}: {reason}"), hint)
    };
    let bytes = match (std::fs::read(checked.dir.join(name)), Builtin::ALL.get(name)) {
        (Ok(bytes), _) => Cow::Owned(bytes),
        (Err(error), Some(builtin)) if error.kind() == ErrorKind::NotFound => Cow::Borrowed(builtin),
        (Err(error), _) => return Err(refused(error.to_string())),
    };
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
