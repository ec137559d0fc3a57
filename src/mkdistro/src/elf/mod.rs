//! Shared libraries that the programs of a tree need: found as the dynamic loader would find them, taken out of packages,
//! with their symbol versions checked so that packages of different releases do not meet.
//!
//! Terms as in ld.so(8): `NEEDED`, `RUNPATH`, `RPATH`, `$ORIGIN`, interpreter (`PT_INTERP`). Left out: `LD_LIBRARY_PATH`,
//! `ld.so.conf`, hardware sub-folders, and that a program's `RPATH` also counts for its libraries. What a program opens
//! itself (dlopen) nothing tells of: recipes name it.

mod file;
mod search;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use anyhow::{Context, Result};
use formats::tree::{Node, Tree, show};

use crate::problem::{Class, Problem};
use file::ElfFile;
use search::Pool;

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

/// All libraries and interpreters that `root`'s ELF files (x86-64, dynamic), `extras` and those libraries themselves need
/// and `root` does not have yet, taken from `candidates` (the trees of packages; where two have the same path the first
/// counts). Sorted by path. Everything that is missing is reported at once.
pub fn closure(root: &Tree, extras: &[Extra], candidates: &[&Tree]) -> Result<Vec<Needed>> {
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
            missing.insert(format!("{} names {}, which no package has", extra.wanted_by, extra.soname));
        }
    }
    while let Some(path) = work.queue.pop_front() {
        work.visit(&path, &mut missing)?;
    }
    if !missing.is_empty() {
        let missing: Vec<String> = missing.into_iter().collect();
        let message = format!("looking for shared libraries:\n  {}", missing.join("\n  "));
        let hint = "add the library's package to the recipe's packages; a missing version means packages of different \
                    suites: check [sources] in distro.toml and run \"mkdistro lock --update\"";
        return Err(Problem::error(Class::Config, message, hint));
    }
    Ok(work.needed.into_iter().map(|(path, (node, wanted_by))| Needed { path, node, wanted_by }).collect())
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
    fn visit(&mut self, path: &[u8], missing: &mut BTreeSet<String>) -> Result<()> {
        let Some(Some(file)) = self.files.get(path).cloned() else { return Ok(()) };
        let who = show(path);
        if let Some(interpreter) = &file.interpreter {
            if let Some(chain) = self.pool.file(interpreter) {
                self.take(&chain, &who)?;
            } else {
                let interpreter = String::from_utf8_lossy(interpreter);
                missing.insert(format!("{who}{} needs {interpreter}, which no package has", self.origin(path)));
            }
        }
        let folders = file.search_folders(path);
        let mut found = BTreeMap::new();
        for soname in &file.needed {
            if let Some(chain) = self.pool.library(soname, &folders) {
                found.insert(soname.clone(), self.take(&chain, &who)?);
            } else {
                let soname = String::from_utf8_lossy(soname);
                missing.insert(format!("{who}{} needs {soname}, which no package has", self.origin(path)));
            }
        }
        for (soname, version) in &file.versions_needed {
            let Some(library) = found.get(soname) else { continue };
            let Some(Some(provider)) = self.files.get(library) else { continue };
            // A library without any versions is accepted by the loader.
            if !provider.versions_defined.is_empty() && !provider.versions_defined.contains(version) {
                missing.insert(format!(
                    "{who}{} needs version {} of {}, which {}{} does not have",
                    self.origin(path),
                    String::from_utf8_lossy(version),
                    String::from_utf8_lossy(soname),
                    show(library),
                    self.origin(library)
                ));
            }
        }
        Ok(())
    }

    fn origin(&self, path: &[u8]) -> String {
        self.pool.node(path).map(|node| format!(" ({})", node.origin)).unwrap_or_default()
    }
}
