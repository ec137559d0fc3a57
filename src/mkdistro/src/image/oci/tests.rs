//! A container image of a small project, read back by our reader of other people's images and by tar(1).

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use formats::tree::{Kind, Node};
use serde_json::Value;

use crate::image::tests::foreign;
use crate::image::{Format, Target, check_images, write};
use crate::inspect::{self, Parts, sha256};
use crate::oci::testing::parse;
use crate::progress::Silent;
use crate::root::testing::{file, whole_fetched, whole_project};
use crate::root::{self, RootTree};

const MTIME: u32 = 1_700_000_000;

fn image(change: impl FnOnce(&mut RootTree)) -> (tempfile::TempDir, Bytes) {
    let dir = whole_project();
    let fetched = whole_fetched(&dir);
    let mut root = root::assemble(&fetched, &Silent).unwrap();
    change(&mut root);
    let path = dir.path().join("toy.oci.tar");
    let target = Target { format: Format::Oci, path: path.clone() };
    let images = write(&fetched.locked.checked, &root, &[target], MTIME, None, &Silent).unwrap();
    let bytes = Bytes::from(std::fs::read(path).unwrap());
    assert_eq!(images[0].parts, [("layer (gzip)", bytes.len() as u64)]);
    (dir, bytes)
}

fn members(bytes: &Bytes) -> BTreeMap<String, Bytes> {
    let layer = inspect::open(bytes).unwrap().unwrap();
    let files = layer.entries().filter(|(_, entry)| entry.kind == inspect::EntryKind::File);
    files.map(|(path, _)| (String::from_utf8(path.to_vec()).unwrap(), layer.content(path).unwrap())).collect()
}

#[test]
fn everything_points_at_what_is_there() {
    let (_dir, bytes) = image(|_| {});
    let members = members(&bytes);
    assert_eq!(members.len(), 6);
    let json = |bytes: &Bytes| serde_json::from_slice::<Value>(bytes).unwrap();
    let blob = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        let bytes = members[&format!("blobs/sha256/{digest}")].clone();
        assert_eq!((sha256(&bytes), bytes.len() as u64), (digest.to_owned(), descriptor["size"].as_u64().unwrap()));
        bytes
    };
    let index = json(&members["index.json"]);
    let entry = &index["manifests"][0];
    assert_eq!(entry["annotations"]["org.opencontainers.image.ref.name"], "localhost/toy:1.2");
    let manifest_bytes = blob(entry);
    // What we ask of other people's images.
    let (manifest, config) = parse(&manifest_bytes, |digest| members[&format!("blobs/sha256/{digest}")].to_vec());
    let layer = blob(&json(&manifest_bytes)["layers"][0]);
    let mut archive = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&layer[..]), &mut archive).unwrap();
    assert_eq!((manifest.layers.len(), config.diff_ids().unwrap()), (1, vec![sha256(&archive).as_str()]));
    assert_eq!(config.created.as_deref(), Some("2023-11-14T22:13:20Z"));
    let configuration = json(&blob(&json(&manifest_bytes)["config"]));
    let started = &configuration["config"];
    assert_eq!(started["Entrypoint"], serde_json::json!(["/sbin/init"]));
    assert_eq!(
        (&started["StopSignal"], &started["ExposedPorts"]["22/tcp"]),
        (&"SIGRTMIN+3".into(), &serde_json::json!({}))
    );
    assert_eq!(started["Labels"]["org.opencontainers.image.title"], "toy");
    let docker = json(&members["manifest.json"]);
    assert_eq!(docker[0]["RepoTags"][0], "localhost/toy:1.2");
    for path in [&docker[0]["Config"], &docker[0]["Layers"][0]] {
        assert!(members.contains_key(path.as_str().unwrap()), "{path}");
    }
}

