//! The files of two images, part by part.

use std::collections::BTreeSet;

use anyhow::Result;
use formats::tree::show;
use serde::Serialize;

use super::pairs;
use crate::inspect::{Entry, EntryKind, Part, Parts};

/// What became of one file, folder or link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FileChange {
    /// Part and path: `root:/usr/bin/podman`.
    pub path: String,
    /// Size in bytes on the first side, None if it is not there.
    pub before_bytes: Option<u64>,
    /// Size in bytes on the second side, None if it is not there.
    pub after_bytes: Option<u64>,
    /// What changed: `content`, `mode 0644 → 0755`, …; empty for what is on one side only.
    pub what: Vec<String>,
}

/// All changes, by part and path.
pub(super) fn compare(one: &Parts, other: &Parts) -> Result<Vec<FileChange>> {
    let mut changes = Vec::new();
    for (before, after) in pairs(one, other).filter(|(before, after)| before.bytes != after.bytes) {
        let inner = Inner::of(one, other, before, after);
        let found = entries(before, after, &inner)?;
        if found.is_empty() && inner.are_equal && before.layer.facts == after.layer.facts {
            changes.push(stored_differently(before, after));
        }
        changes.extend(found);
    }
    Ok(changes)
}

/// Files of two layers that are parts of their own on both sides: compared there.
struct Inner {
    before: BTreeSet<Vec<u8>>,
    after: BTreeSet<Vec<u8>>,
    are_equal: bool,
}

impl Inner {
    fn of(one: &Parts, other: &Parts, before: &Part, after: &Part) -> Self {
        let name_in = |part: &Part, outer: &Part| {
            let rest = part.path.strip_prefix(outer.path.as_str())?;
            let name = rest.strip_prefix('/')?.as_bytes().to_vec();
            outer.layer.entry(&name).is_some().then_some(name)
        };
        let mut inner = Self { before: BTreeSet::new(), after: BTreeSet::new(), are_equal: true };
        for (part, other_part) in pairs(one, other) {
            // A kernel holds no files: it is compared as one.
            let is_container = part.layer.is_container() && other_part.layer.is_container();
            if let (true, Some(name), Some(other_name)) =
                (is_container, name_in(part, before), name_in(other_part, after))
            {
                inner.are_equal &= part.bytes == other_part.bytes;
                inner.before.insert(name);
                inner.after.insert(other_name);
            }
        }
        inner
    }
}

fn entries(before: &Part, after: &Part, inner: &Inner) -> Result<Vec<FileChange>> {
    let mut changes = Vec::new();
    let paths: BTreeSet<&[u8]> = before.layer.entries().chain(after.layer.entries()).map(|(path, _)| path).collect();
    for path in paths {
        let old = before.layer.entry(path).filter(|_| !inner.before.contains(path));
        let new = after.layer.entry(path).filter(|_| !inner.after.contains(path));
        let what = match (old, new) {
            (None, None) => continue,
            (Some(old), Some(new)) => {
                let mut what = attributes(old, new);
                if is_other_content(before, after, path, old, new)? {
                    what.push("content".to_string());
                }
                if what.is_empty() {
                    continue;
                }
                what
            }
            _ => Vec::new(),
        };
        let size = |entry: Option<&Entry>| entry.map(|entry| entry.size_bytes);
        let path = format!("{}:{}", before.name, show(path));
        changes.push(FileChange { path, before_bytes: size(old), after_bytes: size(new), what });
    }
    Ok(changes)
}

fn is_other_content(before: &Part, after: &Part, path: &[u8], old: &Entry, new: &Entry) -> Result<bool> {
    if (&old.kind, &new.kind) != (&EntryKind::File, &EntryKind::File) {
        return Ok(false);
    }
    Ok(old.size_bytes != new.size_bytes || before.layer.content(path)? != after.layer.content(path)?)
}

fn attributes(old: &Entry, new: &Entry) -> Vec<String> {
    let mut what = Vec::new();
    if old.kind != new.kind {
        what.push(format!("{} → {}", shown(old), shown(new)));
    }
    if old.mode != new.mode {
        what.push(format!("mode {:04o} → {:04o}", old.mode, new.mode));
    }
    if (old.uid, old.gid) != (new.uid, new.gid) {
        what.push(format!("owner {}:{} → {}:{}", old.uid, old.gid, new.uid, new.gid));
    }
    let names: BTreeSet<&Vec<u8>> = old.xattrs.keys().chain(new.xattrs.keys()).collect();
    for name in names.into_iter().filter(|name| old.xattrs.get(*name) != new.xattrs.get(*name)) {
        what.push(format!("attribute {}", String::from_utf8_lossy(name)));
    }
    what
}

fn shown(entry: &Entry) -> String {
    match &entry.kind {
        EntryKind::Symlink(target) => format!("link to {}", String::from_utf8_lossy(target)),
        EntryKind::CharDevice(major, minor) | EntryKind::BlockDevice(major, minor) => {
            format!("{} {major}:{minor}", entry.word())
        }
        _ => entry.word().to_string(),
    }
}

/// Other bytes, but nothing in them that this program reads as different.
fn stored_differently(before: &Part, after: &Part) -> FileChange {
    let first = before.bytes.iter().zip(after.bytes.iter()).position(|(one, other)| one != other);
    let first = first.unwrap_or(before.bytes.len().min(after.bytes.len()));
    let what = if before.layer.is_container() { "stored differently" } else { "content" };
    FileChange {
        path: format!("{}:", before.name),
        before_bytes: Some(before.bytes.len() as u64),
        after_bytes: Some(after.bytes.len() as u64),
        what: vec![format!("{what}, first at byte {first}")],
    }
}
