//! The files of a package as one run of bytes that is used in place: what the next build reads instead of the package.
//!
//! An index, then the contents. Numbers are little-endian, "text" is a u32 length and bytes:
//!
//! | field    | size | meaning                                                                         |
//! |----------|------|---------------------------------------------------------------------------------|
//! | length   | 4    | bytes of the index behind this field                                            |
//! | each node: path | text | as in a [`Tree`]                                                         |
//! | mode, uid, gid | 2, 4, 4 |                                                                        |
//! | xattrs   | 4, text… | number of attributes, name and value of each                                |
//! | kind     | 1    | `d`, `f`, `l`, `c`, `b`, `p`                                                    |
//! | of `f`   | 8, 8 | start of the content behind the index, length                                   |
//! | of `l`   | text | target                                                                          |
//! | of `c`, `b` | 4, 4 | major, minor                                                                 |
//!
//! It never leaves the cache, whose files carry a hash; what does not decode is unpacked again.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use formats::tree::{Kind, Node, Tree};

/// Writes a tree.
pub(crate) fn write(tree: &Tree, out: &mut dyn Write) -> io::Result<()> {
    let mut index = Vec::new();
    let mut contents: Vec<&Bytes> = Vec::new();
    // Hard links share their content.
    let mut places: HashMap<(*const u8, usize), u64> = HashMap::new();
    let mut end = 0;
    for (path, node) in tree.iter() {
        text(&mut index, path)?;
        index.extend(node.mode.to_le_bytes());
        index.extend(node.uid.to_le_bytes());
        index.extend(node.gid.to_le_bytes());
        index.extend(length(node.xattrs.len())?);
        for (name, value) in &node.xattrs {
            text(&mut index, name)?;
            text(&mut index, value)?;
        }
        match &node.kind {
            Kind::Directory => index.push(b'd'),
            Kind::Fifo => index.push(b'p'),
            Kind::File(content) => {
                let size = content.len() as u64;
                let start = *places.entry((content.as_ptr(), content.len())).or_insert_with(|| {
                    contents.push(content);
                    end += size;
                    end - size
                });
                index.push(b'f');
                index.extend(start.to_le_bytes());
                index.extend(size.to_le_bytes());
            }
            Kind::Symlink(target) => {
                index.push(b'l');
                text(&mut index, target)?;
            }
            Kind::CharDevice(major, minor) | Kind::BlockDevice(major, minor) => {
                index.push(if matches!(node.kind, Kind::CharDevice(..)) { b'c' } else { b'b' });
                index.extend(major.to_le_bytes());
                index.extend(minor.to_le_bytes());
            }
        }
    }
    out.write_all(&length(index.len())?)?;
    out.write_all(&index)?;
    contents.into_iter().try_for_each(|content| out.write_all(content))
}

fn text(index: &mut Vec<u8>, text: &[u8]) -> io::Result<()> {
    index.extend(length(text.len())?);
    index.extend(text);
    Ok(())
}

fn length(length: usize) -> io::Result<[u8; 4]> {
    u32::try_from(length).map(u32::to_le_bytes).map_err(io::Error::other)
}

/// Reads a tree back; its contents are parts of `bytes`. None if they are not what [`write`] writes.
pub(crate) fn read(bytes: &Bytes, origin: &Arc<str>) -> Option<Tree> {
    let mut whole = Cursor(bytes);
    let mut index = Cursor(whole.text()?);
    let contents = bytes.slice(bytes.len() - whole.0.len()..);
    let mut tree = Tree::new();
    while !index.0.is_empty() {
        let path = index.text()?;
        let (mode, uid, gid) = (u16::from_le_bytes(index.array()?), index.u32()?, index.u32()?);
        let mut node = Node { mode, uid, gid, ..Node::new(Kind::Directory, 0, origin) };
        for _ in 0..index.u32()? {
            let name = index.text()?.to_vec();
            node.xattrs.insert(name, index.text()?.to_vec());
        }
        node.kind = match index.array::<1>()? {
            [b'd'] => Kind::Directory,
            [b'p'] => Kind::Fifo,
            [b'f'] => {
                let start = usize::try_from(index.u64()?).ok()?;
                let end = start.checked_add(usize::try_from(index.u64()?).ok()?)?;
                Kind::File((end <= contents.len()).then(|| contents.slice(start..end))?)
            }
            [b'l'] => Kind::Symlink(index.text()?.to_vec()),
            [b'c'] => Kind::CharDevice(index.u32()?, index.u32()?),
            [b'b'] => Kind::BlockDevice(index.u32()?, index.u32()?),
            _ => return None,
        };
        tree.insert(path, node).ok()?;
    }
    Some(tree)
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()?;
        self.take(length as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Tree {
        let origin: Arc<str> = Arc::from("toy");
        let shared = Bytes::from_static(b"content");
        let mut tree = Tree::new();
        for (path, kind) in [
            ("usr/bin/a", Kind::File(shared.clone())),
            ("usr/bin/b", Kind::File(shared)),
            ("usr/bin/empty", Kind::File(Bytes::new())),
            ("usr/bin/c", Kind::Symlink(b"a".to_vec())),
            ("dev/console", Kind::CharDevice(5, 1)),
            ("dev/loop0", Kind::BlockDevice(7, 0)),
            ("run/pipe", Kind::Fifo),
            ("etc/odd ÿ", Kind::File(Bytes::from_static(b"x"))),
        ] {
            let mut node = Node::new(kind, 0o4711, &origin);
            (node.uid, node.gid) = (3, 4);
            node.xattrs.insert(b"security.capability".to_vec(), vec![1, 0, 2]);
            let bytes: Vec<u8> = path.chars().map(|c| c as u8).collect();
            tree.insert(&bytes, node).unwrap();
        }
        tree
    }

    #[test]
    fn reads_what_it_writes() {
        let tree = example();
        let mut bytes = Vec::new();
        write(&tree, &mut bytes).unwrap();
        assert_eq!(bytes.windows(7).filter(|part| part == b"content").count(), 1);
        let again = read(&Bytes::from(bytes), &Arc::from("toy")).unwrap();
        let list = |tree: &Tree| -> Vec<(Vec<u8>, Node)> {
            tree.iter().skip(1).map(|(path, node)| (path.to_vec(), node.clone())).collect()
        };
        assert_eq!(list(&again), list(&tree));
    }

    #[test]
    fn damage_is_no_panic() {
        let mut bytes = Vec::new();
        write(&example(), &mut bytes).unwrap();
        let index = 4 + u32::from_le_bytes(bytes[..4].try_into().unwrap()) as usize;
        for length in 0..index {
            assert!(read(&Bytes::copy_from_slice(&bytes[..length]), &Arc::from("toy")).is_none(), "{length}");
        }
        assert!(read(&Bytes::copy_from_slice(&bytes[..bytes.len() - 1]), &Arc::from("toy")).is_none());
        for at in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[at] ^= 0xff;
            let _ = read(&Bytes::from(wrong), &Arc::from("toy"));
        }
    }
}
