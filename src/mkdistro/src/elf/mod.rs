//! Shared libraries that the programs of a tree need: found as the dynamic loader would find them, taken out of packages,
//! with their symbol versions checked so that packages of different releases do not meet.
//!
//! Terms as in ld.so(8): `NEEDED`, `RUNPATH`, `RPATH`, `$ORIGIN`, interpreter (`PT_INTERP`). Left out: `LD_LIBRARY_PATH`,
//! `ld.so.conf`, hardware sub-folders, and that a program's `RPATH` also counts for its libraries. What a program opens
//! itself (dlopen) nothing tells of: recipes name it.

mod file;
mod hardening;
mod loader;
mod search;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use anyhow::{Context, Result};
use formats::tree::{Node, Tree, show};

use crate::problem::{Class, Problem};
use file::ElfFile;
use search::Pool;

pub use hardening::{Hardening, Linkage, Relro};
pub use loader::Loader;

/// A library that somebody opens at run time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Extra {
    /// Its soname, or an absolute path.
    pub soname: String,
    /// Who wants it, for messages: `packages/podman.toml, libraries`.
    pub wanted_by: String,
}

/// A file or symbolic link to add to the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed {
    /// Where it goes.
    pub path: Vec<u8>,
    /// What goes there; its origin is the package.
    pub node: Node,
    /// The path of the program or library that needed it first, or [`Extra::wanted_by`].
    pub wanted_by: String,
}

/// Something that a file needs and nobody has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lack {
    /// Path of the file that needs it, or [`Extra::wanted_by`].
    pub who: String,
    /// That file's origin in brackets, after a space; empty for an [`Extra`].
    origin: String,
    /// `needs libc.so.6`.
    pub needs: String,
    /// Of a symbol version: `/usr/lib/libc.so.6 (libc6) does not have`.
    pub but: Option<String>,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let but = self.but.as_deref().unwrap_or("no package has");
        write!(f, "{}{} {}, which {but}", self.who, self.origin, self.needs)
    }
}

/// What the ELF files of a finished root need and it does not have.
pub fn lacks(root: &Tree) -> Result<BTreeSet<Lack>> {
    Ok(search(root, &[], &[])?.1)
}

/// All libraries and interpreters that `root`'s ELF files (x86-64, dynamic), `extras` and those libraries themselves need
/// and `root` does not have yet, taken from `candidates` (the trees of packages; where two have the same path the first
/// counts). Sorted by path. Everything that is missing is reported at once.
pub fn closure(root: &Tree, extras: &[Extra], candidates: &[&Tree]) -> Result<Vec<Needed>> {
    let (needed, missing) = search(root, extras, candidates)?;
    if missing.is_empty() {
        return Ok(needed);
    }
    let missing: Vec<String> = missing.iter().map(Lack::to_string).collect();
    let message = format!("looking for shared libraries:\n  {}", missing.join("\n  "));
    let hint = "add the library's package to the recipe's packages; a missing version means packages of different \
                suites: check [sources] in distro.toml and run \"mkdistro lock --update\"";
    Err(Problem::error(Class::Config, message, hint))
}

fn search(root: &Tree, extras: &[Extra], candidates: &[&Tree]) -> Result<(Vec<Needed>, BTreeSet<Lack>)> {
    let pool = Pool::new(root, candidates);
    let mut work = Work { pool: &pool, files: BTreeMap::new(), queue: VecDeque::new(), needed: BTreeMap::new() };
    let mut missing = BTreeSet::new();
    for (path, node) in root.iter() {
        if node.content().is_some() {
            work.add_file(path)?;
        }
    }
    for extra in extras {
        let found = match extra.soname.strip_prefix('/') {
            Some(path) => pool.file(path.as_bytes()),
            None => pool.library(extra.soname.as_bytes(), &[]),
        };
        if let Some(chain) = found {
            work.take(&chain, &extra.wanted_by)?;
        } else {
            let (who, needs) = (extra.wanted_by.clone(), format!("names {}", extra.soname));
            missing.insert(Lack { who, origin: String::new(), needs, but: None });
        }
    }
    while let Some(path) = work.queue.pop_front() {
        work.visit(&path, &mut missing)?;
    }
    let needed = work.needed.into_iter().map(|(path, (node, wanted_by))| Needed { path, node, wanted_by });
    Ok((needed.collect(), missing))
}

struct Work<'a> {
    pool: &'a Pool,
    /// What has been read, by real path; None for files that do not load libraries.
    files: BTreeMap<Vec<u8>, Option<ElfFile>>,
    /// Real paths whose needs have not been looked at.
    queue: VecDeque<Vec<u8>>,
    needed: BTreeMap<Vec<u8>, (Node, String)>,
}

impl Work<'_> {
    /// Reads a file once and queues it.
    fn add_file(&mut self, path: &[u8]) -> Result<()> {
        if self.files.contains_key(path) {
            return Ok(());
        }
        let content = self.pool.content(path).unwrap_or_default();
        let file = ElfFile::read(content).with_context(|| format!("reading the ELF file {}", show(path)))?;
        if file.is_some() {
            self.queue.push_back(path.to_vec());
        }
        self.files.insert(path.to_vec(), file);
        Ok(())
    }

    /// Takes a file with the links that lead to it (the file last); gives back its real path.
    fn take(&mut self, chain: &[Vec<u8>], wanted_by: &str) -> Result<Vec<u8>> {
        for path in chain {
            if let Some(node) = self.pool.new_node(path) {
                self.needed.entry(path.clone()).or_insert_with(|| (node.clone(), wanted_by.to_owned()));
            }
        }
        let path = chain.last().cloned().unwrap_or_default();
        self.add_file(&path)?;
        Ok(path)
    }

    /// Looks for what a file needs and checks the symbol versions.
    fn visit(&mut self, path: &[u8], missing: &mut BTreeSet<Lack>) -> Result<()> {
        let Some(Some(file)) = self.files.get(path).cloned() else { return Ok(()) };
        let who = show(path);
        let origin = self.origin(path);
        let lack = |needs, but| Lack { who: who.clone(), origin: origin.clone(), needs, but };
        if let Some(interpreter) = &file.interpreter {
            if let Some(chain) = self.pool.file(interpreter) {
                self.take(&chain, &who)?;
            } else {
                let interpreter = String::from_utf8_lossy(interpreter);
                missing.insert(lack(format!("needs {interpreter}"), None));
            }
        }
        let folders = file.search_folders(path);
        let mut found = BTreeMap::new();
        for soname in &file.needed {
            if let Some(chain) = self.pool.library(soname, &folders) {
                found.insert(soname.clone(), self.take(&chain, &who)?);
            } else {
                let soname = String::from_utf8_lossy(soname);
                missing.insert(lack(format!("needs {soname}"), None));
            }
        }
        for (soname, version) in &file.versions_needed {
            let Some(library) = found.get(soname) else { continue };
            let Some(Some(provider)) = self.files.get(library) else { continue };
            // A library without any versions is accepted by the loader.
            if !provider.versions_defined.is_empty() && !provider.versions_defined.contains(version) {
                let version = String::from_utf8_lossy(version);
                let needs = format!("needs version {version} of {}", String::from_utf8_lossy(soname));
                let but = format!("{}{} does not have", show(library), self.origin(library));
                missing.insert(lack(needs, Some(but)));
            }
        }
        Ok(())
    }

    fn origin(&self, path: &[u8]) -> String {
        self.pool.node(path).map(|node| format!(" ({})", node.origin)).unwrap_or_default()
    }
}
