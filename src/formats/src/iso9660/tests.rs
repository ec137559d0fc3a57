//! The writer, read back by our reader and by other people's programs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::foreign::run;
use crate::tree::{Kind, Node, Tree};

const MTIME: u32 = 1_700_000_000;

pub(super) fn node(kind: Kind, mode: u16) -> Node {
    Node::new(kind, mode, &Arc::from("test"))
}

pub(super) fn file(content: impl Into<Bytes>) -> Node {
    node(Kind::File(content.into()), 0o644)
}

fn link(target: &[u8]) -> Node {
    node(Kind::Symlink(target.to_vec()), 0o777)
}

/// Boot code that halts, with isolinux' mark for MBRs.
fn boot_code() -> Bytes {
    let mut code = vec![0xf4; 5001];
    code[64..68].copy_from_slice(&[0xfb, 0xc0, 0x78, 0x70]);
    code.into()
}

pub(crate) fn options() -> Options {
    Options {
        volume_id: "boot2podman-1".into(),
        volume_set_id: "b7f3".into(),
        publisher: "nobody".into(),
        application_id: "mkdistro tests".into(),
        mtime: MTIME,
        boot: vec![BootEntry {
            platform: Platform::Bios,
            path: b"isolinux/isolinux.bin".to_vec(),
            load_blocks: 4,
            boot_info_table: true,
        }],
        ..Options::default()
    }
}

pub(crate) fn options_without_boot() -> Options {
    Options { boot: Vec::new(), ..options() }
}

/// Everything the format can hold, some of it long.
pub(super) fn sample() -> Tree {
    let mut tree = Tree::new();
    let noise: Vec<u8> = (0..300_000u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut owned = file("#!/bin/sh\n");
    (owned.uid, owned.gid, owned.mode) = (1000, 1001, 0o4755);
    let long_name = [b'n'; 255];
    let long_target = [b"/", [b't'; 255].as_slice(), b"/../", &[b'u'; 250], b"/x.y"].concat();
    let mut nodes = vec![
        (b"isolinux/isolinux.bin".to_vec(), file(boot_code())),
        (b"isolinux/isolinux.cfg".to_vec(), file("default linux\n")),
        (b"isolinux/ldlinux.c32".to_vec(), file(noise[..2048].to_vec())),
        (b"boot/vmlinuz".to_vec(), file(noise.clone())),
        (b"boot/initrd.img".to_vec(), file(noise[1..].to_vec())),
        (b"boot/empty".to_vec(), file("")),
        (b"Name with spaces & umlaut \xc3\xa4".to_vec(), owned),
        (long_name.to_vec(), file("long")),
        (b"link".to_vec(), link(b"boot/../boot/./vmlinuz")),
        (b"root".to_vec(), link(b"/")),
        (b"long link".to_vec(), link(&long_target)),
        (b"pipe".to_vec(), node(Kind::Fifo, 0o622)),
        (b"2/3/4/5/6/7/8/deep".to_vec(), file("deep")),
        (b"emptydir".to_vec(), node(Kind::Directory, 0o1777)),
    ];
    // More records than fit into a sector, with identifiers that collide.
    for number in 0..90 {
        nodes.push((format!("many/module-number-{number:02}.ko").into(), file(format!("{number}"))));
    }
    for (path, node) in nodes {
        tree.insert(&path, node).unwrap();
    }
    tree
}

pub(super) fn written(tree: &Tree, options: &Options) -> Bytes {
    let mut image = Vec::new();
    let plan = plan(tree, options).unwrap();
    plan.write(&mut image).unwrap();
    assert_eq!(image.len() as u64, plan.size_bytes());
    image.into()
}

/// The sample as a file in a folder of its own.
pub(super) fn stored(image: &[u8]) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.iso");
    std::fs::write(&path, image).unwrap();
    let path = path.to_str().unwrap().to_string();
    (dir, path)
}

/// What a boot image looks like in an image: with its table.
fn expected_content(path: &[u8], content: &Bytes, lba: Lba) -> Bytes {
    if path == b"isolinux/isolinux.bin" {
        boot::with_info_table(content, lba, path).unwrap().into()
    } else {
        content.clone()
    }
}

