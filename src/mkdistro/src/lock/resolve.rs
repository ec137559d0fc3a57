//! From a request to exact packages: a walk over the dependencies in the suites' indices.
//!
//! The root takes only the files that recipes name and the libraries that those link to, found in the packages' own ELF
//! headers. So of the dependencies only libraries matter, as candidates: packages of the sections `libs` and `oldlibs`. All
//! of a library's own dependencies are followed in the same way. The highest version over all suites wins, but for what an
//! existing lock has and shall keep.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::{Indices, Lock, LockedPackage, LockedSuite, PATH, Request, SCHEMA, Update};
use crate::archive::version;
use crate::config::Checked;
use crate::nearest::did_you_mean;
use crate::problem::{Class, Problem};
use crate::progress::Progress;

pub(super) mod pool;

use pool::{Candidate, Library, Pool};

/// How many meta packages may point to each other before the kernel's own comes.
pub(super) const MAX_META_PACKAGES: usize = 4;

/// Resolves what a project asks for against the present archive, its images apart: see [`crate::oci::resolve`].
///
/// `builder`: packages that the builder itself needs. `previous`: the existing lock; what `update` does not name keeps the
/// version it has there, unless something that moves needs another one.
///
/// # Errors
/// Class `Config`: a package that no suite has, or that is to be updated and not locked. `Verify`: an index has an entry
/// that cannot be, or only a lower version than the lock. All of [`Indices::read`].
pub fn resolve(
    checked: &Checked,
    builder: &[&str],
    indices: &Indices,
    previous: Option<(&Lock, &Update)>,
    progress: &dyn Progress,
) -> Result<Lock> {
    let request = Request::of(checked, builder);
    let task = progress.start("resolving packages", 0);
    let mut pool = Pool::default();
    if let Some((lock, update)) = previous {
        let mut keep = kept(lock, update)?;
        // A package of a suite that the project no longer has may well get lower.
        keep.retain(|package| request.suites.contains(&package.suite));
        pool.keep(keep);
    }
    for indexed in indices.stanzas() {
        let (suite, stanzas) = indexed?;
        pool.add(suite, stanzas);
    }
    let (kernel, packages) = loop {
        match select_all(&pool, &request, previous.map(|(lock, _)| lock))? {
            Selected::All(kernel, packages) => break (kernel, packages),
            Selected::Conflict(name) => pool.release(&name),
        }
    };
    if let Some((lock, _)) = previous {
        refuse_lower(&packages, lock, &request)?;
    }
    task.finish(&format!("{} packages", packages.len()));
    Ok(Lock {
        schema: SCHEMA,
        request: request.hash(),
        kernel,
        suites: indices
            .dates
            .iter()
            .map(|(name, date)| LockedSuite { name: name.clone(), date: date.clone() })
            .collect(),
        packages,
        images: Vec::new(),
    })
}

/// The locked packages that stay as they are.
fn kept<'a>(lock: &'a Lock, update: &Update) -> Result<Vec<&'a LockedPackage>> {
    let moving: BTreeSet<&str> = match update {
        Update::All => return Ok(Vec::new()),
        Update::Nothing => BTreeSet::new(),
        Update::Only(names) => names.iter().map(String::as_str).collect(),
    };
    let is_image = |name: &str| lock.images.iter().any(|image| image.is_called(name));
    if let Some(unknown) = moving.iter().find(|name| lock.package(name).is_none() && !is_image(name)) {
        let hint = did_you_mean(unknown, lock.packages.iter().map(|package| package.name.as_str()));
        return Err(Problem::error(Class::Config, format!("updating {unknown}: it is not in {PATH}"), hint));
    }
    Ok(lock.packages.iter().filter(|package| !moving.contains(package.name.as_str())).collect())
}

/// A mirror that gives a lower version than before, though its Release file is newer, has lost something.
fn refuse_lower(packages: &[LockedPackage], previous: &Lock, request: &Request) -> Result<()> {
    let lower: Vec<String> = packages
        .iter()
        .filter_map(|new| Some((new, previous.package(&new.name)?)))
        .filter(|(_, old)| request.suites.contains(&old.suite))
        .filter(|(new, old)| version::compare(&new.version, &old.version).is_lt())
        .map(|(new, old)| {
            format!("{}: {PATH} has {} of {}, now {} is the highest", new.name, old.version, old.suite, new.version)
        })
        .collect();
    if lower.is_empty() {
        return Ok(());
    }
    let hint = "try another mirror; to go back on purpose, remove packages/lock.toml first";
    Err(Problem::error(Class::Verify, format!("versions went back:\n  {}", lower.join("\n  ")), hint))
}

