//! Layers of images that our writers and other people's programs made.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use bytes::Bytes;
use contract::paths;
use formats::squashfs as packed;
use formats::tree::Tree;

use super::*;
use crate::image::{self, tests::foreign};
use crate::progress::Silent;
use crate::root::testing::{file, folder, link, tree, whole_fetched, whole_project, write};

/// An ISO of the small project, with a lock that can be read.
pub(crate) fn iso(files: &[(&str, &str)]) -> Bytes {
    let dir = whole_project();
    for (path, content) in files {
        write(dir.path(), path, content);
    }
    let mut fetched = whole_fetched(&dir);
    fetched.locked.lock.request = "0".repeat(64);
    let root = crate::root::assemble(&fetched, &Silent).unwrap();
    let path = dir.path().join("toy.iso");
    image::tests::write_iso(&fetched.locked.checked, &root, &path, 1_700_000_000).unwrap();
    fs::read(path).unwrap().into()
}

/// A SquashFS of a tree.
pub(crate) fn squash(tree: &Tree, compression: &str) -> Bytes {
    let options = packed::Options { compression: compression.parse().unwrap(), ..Default::default() };
    let mut out = std::io::Cursor::new(Vec::new());
    packed::write(tree, &options, None, &mut out, &|_, _| {}).unwrap();
    out.into_inner().into()
}

/// A kernel's header, and a payload with a configuration.
pub(crate) fn kernel(release: &str, config: Option<&str>) -> Bytes {
    let mut kernel = vec![b'k'; 5000];
    if let Some(config) = config {
        let mut member = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut member, config.as_bytes()).unwrap();
        kernel.extend(b"..IKCFG_STno gzip..IKCFG_ST");
        kernel.extend(member.finish().unwrap());
        kernel.extend(b"IKCFG_ED");
    }
    crate::kernel::tests::bzimage(release, &kernel)
}

fn facts(layer: &Layer) -> Vec<String> {
    layer.facts.iter().map(|fact| format!("{} {}", fact.name, fact.value)).collect()
}

#[test]
fn an_iso_has_its_parts() {
    let bytes = iso(&[]);
    let parts = Parts::of(&bytes).unwrap().unwrap();
    let names: Vec<(&str, &str)> = parts.0.iter().map(|part| (part.name.as_str(), part.path.as_str())).collect();
    let root = format!("/boot/initrd.img{}", paths::ROOT_IMAGE);
    assert_eq!(
        names,
        [("iso", ""), ("initramfs", "/boot/initrd.img"), ("root", root.as_str()), ("kernel", "/boot/vmlinuz")]
    );
    let initramfs = parts.get("initramfs").unwrap();
    let kinds: Vec<&str> = initramfs.layer.facts.iter().filter_map(|fact| fact.value.rsplit(' ').next()).collect();
    assert_eq!(kinds, ["zstd", "zstd", "none"]);

    let summary = summarize(&bytes).unwrap().unwrap();
    assert_eq!((summary.format, summary.size_bytes), (Format::Iso, bytes.len() as u64));
    let distribution: Vec<String> = summary.distribution.iter().map(|fact| fact.name.to_string()).collect();
    assert_eq!(
        distribution,
        ["name", "version", "build-id", "builder", "compression", "lock-sha256", "packages", "kernel", "kernel-config"]
    );
    let value = |index: usize| summary.distribution[index].value.as_str();
    assert_eq!((value(0), value(1), value(4), value(6)), ("toy", "1.2", "zstd:1", "4"));
    assert_eq!(value(3), concat!("mkdistro ", env!("CARGO_PKG_VERSION")));
    assert_eq!((value(2).len(), value(5).len(), summary.sha256.len()), (32, 64, 64));
    let labels: Vec<&str> = summary.menu.iter().map(|entry| entry.label.as_str()).collect();
    assert_eq!(labels, ["default", "serial", "verbose", "nodata", "rescue"]);
    assert_eq!((summary.menu[0].kernel.as_str(), summary.menu[4].title.as_str()), ("/boot/vmlinuz", "Rescue shell"));
    let iso = &summary.parts[0].facts;
    let fact = |name: &str| iso.iter().find(|fact| fact.name == name).unwrap().value.as_str();
    assert_eq!((fact("volume-id"), fact("application")), ("TOY", "toy 1.2"));
    assert_eq!(fact("volume-set-id"), value(2));
    let facts = |name: &str| -> Vec<&str> {
        iso.iter().filter(|fact| fact.name == name).map(|fact| fact.value.as_str()).collect()
    };
    assert_eq!(fact("created"), "2023-11-14 22:13:20");
    assert_eq!(facts("el-torito"), ["BIOS /isolinux/isolinux.bin", "UEFI /boot/esp.img"]);
    let partitions = facts("partition");
    assert!(
        partitions[0].starts_with("\"ISO 9660\", Linux data, ") && partitions[0].contains(" MB at block 64, "),
        "{partitions:?}"
    );
    assert!(partitions[1].starts_with("\"ESP\", EFI system, "), "{partitions:?}");
    assert!(fact("mbr").starts_with("type 0x"), "{}", fact("mbr"));
    let json = serde_json::to_value(&summary).unwrap();
    assert_eq!((json["format"].as_str(), json["parts"][2]["name"].as_str()), (Some("iso"), Some("root")));
}

