//! What the project depends on, checked without a network: licences, number and duplicates of crates, where they come
//! from, and known vulnerabilities as far as this machine knows any.

use std::collections::{BTreeMap, BTreeSet};

use crate::advisories;
use crate::run::{Result, cargo, root};
use crate::tally::Tally;

/// The whole of Cargo.lock, ours included: what a release build downloads and reviews have to look at.
const MAX_CRATES: usize = 260;

/// Licences that ask for no more than naming them, each with what it is good for.
const LICENCES: &[&str] = &[
    "MIT",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    // ring, untrusted, rustls-webpki
    "ISC",
    // zlib-rs
    "Zlib",
    // tables of unicode-ident
    "Unicode-3.0",
    "Unlicense",
];

/// Crates that are there in several versions, and why. `pgp` takes the generation of RustCrypto before `sha2` 0.11.
const DUPLICATES: &[(&str, &str)] = &[
    ("base64", "pgp, ureq"),
    ("block-buffer", "pgp, sha2"),
    ("const-oid", "pgp, sha2"),
    ("cpufeatures", "pgp, sha2"),
    ("crypto-common", "pgp, sha2"),
    ("digest", "pgp, sha2"),
    ("getrandom", "ring and pgp, tempfile"),
    ("serdect", "pgp's curves"),
    ("sha2", "pgp, ours"),
    ("syn", "derive macros of two generations; build time only"),
    ("windows-sys", "not compiled here"),
];

/// What the source of a crate of a registry begins with in Cargo.lock; others are repositories and folders.
const REGISTRY: &str = "registry+";

/// A package of Cargo.lock.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Locked {
    pub(crate) name: String,
    pub(crate) version: String,
    /// None: a folder of this machine.
    source: Option<String>,
}

/// Runs the checks.
pub(crate) fn check(tally: &mut Tally) -> Result<()> {
    let path = root().join("Cargo.lock");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("reading {}: {error}", path.display()))?;
    let locked = read_lock(&text);
    println!("Cargo.lock: {} crates, at most {MAX_CRATES}", locked.len());
    let mut report = |name: &str, problems: Vec<String>| {
        problems.iter().for_each(|problem| println!("{name}: {problem}"));
        tally.check(name, problems.is_empty());
    };
    report("crates: number", too_many(&locked));
    report("crates: sources", foreign_sources(&locked, &members()?));
    report("crates: duplicates", duplicates(&locked, DUPLICATES));
    report("crates: licences", licences(&licences_of_cargo()?));
    let advisories = advisories::check(&locked)?;
    if let Some(problems) = advisories {
        report("crates: advisories", problems);
    }
    Ok(())
}

/// The packages of a Cargo.lock, which cargo writes in always the same way: `key = "value"` below `[[package]]`.
fn read_lock(text: &str) -> Vec<Locked> {
    let packages = text.split("[[package]]\n").skip(1).map(|package| {
        let value = |key: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""))?;
            Some(line.strip_suffix('"')?.to_owned())
        };
        Some(Locked { name: value("name")?, version: value("version")?, source: value("source") })
    });
    packages.flatten().collect()
}

fn too_many(locked: &[Locked]) -> Vec<String> {
    let count = locked.len();
    (count > MAX_CRATES).then(|| format!("{count}, more than {MAX_CRATES}")).into_iter().collect()
}

