//! Foreign readers give back the disk that was written, bit for bit.

use std::io::Cursor;
use std::path::Path;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{Disk, ova, qcow2, raw, vhd, vmdk};
use crate::foreign::run;

const MIB: u64 = 1 << 20;
const ID: [u8; 16] = *b"0123456789abcdef";
const APPLIANCE: ova::Appliance = ova::Appliance { name: "box", version: "1.2", memory_mib: 512, disk_bytes: 9 * MIB };

/// Numbers that look random and are the same in each run (xorshift64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.below(256) as u8).collect()
    }
}

/// A disk with pieces of noise, text and zeros at places that fit no block.
fn disk(seed: u64, size_bytes: u64) -> Disk {
    let mut numbers = Numbers(seed);
    let mut disk = Disk::new(size_bytes).unwrap();
    let mut at = numbers.below(300_000);
    loop {
        let length = 1 + numbers.below(400_000) as usize;
        if at + length as u64 > size_bytes {
            break;
        }
        let content = match numbers.below(3) {
            0 => numbers.bytes(length),
            1 => b"the same again ".iter().copied().cycle().take(length).collect(),
            _ => vec![0; length],
        };
        disk.put(at, content.into()).unwrap();
        at += length as u64 + [0, 1, 4096, 300_000, 2_000_000][numbers.below(5) as usize];
    }
    // Unless the last piece reaches it.
    drop(disk.put(size_bytes - 3, Bytes::from_static(b"end")));
    disk
}

/// The disk without any of our code but [`Disk::put`].
fn plain(disk: &Disk) -> Vec<u8> {
    let mut bytes = vec![0; disk.size_bytes as usize];
    for (at, content) in &disk.extents {
        bytes[*at as usize..][..content.len()].copy_from_slice(content);
    }
    bytes
}

fn written(write: impl Fn(&mut Cursor<Vec<u8>>) -> anyhow::Result<()>) -> Vec<u8> {
    let make = || {
        let mut out = Cursor::new(Vec::new());
        write(&mut out).unwrap();
        out.into_inner()
    };
    let (first, second) = (make(), make());
    assert!(first == second, "not the same bytes again");
    first
}

/// Has QEMU check the file and make a raw disk of it.
fn converted(folder: &Path, format: &str, bytes: &[u8]) -> Vec<u8> {
    let (path, back) = (folder.join(format), folder.join("back"));
    std::fs::write(&path, bytes).unwrap();
    let (path, back) = (path.to_str().unwrap(), back.to_str().unwrap());
    if format != "vpc" {
        let verdict = run("qemu-img", &["check", "-f", format, path], None);
        assert!(verdict.contains("No errors were found on the image."), "{verdict}");
    }
    run("qemu-img", &["convert", "-f", format, "-O", "raw", path, back], None);
    std::fs::read(back).unwrap()
}

#[test]
fn qemu_reads_them_all() {
    let folder = tempfile::tempdir().unwrap();
    for (seed, size_bytes) in [(1, 9 * MIB), (2, 33 * MIB), (3, MIB), (4, 17 * MIB), (5, 40 * MIB)] {
        let disk = disk(seed, size_bytes);
        let expected = plain(&disk);
        let same = |format: &str, bytes: &[u8]| {
            assert!(converted(folder.path(), format, bytes) == expected, "{format}, seed {seed}");
        };
        assert!(written(|out| raw::write(&disk, out)) == expected, "raw, seed {seed}");
        let qcow2 = written(|out| qcow2::write(&disk, out));
        assert!(qcow2.len() < expected.len() + 7 * 65536, "{} bytes, seed {seed}", qcow2.len());
        same("qcow2", &qcow2);
        same("vmdk", &written(|out| vmdk::write(&disk, &vmdk::Options { name: "x.vmdk", id: ID }, out)));
        same("vpc", &written(|out| vhd::write(&disk, ID, out)));
    }
}

