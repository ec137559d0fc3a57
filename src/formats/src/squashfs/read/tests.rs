//! The reader on images of our writer and of mksquashfs, on truncated and on corrupt ones.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::super::tests::{fast, file, node, noise, prose, shapes, squash};
use super::*;
use crate::foreign::run;
use crate::tree::{Kind, Node, Tree, show};

const LIMIT: u64 = 64 << 20;

fn origin() -> Arc<str> {
    Arc::from("test")
}

fn open(image: Vec<u8>) -> Image {
    Image::open(&image.into()).unwrap()
}

#[track_caller]
fn assert_same(found: &Tree, expected: &Tree) {
    let paths = |tree: &Tree| tree.iter().map(|(path, _)| show(path)).collect::<Vec<_>>();
    assert_eq!(paths(found), paths(expected));
    for ((path, found), (_, expected)) in found.iter().zip(expected.iter()) {
        // The root of a new tree has no origin.
        let expected = Node { origin: origin(), ..expected.clone() };
        assert!(*found == expected, "{}: {found:?}\n{expected:?}", show(path));
    }
}

/// Numbers that look random, by the state they are made from.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % limit
    }

    fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len() as u64) as usize]
    }
}

fn random_tree(seed: u64, block: usize) -> Tree {
    let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut tree = Tree::new();
    let mut folders = vec![Vec::new()];
    for index in 0..numbers.below(400) {
        let folder: Vec<u8> = numbers.pick(&folders).clone();
        let name = format!("{index}{}", "n".repeat(numbers.below(200) as usize));
        let path = if folder.is_empty() { name.into_bytes() } else { [&folder, name.as_bytes()].join(&b'/') };
        let length = match numbers.below(8) {
            0 => 0,
            1 => numbers.below(4 * block as u64),
            2 => block as u64 * numbers.below(4),
            _ => numbers.below(2000),
        } as usize;
        let content = match numbers.below(4) {
            0 => vec![0; length],
            1 => noise(length, numbers.below(3)),
            2 => [vec![0; length / 2], prose(length - length / 2, 1)].concat(),
            _ => prose(length, numbers.below(50)),
        };
        let (major, minor) = (numbers.below(4096) as u32, numbers.below(1 << 20) as u32);
        let kind = match numbers.below(12) {
            0 | 1 => Kind::Directory,
            2 => Kind::Symlink(prose(length.clamp(1, 4000), index)),
            3 => Kind::CharDevice(major, minor),
            4 => Kind::BlockDevice(major, minor),
            5 => Kind::Fifo,
            _ => Kind::File(content.into()),
        };
        if kind == Kind::Directory && path.len() < 3000 {
            folders.push(path.clone());
        }
        let mut entry = node(kind, numbers.below(0o10000) as u16);
        (entry.uid, entry.gid) = (numbers.below(3) as u32 * 1000, numbers.below(1 << 32) as u32);
        for number in 0..numbers.below(10).saturating_sub(6) {
            let name = format!("{}x{number}", numbers.pick(&["user.", "trusted.", "security."]));
            entry.xattrs.insert(name.into_bytes(), noise(numbers.below(5000) as usize, numbers.below(2)));
        }
        if path.len() < 4000 {
            tree.insert(&path, entry).unwrap();
        }
    }
    tree
}

#[test]
fn reads_what_the_writer_writes() {
    for (compression, block) in [("zstd:3", 128 << 10), ("xz:0", 4096), ("zstd:1", 4096), ("xz:6", 1 << 20)] {
        let tree = shapes(block);
        let (image, summary) = squash(&tree, &fast(compression, block));
        let image = open(image);
        assert_same(&image.tree(LIMIT, &origin()).unwrap(), &tree);
        let info = image.info();
        let (name, _) = compression.split_once(':').unwrap();
        assert_eq!((info.compression, info.block_size as usize), (name, block));
        assert_eq!((info.inodes, info.fragments), (summary.inodes, summary.fragments));
        assert_eq!((info.mtime, info.bytes_used.next_multiple_of(4096)), (1_700_000_000, summary.total_bytes));
    }
}

