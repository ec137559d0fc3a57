//! The writer, read back by mtools and fsck.fat.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use fuzz::Random;

use super::*;
use crate::foreign::run;
use crate::tree::Node;

const MTIME: u32 = 1_700_000_000;

fn options() -> Options {
    Options { label: "ESP 1".into(), mtime: MTIME, ..Options::default() }
}

fn node(kind: Kind) -> Node {
    Node::new(kind, 0o644, &Arc::from("test"))
}

fn file(content: impl Into<Bytes>) -> Node {
    node(Kind::File(content.into()))
}

fn tree(files: &[(&str, Bytes)]) -> Tree {
    let mut tree = Tree::new();
    for (path, content) in files {
        tree.insert(path.as_bytes(), file(content.clone())).unwrap();
    }
    tree
}

fn sample() -> Tree {
    let noise: Vec<u8> = (0..100_000u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut tree = tree(&[
        ("EFI/BOOT/BOOTX64.EFI", noise.clone().into()),
        ("EFI/BOOT/grubx64.efi", noise[..2048].to_vec().into()),
        ("boot/grub/grub.cfg", "set timeout=1\n".into()),
        ("boot/grub/A long name with spaces & umlaut ä.text", "long".into()),
        ("boot/empty", Bytes::new()),
        ("boot/exactly thirteen+", noise[7..].to_vec().into()),
    ]);
    tree.insert(b"empty folder", node(Kind::Directory)).unwrap();
    for number in 0..150 {
        tree.insert(format!("many/module-{number}.ko").as_bytes(), file(format!("{number}"))).unwrap();
    }
    tree
}

fn written(tree: &Tree, options: &Options) -> (Plan, Vec<u8>) {
    let plan = plan(tree, options).unwrap();
    let mut bytes = Vec::new();
    plan.write(&mut bytes).unwrap();
    assert_eq!(bytes.len() as u64, plan.size_bytes());
    (plan, bytes)
}

/// Checks the file system and compares what mtools takes out of it with the tree.
fn compare(tree: &Tree, options: &Options) -> String {
    let (plan, bytes) = written(tree, options);
    let dir = tempfile::tempdir().unwrap();
    let (image, out) = (dir.path().join("fat"), dir.path().join("out"));
    std::fs::write(&image, &bytes).unwrap();
    std::fs::create_dir(&out).unwrap();
    let image = image.to_str().unwrap();
    let report = run("fsck.fat", &["-n", "-v", image], None);
    if !tree.is_empty() {
        run("mcopy", &["-s", "-m", "-i", image, "::*", out.to_str().unwrap()], None);
    }
    let (found, expected) = (found(&out), expected(tree));
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    assert!(found == expected, "the contents differ");
    for (path, node) in tree.iter() {
        let content = node.content().filter(|content| !content.is_empty());
        assert_eq!(content.is_some(), plan.file(path).is_some());
        if let (Some(content), Some(at)) = (content, plan.file(path)) {
            assert_eq!(at % 2048, 0);
            assert_eq!(&bytes[at as usize..][..content.len()], content);
        }
    }
    report
}

fn expected(tree: &Tree) -> BTreeMap<String, Option<Vec<u8>>> {
    let text = |path: &[u8]| String::from_utf8(path.to_vec()).unwrap();
    tree.iter().skip(1).map(|(path, node)| (text(path), node.content().map(|content| content.to_vec()))).collect()
}

fn found(dir: &Path) -> BTreeMap<String, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut todo = vec![dir.to_path_buf()];
    while let Some(folder) = todo.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(dir).unwrap().to_str().unwrap().to_string();
            found.insert(name, path.is_file().then(|| std::fs::read(&path).unwrap()));
            if path.is_dir() {
                todo.push(path);
            }
        }
    }
    found
}

#[test]
fn other_programs_read_it() {
    let report = compare(&sample(), &options());
    for expected in ["2048 bytes per cluster", "12 bit entries", "163 files"] {
        assert!(report.contains(expected), "{expected} is not in\n{report}");
    }
    let (_, bytes) = written(&sample(), &options());
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("fat");
    std::fs::write(&image, bytes).unwrap();
    let image = image.to_str().unwrap();
    let list = run("mdir", &["-i", image, "::/EFI/BOOT"], None);
    for expected in ["Volume in drive : is ESP 1", "BOOTX64  EFI    100000 2023-11-14  22:13", "grubx64.efi"] {
        assert!(list.contains(expected), "{expected} is not in\n{list}");
    }
    assert_eq!(run("mtype", &["-i", image, "::/boot/grub/GRUB.CFG"], None), "set timeout=1\n");
    let kind = run("file", &["-b", image], None);
    assert!(kind.contains("OEM-ID \"mkdistro\"") && kind.contains("label: \"ESP 1      \""), "{kind}");
}