#[test]
fn a_path_crosses_layers() {
    let bytes = iso(&[]);
    let long = format!("/boot/initrd.img{}/etc/motd", paths::ROOT_IMAGE);
    for path in ["root:/etc/motd", "root:etc/motd", &long] {
        assert_eq!(locate(&bytes, path).unwrap().content().unwrap(), "hello\n", "{path}");
    }
    // Links are followed on the way, but not at its end.
    assert_eq!(locate(&bytes, "root:/bin/ash").unwrap().path, b"usr/bin/ash");
    assert_eq!(locate(&bytes, "root:/bin").unwrap().path, b"bin");
    assert_eq!(locate(&bytes, "root:/bin/").unwrap().path, b"usr/bin");
    // A / at the end opens what is a layer.
    assert_eq!(locate(&bytes, "/boot/initrd.img").unwrap().layer.format, Format::Iso);
    let opened = locate(&bytes, "/boot/initrd.img/").unwrap();
    assert_eq!((opened.layer.format, opened.path.len()), (Format::Initramfs, 0));
    let names: Vec<&[u8]> = opened.layer.children(b"").into_iter().map(|(name, _)| name).collect();
    assert!(names.contains(&&b"init"[..]) && names.contains(&&b"modules"[..]));
    assert_eq!(locate(&bytes, "").unwrap().layer.format, Format::Iso);
    for (path, expected) in [
        ("root:/etc/mottd", "there is no /etc/mottd\nhint: did you mean \"motd\"?"),
        ("/boot/initrd.img/zzzzzz", "there is no /boot/initrd.img/zzzzzz"),
        ("root:/etc/motd/x", "/etc/motd is a file of no known format: the path cannot go on in it"),
        ("esp:/x", "it has no part \"esp\"\nhint: its parts are iso, initramfs, root, kernel"),
    ] {
        assert_eq!(locate(&bytes, path).err().unwrap().to_string(), expected);
    }
    assert_eq!(locate(&"text".into(), "/x").err().unwrap().to_string(), "the file's format is not known");
}

#[test]
fn folders_are_listed_with_their_files() {
    let root = tree(&[("a/b", file("1", 0o644)), ("a-b", file("2", 0o600)), ("a/c/d", file("3", 0o644))]);
    let layer = open(&squash(&root, "zstd:1")).unwrap().unwrap();
    let names = |folder: &str| -> Vec<String> {
        let children = layer.children(folder.as_bytes());
        children.into_iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect()
    };
    assert_eq!(
        (names(""), names("a"), names("a/c")),
        (vec!["a".into(), "a-b".into()], vec!["b".into(), "c".into()], vec!["d".into()])
    );
    assert!(layer.entry(b"a-b").unwrap().stored_bytes.is_some_and(|bytes| bytes > 0));
    assert_eq!(facts(&layer), ["compression zstd", "block-size 131072", "time 0"]);
}

#[test]
fn missing_folders_are_added() {
    let mut layer = Layer::new(Format::Initramfs);
    let content = Bytes::from("x");
    layer.insert(b"retained/deep/root", Entry::file(&content), Content::Held(content));
    let paths: Vec<&[u8]> = layer.entries().map(|(path, _)| path).collect();
    assert_eq!(paths, [&b""[..], b"retained", b"retained/deep", b"retained/deep/root"]);
    assert_eq!(layer.children(b"retained/deep").len(), 1);
}