#[test]
fn reads_random_trees() {
    for seed in 0..24 {
        let block = 4096 << (seed % 4);
        let tree = random_tree(seed, block);
        let (image, _) = squash(&tree, &fast(["zstd:1", "xz:0"][seed as usize % 2], block));
        assert_same(&open(image).tree(LIMIT, &origin()).unwrap(), &tree);
    }
}

#[test]
fn one_entry_is_the_same_as_in_the_whole() {
    let tree = random_tree(5, 4096);
    let image = open(squash(&tree, &fast("zstd:1", 4096)).0);
    let entries = image.entries().unwrap();
    for entry in &entries {
        let alone = image.entry(&entry.path).unwrap().unwrap();
        assert_eq!(Entry { is_copy: entry.is_copy, ..alone }, *entry);
        let names: Vec<Vec<u8>> = image.list(&entry.path).unwrap().into_iter().map(|entry| entry.path).collect();
        let expected: Vec<&[u8]> = tree.children(&entry.path).map(|(name, _)| name).collect();
        assert!(names.iter().map(|path| crate::tree::split(path).1).eq(expected));
    }
    for missing in ["no", "0/no", "no/0"] {
        assert_eq!(image.entry(missing.as_bytes()).unwrap(), None);
    }
    assert_eq!(image.entry(b"/./").unwrap().unwrap(), entries[0]);
}

#[test]
fn stored_bytes_add_up() {
    let tree = shapes(16384);
    let (image, summary) = squash(&tree, &fast("zstd:3", 16384));
    let entries = open(image).entries().unwrap();
    let sum: u64 = entries.iter().filter(|entry| !entry.is_copy).map(|entry| entry.stored_bytes).sum();
    // A share is rounded up to a byte.
    let expected = summary.data_bytes + summary.fragment_bytes;
    assert!((expected..expected + entries.len() as u64).contains(&sum), "{sum}, {expected}");
    let of = |path: &[u8]| entries.iter().find(|entry| entry.path == path).unwrap();
    assert!(of(b"noise").is_copy && of(b"more").is_copy && !of(b"again/more").is_copy);
    assert_eq!(of(b"noise").stored_bytes, of(b"again/noise").stored_bytes);
    assert_eq!((of(b"zeros").size_bytes, of(b"zeros").stored_bytes), (3 * 16384 + 7, 0));
    // Noise is not made smaller.
    assert!(of(b"three-noise").stored_bytes >= 3 * 16384);
}

/// Packs a folder by mksquashfs.
fn foreign_image(folder: &Path, args: &[&str]) -> Bytes {
    let out = folder.with_extension("squashfs");
    let (source, target) = (folder.to_str().unwrap(), out.to_str().unwrap());
    run("mksquashfs", &[&[source, target, "-noappend", "-no-progress", "-quiet"], args].concat(), None);
    std::fs::read(out).unwrap().into()
}