#[test]
fn a_disk_of_zeros_and_one_of_many_tables() {
    let folder = tempfile::tempdir().unwrap();
    let empty = Disk::new(9 * MIB).unwrap();
    let zeros = vec![0; 9 << 20];
    assert_eq!(written(|out| raw::write(&empty, out)), zeros);
    assert_eq!(converted(folder.path(), "qcow2", &written(|out| qcow2::write(&empty, out))), zeros);
    let options = vmdk::Options { name: "x.vmdk", id: ID };
    assert_eq!(converted(folder.path(), "vmdk", &written(|out| vmdk::write(&empty, &options, out))), zeros);

    // 3 GiB and a bit: several L2 tables, most of them empty; several grain tables.
    let mut large = Disk::new(3 * 1024 * MIB + 65536).unwrap();
    for at in [0, 700 * MIB + 5, 3 * 1024 * MIB] {
        large.put(at, Bytes::from_static(&[7; 70_000]).slice(..60_000)).unwrap();
    }
    for (format, bytes) in [
        ("qcow2", written(|out| qcow2::write(&large, out))),
        ("vmdk", written(|out| vmdk::write(&large, &options, out))),
    ] {
        let path = folder.path().join(format);
        let raw = folder.path().join("raw");
        std::fs::write(&path, &bytes).unwrap();
        raw::write(&large, &mut std::fs::File::create(&raw).unwrap()).unwrap();
        assert!(bytes.len() < 700_000, "{format}: {} bytes", bytes.len());
        let (path, raw) = (path.to_str().unwrap(), raw.to_str().unwrap());
        run("qemu-img", &["check", "-f", format, path], None);
        let verdict = run("qemu-img", &["compare", "-f", format, "-F", "raw", path, raw], None);
        assert!(verdict.contains("Images are identical."), "{verdict}");
    }
}

#[test]
fn raw_disks_have_holes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("raw");
    let mut disk = Disk::new(1024 * MIB).unwrap();
    disk.put(0, Bytes::from_static(b"start")).unwrap();
    raw::write(&disk, &mut std::fs::File::create(&path).unwrap()).unwrap();
    let found = std::os::unix::fs::MetadataExt::blocks(&path.metadata().unwrap()) * 512;
    assert_eq!(path.metadata().unwrap().len(), 1024 * MIB);
    assert!(found < MIB, "{found} bytes");
}

#[test]
fn qemu_knows_what_they_say_of_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(1, 9 * MIB);
    let info = |format: &str, bytes: Vec<u8>| {
        let path = folder.path().join(format);
        std::fs::write(&path, bytes).unwrap();
        run("qemu-img", &["info", "-f", format, "--output=json", path.to_str().unwrap()], None)
    };
    let qcow2 = info("qcow2", written(|out| qcow2::write(&disk, out)));
    let options = vmdk::Options { name: "box.vmdk", id: ID };
    let vmdk = info("vmdk", written(|out| vmdk::write(&disk, &options, out)));
    let vhd = info("vpc", written(|out| vhd::write(&disk, ID, out)));
    for (text, expected) in [
        (&qcow2, "\"format\": \"qcow2\""),
        (&qcow2, "\"compat\": \"1.1\""),
        (&qcow2, "\"compression-type\": \"zlib\""),
        (&qcow2, "\"corrupt\": false"),
        (&vmdk, "\"format\": \"vmdk\""),
        (&vmdk, "\"create-type\": \"streamOptimized\""),
        (&vhd, "\"format\": \"vpc\""),
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
        assert!(text.contains("\"virtual-size\": 9437184"), "{text}");
    }
}

#[test]
fn disks_refuse_what_does_not_fit() {
    assert_eq!(Disk::new(0).unwrap_err().to_string(), "disk of 0 bytes: expected a multiple of 512, at least one");
    assert!(Disk::new(513).is_err());
    let mut disk = Disk::new(1024).unwrap();
    disk.put(100, Bytes::from_static(&[1; 100])).unwrap();
    disk.put(200, Bytes::from_static(&[1; 824])).unwrap();
    disk.put(150, Bytes::new()).unwrap();
    disk.put(0, Bytes::from_static(&[1; 100])).unwrap();
    for (at, length) in [(0, 1), (99, 1), (199, 2), (1023, 1)] {
        let error = disk.put(at, vec![1; length].into()).unwrap_err().to_string();
        assert_eq!(error, format!("bytes {at} to {} of a disk are taken already", at + length as u64));
    }
    assert!(disk.put(1024, Bytes::from_static(b"x")).is_err() && disk.put(u64::MAX, Bytes::from_static(b"x")).is_err());
    let odd = Disk::new(9 * MIB + 512).unwrap();
    let mut out = Cursor::new(Vec::new());
    let error = vmdk::write(&odd, &vmdk::Options { name: "x", id: ID }, &mut out).unwrap_err().to_string();
    assert_eq!(error, "VMDK disk of 9437696 bytes: expected a multiple of 65536");
    let error = vhd::write(&odd, ID, &mut out).unwrap_err().to_string();
    assert_eq!(error, "VHD disk of 9437696 bytes: expected a multiple of 1048576, at most 2190433320960");
}

