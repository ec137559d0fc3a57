use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;

use super::*;

const MTIME: u32 = 1_700_000_000;

fn node(kind: Kind, mode: u16) -> Node {
    Node::new(kind, mode, &Arc::from("test"))
}

fn file(content: &[u8]) -> Node {
    node(Kind::File(Bytes::copy_from_slice(content)), 0o644)
}

fn sample() -> Tree {
    let mut tree = Tree::new();
    let long = [b"modules/".as_slice(), &[b'n'; 255]].concat();
    let mut owned = file(b"abc");
    (owned.uid, owned.gid, owned.mode) = (1000, 70000, 0o4755);
    let nodes = [
        (b"init".as_slice(), owned),
        (b"modules", node(Kind::Directory, 0o700)),
        (&long, file(b"")),
        (b"name \xff", file(&[7; 1000])),
        (b"bin", node(Kind::Symlink(b"usr/bin".to_vec()), 0o777)),
        (b"dev/console", node(Kind::CharDevice(5, 1), 0o600)),
        (b"dev/sda", node(Kind::BlockDevice(8, 4_000), 0o660)),
        (b"pipe", node(Kind::Fifo, 0o622)),
    ];
    for (path, node) in nodes {
        tree.insert(path, node).unwrap();
    }
    tree
}

fn written(tree: &Tree) -> Bytes {
    write_tree(Vec::new(), tree, MTIME).unwrap().into()
}

fn read_error(bytes: impl Into<Bytes>) -> String {
    format!("{:#}", segments(&bytes.into(), 1 << 20).unwrap_err())
}

#[test]
fn reader_gives_back_the_tree() {
    let tree = sample();
    let bytes = written(&tree);
    assert_eq!(bytes.len() % 512, 0);
    assert_eq!(written(&tree), bytes);
    let segments = segments(&bytes, 0).unwrap();
    assert_eq!(segments.len(), 1);
    assert_eq!(segments[0].compression, Compression::None);
    assert_eq!(segments[0].entries.len(), tree.len());
    for (number, (entry, (path, node))) in segments[0].entries.iter().zip(tree.iter()).enumerate() {
        let name = if path.is_empty() { b"." } else { path };
        assert_eq!((entry.path.as_slice(), &entry.kind, entry.mode), (name, &node.kind, node.mode));
        assert_eq!((entry.uid, entry.gid, entry.mtime), (node.uid, node.gid, MTIME));
        assert_eq!(entry.ino as usize, number + 1);
    }
}

#[test]
fn header_is_exact() {
    let mut writer = Writer::new(Vec::new(), 0x65);
    writer.entry(b"a", &file(b"xyz")).unwrap();
    let bytes = writer.finish().unwrap();
    let numbers = "00000001000081A400000000000000000000000100000065000000030000000000000000000000000000000000000002";
    let expected = format!("070701{numbers}00000000a\0xyz\0");
    assert_eq!(String::from_utf8_lossy(&bytes[..116]), expected);
    assert_eq!(&bytes[116..122], b"070701");
    assert_eq!(bytes.len(), 512);
}

#[test]
fn foreign_crate_reads_it() {
    let mut tree = sample();
    tree.remove(b"name \xff"); // The crate takes UTF-8 names only.
    let mut rest: Box<dyn Read> = Box::new(std::io::Cursor::new(written(&tree)));
    for (path, node) in tree.iter() {
        let mut reader = ::cpio::newc::Reader::new(rest).unwrap();
        let name = if path.is_empty() { b"." } else { path };
        assert_eq!(reader.entry().name().as_bytes(), name);
        assert_eq!(reader.entry().mode() & 0o7777, u32::from(node.mode));
        assert_eq!(reader.entry().mtime(), MTIME);
        if let Kind::CharDevice(major, minor) = node.kind {
            assert_eq!((reader.entry().rdev_major(), reader.entry().rdev_minor()), (major, minor));
        }
        let mut content = Vec::new();
        reader.read_to_end(&mut content).unwrap();
        if let Kind::File(expected) = &node.kind {
            assert_eq!(content.as_slice(), expected.as_ref());
        }
        rest = reader.finish().unwrap();
    }
    assert!(::cpio::newc::Reader::new(rest).unwrap().entry().is_trailer());
}

