//! Tables that sgdisk(8) makes, grown here, and what sgdisk says then.

use std::fs::File;
use std::io::Cursor;
use std::path::Path;
use std::process::Command;

use super::{Growth, Table, crc32};

const MIB: u64 = 1 << 20;

fn sgdisk(arguments: &[&str], path: &Path) -> String {
    let output = Command::new("sgdisk")
        .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
        .args(arguments)
        .arg(path)
        .output()
        .unwrap_or_else(|error| panic!("sgdisk: {error} (package gdisk)"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "sgdisk {arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// A disk of 64 MiB with an EFI partition, a hole in the numbers, and a data partition to the end.
fn disk(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("disk");
    File::create(&path).unwrap().set_len(64 * MIB).unwrap();
    let kind = "--typecode=3:8607f032-68b1-82ea-b937-b7c1c1c3c614";
    let arguments = ["-n1:2048:+8M", "-t1:ef00", "-A1:set:2", "-n3:40960:0", kind, "-c3:boot2podman-data"];
    sgdisk(&arguments, &path);
    path
}

fn grown(path: &Path, number: u32) -> Growth {
    let mut file = File::options().read(true).write(true).open(path).unwrap();
    let blocks = file.metadata().unwrap().len() / 512;
    let table = Table::read(&mut file, 512).unwrap().unwrap();
    let growth = table.grown(&mut file, number, blocks, MIB).unwrap();
    if let Growth::Larger(grown) = &growth {
        grown.write(&mut file, |file| file.sync_all()).unwrap();
    }
    growth
}

#[test]
fn reads_names_and_types() {
    let folder = tempfile::tempdir().unwrap();
    let path = disk(folder.path());
    let table = Table::read(&mut File::open(&path).unwrap(), 512).unwrap().unwrap();
    let data = table.partition(3).unwrap();
    assert_eq!(data.kind, contract::data_partition::TYPE);
    assert_eq!((data.first, data.last), (40960, 64 * 2048 - 34));
    assert!(data.is_named("boot2podman-data") && !data.is_named("boot2podman-dat") && !data.is_named(""));
    assert_ne!(table.partition(1).unwrap().kind, data.kind);
    assert!([0, 2, 4, 128, 129, u32::MAX].iter().all(|number| table.partition(*number).is_none()));
}

#[test]
fn grows_the_last_partition_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = disk(folder.path());
    assert!(matches!(grown(&path, 3), Growth::Full), "less than a unit to gain");
    let before = sgdisk(&["-i1"], &path);
    File::options().write(true).open(&path).unwrap().set_len(200 * MIB + 512).unwrap();
    let Growth::Larger(grown_to) = grown(&path, 3) else { panic!("not grown") };
    assert_eq!((grown_to.first, grown_to.last), (40960, 199 * 2048 - 1));
    let verdict = sgdisk(&["-v"], &path);
    assert!(verdict.contains("No problems found"), "{verdict}");
    let data = sgdisk(&["-i3"], &path);
    assert!(data.contains(&format!("Last sector: {}", 199 * 2048 - 1)), "{data}");
    assert!(data.contains("Partition name: 'boot2podman-data'"), "{data}");
    assert_eq!(sgdisk(&["-i1"], &path), before);
    assert!(matches!(grown(&path, 3), Growth::Full), "grown already");
    // The kernel's reader, which wants the protective partition too.
    let dump = Command::new("/usr/sbin/sfdisk").arg("-d").arg(&path).output().unwrap();
    assert!(String::from_utf8_lossy(&dump.stdout).contains("label: gpt"), "{dump:?}");

    File::options().write(true).open(&path).unwrap().set_len(300 * MIB).unwrap();
    assert!(matches!(grown(&path, 1), Growth::NotLast(40960)));
}

#[test]
fn either_table_counts_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let path = disk(folder.path());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.resize(100 << 20, 0);
    let blocks = bytes.len() as u64 / 512;
    let table = Table::read(&mut Cursor::new(&bytes), 512).unwrap().unwrap();
    let growth = table.grown(&mut Cursor::new(&bytes), 3, blocks, MIB).unwrap();
    let Growth::Larger(grown) = growth else { panic!("not grown") };
    // After each write that reached the disk; the second with nothing but its first 4 KiB.
    for (cut, last) in [(0, 64 * 2048 - 34), (1, 64 * 2048 - 34), (2, 99 * 2048 - 1), (3, 99 * 2048 - 1)] {
        let mut disk = bytes.clone();
        if cut > 0 {
            disk[grown.end_at as usize..].copy_from_slice(&grown.end);
        }
        let length = [0, 0, 4096, grown.start.len()][cut];
        disk[..length].copy_from_slice(&grown.start[..length]);
        let table = Table::read(&mut Cursor::new(&disk), 512).unwrap().unwrap();
        assert_eq!(table.partition(3).unwrap().last, last, "cut {cut}");
    }
}

#[test]
fn refuses_what_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(disk(folder.path())).unwrap();
    let read = |bytes: &[u8]| Table::read(&mut Cursor::new(bytes), 512);
    for (at, expected) in [
        (512 + 12, "GPT: a header of 93 bytes"),
        (512 + 60, "GPT: the header's checksum is wrong"),
        (1024 + 60, "GPT: the checksum of the entries is wrong"),
    ] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert_eq!(read(&damaged).unwrap_err().to_string(), expected);
    }
    // What is wrong with a right checksum.
    for (at, value, expected) in [
        (24, 2_u64, "GPT: the header says it is in block 2"),
        (72, u64::MAX, "GPT: place of the entries"),
        (72, 1 << 40, "reading the partition table at byte 562949953421312"),
        (80, 1 << 31 | 128 << 32, "GPT: 2147483648 entries of 128 bytes"),
        (80, 128 | 64 << 32, "GPT: entries of 64 bytes"),
        (80, 0, "GPT: 0 entries of 0 bytes"),
    ] {
        let mut damaged = bytes[..1 << 20].to_vec();
        damaged[512 + at..520 + at].copy_from_slice(&value.to_le_bytes());
        damaged[528..532].fill(0);
        let sum = crc32(&damaged[512..512 + 92]) as u32;
        damaged[528..532].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(read(&damaged).unwrap_err().to_string(), expected);
    }
    assert!(read(&[0; 4096]).unwrap().is_none());
    for length in [0, 511, 1000, 1024, 17_000] {
        assert!(read(&bytes[..length]).is_err(), "{length}");
    }
    let mut mbr_only = bytes;
    mbr_only[512..1024].fill(0);
    assert!(read(&mbr_only).unwrap().is_none());
}

#[test]
fn a_disk_that_became_smaller_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = disk(folder.path());
    let mut file = File::open(&path).unwrap();
    let table = Table::read(&mut file, 512).unwrap().unwrap();
    for blocks in [0, 33, 34, 50_000, 64 * 2048 - 1] {
        let grown = table.grown(&mut file, 3, blocks, MIB);
        assert!(!matches!(grown, Ok(Growth::Larger(_))), "{blocks}");
    }
    assert!(table.grown(&mut file, 2, 1 << 30, MIB).is_err());
}

#[test]
fn crc_of_the_usual_check() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
}
