//! All packages of all suites, by name.

use std::collections::{HashMap, HashSet};

use anyhow::{Context, Result};

use crate::archive::packages::Stanza;
use crate::archive::relation::{self, Relation};
use crate::archive::version;
use crate::lock::LockedPackage;
use crate::nearest;
use crate::problem::{Class, Problem};

/// A package and the suite that has it.
#[derive(Debug, Clone, Copy)]
pub(in crate::lock) struct Candidate<'a> {
    pub(in crate::lock) suite: &'a str,
    pub(in crate::lock) stanza: Stanza<'a>,
}

/// What a dependency on a library leads to.
pub(super) enum Library<'a> {
    /// This package.
    Found(Candidate<'a>),
    /// Nothing, as long as the package of this name keeps its version.
    Kept(&'a str),
}

/// The best version of each package, and those that are kept.
#[derive(Debug, Default)]
pub(in crate::lock) struct Pool<'a> {
    best: HashMap<&'a str, Candidate<'a>>,
    kept: HashMap<&'a str, Candidate<'a>>,
    /// Those of them that a suite still lists, with dependencies of their own.
    listed: HashSet<&'a str>,
}

impl<'a> Pool<'a> {
    /// Names the packages that keep their version, before any suite is added.
    pub(super) fn keep(&mut self, packages: impl IntoIterator<Item = &'a LockedPackage>) {
        for package in packages {
            // A lock has no dependencies; they come from the suites.
            let stanza = Stanza {
                name: &package.name,
                version: &package.version,
                source: &package.source,
                filename: &package.path,
                size: package.size,
                sha256: &package.sha256,
                section: "",
                ..Stanza::default()
            };
            self.kept.insert(&package.name, Candidate { suite: &package.suite, stanza });
        }
    }

    /// Lets a kept package move.
    pub(super) fn release(&mut self, name: &str) {
        self.kept.remove(name);
    }

    /// Adds a suite's packages. A higher version replaces a lower one; among equals the first suite stays.
    pub(in crate::lock) fn add(&mut self, suite: &'a str, stanzas: Vec<Stanza<'a>>) {
        for stanza in stanzas.into_iter().filter(|stanza| matches!(stanza.architecture, "amd64" | "all")) {
            let candidate = Candidate { suite, stanza };
            if let Some(kept) = self.kept.get_mut(stanza.name) {
                if kept.stanza.sha256 == stanza.sha256 && kept.stanza.version == stanza.version {
                    // The suite and its path of the file go together.
                    if self.listed.insert(stanza.name) {
                        *kept = candidate;
                    }
                } else if !self.listed.contains(stanza.name) {
                    // No suite has this version any more; in a stable suite another one needs much the same.
                    let Stanza { section, depends, pre_depends, provides, .. } = stanza;
                    kept.stanza = Stanza { section, depends, pre_depends, provides, ..kept.stanza };
                }
            }
            self.best
                .entry(stanza.name)
                .and_modify(|best| {
                    if version::compare(stanza.version, best.stanza.version).is_gt() {
                        *best = candidate;
                    }
                })
                .or_insert(candidate);
        }
    }

