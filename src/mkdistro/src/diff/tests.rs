use formats::tree::{Kind, Node};

use super::*;
use crate::inspect::tests::{iso, squash};
use crate::root::testing::{file, folder, link, tree};

fn changed(difference: &Difference) -> Vec<String> {
    let line = |change: &FileChange| {
        let bytes = |bytes: Option<u64>| bytes.map_or("-".to_string(), |bytes| bytes.to_string());
        format!("{} {} {} {:?}", change.path, bytes(change.before_bytes), bytes(change.after_bytes), change.what)
    };
    difference.files.iter().map(line).collect()
}

#[test]
fn every_kind_of_change_is_named() {
    let mut before = tree(&[
        ("same", file("same", 0o644)),
        ("content", file("one", 0o644)),
        ("longer", file("one", 0o644)),
        ("mode", file("x", 0o644)),
        ("owner", file("x", 0o644)),
        ("link", link("here")),
        ("kind", file("x", 0o777)),
        ("gone/file", file("x", 0o644)),
        ("xattr", file("x", 0o644)),
        ("dev", folder(0o755)),
    ]);
    let mut after = before.clone();
    after.remove(b"gone");
    let mut put = |path: &str, node: Node| drop(after.insert(path.as_bytes(), node).unwrap());
    put("content", file("two", 0o644));
    put("longer", file("three", 0o600));
    put("mode", file("x", 0o4755));
    put("link", link("there"));
    put("kind", link("x"));
    put("new", file("new", 0o644));
    let mut owned = file("x", 0o644);
    (owned.uid, owned.gid) = (1000, 6);
    put("owner", owned);
    let mut noted = file("x", 0o644);
    noted.xattrs.insert(b"user.a".to_vec(), b"1".to_vec());
    put("xattr", noted);
    let null = |minor| Node::new(Kind::CharDevice(1, minor), 0o666, &"test".into());
    before.insert(b"dev/null", null(3)).unwrap();
    after.insert(b"dev/null", null(5)).unwrap();
    let difference = compare(&squash(&before, "zstd:1"), &squash(&after, "zstd:1")).unwrap();
    assert_eq!(
        changed(&difference),
        [
            "root:/content 3 3 [\"content\"]",
            "root:/dev/null 0 0 [\"character device 1:3 → character device 1:5\"]",
            "root:/gone 0 - []",
            "root:/gone/file 1 - []",
            "root:/kind 1 0 [\"file → link to x\"]",
            "root:/link 0 0 [\"link to here → link to there\"]",
            "root:/longer 3 5 [\"mode 0644 → 0600\", \"content\"]",
            "root:/mode 1 1 [\"mode 0644 → 4755\"]",
            "root:/new - 3 []",
            "root:/owner 1 1 [\"owner 0:0 → 1000:6\"]",
            "root:/xattr 1 1 [\"attribute user.a\"]",
        ]
    );
    assert!(!difference.identical && difference.facts.is_empty());
}

#[test]
fn images_are_compared_part_by_part() {
    let (one, other) = (iso(&[]), iso(&[("overlay/etc/motd", "hello, world\n"), ("overlay/etc/new", "n")]));
    let difference = compare(&one, &other).unwrap();
    let expected = [
        "initramfs:/etc/distro/root-sum 36 36 [\"content\"]",
        "root:/etc/motd 6 13 [\"content\"]",
        "root:/etc/new - 1 []",
        // It has the build id.
        "root:/etc/os-release 128 128 [\"content\"]",
        "root:/usr/share/mkdistro/overlay/etc/motd 6 13 [\"content\"]",
        "root:/usr/share/mkdistro/overlay/etc/new - 1 []",
    ];
    assert_eq!(changed(&difference), expected);
    let names: Vec<&str> = difference.sizes.iter().map(|change| change.name.as_str()).collect();
    assert_eq!(names, ["iso", "initramfs", "root", "kernel"]);
    let facts: Vec<&str> = difference.facts.iter().map(|change| change.name.as_str()).collect();
    assert_eq!(facts, ["iso: volume-set-id"]);
    assert_eq!(difference.sizes[0].before, Some(one.len() as u64));
    let same = compare(&one, &one.clone()).unwrap();
    assert!(same.identical && same.files.is_empty() && same.packages.is_empty());
}

#[test]
fn bytes_that_mean_the_same_are_told() {
    let root = tree(&[("a", file(&"many words ".repeat(2000), 0o644))]);
    let (one, other) = (squash(&root, "zstd:1"), squash(&root, "zstd:19"));
    let files = changed(&compare(&one, &other).unwrap());
    assert!(files.len() == 1 && files[0].contains("stored differently, first at byte "), "{files:?}");
    let difference = compare(&one, &squash(&root, "xz")).unwrap();
    let facts: Vec<&str> = difference.facts.iter().map(|change| change.name.as_str()).collect();
    assert_eq!((facts, difference.files.len()), (vec!["root: compression"], 0));
}

#[test]
fn locks_are_compared_by_versions() {
    let lock = include_str!("../../../../packages/lock.toml");
    let first = Lock::parse(lock).unwrap();
    let mut second = first.clone();
    let names: Vec<String> = first.packages.iter().take(3).map(|package| package.name.clone()).collect();
    let old = first.packages[0].version.clone();
    second.packages[0].version = "9:9".into();
    second.packages[1].sha256 = "0".repeat(64);
    second.packages.remove(2);
    let text = |lock: &Lock| Bytes::from(lock.to_text().unwrap());
    let difference = compare(&text(&first), &text(&second)).unwrap();
    let shown: Vec<(&str, Option<&str>, Option<&str>)> = difference
        .packages
        .iter()
        .map(|change| (change.name.as_str(), change.before.as_deref(), change.after.as_deref()))
        .collect();
    let same = first.packages[1].version.as_str();
    let other_file = format!("{same}, another file");
    assert_eq!(
        shown,
        [
            (names[0].as_str(), Some(old.as_str()), Some("9:9")),
            (&names[1], Some(same), Some(other_file.as_str())),
            (&names[2], Some(first.packages[2].version.as_str()), None),
        ]
    );
}

#[test]
fn kernel_options_are_compared() {
    let changes = kernel_options(
        Some("CONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\n"),
        Some("CONFIG_A=y\nCONFIG_B=y\nCONFIG_C=\"x\"\n"),
    );
    let change = |name: &str, before: Option<&str>, after: Option<&str>| Change {
        name: name.to_string(),
        before: before.map(String::from),
        after: after.map(String::from),
    };
    assert_eq!(changes, [change("CONFIG_B", Some("m"), Some("y")), change("CONFIG_C", None, Some("\"x\""))]);
    assert_eq!(kernel_options(None, Some("CONFIG_A=y")), []);
}

#[test]
fn unknown_files_are_refused() {
    let error = compare(&"text".into(), &"text".into()).unwrap_err();
    assert_eq!(error.to_string(), "the format of the first file is not known");
}
