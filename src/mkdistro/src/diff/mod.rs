//! How two images differ: packages, kernel, files, sizes. Both sides are compared part by part, so that the same
//! distribution in two formats is compared by what is in it.

mod files;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use bytes::Bytes;
use serde::Serialize;

use crate::inspect::{Distribution, Fact, Part, Parts};
use crate::lock::Lock;

pub use files::FileChange;

/// A value on both sides; None where there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change<T> {
    /// What it belongs to.
    pub name: String,
    /// On the first side.
    pub before: Option<T>,
    /// On the second side.
    pub after: Option<T>,
}

/// How two files differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Difference {
    /// Whether they have the same bytes.
    pub identical: bool,
    /// Sizes of all parts in bytes, also of those that are equal; the file itself is the first.
    pub sizes: Vec<Change<u64>>,
    /// Versions of packages that differ; `another file` follows where only the file does.
    pub packages: Vec<Change<String>>,
    /// `uname -r`, if it differs.
    pub kernel_release: Option<Change<String>>,
    /// Kernel options that differ.
    pub kernel_options: Vec<Change<String>>,
    /// Facts about parts that differ, such as `root: compression`.
    pub facts: Vec<Change<String>>,
    /// Files that differ.
    pub files: Vec<FileChange>,
}

/// Compares two images, or two locks.
///
/// # Errors
/// If a side is damaged or of no known format.
pub fn compare(before: &Bytes, after: &Bytes) -> Result<Difference> {
    let open = |bytes: &Bytes, side: &str| {
        let parts = Parts::of(bytes).with_context(|| format!("reading the {side} file"))?;
        parts.with_context(|| format!("the format of the {side} file is not known"))
    };
    let (one, other) = (open(before, "first")?, open(after, "second")?);
    let (first, second) = (Distribution::of(&one)?, Distribution::of(&other)?);
    let identical = before == after;
    let mut difference = Difference {
        identical,
        sizes: sizes(&one, &other),
        packages: packages(lock(&first), lock(&second)),
        kernel_release: change("kernel", first.kernel_release.as_ref(), second.kernel_release.as_ref()),
        kernel_options: kernel_options(first.kernel_config.as_deref(), second.kernel_config.as_deref()),
        facts: Vec::new(),
        files: Vec::new(),
    };
    if !identical {
        for (part, other_part) in pairs(&one, &other) {
            difference.facts.extend(facts(part, other_part));
        }
        difference.files = files::compare(&one, &other)?;
    }
    Ok(difference)
}

/// Parts of the same name.
fn pairs<'a>(one: &'a Parts, other: &'a Parts) -> impl Iterator<Item = (&'a Part, &'a Part)> {
    one.0.iter().filter_map(|part| Some((part, other.get(&part.name)?)))
}

fn lock(distribution: &Distribution) -> Option<&Lock> {
    distribution.lock.as_ref().map(|(lock, _)| lock)
}

/// None if both are the same.
fn change<T: Clone + PartialEq>(name: &str, before: Option<&T>, after: Option<&T>) -> Option<Change<T>> {
    (before != after).then(|| Change { name: name.to_string(), before: before.cloned(), after: after.cloned() })
}

/// Changes of the values of two maps.
fn changes<T: Clone + PartialEq>(before: &BTreeMap<&str, T>, after: &BTreeMap<&str, T>) -> Vec<Change<T>> {
    let names: BTreeSet<&&str> = before.keys().chain(after.keys()).collect();
    names.into_iter().filter_map(|name| change(name, before.get(name), after.get(name))).collect()
}

fn sizes(one: &Parts, other: &Parts) -> Vec<Change<u64>> {
    let size = |part: &Part| part.bytes.len() as u64;
    let both = one.0.iter().map(|part| (&part.name, Some(size(part)), other.get(&part.name).map(size)));
    let added = other.0.iter().filter(|part| one.get(&part.name).is_none());
    let all = both.chain(added.map(|part| (&part.name, None, Some(size(part)))));
    all.map(|(name, before, after)| Change { name: name.clone(), before, after }).collect()
}

fn packages(before: Option<&Lock>, after: Option<&Lock>) -> Vec<Change<String>> {
    let (Some(before), Some(after)) = (before, after) else { return Vec::new() };
    let versions = |lock: &'_ Lock| -> BTreeMap<String, (String, String)> {
        let packages = lock.packages.iter();
        packages.map(|package| (package.name.clone(), (package.version.clone(), package.sha256.clone()))).collect()
    };
    let (before, after) = (versions(before), versions(after));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let of = |name: &String| {
        let (old, new) = (before.get(name), after.get(name));
        let version = |found: Option<&(String, String)>| found.map(|(version, _)| version.clone());
        let (one, mut other) = (version(old), version(new));
        if old == new {
            return None;
        }
        if one == other {
            other = other.map(|version| format!("{version}, another file"));
        }
        Some(Change { name: name.clone(), before: one, after: other })
    };
    names.into_iter().filter_map(of).collect()
}

/// Options by name; what is not set has no value.
fn kernel_options(before: Option<&str>, after: Option<&str>) -> Vec<Change<String>> {
    fn options(config: &str) -> BTreeMap<&str, String> {
        let lines = config.lines().filter(|line| line.starts_with("CONFIG_"));
        lines.filter_map(|line| line.split_once('=')).map(|(name, value)| (name, value.to_string())).collect()
    }
    let (Some(before), Some(after)) = (before, after) else { return Vec::new() };
    changes(&options(before), &options(after))
}

fn facts(one: &Part, other: &Part) -> Vec<Change<String>> {
    fn joined(facts: &[Fact]) -> BTreeMap<&str, String> {
        let mut map: BTreeMap<&str, String> = BTreeMap::new();
        for fact in facts {
            let value = map.entry(fact.name).or_default();
            let separator = if value.is_empty() { "" } else { "; " };
            value.push_str(&format!("{separator}{}", fact.value));
        }
        map
    }
    let mut found = changes(&joined(&one.layer.facts), &joined(&other.layer.facts));
    // Sizes and places of what is inside change with it and are told of elsewhere.
    found.retain(|change| !matches!(change.name.as_str(), "archive" | "mbr" | "partition"));
    found.iter_mut().for_each(|change| change.name = format!("{}: {}", one.name, change.name));
    found
}