    /// The highest version of this package.
    pub(in crate::lock) fn best(&self, name: &str) -> Option<Candidate<'a>> {
        self.best.get(name).copied()
    }

    /// The package of this name if it keeps its version.
    pub(super) fn kept(&self, name: &str) -> Option<Candidate<'a>> {
        self.kept.get(name).copied()
    }

    /// The package to take.
    pub(super) fn get(&self, name: &str) -> Option<Candidate<'a>> {
        self.kept(name).or_else(|| self.best(name))
    }

    /// Library packages that one depends on directly. Of alternatives the first that can be met counts.
    pub(super) fn libraries_of(&self, candidate: &Candidate<'a>) -> Result<Vec<Library<'a>>> {
        let Stanza { name, version, .. } = candidate.stanza;
        let mut libraries = Vec::new();
        for field in [candidate.stanza.pre_depends, candidate.stanza.depends] {
            let entries = relation::parse(field).with_context(|| {
                format!("package index of {}: {name} {version}: depends on {field:?}", candidate.suite)
            })?;
            for mut alternatives in entries {
                if self.kept.contains_key(name) && !self.listed.contains(name) {
                    // The field is of another version, so its constraints say nothing.
                    alternatives.iter_mut().for_each(|relation| relation.constraint = None);
                }
                if let Some(met) = alternatives.iter().find_map(|relation| self.meet(relation)) {
                    libraries.extend(met.stanza.is_library().then_some(Library::Found(met)));
                    continue;
                }
                // What no suite has may still not be needed; a library of the wrong version surely does not fit.
                let wrong = alternatives.iter().find_map(|relation| Some((relation, self.get(relation.name)?)));
                if let Some((relation, found)) = wrong.filter(|(_, found)| found.stanza.is_library()) {
                    // One of the two is older than the other wants: what is kept gives way.
                    let kept = [found.stanza.name, name].into_iter().find(|name| self.kept.contains_key(name));
                    libraries.push(Library::Kept(kept.ok_or_else(|| unmet(candidate, relation, &found))?));
                }
            }
        }
        Ok(libraries)
    }

    /// The package that meets a relation: of that name, else by name the first that provides it.
    fn meet(&self, relation: &Relation<'_>) -> Option<Candidate<'a>> {
        if let Some(found) = self.get(relation.name).filter(|found| relation.accepts(found.stanza.version)) {
            return Some(found);
        }
        self.best
            .values()
            .map(|candidate| self.kept.get(candidate.stanza.name).unwrap_or(candidate))
            .filter(|candidate| {
                candidate.stanza.provides.contains(relation.name) && provides(&candidate.stanza, relation)
            })
            .min_by_key(|candidate| candidate.stanza.name)
            .copied()
    }

    /// The real kernel package behind a chain of at most `depth` meta packages.
    pub(in crate::lock) fn kernel(&self, name: &str, depth: usize) -> Result<Candidate<'a>> {
        let mut current = self.best(name).with_context(|| format!("no kernel package {name:?}"))?;
        for _ in 0..=depth {
            let depends = relation::parse(current.stanza.depends).unwrap_or_default();
            let Some(next) = depends.iter().flatten().find(|relation| is_kernel(relation.name)) else {
                return Ok(current);
            };
            let found = self.best(next.name);
            current = match found {
                Some(found) if next.accepts(found.stanza.version) => found,
                Some(found) => return Err(unmet(&current, next, &found)),
                None => {
                    let message =
                        format!("kernel package {}: depends on {next}, which no suite has", current.stanza.name);
                    return Err(Problem::error(Class::Config, message, "check [kernel] package in distro.toml"));
                }
            };
        }
        let message = format!("kernel package {name}: a chain of more than {depth} meta packages");
        Err(Problem::error(Class::Config, message, "check [kernel] package in distro.toml"))
    }

    /// The most similar name, if there is one worth showing; by name the first of equally near ones.
    pub(in crate::lock) fn nearest(&self, name: &str) -> Option<&'a str> {
        let mut names: Vec<&str> = self.best.keys().copied().collect();
        names.sort_unstable();
        nearest::nearest(name, names)
    }
}

/// What a meta package of kernels or of kernel sources leads to.
fn is_kernel(name: &str) -> bool {
    name.starts_with("linux-image-") || name.starts_with("linux-source-")
}

/// An unversioned `Provides` meets only a relation without a version (Debian Policy 7.5).
fn provides(stanza: &Stanza<'_>, relation: &Relation<'_>) -> bool {
    let provided = relation::parse(stanza.provides).unwrap_or_default();
    provided.iter().flatten().filter(|provided| provided.name == relation.name).any(|provided| {
        match provided.constraint {
            Some((_, version)) => relation.accepts(version),
            None => relation.constraint.is_none(),
        }
    })
}

fn unmet(candidate: &Candidate<'_>, relation: &Relation<'_>, found: &Candidate<'_>) -> anyhow::Error {
    let Stanza { name, version, .. } = candidate.stanza;
    let message = format!(
        "{name} {version} of {} depends on {relation}, but {} has {}",
        candidate.suite, found.suite, found.stanza.version
    );
    let hint =
        "the suites in [sources] of distro.toml do not fit each other, or a mirror is in the middle of an update";
    Problem::error(Class::Config, message, hint)
}