#[test]
fn reader_gives_back_the_tree() {
    let tree = sample();
    let image = read(&written(&tree, &options())).unwrap();
    assert!(image.rock_ridge);
    let texts = [&image.volume_id, &image.volume_set_id, &image.publisher, &image.application_id, &image.created];
    assert_eq!(texts, ["boot2podman-1", "b7f3", "nobody", "mkdistro tests", "2023111422132000"]);
    let found: BTreeMap<&[u8], &Entry> = image.entries.iter().map(|entry| (entry.path.as_slice(), entry)).collect();
    assert_eq!(found.len(), image.entries.len());
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), tree.iter().map(|(path, _)| path).collect::<Vec<_>>());
    for (path, node) in tree.iter() {
        let entry = found[path];
        assert_eq!((entry.mode, entry.uid, entry.gid), (node.mode, node.uid, node.gid));
        match &node.kind {
            Kind::File(content) => {
                assert_eq!(entry.kind, Kind::File(expected_content(path, content, entry.lba)));
            }
            kind => assert_eq!(entry.kind, *kind, "{}", path.escape_ascii()),
        }
    }
    let boot_lba = found[b"isolinux/isolinux.bin".as_slice()].lba;
    let boot = BootImage { platform: 0, is_bootable: true, media: 0, load_blocks: 4, lba: boot_lba };
    assert_eq!(image.boot, [boot]);
    assert_eq!(found[b"isolinux/ldlinux.c32".as_slice()].identifier, "LDLINUX.C32;1");
    assert_eq!(found[b"many/module-number-07.ko".as_slice()].identifier, "MODULE_6.KO;1");
}

#[test]
fn same_tree_same_bytes() {
    let first = written(&sample(), &options());
    assert_eq!(first, written(&sample(), &options()));
    let later = Options { mtime: MTIME + 1, ..options() };
    assert_ne!(first, written(&sample(), &later));
}

#[test]
fn extents_ascend_and_do_not_overlap() {
    let plan = plan(&sample(), &options()).unwrap();
    let mut end = SYSTEM_AREA_SECTORS as u64 * SECTOR_BYTES as u64;
    for (offset, content) in plan.contents() {
        assert!(offset >= end && offset - end < SECTOR_BYTES as u64);
        assert_eq!(offset % SECTOR_BYTES as u64, 0);
        end = offset + content.len() as u64;
    }
    assert_eq!(end.next_multiple_of(SECTOR_BYTES as u64), plan.size_bytes());
    let boot_record = written(&sample(), &options());
    assert_eq!(&boot_record[17 * 2048..][..30], b"\0CD001\x01EL TORITO SPECIFICATION");
}

#[test]
fn an_empty_tree_is_an_image() {
    let options = Options { boot: Vec::new(), ..options() };
    let image = read(&written(&Tree::new(), &options)).unwrap();
    assert_eq!((image.entries.len(), image.boot.len(), image.sectors), (1, 0, 21));
}

#[test]
fn xorriso_reads_it() {
    let (_dir, path) = stored(&written(&sample(), &options()));
    let report = run("xorriso", &["-indev", &path, "-report_el_torito", "plain", "-find", "/", "-exec", "lsdl"], None);
    for expected in [
        "Volume id    : 'boot2podman-1'",
        "El Torito boot img :   1  BIOS  y   none  0x0000  0x00      4 ",
        "El Torito img opts :   1  boot-info-table isohybrid-suitable",
        "-rwsr-xr-x    1 1000     1001           10 Nov 14  2023 '/Name with spaces & umlaut ",
        "prw--w--w-    1 0        0               0 Nov 14  2023 '/pipe'",
        "drwxrwxrwt    1 0        0               0 Nov 14  2023 '/emptydir'",
        "'/link' -> 'boot/../boot/./vmlinuz'",
        "'/root' -> '/'",
        "'/2/3/4/5/6/7/8/deep'",
    ] {
        assert!(report.contains(expected), "{expected} is not in\n{report}");
    }
    for bad in ["WARNING", "FAILURE", "SORRY", "FATAL"] {
        assert!(!report.contains(bad), "{report}");
    }
}

/// Compares files, folders and links below `dir` with the tree.
pub(super) fn compare(dir: &Path, image: &Bytes) {
    for entry in read(image).unwrap().entries {
        let path: PathBuf = dir.join(std::str::from_utf8(&entry.path).unwrap());
        match &entry.kind {
            Kind::File(content) => {
                let found = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                assert_eq!(&found, content, "{}", path.display());
            }
            Kind::Directory => assert!(path.is_dir(), "{}", path.display()),
            Kind::Symlink(target) => {
                let found = std::fs::read_link(&path).unwrap();
                assert_eq!(found.as_os_str().as_encoded_bytes(), target);
            }
            _ => {}
        }
    }
}

#[test]
fn xorriso_extracts_the_same() {
    let image = written(&sample(), &options());
    let (dir, path) = stored(&image);
    let out = dir.path().join("out");
    run("xorriso", &["-osirrox", "on", "-indev", &path, "-extract", "/", out.to_str().unwrap()], None);
    compare(&out, &image);
}