#[test]
fn reads_what_mksquashfs_writes() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("in");
    std::fs::create_dir_all(source.join("sub/empty")).unwrap();
    let files = [
        ("sub/a", prose(700_000, 1)),
        ("sub/b", noise(300_000, 2)),
        ("sparse", [prose(200_000, 3), vec![0; 500_000], prose(9, 4)].concat()),
        ("none", Vec::new()),
        ("small", b"small".to_vec()),
    ];
    for (name, content) in &files {
        std::fs::write(source.join(name), content).unwrap();
    }
    for number in 0..600 {
        std::fs::write(source.join(format!("sub/many-{number}")), number.to_string()).unwrap();
    }
    std::fs::hard_link(source.join("small"), source.join("sub/small")).unwrap();
    std::os::unix::fs::symlink("/sub/a", source.join("link")).unwrap();
    let value = noise(300, 9);
    for name in ["small", "sub/many-7", "sub"] {
        rustix::fs::lsetxattr(source.join(name), "user.note", &value, rustix::fs::XattrFlags::empty()).unwrap();
    }
    let pseudo = ["-p", "null c 666 0 0 1 3", "-p", "disk b 660 0 6 259 70000", "-p", "pipe i 600 0 0 f"];
    for args in [
        &["-comp", "gzip"][..],
        &["-comp", "xz"],
        &["-comp", "xz", "-Xbcj", "x86", "-b", "1M"],
        &["-comp", "zstd", "-b", "64K"],
        &["-comp", "zstd", "-no-fragments"],
        &["-comp", "gzip", "-always-use-fragments", "-noI", "-noD", "-noF", "-noX"],
        &["-comp", "gzip", "-no-exports", "-no-duplicates", "-tailends"],
    ] {
        let image = Image::open(&foreign_image(&source, &[args, &pseudo].concat())).unwrap();
        let tree = image.tree(LIMIT, &origin()).unwrap();
        for (name, content) in &files {
            assert!(tree.get(name.as_bytes()).unwrap().content().unwrap() == content, "{name} {args:?}");
        }
        for number in 0..600 {
            let content = tree.get(format!("sub/many-{number}").as_bytes()).unwrap().content().unwrap();
            assert_eq!(content, number.to_string().as_bytes());
        }
        let kind = |path: &str| tree.get(path.as_bytes()).unwrap().kind.clone();
        assert_eq!(kind("link"), Kind::Symlink(b"/sub/a".to_vec()));
        assert_eq!((kind("null"), kind("disk")), (Kind::CharDevice(1, 3), Kind::BlockDevice(259, 70000)));
        assert_eq!((kind("pipe"), kind("sub/empty")), (Kind::Fifo, Kind::Directory));
        let note = |path: &[u8]| tree.get(path).unwrap().xattrs.get(&b"user.note"[..]).cloned();
        assert!(
            [&b"small"[..], b"sub/small", b"sub/many-7", b"sub"].iter().all(|path| note(path) == Some(value.clone()))
        );
        assert_eq!((note(b"none"), tree.len()), (None, 613));
        let entries = image.entries().unwrap();
        let [one, other] = [&b"small"[..], b"sub/small"].map(|path| entries.iter().find(|entry| entry.path == path));
        let (one, other) = (one.unwrap(), other.unwrap());
        assert_eq!((one.inode, one.is_copy, other.is_copy), (other.inode, false, true));
    }
}

#[test]
fn sockets_are_listed() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("in");
    std::fs::create_dir(&source).unwrap();
    let image = Image::open(&foreign_image(&source, &["-p", "s i 755 0 0 s"])).unwrap();
    let kinds: Vec<EntryKind> = image.entries().unwrap().into_iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, [EntryKind::Directory, EntryKind::Socket]);
    assert_eq!(image.tree(LIMIT, &origin()).unwrap_err().to_string(), "/s is a socket");
}

#[test]
fn other_compressors_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("in");
    std::fs::create_dir(&source).unwrap();
    for name in ["lzo", "lz4"] {
        let error = Image::open(&foreign_image(&source, &["-comp", name])).err().unwrap();
        assert_eq!(error.to_string(), format!("a SquashFS compressed by {name}: this reader knows zstd, xz and gzip"));
    }
}

#[test]
fn limits_hold() {
    let image = open(squash(&shapes(4096), &fast("zstd:1", 4096)).0);
    let entry = image.entry(b"three").unwrap().unwrap();
    let error = image.content(&entry, 3 * 4096 - 1).unwrap_err();
    assert_eq!(error.to_string(), "/three has 12288 bytes, expected at most 12287");
    assert_eq!(image.content(&entry, 3 * 4096).unwrap(), prose(3 * 4096, 6));
    assert!(image.tree(10_000, &origin()).unwrap_err().to_string().contains("more than this reader takes"));
    let folder = image.entry(b"small").unwrap().unwrap();
    assert_eq!(image.content(&folder, LIMIT).unwrap_err().to_string(), "/small is no file");
}

/// All that can be read of an image, with a limit for contents that a small image cannot be over.
fn read_all(image: &Bytes) -> anyhow::Result<Tree> {
    let image = Image::open(image)?;
    for entry in image.entries()?.iter().take(3) {
        let _ = image.entry(&entry.path);
    }
    image.tree(1 << 20, &origin())
}

