//! What an image is made of, in our own types: the documents are written from it, and the licence and source lists.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use contract::paths;
use formats::tree::{Node, Tree, show};
use rayon::prelude::*;
use sha1::{Digest as _, Sha1};
use sha2::{Digest as _, Sha256};

use super::copyright::{self, Copyright};
use super::crates::{self, Crate};
use crate::config::Checked;
use crate::deb;
use crate::fetch::{Fetched, hex};
use crate::lock::{Lock, LockedPackage};
use crate::oci::StoredImage;
use crate::root::{Packages, Reason, RootTree};

/// What an image is made of.
pub struct Inventory {
    /// The distribution's name.
    pub name: String,
    /// The distribution's version.
    pub version: String,
    /// The time of the image, seconds since 1970.
    pub created: u32,
    /// The Debian packages with a file in the image, by name.
    pub packages: Vec<Package>,
    /// The container images, by name; what is in them is not looked at.
    pub images: Vec<StoredImage>,
    /// The crates of the guest's programs and of the builder.
    pub crates: &'static [Crate],
    /// The regular files of the root, by path.
    pub root: Vec<FileEntry>,
    /// The regular files beside the root on the medium, by path; without the initramfs, which holds the root and copies of
    /// its files.
    pub medium: Vec<FileEntry>,
}

/// A Debian package.
pub struct Package {
    /// Its entry in the lock.
    pub locked: LockedPackage,
    /// `amd64` or `all`.
    pub architecture: String,
    /// Its source package.
    pub source: Source,
    /// Source packages of which parts are compiled in (`Built-Using`, `Static-Built-Using`).
    pub built_using: Vec<Source>,
    /// Its copyright file, as it is; empty if it has none.
    pub copyright_file: Bytes,
    /// What that says.
    pub copyright: Copyright,
}

/// A source package of Debian.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// A regular file.
pub struct FileEntry {
    /// Absolute path.
    pub path: String,
    /// Where its bytes come from.
    pub origin: Origin,
    /// Who asked for it, in words: `recipe podman`, `needed by /usr/bin/podman`.
    pub reason: String,
    /// The file of the root that needs it as a shared library.
    pub wanted_by: Option<String>,
    /// Size in bytes.
    pub size: u64,
    /// Hex; SPDX wants it of every file.
    pub sha1: String,
    /// Hex.
    pub sha256: String,
}

/// Where a file's bytes come from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A Debian package of this name.
    Package(String),
    /// A program of ours, by its crate.
    Program(&'static str),
    /// The project: a recipe's text, the overlay, or made by the builder after distro.toml; in words.
    Project(String),
}

/// Source packages whose copyright file is in a package that no image needs (OpenSSH's in openssh-client, the kernel's not
/// read where it is built from source), and what it comes to.
const KNOWN: [(&str, &str); 2] = [
    ("linux", "GPL-2.0-only WITH Linux-syscall-note"),
    ("openssh", "BSD-2-Clause AND BSD-3-Clause AND ISC AND MIT AND SSH-OpenSSH"),
];

/// Source packages that sign programs, whose copyright files describe "only the ... source package" itself, and what the
/// programs come under.
const SIGNED: [(&str, &str); 2] =
    [("grub-efi-amd64-signed", "GPL-3.0-or-later"), ("shim-helpers-amd64-signed", "BSD-2-Clause")];

/// The guest's programs, by path.
const PROGRAMS: [(&str, &str); 2] = [(paths::INIT, "init"), ("/usr/bin/distroctl", "distroctl")];

