use std::io::Write;
use std::process::Command;

use super::*;
use formats::tree::Kind;

const CONTROL: &str = "Package: toy\nVersion: 1.2-3\nArchitecture: amd64\n";

/// An ar archive of `members`.
pub(crate) fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = b"!<arch>\n".to_vec();
    for (name, data) in members {
        writeln!(out, "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`", 0, 0, 0, "100644", data.len()).unwrap();
        out.extend_from_slice(data);
        if data.len() % 2 == 1 {
            out.push(b'\n');
        }
    }
    out
}

fn header(kind: tar::EntryType, path: &[u8], mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..path.len()].copy_from_slice(path);
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(42);
    header.set_size(size);
    header.set_cksum();
    header
}

pub(crate) fn control_tar() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let control = header(tar::EntryType::Regular, b"./control", 0o644, CONTROL.len() as u64);
    builder.append(&control, CONTROL.as_bytes()).unwrap();
    builder.into_inner().unwrap()
}

/// A data.tar of one entry.
fn entry_tar(path: &[u8], content: &[u8]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    builder.append(&header(tar::EntryType::Regular, path, 0o644, content.len() as u64), content).unwrap();
    builder.into_inner().unwrap()
}

fn long_name() -> String {
    format!("usr/share/{}/{}", "d".repeat(120), "f".repeat(120))
}

pub(crate) fn data_tar() -> Vec<u8> {
    use tar::EntryType::{Char, Directory, Link, Regular, Symlink};
    let mut builder = tar::Builder::new(Vec::new());
    builder.append(&header(Directory, b"./", 0o755, 0), &[][..]).unwrap();
    builder.append(&header(Directory, b"./usr/bin/", 0o711, 0), &[][..]).unwrap();
    builder.append(&header(Regular, b"./usr/bin/tool", 0o104_755, 4), &b"tool"[..]).unwrap();
    let mut link = header(Link, b"./usr/bin/same", 0o755, 0);
    builder.append_link(&mut link, "./usr/bin/same", "./usr/bin/tool").unwrap();
    builder.append_pax_extensions([("SCHILY.xattr.security.capability", &b"\x01\0\0\x02"[..])]).unwrap();
    builder.append(&header(Regular, b"./sbin/ping", 0o755, 4), &b"ping"[..]).unwrap();
    let mut link = header(Symlink, b"./lib/out", 0o777, 0);
    builder.append_link(&mut link, "./lib/out", "../etc/out").unwrap();
    let mut link = header(Symlink, b"./lib/in", 0o777, 0);
    builder.append_link(&mut link, "./lib/a/in", "../out").unwrap();
    let mut link = header(Symlink, b"./bin", 0o777, 0);
    builder.append_link(&mut link, "./bin", "usr/bin").unwrap();
    let mut null = header(Char, b"./dev/null", 0o666, 0);
    null.set_device_major(1).unwrap();
    null.set_device_minor(3).unwrap();
    null.set_cksum();
    builder.append(&null, &[][..]).unwrap();
    let mut long = header(Regular, b"", 0o644, 4);
    builder.append_data(&mut long, long_name(), &b"long"[..]).unwrap();
    builder.append_pax_extensions([("path", "usr/share/pax ü".as_bytes())]).unwrap();
    builder.append(&header(Regular, b"short", 0o644, 3), &b"pax"[..]).unwrap();
    builder.into_inner().unwrap()
}

fn compress(extension: &str, data: &[u8]) -> Vec<u8> {
    match extension {
        "" => data.to_vec(),
        ".gz" => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            out.write_all(data).unwrap();
            out.finish().unwrap()
        }
        ".xz" => {
            let mut out = liblzma::write::XzEncoder::new(Vec::new(), 0);
            out.write_all(data).unwrap();
            out.finish().unwrap()
        }
        _ => zstd::encode_all(data, 1).unwrap(),
    }
}

pub(crate) fn deb(extension: &str, data: &[u8]) -> Bytes {
    let (control, data) = (compress(extension, &control_tar()), compress(extension, data));
    let (control_name, data_name) = (format!("control.tar{extension}"), format!("data.tar{extension}"));
    ar(&[("debian-binary", b"2.0\n"), ("_future", b"x"), (&control_name, &control), (&data_name, &data)]).into()
}