#[test]
fn kernels_tell_their_release_and_configuration() {
    let layer = open(&kernel("6.12.1-toy", Some("CONFIG_X=y\n"))).unwrap().unwrap();
    assert_eq!(
        facts(&layer),
        ["release 6.12.1-toy", "version 6.12.1-toy (test) #1 SMP", "boot-protocol 2.15", "payload zstd"]
    );
    assert_eq!(layer.format, Format::Kernel);
    let found = locate(&kernel("6", Some("CONFIG_X=y\n")), "/config").unwrap();
    assert_eq!(found.content().unwrap(), "CONFIG_X=y\n");
    assert!(locate(&kernel("6", None), "/config").is_err());
    let whole = kernel("6", Some("CONFIG_X=y\n"));
    for length in 0x206..whole.len() {
        let _ = open(&whole.slice(..length)).map(|layer| layer.map(|layer| layer.entries().count()));
        assert_eq!(kernel::configuration(&whole.slice(..length)), None, "{length}");
    }
}

#[test]
fn other_files_are_recognised() {
    let program = open(&Bytes::from_static(guest::DISTROCTL)).unwrap().unwrap();
    assert_eq!((program.format, program.facts[1].value.as_str()), (Format::Elf, "x86-64"));
    assert!(!program.is_container());
    let bytes = crate::deb::tests::packed("tool", &tree(&[("usr/bin/tool", file("tool", 0o755))]));
    let package = open(&bytes.into()).unwrap().unwrap();
    assert_eq!((package.format, package.facts[0].value.as_str()), (Format::Deb, "tool"));
    assert_eq!(package.content(b"usr/bin/tool").unwrap(), "tool");
    let lock = include_bytes!("../../../../packages/lock.toml");
    let lock = open(&Bytes::from_static(lock)).unwrap().unwrap();
    assert_eq!((lock.format, lock.facts[0].name), (Format::Lock, "suite"));
    for unknown in [&b""[..], b"text", &[0; 40000]] {
        assert!(open(&Bytes::from_static(unknown)).unwrap().is_none());
    }
    let broken = Bytes::from_static(b"hsqs and then nothing");
    assert!(format!("{:#}", open(&broken).err().unwrap()).starts_with("reading the SquashFS: "));
}

#[test]
fn other_programs_images_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    fs::create_dir_all(dir.path().join("root/etc")).unwrap();
    fs::write(dir.path().join("root/etc/os-release"), "ID=other\nVERSION_ID=\"7\"\n").unwrap();
    fs::create_dir_all(dir.path().join("iso/live")).unwrap();
    foreign("mksquashfs", &[&path("root"), &path("iso/live/filesystem.squashfs"), "-comp", "xz", "-quiet"], None);
    fs::write(dir.path().join("iso/live/vmlinuz"), kernel("5.1", None)).unwrap();
    foreign("xorriso", &["-as", "mkisofs", "-quiet", "-R", "-V", "LIVE", "-o", &path("x.iso"), &path("iso")], None);
    let bytes = read(&dir.path().join("x.iso")).unwrap();
    let summary = summarize(&bytes).unwrap().unwrap();
    let names: Vec<&str> = summary.parts.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(names, ["iso", "root", "kernel"]);
    let distribution: Vec<&str> = summary.distribution.iter().map(|fact| fact.value.as_str()).collect();
    assert_eq!(distribution, ["other", "7", "5.1"]);
}

#[test]
fn extracts_what_is_there() {
    let mut root = tree(&[
        ("sub", folder(0o555)),
        ("sub/run", file("#!", 0o4755)),
        ("sub/out", link("/nowhere")),
        ("dev", link("sub")),
        ("top", file("t", 0o600)),
    ]);
    let null = formats::tree::Node::new(formats::tree::Kind::CharDevice(1, 3), 0o666, &std::sync::Arc::from("test"));
    root.insert(b"sub/null", null).unwrap();
    let layer = open(&squash(&root, "zstd:1")).unwrap().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let all = dir.path().join("all");
    assert_eq!(extract(&layer, b"", &all).unwrap(), ["/sub/null"]);
    let mode = |name: &str| fs::symlink_metadata(all.join(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("sub"), mode("sub/run"), mode("top")), (0o555, 0o755, 0o600));
    assert_eq!(fs::read_link(all.join("sub/out")).unwrap(), Path::new("/nowhere"));
    assert_eq!(fs::read_link(all.join("dev")).unwrap(), Path::new("sub"));
    extract(&layer, b"top", &dir.path().join("one")).unwrap();
    assert_eq!(fs::read(dir.path().join("one")).unwrap(), b"t");
    extract(&layer, b"sub", &dir.path().join("part")).unwrap();
    assert!(dir.path().join("part/run").exists());
    let error = extract(&layer, b"", &all).unwrap_err().to_string();
    assert_eq!(error, format!("writing to {}: it exists\nhint: name a new file or folder", all.display()));
    // So that the temporary folder can be deleted.
    fs::set_permissions(all.join("sub"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(dir.path().join("part"), fs::Permissions::from_mode(0o755)).unwrap();
}
