//! The rows of a report: files and links of a root, and the packages they come from.

use std::collections::BTreeMap;

use formats::tree::{Kind, Node, Tree, show};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::bill::{Bill, BillPackage};
use super::data::{Amount, Because, FileKind, FileRow, Package};
use crate::fetch::hex;
use crate::lock::{Lock, LockedPackage};
use crate::root::{Reason, Reasons};

/// Bytes in the image by path (relative, as in [`Tree`]).
pub(super) type StoredBytes = BTreeMap<Vec<u8>, u64>;

/// Why an entry is there and where it comes from.
pub(super) struct Why {
    /// Name of the package.
    pub(super) package: String,
    /// The recipe in whose name.
    pub(super) recipe: Option<String>,
    /// Who asked for it.
    pub(super) because: Because,
    /// See [`Because`].
    pub(super) by: String,
}

impl Why {
    /// What an assembled root knows.
    pub(super) fn of_root(reasons: &Reasons, path: &[u8], node: &Node) -> Self {
        let (because, by) = match reasons.get(path) {
            Some(Reason::Recipe(name)) => (Because::Recipe, name.clone()),
            Some(Reason::Library(wanted_by)) => (Because::Library, wanted_by.clone()),
            Some(Reason::Module(subject)) => (Because::Module, subject.clone()),
            Some(Reason::Builder) => (Because::Builder, String::new()),
            Some(Reason::Overlay) => (Because::Overlay, String::new()),
            // What the build adds to an assembled root, such as the bill of materials.
            None => (Because::Builder, String::new()),
        };
        Self { package: node.origin.to_string(), recipe: reasons.recipe(path).map(str::to_owned), because, by }
    }

    /// What the file alone tells.
    pub(super) fn unknown() -> Self {
        Self { package: "unknown".into(), recipe: None, because: Because::Unknown, by: String::new() }
    }
}

/// `podman` of `packages/podman.toml, libraries`, also of a built-in recipe's.
pub(super) fn recipe_in(place: &str) -> Option<&str> {
    place.split_once(".toml")?.0.rsplit_once("packages/").map(|(_, name)| name)
}

/// All files, links and devices of a root, by path. Folders hold nothing and are left out.
pub(super) fn files(
    tree: &Tree,
    stored: Option<&StoredBytes>,
    why: &(dyn Fn(&[u8], &Node) -> Why + Sync),
) -> Vec<FileRow> {
    let entries: Vec<(&[u8], &Node)> = tree.iter().filter(|(_, node)| node.kind != Kind::Directory).collect();
    let row = |(path, node): (&[u8], &Node)| {
        let content = node.content();
        let Why { package, recipe, because, by } = why(path, node);
        let target = match &node.kind {
            Kind::Symlink(target) => Some(String::from_utf8_lossy(target).into_owned()),
            _ => None,
        };
        FileRow {
            path: show(path),
            kind: kind(path, node),
            bytes: content.map_or(0, |content| content.len() as u64),
            stored: stored.map(|stored| stored.get(path).copied().unwrap_or(0)),
            package,
            recipe,
            because,
            by,
            sha256: content.map_or_else(String::new, |content| hex(Sha256::new_with_prefix(content))),
            target,
        }
    };
    entries.into_par_iter().map(row).collect()
}

/// What a file is, by name and first bytes.
fn kind(path: &[u8], node: &Node) -> FileKind {
    let Some(content) = node.content() else {
        return if matches!(node.kind, Kind::Symlink(_)) { FileKind::Link } else { FileKind::Data };
    };
    let name = formats::tree::split(path).1;
    let is_elf = content.starts_with(b"\x7fELF");
    if is_elf && name.ends_with(b".ko") {
        FileKind::Module
    } else if is_elf && (name.ends_with(b".so") || name.windows(4).any(|part| part == b".so.")) {
        FileKind::Library
    } else if is_elf || (node.mode & 0o111 != 0 && content.starts_with(b"#!")) {
        FileKind::Program
    } else if path.starts_with(b"etc/") {
        FileKind::Config
    } else {
        FileKind::Data
    }
}

/// The packages of `files`, the heaviest first, with what the lock and an image's bill of materials say of them.
pub(super) fn packages(files: &[FileRow], lock: Option<&Lock>, bill: Option<&Bill>) -> Vec<Package> {
    let mut totals: BTreeMap<&str, Amount> = BTreeMap::new();
    for file in files {
        totals.entry(&file.package).or_default().add(file);
    }
    let mut packages: Vec<Package> = totals
        .into_iter()
        .map(|(name, total)| {
            let locked = lock.and_then(|lock| lock.package(name));
            let billed = bill.and_then(|bill| bill.packages.get(name));
            let text = |locked_field: fn(&LockedPackage) -> &String, billed_field: fn(&BillPackage) -> &String| {
                locked.map(locked_field).or(billed.map(billed_field)).cloned().unwrap_or_default()
            };
            // The bill may be of an image of another build.
            let same = billed.filter(|billed| locked.is_none_or(|locked| locked.version == billed.version));
            Package {
                name: name.to_owned(),
                version: text(|locked| &locked.version, |billed| &billed.version),
                source: locked.map(|locked| locked.source.clone()).unwrap_or_default(),
                suite: locked.map(|locked| locked.suite.clone()).unwrap_or_default(),
                licence: same.map(|billed| billed.licence.clone()).unwrap_or_default(),
                sha256: text(|locked| &locked.sha256, |billed| &billed.sha256),
                total,
            }
        })
        .collect();
    packages.sort_by(|a, b| b.total.weight().cmp(&a.total.weight()).then_with(|| a.name.cmp(&b.name)));
    packages
}