/// A package of that name with the files, folders and links of a tree.
pub(crate) fn packed(name: &str, tree: &Tree) -> Vec<u8> {
    let control = CONTROL.replace("toy", name);
    let mut controls = tar::Builder::new(Vec::new());
    let entry = header(tar::EntryType::Regular, b"./control", 0o644, control.len() as u64);
    controls.append(&entry, control.as_bytes()).unwrap();
    let mut data = tar::Builder::new(Vec::new());
    for (path, node) in tree.iter().skip(1) {
        let path = std::str::from_utf8(path).unwrap();
        let mut entry = header(tar::EntryType::Regular, b"", node.mode.into(), 0);
        match &node.kind {
            Kind::File(content) => {
                entry.set_size(content.len() as u64);
                data.append_data(&mut entry, path, content.as_ref()).unwrap();
            }
            Kind::Symlink(target) => {
                entry.set_entry_type(tar::EntryType::Symlink);
                data.append_link(&mut entry, path, std::str::from_utf8(target).unwrap()).unwrap();
            }
            _ => {
                entry.set_entry_type(tar::EntryType::Directory);
                data.append_data(&mut entry, path, &[][..]).unwrap();
            }
        }
    }
    let (controls, data) = (controls.into_inner().unwrap(), data.into_inner().unwrap());
    ar(&[("debian-binary", b"2.0\n"), ("control.tar", &controls), ("data.tar", &data)])
}

fn origin() -> Arc<str> {
    Arc::from("toy 1.2-3")
}

fn all(_: &[u8]) -> bool {
    true
}

fn read_error(bytes: &Bytes) -> String {
    format!("{:#}", read(bytes, &origin(), &all).unwrap_err())
}

#[test]
fn reads_every_kind_of_entry_in_every_compression() {
    for extension in ["", ".gz", ".xz", ".zst"] {
        let package = read(&deb(extension, &data_tar()), &origin(), &all).unwrap();
        assert_eq!(package.control.package, "toy");
        let tree = package.tree;
        let tool = tree.get(b"usr/bin/tool").unwrap();
        assert_eq!((tool.mode, tool.uid, tool.gid, &*tool.origin), (0o4755, 0, 42, "toy 1.2-3"));
        assert_eq!(tool.content().unwrap().as_ptr(), tree.get(b"usr/bin/same").unwrap().content().unwrap().as_ptr());
        assert_eq!(tree.get(b"usr/bin").unwrap().mode, 0o711);
        let ping = tree.get(b"usr/sbin/ping").unwrap();
        assert_eq!(ping.xattrs[&b"security.capability"[..]], b"\x01\0\0\x02");
        assert!(tool.xattrs.is_empty());
        assert_eq!(tree.get(b"usr/lib/out").unwrap().kind, Kind::Symlink(b"/etc/out".into()));
        assert_eq!(tree.get(b"usr/lib/a/in").unwrap().kind, Kind::Symlink(b"../out".into()));
        assert!(tree.get(b"bin").is_none() && tree.get(b"lib").is_none());
        assert_eq!(tree.get(b"dev/null").unwrap().kind, Kind::CharDevice(1, 3));
        assert_eq!(&tree.get(long_name().as_bytes()).unwrap().content().unwrap()[..], b"long");
        assert_eq!(&tree.get("usr/share/pax ü".as_bytes()).unwrap().content().unwrap()[..], b"pax");
    }
}

#[test]
fn keeps_only_what_is_asked_for() {
    let keep = |path: &[u8]| path == b"usr/bin/same";
    let tree = read(&deb(".gz", &data_tar()), &origin(), &keep).unwrap().tree;
    let paths: Vec<&[u8]> = tree.iter().map(|(path, _)| path).collect();
    assert_eq!(paths, [&b""[..], b"usr", b"usr/bin", b"usr/bin/same"]);
    assert_eq!(&tree.get(b"usr/bin/same").unwrap().content().unwrap()[..], b"tool");
}

#[test]
fn refuses_paths_that_leave_the_tree() {
    for (path, message) in [
        (&b"/etc/passwd"[..], "reading its data.tar: the path /etc/passwd is absolute"),
        (b"./a/../../b", "reading its data.tar: the path /./a/../../b has a .. in it"),
    ] {
        assert_eq!(read_error(&deb("", &entry_tar(path, b"x"))), message);
    }
    let mut builder = tar::Builder::new(Vec::new());
    let mut link = header(tar::EntryType::Link, b"a", 0o644, 0);
    builder.append_link(&mut link, "a", "b").unwrap();
    let message = read_error(&deb("", &builder.into_inner().unwrap()));
    assert_eq!(message, "reading its data.tar: hard link to /b, which is no file of the package");
}

