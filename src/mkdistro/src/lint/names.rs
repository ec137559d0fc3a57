//! Names, links and places.

use anyhow::Result;
use formats::tree::{Kind, Tree, clean, split};

use super::{Found, Subject};

/// Folders that are filled at run time: other file systems, and what programs write. A link may lead there.
const RUN_TIME: [&[u8]; 8] = [b"dev", b"home", b"mnt", b"proc", b"run", b"sys", b"tmp", b"var"];

/// Folders that the guest mounts another file system on.
const MOUNTED: [&[u8]; 4] = [b"dev", b"proc", b"run", b"sys"];

/// Names that editors and dpkg leave (dpkg(1), "conffiles"; ucf(1)).
const LEFTOVER_ENDS: [&[u8]; 14] = [
    b".dpkg-old",
    b".dpkg-new",
    b".dpkg-dist",
    b".dpkg-tmp",
    b".dpkg-bak",
    b".ucf-old",
    b".ucf-new",
    b".ucf-dist",
    b".orig",
    b".rej",
    b".bak",
    b".swp",
    b".swo",
    b"~",
];
const LEFTOVER_NAMES: [&[u8]; 6] = [b".DS_Store", b"Thumbs.db", b".git", b".gitignore", b".gitkeep", b".svn"];

pub(super) fn dangling_symlink(subject: &Subject<'_>, found: &mut Found) -> Result<()> {
    for (path, node) in subject.tree.iter() {
        if let Kind::Symlink(target) = &node.kind
            && !leads_somewhere(subject.tree, path)
        {
            found.add(path, format!("leads to {}, which is not there", String::from_utf8_lossy(target)));
        }
    }
    Ok(())
}

/// Whether a path leads to an entry or into a folder that is filled at run time.
fn leads_somewhere(tree: &Tree, path: &[u8]) -> bool {
    let mut path = path.to_vec();
    // As many links as the kernel follows.
    for _ in 0..40 {
        let (folder, name) = split(&path);
        // Of a folder that is not there nothing but its own path can be known.
        let Some(folder) = tree.resolve(folder) else { return is_run_time(&path) };
        let real = clean(&[&folder, &b"/"[..], name].concat());
        match tree.get(&real).map(|node| &node.kind) {
            Some(Kind::Symlink(target)) => path = joined(&folder, target),
            Some(_) => return true,
            None => return is_run_time(&real),
        }
    }
    false
}

/// `target` seen from `folder`, `..` worked off.
fn joined(folder: &[u8], target: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    let start = if target.starts_with(b"/") { &b""[..] } else { folder };
    for part in start.split(|&byte| byte == b'/').chain(target.split(|&byte| byte == b'/')) {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join(&b'/')
}

fn is_run_time(path: &[u8]) -> bool {
    top(path).is_some_and(|top| RUN_TIME.contains(&top))
}

/// The first part of a path that has more.
fn top(path: &[u8]) -> Option<&[u8]> {
    path.iter().position(|&byte| byte == b'/').map(|end| &path[..end])
}

pub(super) fn hidden(subject: &Subject<'_>, found: &mut Found) -> Result<()> {
    for (path, _) in subject.tree.iter() {
        if let Some(top) = top(path).filter(|top| MOUNTED.contains(top)) {
            found.add(path, format!("nobody sees it once /{} is mounted", String::from_utf8_lossy(top)));
        }
    }
    Ok(())
}

pub(super) fn leftover(subject: &Subject<'_>, found: &mut Found) -> Result<()> {
    for (path, _) in subject.tree.iter() {
        let name = split(path).1;
        if LEFTOVER_ENDS.iter().any(|end| name.len() > end.len() && name.ends_with(end))
            || LEFTOVER_NAMES.contains(&name)
        {
            found.add(path, "looks like a leftover");
        }
    }
    Ok(())
}

pub(super) fn name(subject: &Subject<'_>, found: &mut Found) -> Result<()> {
    for (path, _) in subject.tree.iter() {
        let name = split(path).1;
        let wrong = match std::str::from_utf8(name) {
            Err(_) => "is not UTF-8",
            Ok(name) if name.chars().any(char::is_control) => "has a control character",
            Ok(name) if name.trim() != name => "begins or ends with a space",
            Ok(name) if name.len() > 255 => "is longer than 255 bytes",
            Ok(_) => continue,
        };
        found.add(path, format!("the name {wrong}: \"{}\"", name.escape_ascii()));
    }
    Ok(())
}