#[test]
fn foreign_program_lists_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.cpio");
    std::fs::write(&path, written(&sample())).unwrap();
    let list = crate::foreign::run("cpio", &["-itvn", "--quiet"], Some(&path));
    let lines: Vec<String> = list.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let long = "n".repeat(255);
    let expected = [
        "drwxr-xr-x 2 0 0 0 Nov 14 2023 .".to_string(),
        "lrwxrwxrwx 1 0 0 7 Nov 14 2023 bin -> usr/bin".to_string(),
        "drwxr-xr-x 2 0 0 0 Nov 14 2023 dev".to_string(),
        "crw------- 1 0 0 5, 1 Nov 14 2023 dev/console".to_string(),
        "brw-rw---- 1 0 0 8, 4000 Nov 14 2023 dev/sda".to_string(),
        "-rwsr-xr-x 1 1000 70000 3 Nov 14 2023 init".to_string(),
        "drwx------ 2 0 0 0 Nov 14 2023 modules".to_string(),
        format!("-rw-r--r-- 1 0 0 0 Nov 14 2023 modules/{long}"),
        "-rw-r--r-- 1 0 0 1000 Nov 14 2023 name \u{fffd}".to_string(),
        "prw--w--w- 1 0 0 0 Nov 14 2023 pipe".to_string(),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn segments_follow_each_other() {
    let mut image = zstd::encode_all(written(&sample()).as_ref(), 3).unwrap();
    let packed_len = image.len();
    pad_segment(&mut image);
    let second_at = image.len();
    let mut writer = Writer::new(image, MTIME);
    let content = [9; 5000];
    writer.entry(b"root.squashfs", &file(&content)).unwrap();
    let image: Bytes = writer.finish().unwrap().into();
    let found = segments(&image, 1 << 20).unwrap();
    let shape: Vec<_> = found.iter().map(|segment| (segment.offset, segment.compression)).collect();
    assert_eq!(shape, [(0, Compression::Zstd), (second_at, Compression::None)]);
    assert_eq!(found[0].stored_bytes, packed_len);
    let root = &found[1].entries[0];
    assert_eq!(root.content_offset % 4, 0);
    assert_eq!(image[root.content_offset..][..5000], content);
    assert!(read_error(image.slice(..100)).starts_with("unpacking zstd segment at byte 0: "));
    let error = format!("{:#}", segments(&image, 2000).unwrap_err());
    assert_eq!(error, "unpacking zstd segment at byte 0: it holds more than 2000 bytes");
}

#[test]
fn foreign_compression_is_read() {
    let archive = written(&sample());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.cpio");
    let path = path.to_str().unwrap();
    for (program, suffix, compression) in
        [("gzip", "gz", Compression::Gzip), ("xz", "xz", Compression::Xz), ("zstd", "zst", Compression::Zstd)]
    {
        std::fs::write(path, &archive).unwrap();
        crate::foreign::run(program, &["-kf", path], None);
        let packed = std::fs::read(format!("{path}.{suffix}")).unwrap();
        assert!(is_initramfs(&packed));
        // A segment that is not compressed starts at a multiple of 4.
        let mut image = packed.clone();
        pad_segment(&mut image);
        image.extend_from_slice(&archive);
        let image = Bytes::from(image);
        let found = segments(&image, 1 << 20).unwrap();
        let shape: Vec<_> = found.iter().map(|segment| (segment.compression, segment.stored_bytes)).collect();
        assert_eq!(shape[0], (compression, packed.len()));
        assert_eq!((found[0].entries.len(), found[1].entries.len()), (sample().len(), sample().len()));
    }
    assert!(is_initramfs(&archive) && !is_initramfs(b"\x1f\x8b\x08junk") && !is_initramfs(b""));
    assert!(!is_initramfs(&zstd::encode_all(&b"other text"[..], 1).unwrap()));
}

#[test]
fn refuses_what_linux_would_lose() {
    let mut xattrs = file(b"");
    xattrs.xattrs = BTreeMap::from([(b"security.capability".to_vec(), vec![1])]);
    let cases = [
        (b"TRAILER!!!".to_vec(), file(b""), "the name means the end of the archive".to_string()),
        (b"a".to_vec(), xattrs, "the format has no extended attributes, found security.capability".to_string()),
        (vec![b'a'; 4096], file(b""), "the name has 4096 bytes, Linux takes up to 4095".to_string()),
        (b"a".to_vec(), node(Kind::Symlink(vec![b'a'; 4096]), 0o777), "the link target has 4096 bytes".to_string()),
        (b"a\0b".to_vec(), file(b""), "the name has a NUL byte".to_string()),
    ];
    for (path, node, expected) in cases {
        let error = Writer::new(Vec::new(), 0).entry(&path, &node).unwrap_err();
        assert_eq!(format!("{error:#}"), format!("writing {} to a cpio archive: {expected}", show(&path)));
    }
}

#[test]
fn truncated_archives_are_errors() {
    let bytes = written(&sample());
    let end = segments(&bytes, 0).unwrap()[0].stored_bytes;
    for len in 1..end {
        let only_padding_lost = len + 3 >= end;
        assert_eq!(segments(&bytes.slice(..len), 0).is_ok(), only_padding_lost, "{len} bytes of {end}");
    }
    assert_eq!(read_error(bytes.slice(..50)), "reading cpio header at byte 0: expected 110 bytes, found 50");
}

#[test]
fn corrupt_archives_are_errors() {
    let mut writer = Writer::new(Vec::new(), 0);
    writer.entry(b"a", &file(b"xyz")).unwrap();
    let good = writer.finish().unwrap();
    let cases: [(usize, &[u8], &str); 6] = [
        (5, b"2", "reading magic of a cpio header at byte 0: expected \"070701\", found \"070702\""),
        (0, b"x", "segment at byte 0: expected a cpio archive, zstd, gzip or xz, found \"x70701\""),
        (54, b"+0000003", "number in a cpio header at byte 54: expected 8 hexadecimal digits, found \"+0000003\""),
        (54, b"FFFFFFFF", "reading content of cpio entry /a at byte 112: expected 4294967295 bytes, found 400"),
        (94, b"00000000", "name size at byte 94: 0"),
        (14, b"0000F1A4", "cpio entry /a at byte 0: unknown type in mode 0o170644"),
    ];
    for (at, bytes, expected) in cases {
        let mut bad = good.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        assert_eq!(read_error(bad), expected);
    }
    let mut behind = good.clone();
    behind.extend(b"junk");
    assert_eq!(read_error(behind), "segment at byte 512: expected a cpio archive, zstd, gzip or xz, found \"junk\"");
}