#[test]
fn names_what_is_wrong_with_the_archive() {
    for (bytes, message) in [
        (b"<html>!!".to_vec(), "reading magic of an ar archive at byte 0: expected \"!<arch>\\n\", found \"<html>!!\""),
        (b"!<arch>\n".to_vec(), "expected the member debian-binary, found none"),
        (ar(&[("debian-binary", b"3.0\n")]), "debian-binary: expected version 2.x, found \"3.0\""),
        (ar(&[("control.tar", b"")]), "expected the member debian-binary first, found \"control.tar\""),
        (ar(&[("debian-binary", b"2.0\n"), ("data.tar", b"")]), "expected control.tar, found \"data.tar\""),
        (ar(&[("debian-binary", b"2.0\n"), ("control.tar", b"")]), "the member data.tar is missing"),
        (
            ar(&[("debian-binary", b"2.0\n"), ("control.tar", &control_tar()), ("data.tar.bz2", b"")]),
            "reading its data.tar.bz2: data.tar.bz2: expected no compression, gz, xz or zst",
        ),
        (
            ar(&[("debian-binary", b"2.0\n"), ("control.tar", &[]), ("data.tar", b"")]),
            "reading its control.tar: it has no control file",
        ),
    ] {
        assert_eq!(read_error(&bytes.into()), message);
    }
}

#[test]
fn every_truncation_is_an_error() {
    for extension in [".gz", ".xz", ".zst", ""] {
        let whole = deb(extension, &data_tar());
        for length in (0..whole.len()).step_by(37) {
            assert!(
                read(&whole.slice(..length), &origin(), &all).is_err(),
                "{extension} cut at {length} of {}",
                whole.len()
            );
        }
        // The stream cut inside an archive that is itself whole.
        let data = compress(extension, &entry_tar(b"a", &[7; 5000]));
        let data = &data[..data.len() * 2 / 3];
        let (control, name) = (control_tar(), format!("data.tar{extension}"));
        let cut = ar(&[("debian-binary", b"2.0\n"), ("control.tar", &control), (&name, data)]);
        assert!(read(&cut.into(), &origin(), &all).is_err(), "{extension}");
    }
}

#[test]
fn changed_bytes_do_not_panic() {
    for extension in [".gz", ".xz", ".zst", ""] {
        let whole = deb(extension, &data_tar());
        for at in (0..whole.len()).step_by(11) {
            let mut bytes = whole.to_vec();
            bytes[at] ^= 0x55;
            let _ = read(&bytes.into(), &origin(), &all);
        }
    }
}

#[test]
fn stops_a_bomb() {
    let zeros = compress(".gz", &[0; 100_000]);
    let mut reader = compression::decoder("x.tar.gz", &zeros, 99_999, 1).unwrap();
    assert_eq!(
        std::io::copy(&mut reader, &mut std::io::sink()).unwrap_err().to_string(),
        "unpacks to more than allowed"
    );
}

/// Against the packer of record, where the host has it.
#[test]
fn agrees_with_dpkg_deb() {
    if Command::new("dpkg-deb").arg("--version").output().is_err() {
        eprintln!("skipped: no dpkg-deb");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("toy");
    std::fs::create_dir_all(root.join("DEBIAN")).unwrap();
    std::fs::create_dir_all(root.join("usr/bin")).unwrap();
    let control = format!("{CONTROL}Maintainer: nobody <nobody@example.org>\nDescription: a toy\n");
    std::fs::write(root.join("DEBIAN/control"), control).unwrap();
    std::fs::write(root.join("usr/bin/tool"), "tool").unwrap();
    std::fs::hard_link(root.join("usr/bin/tool"), root.join("usr/bin/same")).unwrap();
    std::os::unix::fs::symlink("tool", root.join("usr/bin/link")).unwrap();
    for compression in ["xz", "zstd", "gzip", "none"] {
        let file = dir.path().join("toy.deb");
        let mut build = Command::new("dpkg-deb");
        build.arg(format!("-Z{compression}")).args(["--root-owner-group", "--build"]).arg(&root).arg(&file);
        let output = build.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let package = open(&file, &origin(), &all).unwrap();
        assert_eq!((package.control.version.as_str(), package.tree.len()), ("1.2-3", 6), "{compression}");
        assert_eq!(package.tree.get(b"usr/bin/same").unwrap().content().unwrap().as_ref(), b"tool");
        assert_eq!(package.tree.get(b"usr/bin/link").unwrap().kind, Kind::Symlink(b"tool".into()));
    }
}
