//! A file tree in memory: what a package unpacks to, what the root is assembled in, what the writers take.
//!
//! Paths are bytes, relative, without a leading or trailing `/`; the root itself is the empty path. Times are one per
//! image (the writers take it), but for nodes that carry their own.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

/// What a node is, with its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Directory,
    /// A regular file.
    File(Bytes),
    /// A symbolic link and its target.
    Symlink(Vec<u8>),
    /// A character device, major and minor.
    CharDevice(u32, u32),
    /// A block device, major and minor.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
}

/// One entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Permission bits with set-uid, set-gid and sticky (`0o7777`), without the type.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Extended attributes with their full name (`security.capability`).
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Its own time, in seconds since 1970, where a writer heeds it (SquashFS); none: the image's.
    pub mtime: Option<u32>,
    /// Nodes of a tree with the same number, which must be equal and no folders, are one: hard links, where a writer has
    /// these (SquashFS), and copies elsewhere.
    pub link: Option<u32>,
    /// Where it comes from, for reports: a package, a recipe, `overlay`.
    pub origin: Arc<str>,
}

impl Node {
    /// A node of root's without extended attributes.
    pub fn new(kind: Kind, mode: u16, origin: &Arc<str>) -> Self {
        let origin = Arc::clone(origin);
        Self { kind, mode, uid: 0, gid: 0, xattrs: BTreeMap::new(), mtime: None, link: None, origin }
    }

    /// The content of a regular file.
    pub fn content(&self) -> Option<&Bytes> {
        match &self.kind {
            Kind::File(content) => Some(content),
            _ => None,
        }
    }
}

/// Entries by path. Every entry's parent is an entry and a folder; the root always exists.
#[derive(Debug, Clone)]
pub struct Tree {
    nodes: BTreeMap<Vec<u8>, Node>,
}

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

impl Tree {
    /// A tree with nothing but its root, mode 0755.
    pub fn new() -> Self {
        let root = Node::new(Kind::Directory, 0o755, &Arc::from(""));
        Self { nodes: BTreeMap::from([(Vec::new(), root)]) }
    }

    /// Puts a node at `path` and makes missing parents (root's, 0755). Replaces what is there; a folder that replaces a
    /// folder keeps its children. Symbolic links in the parents are followed inside the tree.
    ///
    /// Gives back the path it really has, or an error text if a parent is no folder.
    pub fn insert(&mut self, path: &[u8], node: Node) -> Result<Vec<u8>, String> {
        let path = clean(path);
        if path.split(|&byte| byte == b'/').any(|name| name == b"..") {
            return Err(format!("{} has a .. in it", show(&path)));
        }
        let (parent, name) = split(&path);
        let parent = self.make_dirs(parent, &node.origin)?;
        let real = join(&parent, name);
        let replaces_folder = self.nodes.get(&real).is_some_and(|old| old.kind == Kind::Directory);
        if replaces_folder && node.kind != Kind::Directory && self.children(&real).next().is_some() {
            return Err(format!("{} is a folder with content", show(&real)));
        }
        self.nodes.insert(real.clone(), node);
        Ok(real)
    }

