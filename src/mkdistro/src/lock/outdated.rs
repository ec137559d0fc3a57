//! What the suites have in newer versions than the lock.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;

use super::resolve::pool::{Candidate, Pool};
use super::resolve::{MAX_META_PACKAGES, flavour};
use super::{Indices, Lock};
use crate::archive::version;
use crate::config::Checked;

/// A locked package that a suite has in a newer version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outdated {
    /// Binary package.
    pub name: String,
    /// The lock's version.
    pub locked: String,
    /// The highest version of all suites.
    pub newest: String,
    /// The suite that has it.
    pub suite: String,
    /// Whether a version since the lock's is a security update.
    pub security: bool,
    /// The package to take instead, for a kernel, whose name has its version in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<String>,
}

/// Compares a lock with the suites; by name.
///
/// # Errors
/// An index that cannot be read.
pub fn outdated(checked: &Checked, lock: &Lock, indices: &Indices) -> Result<Vec<Outdated>> {
    let mut pool = Pool::default();
    // The highest version of the suites for security.
    let mut security: BTreeMap<&str, &str> = BTreeMap::new();
    for indexed in indices.stanzas() {
        let (suite, stanzas) = indexed?;
        if suite.ends_with("-security") || suite.ends_with("/updates") {
            for stanza in &stanzas {
                let highest = security.entry(stanza.name).or_insert(stanza.version);
                if version::compare(stanza.version, highest).is_gt() {
                    *highest = stanza.version;
                }
            }
        }
        pool.add(suite, stanzas);
    }
    let mut found = Vec::new();
    for package in &lock.packages {
        let newest = if package.name == lock.kernel {
            // A distro.toml that names another flavour now asks for another lock, not for a newer one.
            let newest = pool.kernel(&checked.distro.kernel.package, MAX_META_PACKAGES).ok();
            newest.filter(|newest| flavour(newest.stanza.name) == flavour(&lock.kernel))
        } else {
            pool.best(&package.name)
        };
        let Some(Candidate { suite, stanza }) = newest else { continue };
        if version::compare(stanza.version, &package.version).is_gt() {
            found.push(Outdated {
                name: package.name.clone(),
                locked: package.version.clone(),
                newest: stanza.version.to_owned(),
                suite: suite.to_owned(),
                security: security
                    .get(stanza.name)
                    .is_some_and(|version| version::compare(version, &package.version).is_gt()),
                replaced_by: (stanza.name != package.name).then(|| stanza.name.to_owned()),
            });
        }
    }
    Ok(found)
}