impl Inventory {
    /// Takes stock of an assembled root and of what goes beside it onto the medium.
    ///
    /// # Errors
    /// A package whose control file cannot be read.
    pub fn take(fetched: &Fetched, root: &RootTree, medium: &Tree, created: u32) -> Result<Self> {
        let checked = &fetched.locked.checked;
        let lock = &fetched.locked.lock;
        let known = known_files(checked, root)?;
        let origin = |path: &[u8], node: &Node| known.get(path).cloned().unwrap_or_else(|| origin(&node.origin, lock));
        let root_files = files(&root.tree, &origin, &|path| reason(root.reasons.get(path)));
        let medium_files = files(medium, &origin, &|_| ("boot medium".to_owned(), None));
        let used: BTreeSet<&str> = root_files
            .iter()
            .chain(&medium_files)
            .filter_map(|file| match &file.origin {
                Origin::Package(name) => Some(name.as_str()),
                _ => None,
            })
            .collect();
        let packages = used
            .into_iter()
            .filter_map(|name| lock.package(name))
            .map(|locked| package(locked, fetched, &root.packages))
            .collect::<Result<_>>()?;
        let identity = &checked.distro.distro;
        Ok(Self {
            name: identity.name.clone(),
            version: identity.version.clone(),
            created,
            packages,
            images: root.images.list.clone(),
            crates: crates::all(),
            root: root_files,
            medium: medium_files,
        })
    }

    /// Without the kernel's files, what is beside the root, and packages of which nothing is left.
    #[must_use]
    pub fn without_kernel(mut self, is_of_kernel: &dyn Fn(&[u8]) -> bool) -> Self {
        self.root.retain(|file| !is_of_kernel(file.path.trim_start_matches('/').as_bytes()));
        self.medium.clear();
        let used: BTreeSet<&Origin> = self.root.iter().map(|file| &file.origin).collect();
        self.packages.retain(|package| used.contains(&Origin::Package(package.locked.name.clone())));
        self
    }

    /// The source packages of all packages, and with `built_using` those that are compiled in.
    pub fn sources(&self, built_using: bool) -> BTreeSet<&Source> {
        let own = self.packages.iter().map(|package| &package.source);
        let compiled_in = self.packages.iter().flat_map(|package| &package.built_using).filter(|_| built_using);
        own.chain(compiled_in).collect()
    }
}

impl Source {
    /// Reads a lock's `name (version)`; without a version it is the package's own.
    fn of(locked: &LockedPackage) -> Self {
        let parts = locked.source.strip_suffix(')').and_then(|text| text.split_once(" ("));
        let (name, version) = parts.unwrap_or((&locked.source, &locked.version));
        Self { name: name.to_owned(), version: version.to_owned() }
    }
}

/// Files whose node tells less than is known, by their real path: what recipes join out of a package's files is as good as
/// the package's own, and our programs come from a crate each.
fn known_files(checked: &Checked, root: &RootTree) -> Result<BTreeMap<Vec<u8>, Origin>> {
    let real = |path: &str| {
        let real = root.tree.resolve(path.as_bytes())?;
        // The overlay may have put something else there.
        root.tree.get(&real).is_some_and(|node| &*node.origin != "overlay").then_some(real)
    };
    let mut known = BTreeMap::new();
    for recipe in checked.recipes.values() {
        for (path, pattern) in &recipe.concat {
            let parts = root.packages.matching(&recipe.packages, pattern)?;
            let (Some((package, _)), Some(real)) = (parts.first(), real(path)) else { continue };
            known.insert(real, Origin::Package((*package).to_owned()));
        }
    }
    for (path, program) in PROGRAMS {
        known.extend(real(path).map(|real| (real, Origin::Program(program))));
    }
    Ok(known)
}

fn origin(name: &Arc<str>, lock: &Lock) -> Origin {
    match lock.package(name) {
        Some(_) => Origin::Package(name.to_string()),
        None => Origin::Project(name.to_string()),
    }
}

/// In words, and the file that needs it.
fn reason(reason: Option<&Reason>) -> (String, Option<String>) {
    match reason {
        Some(Reason::Recipe(name)) => (format!("recipe {name}"), None),
        Some(Reason::Library(by)) => (format!("needed by {by}"), by.starts_with('/').then(|| by.clone())),
        Some(Reason::Module(subject)) => (format!("kernel module for {subject}"), None),
        Some(Reason::Overlay) => ("overlay".to_owned(), None),
        Some(Reason::Builder) | None => ("every image".to_owned(), None),
    }
}