    fn make_dirs(&mut self, path: &[u8], origin: &Arc<str>) -> Result<Vec<u8>, String> {
        let mut real = Vec::new();
        for name in path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()) {
            let next = join(&real, name);
            real = match self.nodes.get(&next).map(|node| &node.kind) {
                None => {
                    self.nodes.insert(next.clone(), Node::new(Kind::Directory, 0o755, origin));
                    next
                }
                Some(Kind::Directory) => next,
                Some(Kind::Symlink(_)) => {
                    let target = self.resolve(&next).ok_or_else(|| format!("{} leads nowhere", show(&next)))?;
                    match self.nodes.get(&target).map(|node| &node.kind) {
                        Some(Kind::Directory) => target,
                        _ => return Err(format!("{} is no folder", show(&target))),
                    }
                }
                Some(_) => return Err(format!("{} is no folder", show(&next))),
            };
        }
        Ok(real)
    }

    /// Follows symbolic links inside the tree (also in the last part) to an existing entry's path.
    pub fn resolve(&self, path: &[u8]) -> Option<Vec<u8>> {
        let mut todo: Vec<Vec<u8>> = parts_reversed(path);
        let mut real: Vec<u8> = Vec::new();
        let mut links_left = 40;
        while let Some(name) = todo.pop() {
            if name == b".." {
                real = split(&real).0.to_vec();
                continue;
            }
            let next = join(&real, &name);
            match &self.nodes.get(&next)?.kind {
                Kind::Symlink(target) => {
                    links_left -= 1;
                    if links_left == 0 {
                        return None;
                    }
                    if target.starts_with(b"/") {
                        real.clear();
                    }
                    todo.extend(parts_reversed(target));
                }
                _ => real = next,
            }
        }
        Some(real)
    }

    /// The entry at exactly this path, links not followed.
    pub fn get(&self, path: &[u8]) -> Option<&Node> {
        self.nodes.get(clean(path).as_slice())
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, path: &[u8]) -> Option<&mut Node> {
        self.nodes.get_mut(clean(path).as_slice())
    }

    /// The entry a path leads to, links followed.
    pub fn lookup(&self, path: &[u8]) -> Option<&Node> {
        self.nodes.get(&self.resolve(path)?)
    }

    /// Takes out an entry and everything below it.
    pub fn remove(&mut self, path: &[u8]) {
        let path = clean(path);
        let below = join(&path, b"");
        self.nodes.retain(|other, _| *other != path && !other.starts_with(&below));
    }

    /// All entries, by the byte order of their paths, the root first.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_slice(), node))
    }

    /// Names and nodes directly below a folder, by the byte order of the names.
    pub fn children<'a>(&'a self, folder: &[u8]) -> impl Iterator<Item = (&'a [u8], &'a Node)> {
        let prefix = if folder.is_empty() { Vec::new() } else { join(folder, b"") };
        let start = prefix.clone();
        let mut list: Vec<(&[u8], &Node)> = self
            .nodes
            .range(start..)
            .take_while(|(path, _)| path.starts_with(&prefix))
            .filter(|(path, _)| path.len() > prefix.len() && !path[prefix.len()..].contains(&b'/'))
            .map(|(path, node)| (&path[prefix.len()..], node))
            .collect();
        list.sort_by_key(|(name, _)| *name);
        list.into_iter()
    }

    /// Number of entries, the root included.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is nothing but the root.
    pub fn is_empty(&self) -> bool {
        self.nodes.len() == 1
    }
}

/// Drops leading, trailing and doubled `/` and `.` parts.
pub fn clean(path: &[u8]) -> Vec<u8> {
    let parts: Vec<&[u8]> = path.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    parts.join(&b'/')
}

/// A path for messages, with a leading `/`.
pub fn show(path: &[u8]) -> String {
    format!("/{}", String::from_utf8_lossy(path))
}

/// Parent and name of a path.
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&[], path),
    }
}

fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    if parent.is_empty() { name.to_vec() } else { [parent, b"/", name].concat() }
}

fn parts_reversed(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    parts.rev().map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Arc<str> {
        Arc::from("test")
    }

    fn link(target: &str) -> Node {
        Node::new(Kind::Symlink(target.into()), 0o777, &origin())
    }

    fn file(content: &'static str) -> Node {
        Node::new(Kind::File(Bytes::from_static(content.as_bytes())), 0o644, &origin())
    }

    #[test]
    fn refuses_to_climb() {
        let mut tree = Tree::new();
        assert_eq!(tree.insert(b"/lib/a/../b.so", file("x")).unwrap_err(), "/lib/a/../b.so has a .. in it");
    }

    #[test]
    fn inserts_below_links() {
        let mut tree = Tree::new();
        tree.insert(b"usr/lib", Node::new(Kind::Directory, 0o755, &origin())).unwrap();
        tree.insert(b"lib", link("usr/lib")).unwrap();
        assert_eq!(tree.insert(b"./lib/x/b.so", file("x")).unwrap(), b"usr/lib/x/b.so");
        tree.insert(b"usr/lib/x/b.so.1", link("b.so")).unwrap();
        tree.insert(b"usr/lib/c", link("/lib/x/../x/b.so.1")).unwrap();
        assert_eq!(tree.resolve(b"usr/lib/c").unwrap(), b"usr/lib/x/b.so");
        tree.insert(b"loop", link("loop")).unwrap();
        assert_eq!(tree.resolve(b"loop"), None);
        let names: Vec<&[u8]> = tree.children(b"usr/lib").map(|(name, _)| name).collect();
        assert_eq!(names, [&b"c"[..], b"x"]);
        assert!(tree.insert(b"usr/lib/x/b.so/z", file("y")).is_err());
        assert!(tree.insert(b"usr/lib/x", file("y")).is_err());
        tree.remove(b"usr/lib/x");
        assert_eq!(tree.len(), 6);
    }
}