#[test]
fn tar_reads_the_layer() {
    let long = format!("usr/share/{}/x", "long-name-".repeat(14));
    let (dir, bytes) = image(|root| {
        for path in ["usr/lib/modules/6.1/x.ko", "usr/lib/firmware/x", "boot/vmlinuz", "usr/lib/modules-load", &long] {
            root.tree.insert(path.as_bytes(), file("content\n", 0o644)).unwrap();
        }
        let mut node = file("x", 0o4755);
        (node.uid, node.gid) = (1000, 1001);
        node.xattrs.insert(b"security.capability".to_vec(), vec![1, 0, 0, 2, 0, 0xff]);
        root.tree.insert(b"usr/bin/capable", node).unwrap();
        let link = |target: &[u8]| Node::new(Kind::Symlink(target.to_vec()), 0o777, &std::sync::Arc::from("test"));
        root.tree.remove(b"etc/resolv.conf");
        root.tree.insert(b"etc/resolv.conf", link(b"../run/distro/resolv.conf")).unwrap();
        root.tree.insert(b"usr/bin/odd", link(b"..//lib/./x")).unwrap();
        root.container_bill = Some("bill".into());
        root.tree.insert(b"usr/share/mkdistro/sbom.cdx.json", file("of the kernel, too", 0o644)).unwrap();
    });
    let parts = Parts::of(&bytes).unwrap().unwrap();
    let part = parts.get("root").unwrap();
    let path = dir.path().join("layer.tar.gz");
    std::fs::write(&path, &part.bytes).unwrap();
    let listing = foreign("tar", &["--numeric-owner", "--utc", "--full-time", "-tvzf", path.to_str().unwrap()], None);
    let lines: Vec<String> =
        listing.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let has = |line: &str| assert!(lines.iter().any(|found| found == line), "{line}\n{listing}");
    has("-rwsr-xr-x 1000/1001 1 2023-11-14 22:13:20 usr/bin/capable");
    has("-rw-r--r-- 0/0 0 2023-11-14 22:13:20 etc/resolv.conf");
    has("lrwxrwxrwx 0/0 0 2023-11-14 22:13:20 usr/bin/odd -> ..//lib/./x");
    has("-rw-r--r-- 0/0 8 2023-11-14 22:13:20 usr/lib/modules-load");
    has(&format!("-rw-r--r-- 0/0 8 2023-11-14 22:13:20 {long}"));
    for absent in ["usr/lib/modules/", "usr/lib/firmware", "boot", "vmlinuz", " dev/"] {
        let found: Vec<&String> = lines.iter().filter(|line| line.contains(absent)).collect();
        assert!(found.iter().all(|line| line.ends_with(" dev/")), "{absent}: {found:?}");
    }
    assert_eq!(part.layer.text("usr/share/mkdistro/sbom.cdx.json").unwrap().as_deref(), Some("bill"));
    let entry = part.layer.entry(b"usr/bin/capable").unwrap();
    assert_eq!(entry.xattrs[&b"security.capability"[..]], [1, 0, 0, 2, 0, 0xff]);
    assert_eq!((entry.uid, entry.gid, entry.mode), (1000, 1001, 0o4755));
    assert!(part.layer.text("etc/os-release").unwrap().unwrap().contains("ID=toy\n"));
    let time = part.layer.facts.iter().find(|fact| fact.name == "time").unwrap();
    assert_eq!(time.value, MTIME.to_string(), "verify builds it again with this");
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    assert_eq!(image(|_| {}).1, image(|_| {}).1);
    let other = image(|root| drop(root.tree.insert(b"etc/x", file("x", 0o644)))).1;
    assert_ne!(image(|_| {}).1, other);
}

#[test]
fn the_name_has_version_and_flavour() {
    let dir = whole_project();
    let mut checked = whole_fetched(&dir).locked.checked;
    for (version, flavour, expected) in [
        ("1.2", None, "localhost/toy:1.2"),
        ("1.2+b~1", Some("docker"), "localhost/toy:1.2-b-1-docker"),
        ("-+", None, "localhost/toy:latest"),
    ] {
        checked.distro.distro.version = version.into();
        checked.flavour = flavour.map(String::from);
        assert_eq!(super::configuration::reference(&checked), expected);
    }
}

#[test]
fn container_images_of_its_own_are_refused() {
    let dir = whole_project();
    let mut checked = whole_fetched(&dir).locked.checked;
    let targets = [Target { format: Format::Oci, path: Path::new("x").into() }];
    check_images(&checked, &targets).unwrap();
    let image = "reference = \"example.org/a:1\"\nwhere = \"root\"";
    checked.distro.images.push(toml::from_str(image).unwrap());
    let error = check_images(&checked, &targets).unwrap_err();
    assert_eq!(error.to_string(), "distro.toml: images: \"oci\" has no container images of its own");
}

#[test]
fn damaged_images_are_errors() {
    let (_dir, bytes) = image(|_| {});
    for length in [513, bytes.len() / 2, bytes.len() - 1025] {
        let cut = bytes.slice(..length);
        assert!(inspect::open(&cut).map(|found| found.map(|layer| layer.entries().count())).is_err(), "{length}");
    }
    let parts = Parts::of(&bytes).unwrap().unwrap();
    let layer = &parts.get("root").unwrap().bytes;
    assert!(inspect::open(&layer.slice(..layer.len() / 2)).is_err());
}