#[test]
fn an_ova_is_a_tar_with_the_descriptor_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("box.ova");
    let vmdk = Numbers(9).bytes(1000);
    std::fs::write(&path, written(|out| ova::write(&APPLIANCE, &vmdk, 86400, out))).unwrap();
    let (path, folder) = (path.to_str().unwrap(), folder.path());
    let list = run("tar", &["--numeric-owner", "-tvf", path], None);
    let members: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
    let names: Vec<&str> = members.iter().map(|member| member[5]).collect();
    assert_eq!(names, ["box.ovf", "box.mf", "box-disk1.vmdk"]);
    for member in &members {
        assert_eq!((member[0], member[1], member[3]), ("-rw-r--r--", "0/0", "1970-01-02"));
    }
    run("tar", &["-C", folder.to_str().unwrap(), "-xf", path], None);
    assert_eq!(std::fs::read(folder.join("box-disk1.vmdk")).unwrap(), vmdk);
    // Each line is that of a file, in the format of "openssl dgst".
    let manifest = std::fs::read_to_string(folder.join("box.mf")).unwrap();
    assert_eq!(manifest.lines().count(), 2);
    for (line, name) in manifest.lines().zip(["box.ovf", "box-disk1.vmdk"]) {
        let digest = Sha256::digest(std::fs::read(folder.join(name)).unwrap());
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(line, format!("SHA256({name})= {digest}"));
    }
}

/// The DMTF's schema is not here; what it and both importers ask for is.
#[test]
fn the_descriptor_has_what_importers_want() {
    let text =
        super::ovf::descriptor(&ova::Appliance { name: "a", version: "1<2&\"3\"", ..APPLIANCE }, "a-disk1.vmdk", 1000);
    assert!(text.contains("<Version>1&lt;2&amp;&quot;3&quot;</Version>"), "{text}");
    assert!(text.contains("<File ovf:href=\"a-disk1.vmdk\" ovf:id=\"file1\" ovf:size=\"1000\"/>"));
    assert!(text.contains("<Disk ovf:capacity=\"9437184\" ovf:diskId=\"vmdisk1\" ovf:fileRef=\"file1\""));
    let open: Vec<&str> = elements(&text);
    let sections = ["References", "DiskSection", "NetworkSection", "VirtualSystem"];
    let found: Vec<&str> = open.iter().copied().filter(|name| sections.contains(name)).collect();
    assert_eq!(found, sections, "in this order");
    // In alphabetical order in each item, every instance once, every parent an instance.
    let items: Vec<&str> = text.split("<Item").skip(1).map(|rest| rest.split("</Item>").next().unwrap()).collect();
    assert_eq!(items.len(), 6);
    let mut instances = Vec::new();
    for item in &items {
        let names: Vec<&str> = elements(item);
        assert!(names.is_sorted(), "{names:?}");
        for required in ["rasd:ElementName", "rasd:InstanceID", "rasd:ResourceType"] {
            assert!(names.contains(&required), "no {required} in {item}");
        }
        let value = |name: &str| item.split(&format!("<rasd:{name}>")).nth(1).and_then(|rest| rest.split('<').next());
        assert!(value("Parent").is_none_or(|parent| instances.contains(&parent)), "{item}");
        assert!(value("Connection").is_none_or(|network| text.contains(&format!("<Network ovf:name=\"{network}\">"))));
        instances.push(value("InstanceID").unwrap());
    }
    instances.dedup();
    assert_eq!(instances.len(), items.len());
}

/// Names of the elements in a text in which each that is opened is closed; the attributes of the first are passed over.
fn elements(text: &str) -> Vec<&str> {
    let mut open = Vec::new();
    let mut all = Vec::new();
    for tag in text.split('<').skip(1).map(|rest| rest.split('>').next().unwrap()) {
        let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap();
        if tag.starts_with('?') {
        } else if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
        } else {
            all.push(name);
            if !tag.ends_with('/') {
                open.push(name);
            }
        }
    }
    assert!(open.is_empty(), "{open:?}");
    all
}