#[test]
fn seven_zip_tests_and_extracts_it() {
    let mut tree = sample();
    for path in [b"pipe".as_slice(), b"link", b"root", b"long link"] {
        tree.remove(path); // It makes no pipes and refuses links that climb.
    }
    tree.remove(&[b'n'; 255]); // It knows no continuation areas: no names of more than about 150 bytes.
    let image = written(&tree, &options());
    let (dir, path) = stored(&image);
    let out = dir.path().join("out");
    assert!(run("7z", &["t", &path], None).contains("Everything is Ok"));
    let list = run("7z", &["l", &path], None);
    for expected in ["boot/vmlinuz", "2/3/4/5/6/7/8/deep", "many/module-number-07.ko"] {
        assert!(list.contains(expected), "{expected} is not in\n{list}");
    }
    run("7z", &["x", "-bd", &format!("-o{}", out.display()), &path], None);
    compare(&out, &image);
}

#[test]
fn isoinfo_reads_it() {
    let (_dir, path) = stored(&written(&sample(), &options()));
    let description = run("isoinfo", &["-d", "-i", &path], None);
    for expected in [
        "Volume id: boot2podman-1\n",
        "Volume set id: b7f3\n",
        "Publisher id: nobody\n",
        "Application id: mkdistro tests\n",
        "El Torito VD version 1 found",
        "Rock Ridge signatures version 1 found",
        "Arch 0 (x86)",
        "Boot media 0 (No Emulation Boot)",
        "Nsect 4\n",
    ] {
        assert!(description.contains(expected), "{expected} is not in\n{description}");
    }
    let plain = run("isoinfo", &["-f", "-i", &path], None);
    for expected in ["/ISOLINUX/ISOLINUX.BIN;1\n", "/ISOLINUX/ISOLINUX.CFG;1\n", "/BOOT/VMLINUZ.;1\n"] {
        assert!(plain.contains(expected), "{expected} is not in\n{plain}");
    }
    let rock_ridge = run("isoinfo", &["-l", "-R", "-i", &path], None);
    for expected in ["]  link -> boot/../boot/./vmlinuz", "]  module-number-07.ko", "300000 Nov 14 2023", "deep"] {
        assert!(rock_ridge.contains(expected), "{expected} is not in\n{rock_ridge}");
    }
    let table = run("isoinfo", &["-p", "-i", &path], None);
    for expected in ["   2:    1 16 2\n", "   3:    1 17 BOOT\n", "  12:   11 25 8\n"] {
        assert!(table.contains(expected), "{expected} is not in\n{table}");
    }
}

#[test]
fn refuses_what_the_format_cannot_hold() {
    let with = |path: &[u8], node: Node| {
        let mut tree = sample();
        tree.insert(path, node).unwrap();
        tree
    };
    let mut xattrs = file("x");
    xattrs.xattrs.insert(b"user.a".to_vec(), Vec::new());
    let boot =
        |path: &str| Options { boot: vec![BootEntry { path: path.into(), ..options().boot[0].clone() }], ..options() };
    let long = Options { volume_id: "v".repeat(33), ..options() };
    let umlaut = Options { publisher: "\u{e4}".into(), ..options() };
    let cases = [
        (
            with(b"2/3/4/5/6/7/8/9/x", file("")),
            options(),
            "planning /2/3/4/5/6/7/8/9 of an ISO image: the folder is on level 9, at most 8 are possible",
        ),
        (
            with(b"x", node(Kind::CharDevice(5, 1), 0o600)),
            options(),
            "planning /x of an ISO image: device nodes are not possible in an ISO image",
        ),
        (with(b"x", xattrs), options(), "planning /x of an ISO image: the format has no extended attributes"),
        (
            with(b"x", link(&[b't'; 3000])),
            options(),
            "planning /x of an ISO image: name and link target take 3091 bytes, at most 2048 fit",
        ),
        (sample(), boot("none"), "boot image /none is not in the ISO image"),
        (sample(), boot("boot"), "boot image /boot is no file"),
        (sample(), boot("boot/empty"), "boot image /boot/empty is empty"),
        (
            sample(),
            long,
            "volume id \"vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv\" of an ISO image has 33 bytes, at most 32 fit",
        ),
        (sample(), umlaut, "publisher \"\u{e4}\" of an ISO image: expected printable ASCII"),
    ];
    for (tree, options, expected) in cases {
        assert_eq!(format!("{:#}", plan(&tree, &options).unwrap_err()), expected);
    }
}