/// How a selection ended.
enum Selected {
    /// The kernel's package, and all packages by name.
    All(String, Vec<LockedPackage>),
    /// This package must not keep its version.
    Conflict(String),
}

/// Selects for each flavour of a request; packages that not all of them use say who does.
fn select_all(pool: &Pool<'_>, request: &Request, previous: Option<&Lock>) -> Result<Selected> {
    // All that is unknown to any flavour at once.
    let whole = select(pool, request, previous)?;
    let Selected::All(kernel, mut packages) = whole else { return Ok(whole) };
    let mut users: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (flavour, request) in &request.flavours {
        let Selected::All(_, packages) = select(pool, request, previous)? else { continue };
        for package in packages {
            users.entry(package.name).or_default().push(flavour.clone());
        }
    }
    for package in &mut packages {
        let users = users.remove(&package.name).unwrap_or_default();
        if users.len() < request.flavours.len() {
            package.flavours = users;
        }
    }
    Ok(Selected::All(kernel, packages))
}

fn select(pool: &Pool<'_>, request: &Request, previous: Option<&Lock>) -> Result<Selected> {
    let mut selected = BTreeMap::new();
    let mut unknown = Vec::new();
    for (name, asker) in &request.packages {
        match pool.get(name) {
            Some(candidate) => drop(selected.insert(candidate.stanza.name, candidate)),
            None => unknown.push(unknown_package(pool, request, name, asker)),
        }
    }
    if pool.best(&request.kernel).is_none() {
        unknown.push(unknown_package(pool, request, &request.kernel, &format!("distro.toml: {}", request.kernel_key)));
    }
    if !unknown.is_empty() {
        let hint = format!("packages are named as in Debian; after a correction run \"mkdistro lock\" to write {PATH}");
        return Err(Problem::error(Class::Config, unknown.join("\n"), hint));
    }
    let mut waiting: Vec<Candidate<'_>> = selected.values().copied().collect();
    while let Some(candidate) = waiting.pop() {
        for library in pool.libraries_of(&candidate)? {
            let library = match library {
                Library::Found(library) => library,
                Library::Kept(name) => return Ok(Selected::Conflict(name.to_owned())),
            };
            if selected.insert(library.stanza.name, library).is_none() {
                waiting.push(library);
            }
        }
    }
    let newest = pool.kernel(&request.kernel, MAX_META_PACKAGES)?;
    let kept = previous.and_then(|lock| pool.kept(&lock.kernel)).filter(|kept| {
        // Of another flavour if distro.toml names another meta package now.
        flavour(kept.stanza.name) == flavour(newest.stanza.name)
    });
    let kernel = kept.unwrap_or(newest);
    selected.insert(kernel.stanza.name, kernel);
    // Debian's own configuration of that kernel, to show the difference.
    if let Some(version) = kernel.stanza.name.strip_prefix("linux-source-") {
        let name = format!("linux-config-{version}");
        let configs = [pool.kept(&name), pool.best(&name)].into_iter().flatten();
        let config = configs.into_iter().find(|config| config.stanza.version == kernel.stanza.version);
        selected.extend(config.map(|config| (config.stanza.name, config)));
    }
    let packages = selected.values().map(locked).collect::<Result<_>>()?;
    Ok(Selected::All(kernel.stanza.name.to_owned(), packages))
}

/// The parts of a kernel package's name that are no version: `linux-image-6.12.1+deb13-cloud-amd64` is
/// `linux-image-cloud-amd64`.
pub(super) fn flavour(name: &str) -> String {
    let parts = name.split('-').filter(|part| !part.starts_with(|c: char| c.is_ascii_digit()));
    parts.collect::<Vec<_>>().join("-")
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
        flavours: Vec::new(),
    };
    match package.wrong_value() {
        None => Ok(package),
        Some(reason) => {
            let message = format!("package index of {}: {} {}: {reason}", package.suite, package.name, package.version);
            Err(Problem::error(Class::Verify, message, "the archive has an entry that cannot be; try another mirror"))
        }
    }
}