#[test]
fn same_tree_same_bytes() {
    let (_, first) = written(&sample(), &options());
    assert_eq!(first, written(&sample(), &options()).1);
    let serial = |bytes: &[u8]| bytes[39..43].to_vec();
    for (tree, options) in [
        (sample(), Options { mtime: MTIME + 2, ..options() }),
        (sample(), Options { label: "ESP 2".into(), ..options() }),
        (tree(&[("a", "b".into())]), options()),
    ] {
        assert_ne!(serial(&first), serial(&written(&tree, &options).1));
    }
}

#[test]
fn sizes_around_the_limits_of_fat12_and_fat16() {
    let one = tree(&[("a", "b".into())]);
    for (clusters, expected) in [
        (1, "12 bit"),
        (4068, "12 bit"),
        (4069, "16 bit"),
        (4085, "16 bit"),
        (4102, "16 bit"),
        (65509, "16 bit"),
        (65510, "16 bit"),
    ] {
        let options = Options { size_bytes: clusters * 2048, label: String::new(), ..options() };
        let report = compare(&one, &options);
        assert!(report.contains(expected), "{clusters}: {report}");
        let cluster_bytes = if clusters > 65509 { 4096 } else { 2048 };
        assert!(report.contains(&format!("{cluster_bytes} bytes per cluster")), "{clusters}: {report}");
    }
    compare(&Tree::new(), &options());
}

/// A name of letters that can be trouble, but for mtools, which knows no UTF-16 surrogates.
fn random_name(random: &mut Random) -> String {
    let letters: Vec<char> = "aAbBzZ019._ -+~,;=[]$\u{e4}\u{416}".chars().collect();
    let length = if random.below(8) == 0 { 1 + random.below(80) } else { 1 + random.below(14) };
    let name: String = (0..length).filter_map(|_| random.pick(&letters)).collect();
    let name = name.trim_end_matches(['.', ' ']).trim_start_matches(' ');
    // mcopy would make hidden files of these, and a pattern of a bracket.
    if name.is_empty() || name.starts_with('.') { format!("n{}", random.below(100)) } else { name.to_string() }
}

#[test]
fn random_trees_come_back() {
    for seed in 0..20 {
        let mut random = Random::new(seed, 0);
        let mut tree = Tree::new();
        let mut folders = vec![String::new()];
        for _ in 0..random.below(60) {
            let parent = random.pick(&folders).unwrap().clone();
            let name = random_name(&mut random);
            let is_same =
                |(other, _): (&[u8], &Node)| String::from_utf8_lossy(other).to_uppercase() == name.to_uppercase();
            if tree.children(parent.as_bytes()).any(is_same) {
                continue;
            }
            let path = if parent.is_empty() { name } else { format!("{parent}/{name}") };
            if random.below(4) == 0 {
                tree.insert(path.as_bytes(), node(Kind::Directory)).unwrap();
                folders.push(path);
            } else {
                let len =
                    if random.below(3) == 0 { random.below(50_000) } else { random.below(3) * 2048 + random.below(3) };
                let content: Vec<u8> = (0..len).map(|_| random.number() as u8).collect();
                tree.insert(path.as_bytes(), file(content)).unwrap();
            }
        }
        compare(&tree, &Options { size_bytes: random.below(2) as u64 * 9_000_000, ..options() });
    }
}

#[test]
fn refuses_what_the_format_cannot_hold() {
    let with = |path: &[u8], node: Node| {
        let mut tree = sample();
        tree.insert(path, node).unwrap();
        tree
    };
    let huge = Options { size_bytes: 3 << 30, ..options() };
    let cases = [
        (with(b"x", node(Kind::Fifo)), options(), "planning /x of a FAT file system: it is no file or folder"),
        (
            with(b"efi", file("")),
            options(),
            "planning / of a FAT file system: \"efi\": another name differs from it in case alone",
        ),
        (sample(), huge, "3221225472 bytes are more than a FAT16 file system holds"),
        (
            sample(),
            Options { label: "esp".into(), ..options() },
            "label \"esp\" of a FAT file system: expected up to 11 of A-Z, 0-9, space, $%'-_@~`!(){}^#&",
        ),
    ];
    for (tree, options, expected) in cases {
        assert_eq!(format!("{:#}", plan(&tree, &options).unwrap_err()), expected);
    }
}