/// Who asked for a file, in words; the file that needs it as a shared library.
type Asker = (String, Option<String>);

/// Regular files with their hashes, made on all cores.
fn files(tree: &Tree, origin: &dyn Fn(&[u8], &Node) -> Origin, reason: &dyn Fn(&[u8]) -> Asker) -> Vec<FileEntry> {
    let contents: Vec<&Bytes> = tree.iter().filter_map(|(_, node)| node.content()).collect();
    let hashes: Vec<(String, String)> = contents.par_iter().map(|content| hashes(content)).collect();
    let mut entries = Vec::with_capacity(contents.len());
    let found = tree.iter().filter(|(_, node)| node.content().is_some());
    for (((path, node), content), (sha1, sha256)) in found.zip(contents).zip(hashes) {
        let (reason, wanted_by) = reason(path);
        let size = content.len() as u64;
        entries.push(FileEntry { path: show(path), origin: origin(path, node), reason, wanted_by, size, sha1, sha256 });
    }
    entries
}

/// SHA-1 and SHA-256, in pieces that stay in the processor's cache for the second of them.
fn hashes(content: &[u8]) -> (String, String) {
    let mut sha1 = Sha1::new();
    let mut sha256 = Sha256::new();
    for piece in content.chunks(64 << 10) {
        sha1.update(piece);
        sha256.update(piece);
    }
    let sha1 = sha1.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    (sha1, hex(sha256))
}

fn package(locked: &LockedPackage, fetched: &Fetched, packages: &Packages) -> Result<Package> {
    let file = fetched.files.get(&locked.name).with_context(|| format!("{} is not fetched", locked.name))?;
    let control = deb::control(file)?;
    let source = Source::of(locked);
    let copyright_file = copyright_file(&locked.name, &fetched.locked.lock, packages, 4)
        .or_else(|| copyright_of_sibling(locked, &fetched.locked.lock, packages))
        .unwrap_or_default();
    let mut copyright = copyright::read(&String::from_utf8_lossy(&copyright_file), &source.name);
    let known = KNOWN.iter().filter(|_| copyright_file.is_empty()).chain(&SIGNED);
    if let Some((_, license)) = known.into_iter().find(|(known, _)| *known == source.name) {
        copyright.license.add_spdx(license);
    }
    let built_using = control.built_using.into_iter().map(|(name, version)| Source { name, version }).collect();
    Ok(Package {
        locked: locked.clone(),
        architecture: control.architecture,
        source,
        built_using,
        copyright_file,
        copyright,
    })
}

/// The copyright file of a package; its folder, or itself, may be a link to another package's.
fn copyright_file(name: &str, lock: &Lock, packages: &Packages, links_left: u32) -> Option<Bytes> {
    let tree = if name == lock.kernel { &packages.kernel } else { packages.trees.get(name)? };
    let folder = format!("usr/share/doc/{name}");
    let file = tree.get(format!("{folder}/copyright").as_bytes());
    if let Some(content) = file.and_then(Node::content) {
        return Some(content.clone());
    }
    let link = file.or_else(|| tree.get(folder.as_bytes()))?;
    let formats::tree::Kind::Symlink(target) = &link.kind else { return None };
    let target = std::str::from_utf8(target).ok()?;
    let other = target.strip_suffix("/copyright").unwrap_or(target).rsplit('/').next()?;
    copyright_file(other, lock, packages, links_left.checked_sub(1)?)
}

/// That of another binary package of the same source.
fn copyright_of_sibling(locked: &LockedPackage, lock: &Lock, packages: &Packages) -> Option<Bytes> {
    let siblings = lock.packages.iter().filter(|other| other.source == locked.source);
    siblings.into_iter().find_map(|other| copyright_file(&other.name, lock, packages, 4))
}
