//! What is different in an older image.

use std::collections::BTreeMap;

use formats::tree::{Kind, Node, Tree, show};

use super::contents::StoredBytes;
use super::data::{Change, Difference, FileChange, PackageChange};
use super::embedded;
use super::image::Opened;
use crate::lock::Lock;

/// From `old` to a root, which takes `stored` bytes in its image and was made from `lock`.
pub(super) fn difference(old: &Opened, tree: &Tree, stored: Option<&StoredBytes>, lock: Option<&Lock>) -> Difference {
    let packages = match (embedded::lock(&old.tree), lock) {
        (Some(old), Some(new)) => package_changes(&old, new),
        _ => Vec::new(),
    };
    let size = |node: &Node| node.content().map_or(0, |content| content.len() as u64);
    let mut files = BTreeMap::new();
    let mut note = |path: &[u8], change: Change| {
        let (before, now) = (old.tree.get(path), tree.get(path));
        let change = FileChange {
            path: show(path),
            change,
            old_bytes: before.map_or(0, size),
            new_bytes: now.map_or(0, size),
            old_stored: old.stored.get(path).copied().unwrap_or(0),
            new_stored: stored.map(|stored| stored.get(path).copied().unwrap_or(0)),
        };
        files.insert(path.to_vec(), change);
    };
    let is_file = |node: &Node| node.kind != Kind::Directory;
    for (path, node) in tree.iter().filter(|(_, node)| is_file(node)) {
        match old.tree.get(path) {
            None => note(path, Change::Added),
            Some(before) if !same(before, node) => note(path, Change::Changed),
            Some(_) => {}
        }
    }
    for (path, _) in old.tree.iter().filter(|(_, node)| is_file(node)) {
        if tree.get(path).is_none() {
            note(path, Change::Removed);
        }
    }
    Difference {
        old: old.file.clone(),
        old_unpacked: old.unpacked_bytes(),
        packages,
        files: files.into_values().collect(),
    }
}

/// Everything but where it comes from.
fn same(a: &Node, b: &Node) -> bool {
    (&a.kind, a.mode, a.uid, a.gid, &a.xattrs) == (&b.kind, b.mode, b.uid, b.gid, &b.xattrs)
}

fn package_changes(old: &Lock, new: &Lock) -> Vec<PackageChange> {
    let versions = |lock: &Lock| -> BTreeMap<String, String> {
        lock.packages.iter().map(|package| (package.name.clone(), package.version.clone())).collect()
    };
    let (old, new) = (versions(old), versions(new));
    let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    names
        .into_iter()
        .filter_map(|name| {
            let change = match (old.get(name), new.get(name)) {
                (None, _) => Change::Added,
                (_, None) => Change::Removed,
                (before, now) if before != now => Change::Changed,
                _ => return None,
            };
            let version = |versions: &BTreeMap<String, String>| versions.get(name).cloned().unwrap_or_default();
            Some(PackageChange { name: name.clone(), change, old_version: version(&old), new_version: version(&new) })
        })
        .collect()
}
