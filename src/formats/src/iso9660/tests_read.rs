//! The reader on images of other writers, on truncated and on corrupt ones.

use bytes::Bytes;

use super::tests::{file, node, options, sample, written};
use super::*;
use crate::foreign::run;
use crate::tree::{Kind, Tree};

fn error(image: impl Into<Bytes>) -> String {
    format!("{:#}", read(&image.into()).unwrap_err())
}

/// A small image: sectors 16-18 descriptors, 19 and 20 path tables, 21 root, 22 folder, 23 catalog, 24 file.
fn small() -> Vec<u8> {
    let mut tree = Tree::new();
    tree.insert(b"d/f", file(vec![1; 100])).unwrap();
    tree.insert(b"s", node(Kind::Symlink(b"d/f".to_vec()), 0o777)).unwrap();
    let mut options = options();
    options.boot[0].path = b"d/f".to_vec();
    written(&tree, &options).to_vec()
}

#[test]
fn small_image_is_where_the_tests_think() {
    let image = small();
    assert_eq!(image.len(), 25 * SECTOR_BYTES);
    let image = read(&image.into()).unwrap();
    let places: Vec<(&[u8], u32)> = image.entries.iter().map(|entry| (entry.path.as_slice(), entry.lba.0)).collect();
    assert_eq!(places, [(b"".as_slice(), 21), (b"d", 22), (b"s", 0), (b"d/f", 24)]);
}

#[test]
fn reads_what_xorriso_writes() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("in");
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    std::fs::create_dir_all(source.join("sub/sub2")).unwrap();
    std::fs::write(source.join("sub/a file.txt"), "content").unwrap();
    std::fs::write(source.join("n".repeat(250)), "").unwrap();
    std::os::unix::fs::symlink("/a/../b", source.join("sub/sub2/link")).unwrap();
    let arguments = ["-as", "mkisofs", "-quiet", "-R", "-V", "FOREIGN", "-o", &path("x.iso"), &path("in")];
    run("xorriso", &arguments, None);
    let image = read(&std::fs::read(path("x.iso")).unwrap().into()).unwrap();
    assert_eq!((image.volume_id.as_str(), image.rock_ridge, image.entries.len()), ("FOREIGN", true, 6));
    let kind = |path: &[u8]| image.entry(path).map(|entry| entry.kind.clone());
    assert_eq!(kind(b"sub/a file.txt"), Some(Kind::File("content".into())));
    assert_eq!(kind(&[b'n'; 250]), Some(Kind::File("".into())));
    assert_eq!(kind(b"sub/sub2/link"), Some(Kind::Symlink(b"/a/../b".to_vec())));
}

#[test]
fn reads_plain_names_without_rock_ridge() {
    let mut image = small();
    let announcement = 21 * SECTOR_BYTES + 34;
    assert_eq!(&image[announcement..announcement + 2], b"SP");
    image[announcement] = b'X';
    let image = read(&image.into()).unwrap();
    let names: Vec<&[u8]> = image.entries.iter().map(|entry| entry.path.as_slice()).collect();
    assert_eq!((image.rock_ridge, names), (false, vec![b"".as_slice(), b"D", b"S", b"D/F"]));
    assert_eq!(image.entries[3].mode, 0o444);
}

#[test]
fn truncated_images_are_errors() {
    let image = Bytes::from(small());
    for len in (0..image.len()).step_by(61) {
        assert!(read(&image.slice(..len)).is_err(), "{len} bytes");
    }
    assert_eq!(error(image.slice(..100)), "reading volume descriptor at byte 32768: expected 2048 bytes, found 0");
    assert_eq!(error(image.slice(..image.len() - 1)), "the volume has 25 sectors, the image 24: it is truncated");
}

#[test]
fn corrupt_images_are_errors() {
    let (descriptor, root, catalog) = (16 * 2048, 21 * 2048, 23 * 2048);
    let image = small();
    let child = (root..).step_by(2).find(|&at| image[at + 33] == b'D').unwrap();
    let px = child + 34;
    let cases: [(usize, &[u8], String); 10] = [
        (descriptor + 1, b"X", "reading volume descriptor at byte 32769".into()),
        (descriptor + 80, &[9], "9 in little-endian order but 25 in big-endian order".into()),
        (descriptor + 128, &[0, 2], "block size 512: expected 2048".into()),
        (root, &[20], format!("reading length of an identifier at byte {}", root + 32)),
        (child, &[255], "system use entry at byte".into()),
        (child + 2, &[21, 0, 0, 0, 0, 0, 0, 21], "reading folder /d: its directory at LBA 21 is that of".into()),
        (child + 10, &[0, 0, 0, 255, 255, 0, 0, 0], "reading folder /d: reading directory at byte 45056".into()),
        (px + 2, &[3], format!("system use entry at byte {px}: length 3")),
        (px + 2, &[255], format!("reading system use entry at byte {px}: expected 255 bytes")),
        (catalog + 28, &[1], "reading the boot catalog: validation entry at byte 47104: its words".into()),
    ];
    for (at, bytes, expected) in cases {
        let mut bad = image.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        let error = error(bad);
        assert!(error.contains(&expected), "{error}\nlacks {expected}");
    }
}

#[test]
fn names_cannot_climb() {
    let image = small();
    let at = (21 * SECTOR_BYTES..).find(|&at| image[at..].starts_with(b"NM\x06\x01\0d")).unwrap();
    let mut bad = image.clone();
    bad[at + 5] = b'/';
    assert!(error(bad).contains("bad name \"/\""));
}

/// No single wrong byte in descriptors, folders and catalog may do worse than an error.
#[test]
fn no_byte_makes_it_panic() {
    let image = small();
    for at in 16 * SECTOR_BYTES..24 * SECTOR_BYTES {
        for value in [0, 1, 0x7f, 0xff] {
            if image[at] != value && (image[at] != 0 || at % 3 == 0) {
                let mut bad = image.clone();
                bad[at] = value;
                let _ = read(&bad.into());
            }
        }
    }
}

#[test]
fn every_missing_sector_is_an_error() {
    let image = written(&sample(), &options());
    for sectors in 0..image.len() / SECTOR_BYTES {
        assert!(read(&image.slice(..sectors * SECTOR_BYTES)).is_err());
    }
    assert_eq!(read(&image).unwrap().created, "2023111422132000");
}