/// Names of the workspace's own packages: of its folders, which are called like them.
fn members() -> Result<BTreeSet<String>> {
    let folder = root().join("src");
    let context = |error: std::io::Error| format!("reading {}: {error}", folder.display());
    let mut names = BTreeSet::from(["qemu-tests".to_owned()]);
    for entry in std::fs::read_dir(&folder).map_err(context)? {
        names.insert(entry.map_err(context)?.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}

/// Neither git nor folders but ours: what cannot be had again from the registry cannot be reviewed by others either.
fn foreign_sources(locked: &[Locked], members: &BTreeSet<String>) -> Vec<String> {
    let is_foreign = |package: &&Locked| match &package.source {
        Some(source) => !source.starts_with(REGISTRY),
        None => !members.contains(&package.name),
    };
    let foreign = locked.iter().filter(is_foreign);
    foreign
        .map(|package| format!("{} is from {}", package.name, package.source.as_deref().unwrap_or("a folder")))
        .collect()
}

/// Several versions of a crate that is not on the list, and entries of the list that are no longer needed.
fn duplicates(locked: &[Locked], allowed: &[(&str, &str)]) -> Vec<String> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in locked {
        versions.entry(&package.name).or_default().push(&package.version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    let is_allowed = |name: &str| allowed.iter().any(|(allowed, _)| *allowed == name);
    let new = versions.iter().filter(|(name, _)| !is_allowed(name));
    let new = new.map(|(name, versions)| format!("{name} is there as {}", versions.join(" and ")));
    let old = allowed.iter().filter(|(name, _)| !versions.contains_key(name));
    new.chain(old.map(|(name, _)| format!("{name} is there once, and still on the list of duplicates"))).collect()
}

/// Package (`name version`) and licence of everything that is compiled on this machine.
fn licences_of_cargo() -> Result<BTreeSet<(String, String)>> {
    let arguments = ["tree", "--workspace", "--locked", "--offline", "--prefix", "none", "--edges", "normal,build,dev"];
    let mut command = cargo(&arguments);
    let output =
        command.args(["--format", "{p}|{l}"]).output().map_err(|error| format!("running cargo tree: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo tree: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.lines().filter_map(read_tree_line).collect())
}

/// `serde v1.0.1 (proc-macro)|MIT OR Apache-2.0 (*)`
fn read_tree_line(line: &str) -> Option<(String, String)> {
    let (package, licence) = line.trim_end_matches(" (*)").split_once('|')?;
    let name: Vec<&str> = package.split(' ').take(2).collect();
    Some((name.join(" "), licence.to_owned()))
}

fn licences(packages: &BTreeSet<(String, String)>) -> Vec<String> {
    let refused = packages.iter().filter(|(_, licence)| !is_permitted(licence));
    refused.map(|(package, licence)| format!("{package}: the licence {licence:?} is not on the list")).collect()
}

/// Whether one may choose licences of the list by an SPDX expression (SPDX 2.3, annex D); `/` is how `OR` was written
/// once. Exceptions (`WITH`) only permit more.
fn is_permitted(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let permitted = any(&mut words);
    permitted == Some(true) && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

/// None: not an expression.
fn any(words: &mut Words<'_>) -> Option<bool> {
    let mut permitted = all(words)?;
    while words.next_if_eq(&"OR").is_some() {
        permitted |= all(words)?;
    }
    Some(permitted)
}

fn all(words: &mut Words<'_>) -> Option<bool> {
    let mut permitted = one(words)?;
    while words.next_if_eq(&"AND").is_some() {
        permitted &= one(words)?;
    }
    Some(permitted)
}

fn one(words: &mut Words<'_>) -> Option<bool> {
    let word = words.next()?;
    if word == "(" {
        let permitted = any(words)?;
        return (words.next()? == ")").then_some(permitted);
    }
    if words.next_if_eq(&"WITH").is_some() {
        words.next()?;
    }
    Some(LICENCES.contains(&word))
}

#[cfg(test)]
pub(crate) fn tests_lock() -> Vec<Locked> {
    read_lock(tests::LOCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const LOCK: &str = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n\n\
                        [[package]]\nname = \"b\"\nversion = \"2.0.0\"\n\
                        source = \"registry+https://host.test/index\"\nchecksum = \"x\"\n\
                        dependencies = [\n \"a\",\n]\n\n\
                        [[package]]\nname = \"b\"\nversion = \"3.0.0\"\nsource = \"git+https://host.test/b\"\n";

    #[test]
    fn what_is_locked() {
        let locked = read_lock(LOCK);
        let shown: Vec<_> = locked.iter().map(|package| (package.name.as_str(), package.version.as_str())).collect();
        assert_eq!(shown, [("a", "1.0.0"), ("b", "2.0.0"), ("b", "3.0.0")]);
        let ours = BTreeSet::from(["a".to_owned()]);
        assert_eq!(foreign_sources(&locked, &ours), ["b is from git+https://host.test/b"]);
        assert_eq!(foreign_sources(&locked[..1], &BTreeSet::new()), ["a is from a folder"]);
        assert_eq!(duplicates(&locked, &[]), ["b is there as 2.0.0 and 3.0.0"]);
        assert_eq!(duplicates(&locked, &[("b", "why")]), Vec::<String>::new());
        let stale = "b is there once, and still on the list of duplicates";
        assert_eq!(duplicates(&locked[..2], &[("b", "why")]), [stale]);
        assert!(too_many(&locked).is_empty());
        assert_eq!(too_many(&vec![locked[0].clone(); 261]), ["261, more than 260"]);
    }

    #[test]
    fn the_list_of_duplicates_is_sorted() {
        assert!(DUPLICATES.is_sorted_by_key(|(name, _)| *name));
    }

    #[test]
    fn licence_expressions() {
        for (expression, expected) in [
            ("MIT", true),
            ("MIT OR Apache-2.0", true),
            ("MIT/Apache-2.0", true),
            ("GPL-3.0-only OR MIT", true),
            ("GPL-3.0-only AND MIT", false),
            ("(MIT OR GPL-2.0) AND Unicode-3.0", true),
            ("(MIT OR GPL-2.0) AND (LGPL-2.1 OR CDDL-1.0)", false),
            ("Apache-2.0 WITH LLVM-exception OR MIT", true),
            ("GPL-2.0 WITH Classpath-exception-2.0", false),
            ("", false),
            ("(MIT", false),
            ("MIT Apache-2.0", false),
            ("MIT OR", false),
        ] {
            assert_eq!(is_permitted(expression), expected, "{expression}");
        }
    }

    #[test]
    fn lines_of_cargo_tree() {
        let read = |line| read_tree_line(line).unwrap();
        assert_eq!(read("serde v1.0.1 (proc-macro)|MIT (*)"), ("serde v1.0.1".into(), "MIT".into()));
        assert_eq!(read("a v1.0.0|").1, "");
        assert_eq!(read_tree_line("[dev-dependencies]"), None);
    }
}