/// An image of every kind of inode, in a few KiB.
fn small(compression: &str) -> Vec<u8> {
    let mut tree = Tree::new();
    let mut insert = |path: &str, kind| {
        let mut entry = node(kind, 0o644);
        if path.len() > 3 {
            entry.xattrs.insert(b"user.a".to_vec(), b"value".to_vec());
        }
        tree.insert(path.as_bytes(), entry).unwrap();
    };
    insert("dir", Kind::Directory);
    insert("dirx/y", Kind::Directory);
    insert("f", Kind::File(prose(9000, 1).into()));
    insert("file", Kind::File([vec![0; 4096], prose(5000, 2)].concat().into()));
    insert("n", Kind::File(noise(100, 1).into()));
    insert("l", Kind::Symlink(b"target".to_vec()));
    insert("link", Kind::Symlink(b"target".to_vec()));
    insert("c", Kind::CharDevice(1, 2));
    insert("char", Kind::CharDevice(1, 2));
    insert("b", Kind::BlockDevice(1, 2));
    insert("p", Kind::Fifo);
    insert("pipe", Kind::Fifo);
    squash(&tree, &fast(compression, 4096)).0
}

#[test]
fn truncated_images_are_errors() {
    for compression in ["zstd:1", "xz:0"] {
        let image = Bytes::from(small(compression));
        let used = Image::open(&image).unwrap().info().bytes_used as usize;
        for length in 0..used {
            assert!(read_all(&image.slice(..length)).is_err(), "{length} bytes");
        }
        assert!(read_all(&image.slice(..used)).is_ok());
        let error = Image::open(&image.slice(..used - 1)).err().unwrap().to_string();
        assert_eq!(error, format!("the SquashFS has {used} bytes, the file {}: it is truncated", used - 1));
        let error = format!("{:#}", Image::open(&image.slice(..50)).err().unwrap());
        assert_eq!(error, "reading the SquashFS superblock: reading superblock at byte 0: expected 96 bytes, found 50");
    }
}

/// No wrong byte may do worse than an error or another tree: no panic, no loop, no memory beyond the limits.
#[test]
fn no_byte_makes_it_panic() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("in");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("f"), prose(9000, 1)).unwrap();
    std::fs::write(source.join("g"), noise(50, 1)).unwrap();
    rustix::fs::lsetxattr(source.join("g"), "user.note", b"value", rustix::fs::XattrFlags::empty()).unwrap();
    // Tables as they are, so that the changes reach every field.
    let open = foreign_image(&source, &["-b", "4096", "-noI", "-noX", "-noF", "-noId", "-p", "p c 600 0 0 1 2"]);
    let all: &[fn(usize, u8) -> u8] = &[|at, byte| byte ^ 1 << (at % 8), |_, byte| !byte, |_, _| 0x7f];
    for (image, changes) in [(small("zstd:1").into(), &all[..1]), (small("xz:0").into(), &all[..1]), (open, all)] {
        for at in 0..Image::open(&image).unwrap().info().bytes_used as usize {
            for change in changes {
                let mut bad = image.to_vec();
                bad[at] = change(at, bad[at]);
                let _ = read_all(&bad.into());
            }
        }
    }
}

#[test]
fn folders_in_themselves_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("in");
    std::fs::create_dir_all(source.join("d/e")).unwrap();
    let image = foreign_image(&source, &["-noI", "-noD", "-noX"]);
    let head = Image::open(&image).unwrap().head;
    let mut bad = image.to_vec();
    // The first entry of the first listing, /d/e, names the inode of the root: its offset in the one block of inodes.
    let entry = head.directory_table as usize + 2 + 12;
    bad[entry..entry + 2].copy_from_slice(&((head.root & 0xffff) as u16).to_le_bytes());
    assert_eq!(read_all(&bad.into()).unwrap_err().to_string(), "/d/e is in itself");
}

#[test]
fn names_cannot_climb() {
    let image = squash(&crate::squashfs::tests::tree([("a/zz".to_owned(), file("x"))]), &fast("zstd:1", 4096)).0;
    let at = image.windows(2).position(|pair| pair == b"zz").expect("a listing too small to be compressed");
    for (name, shown) in [(b"..", ".."), (b"./", "./"), (b"\0a", "\\x00a")] {
        let mut bad = image.clone();
        bad[at..at + 2].copy_from_slice(name);
        let error = format!("{:#}", read_all(&bad.into()).unwrap_err());
        assert_eq!(error, format!("reading folder /a: the name \"{shown}\""));
    }
}
