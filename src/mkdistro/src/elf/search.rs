//! Where libraries are: the root and the packages laid under it, as one tree.

use std::collections::BTreeSet;
use std::sync::Arc;

use formats::tree::{Kind, Node, Tree, clean, split};

use super::file::ElfFile;

/// The loader's default folders on Debian x86-64, in its order.
const DEFAULT_FOLDERS: [&[u8]; 3] = [b"usr/lib/x86_64-linux-gnu", b"usr/lib64", b"usr/lib"];
/// Top-level links of a merged `/usr`.
const MERGED: [(&str, &str); 4] =
    [("bin", "usr/bin"), ("sbin", "usr/sbin"), ("lib", "usr/lib"), ("lib64", "usr/lib64")];

/// Everything that could be in the root.
pub(super) struct Pool {
    all: Tree,
    in_root: BTreeSet<Vec<u8>>,
}

impl Pool {
    /// Lays packages under the root. Only `usr/lib*` of packages matters: libraries are nowhere else.
    pub(super) fn new(root: &Tree, candidates: &[&Tree]) -> Self {
        let mut all = Tree::new();
        let ours = Arc::from("");
        for (link, target) in MERGED {
            // Cannot fail in an empty tree, and a root with its own links replaces them.
            let _ = all.insert(link.as_bytes(), Node::new(Kind::Symlink(target.into()), 0o777, &ours));
        }
        let mut in_root = BTreeSet::new();
        for (path, node) in root.iter().filter(|(path, _)| !path.is_empty()) {
            if all.insert(path, node.clone()).is_ok() {
                in_root.insert(path.to_vec());
            }
        }
        for candidate in candidates {
            for (path, node) in candidate.iter() {
                if path.starts_with(b"usr/lib") && node.kind != Kind::Directory && all.get(path).is_none() {
                    // What cannot be laid under the root (a file where it has a folder) cannot be taken either.
                    let _ = all.insert(path, node.clone());
                }
            }
        }
        Self { all, in_root }
    }

    /// The entry at a path, links not followed.
    pub(super) fn node(&self, path: &[u8]) -> Option<&Node> {
        self.all.get(path)
    }

    /// The same if the root does not have it.
    pub(super) fn new_node(&self, path: &[u8]) -> Option<&Node> {
        self.all.get(path).filter(|_| !self.in_root.contains(path))
    }

    /// The content of a regular file.
    pub(super) fn content(&self, path: &[u8]) -> Option<&[u8]> {
        self.all.get(path)?.content().map(|content| &content[..])
    }

    /// The links that lead from `path` to a regular file, and that file last, all by their real paths.
    pub(super) fn file(&self, path: &[u8]) -> Option<Vec<Vec<u8>>> {
        let mut chain = Vec::new();
        let mut path = path.to_vec();
        // As many links as the kernel follows.
        for _ in 0..40 {
            path = clean(&path);
            let (folder, name) = split(&path);
            let folder = self.all.resolve(folder)?;
            let real = clean(&[&folder, &b"/"[..], name].concat());
            let target = match &self.all.get(&real)?.kind {
                Kind::File(_) => {
                    chain.push(real);
                    return Some(chain);
                }
                Kind::Symlink(target) if target.starts_with(b"/") => target.clone(),
                Kind::Symlink(target) => up(&folder, target),
                _ => return None,
            };
            chain.push(real);
            path = target;
        }
        None
    }

    /// The same for a library, in `folders` and then the default ones. Files for another machine are passed over.
    pub(super) fn library(&self, soname: &[u8], folders: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
        if soname.contains(&b'/') {
            return self.file(soname);
        }
        let folders = folders.iter().map(Vec::as_slice).chain(DEFAULT_FOLDERS);
        folders.filter_map(|folder| self.file(&[folder, b"/", soname].concat())).find(|chain| {
            let content = chain.last().and_then(|path| self.content(path)).unwrap_or_default();
            ElfFile::is_ours(content)
        })
    }
}

/// `target` seen from `folder` (a real path), with its leading `..` worked off.
fn up(folder: &[u8], target: &[u8]) -> Vec<u8> {
    let (mut folder, mut target) = (folder, target);
    while let Some(rest) = target.strip_prefix(b"../") {
        (folder, target) = (split(folder).0, rest);
    }
    [folder, b"/", target].concat()
}
