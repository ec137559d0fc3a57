//! Readers, fed with broken files: none may panic, hang or take memory without bounds.

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use fuzz::Fuzz;

use crate::tree::{Kind, Node, Tree};
use crate::{ar, cpio, gpt, iso9660, squashfs};

fn tree() -> Tree {
    let mut tree = Tree::new();
    let nodes = [
        ("boot/vmlinuz", Kind::File(Bytes::from_static(&[7; 3000]))),
        ("boot/again", Kind::File(Bytes::from_static(b"x"))),
        ("link", Kind::Symlink(b"boot/../boot/vmlinuz".to_vec())),
        ("a name that ISO 9660 has no place for", Kind::File(Bytes::new())),
        ("dev/null", Kind::CharDevice(1, 3)),
    ];
    for (path, kind) in nodes {
        tree.insert(path.as_bytes(), Node::new(kind, 0o644, &Arc::from("test"))).unwrap();
    }
    tree
}

#[test]
fn fuzz_ar() {
    let member = |name: &str, data: &str| {
        format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n{data}", 0, 0, 0, "100644", data.len())
    };
    let archive = format!("!<arch>\n{}{}", member("debian-binary", "2.0\n"), member("data.tar/", "12"));
    Fuzz::new("fuzz_ar").seed(archive).tokens(&["!<arch>\n", "`\n", "/", "//"]).run(|bytes| {
        drop(black_box(ar::members(&Bytes::copy_from_slice(bytes))));
    });
}

#[test]
fn fuzz_cpio() {
    let plain = cpio::write_tree(Vec::new(), &tree(), 7).unwrap();
    let packed = zstd::encode_all(&plain[..], 1).unwrap();
    let mut padded = plain.clone();
    cpio::pad_segment(&mut padded);
    let both = [&padded[..], &packed].concat();
    let fuzz =
        Fuzz::new("fuzz_cpio").seed(plain).seed(packed).seed(both).tokens(&["070701", "TRAILER!!!\0", "\0\0\0\0"]);
    fuzz.run(|bytes| drop(black_box(cpio::segments(&Bytes::copy_from_slice(bytes), 8 << 20))));
}

#[test]
fn fuzz_gpt() {
    let id = gpt::Guid::derived(b"seed", "disk");
    let name = "data".to_owned();
    let data = gpt::Partition { kind: gpt::Guid::LINUX_DATA, id, first: 34, blocks: 9, attributes: 0, name };
    let table = gpt::Table { disk: id, blocks: 100, partitions: vec![data] };
    let mut disk = gpt::protective_mbr(&[], [0; 4], table.blocks, false).unwrap().to_vec();
    disk.extend(table.primary().unwrap());
    Fuzz::new("fuzz_gpt").seed(disk).tokens(&["EFI PART"]).run(|bytes| drop(black_box(gpt::read(bytes))));
}

#[test]
fn fuzz_iso9660() {
    let mut image = Vec::new();
    let mut files = tree();
    files.remove(b"dev/null");
    iso9660::plan(&files, &iso9660::tests::options_without_boot()).unwrap().write(&mut image).unwrap();
    let mut booting = Vec::new();
    let mut with_loader = files;
    let loader = Node::new(Kind::File(Bytes::from_static(&[0xf4; 5001])), 0o644, &Arc::from("test"));
    with_loader.insert(b"isolinux/isolinux.bin", loader).unwrap();
    iso9660::plan(&with_loader, &iso9660::tests::options()).unwrap().write(&mut booting).unwrap();
    assert!(image.len() < 128 << 10, "small files make better inputs");
    let tokens = ["CD001", "RR", "NM", "SL", "CE", "SP", "ER", "EL TORITO SPECIFICATION"];
    let fuzz = Fuzz::new("fuzz_iso9660").seed(image).seed(booting).tokens(&tokens);
    fuzz.iterations(1500).run(|bytes| drop(black_box(iso9660::read(&Bytes::copy_from_slice(bytes)))));
}

#[test]
fn fuzz_squashfs() {
    // Metadata this small is stored as it is, so that what is wrong in it reaches the reader.
    let image = |compression: &str, tree: &Tree| {
        let compression = compression.parse().unwrap();
        let options = squashfs::Options { compression, ..squashfs::Options::default() };
        let mut image = std::io::Cursor::new(Vec::new());
        squashfs::write(tree, &options, None, &mut image, &|_, _| {}).unwrap();
        image.into_inner()
    };
    let mut many = tree();
    for number in 0..300 {
        let node = Node::new(Kind::File(Bytes::from(format!("{number}"))), 0o644, &Arc::from("test"));
        many.insert(format!("many/{number}").as_bytes(), node).unwrap();
    }
    let fuzz = Fuzz::new("fuzz_squashfs").seed(image("zstd:1", &tree())).seed(image("xz", &many)).tokens(&["hsqs"]);
    fuzz.run(|bytes| {
        if let Ok(image) = squashfs::read::Image::open(&Bytes::copy_from_slice(bytes)) {
            drop(black_box(image.tree(8 << 20, &Arc::from("test"))));
            drop(black_box(image.list(b"boot")));
        }
    });
}
