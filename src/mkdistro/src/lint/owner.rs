//! Who owns what, and what they may do with it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use formats::tree::{Kind, Tree};

use super::{Found, Subject};

const SET_UID: u16 = 0o4000;
const SET_GID: u16 = 0o2000;
const STICKY: u16 = 0o1000;
const WORLD_WRITE: u16 = 0o002;

/// xattr(7): where file capabilities are.
const CAPABILITIES: &[u8] = b"security.capability";

pub(super) fn set_uid(subject: &Subject<'_>, found: &mut Found) -> Result<()> {
    let granted = granted(subject);
    for (path, node) in subject.tree.iter() {
        let rights = node.mode & (SET_UID | SET_GID);
        let extra = rights & !granted.get(path).copied().unwrap_or(0);
        // A folder's set-uid bit means nothing on Linux: folder-mode tells of it.
        let is_folder = node.kind == Kind::Directory;
        for (bit, word) in [(SET_UID, "set-uid"), (SET_GID, "set-gid")] {
            if extra & bit != 0 && !(is_folder && bit == SET_UID) {
                found.add(path, format!("{word} (mode {:04o}), which no recipe's modes say", node.mode));
            }
        }
        if node.xattrs.contains_key(CAPABILITIES) {
            found.add(path, "has file capabilities");
        }
    }
    Ok(())
}

/// The modes that recipes ask for, by real path.
fn granted(subject: &Subject<'_>) -> BTreeMap<Vec<u8>, u16> {
    let mut granted = BTreeMap::new();
    for recipe in subject.checked.recipes.values() {
        let modes = recipe.modes.iter().map(|(path, mode)| (path.clone(), mode));
        let writes = recipe.writes.iter().map(|write| (write.path.clone(), &write.mode));
        let folders = recipe.directories.iter().map(|folder| (subject.checked.expand(&folder.path), &folder.mode));
        for (path, mode) in modes.chain(writes).chain(folders) {
            let real = subject.tree.resolve(path.as_bytes());
            // The configuration check has read it as octal before.
            if let (Some(real), Ok(mode)) = (real, u16::from_str_radix(mode, 8)) {
                *granted.entry(real).or_default() |= mode;
            }
        }
    }
    granted
}

pub(super) fn writable(subject: &Subject<'_>, found: &mut Found) -> Result<()> {
    for (path, node) in subject.tree.iter().filter(|(_, node)| node.mode & WORLD_WRITE != 0) {
        match node.kind {
            Kind::Symlink(_) => {}
            Kind::Directory if node.mode & STICKY != 0 => {}
            Kind::Directory => found.add(path, format!("mode {:04o}: everybody may replace what is in it", node.mode)),
            _ => found.add(path, format!("mode {:04o}: everybody may write it", node.mode)),
        }
    }
    for program in subject.programs.iter().filter(|program| program.elf.has_writable_code) {
        found.add(program.path, "has a segment that may be written and executed");
    }
    for program in subject.programs.iter().filter(|program| program.elf.has_text_relocations) {
        found.add(program.path, "has text relocations: its code is written to when it is loaded");
    }
    Ok(())
}

pub(super) fn owner(subject: &Subject<'_>, found: &mut Found) -> Result<()> {
    let (users, groups) = (ids(subject.tree, b"etc/passwd"), ids(subject.tree, b"etc/group"));
    for (path, node) in subject.tree.iter() {
        for (what, id, known) in [("owner", node.uid, &users), ("group", node.gid, &groups)] {
            if !known.contains(&id) {
                found.add(path, format!("{what} {id} is nobody's"));
            }
        }
    }
    Ok(())
}

/// The third fields of passwd(5) or group(5); 0 is always there.
fn ids(tree: &Tree, path: &[u8]) -> BTreeSet<u32> {
    let content = tree.lookup(path).and_then(|node| node.content());
    let text = content.map(|content| String::from_utf8_lossy(content)).unwrap_or_default();
    let ids = text.lines().filter_map(|line| line.split(':').nth(2)?.parse().ok());
    ids.chain([0]).collect()
}

pub(super) fn device_node(subject: &Subject<'_>, found: &mut Found) -> Result<()> {
    for (path, node) in subject.tree.iter() {
        let (what, major, minor) = match node.kind {
            Kind::CharDevice(major, minor) => ("character", major, minor),
            Kind::BlockDevice(major, minor) => ("block", major, minor),
            _ => continue,
        };
        found.add(path, format!("{what} device {major}:{minor}"));
    }
    Ok(())
}

pub(super) fn folder_mode(subject: &Subject<'_>, found: &mut Found) -> Result<()> {
    for (path, node) in subject.tree.iter().filter(|(_, node)| node.kind == Kind::Directory) {
        let mode = node.mode;
        // For each of owner, group and others: the right to list or write without the one to enter.
        let readable = (mode | mode >> 1) & 0o222;
        let wrong = if mode & 0o100 == 0 {
            "its owner may not enter it"
        } else if readable & !(mode << 1) & 0o222 != 0 {
            "somebody may list or write it who may not enter it"
        } else if mode & SET_UID != 0 {
            "set-uid means nothing on a folder"
        } else {
            continue;
        };
        found.add(path, format!("mode {mode:04o}: {wrong}"));
    }
    Ok(())
}
