//! Disks as files: what is written when, and what a power cut between two writes leaves.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use super::{BLANK_BYTES, Disk, Keys, MAGIC, asks, keys_of};
use crate::disk::gpt::Table;

const SIZE: u64 = 64 << 20;
const LABEL: &str = "boot2podman-data";

fn open(path: &Path) -> Disk {
    let file = File::options().read(true).write(true).open(path).unwrap();
    Disk { name: "sda".into(), file, size_bytes: SIZE, block_bytes: 512 }
}

/// A disk that begins with these bytes.
fn disk(head: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(SIZE).unwrap();
    file.as_file().write_all_at(head, 0).unwrap();
    file
}

/// As docker-machine's drivers make it, by tar(1).
fn archive(key: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let magic = std::str::from_utf8(MAGIC[1]).unwrap();
    std::fs::create_dir(folder.path().join(".ssh")).unwrap();
    std::fs::write(folder.path().join(magic), magic).unwrap();
    std::fs::write(folder.path().join(".ssh/authorized_keys"), key).unwrap();
    let mut command = Command::new("tar");
    let output = command.current_dir(folder.path()).args(["-cf", "-", magic, ".ssh"]).output().unwrap();
    assert!(output.status.success());
    output.stdout
}

/// What the data partition of the disk waits with.
fn keys(path: &Path) -> Option<Keys> {
    let mut file = File::open(path).unwrap();
    let partition = Table::read(&mut file, 512).unwrap()?.partition(1)?;
    assert!(partition.is_named(LABEL) && partition.kind == contract::data_partition::TYPE);
    assert_eq!((partition.first * 512, (partition.last + 1) * 512), (1 << 20, SIZE - (1 << 20)));
    let mut tail = vec![0; BLANK_BYTES as usize];
    file.read_exact_at(&mut tail, SIZE - (1 << 20) - BLANK_BYTES).unwrap();
    Keys::decode(&tail)
}

#[test]
fn takes_disks_that_ask_and_their_keys() {
    // Longer than what the scripts of old kept.
    let key = format!("ssh-rsa {} a@b\n", "A".repeat(9000));
    let file = disk(&archive(&key));
    // BLKRRPART is for devices.
    assert!(open(file.path()).take(LABEL, false).unwrap_err().to_string().contains("partition table"));
    assert_eq!(keys(file.path()), Some(Keys(format!("{key}\n").into_bytes())));
    let plain = disk(MAGIC[0]);
    open(plain.path()).take(LABEL, false).unwrap_err();
    assert_eq!(keys(plain.path()), Some(Keys::default()));
}

#[test]
fn no_other_disk_is_written() {
    let begins_later = [&b"x"[..], MAGIC[0]].concat();
    for (head, may_be_blank) in
        [(&b""[..], false), (b"x", true), (&MAGIC[0][1..], true), (&begins_later, true), (b"boot2podman", true)]
    {
        let file = disk(head);
        assert!(!open(file.path()).take(LABEL, may_be_blank).unwrap());
        let bytes = std::fs::read(file.path()).unwrap();
        assert!(bytes.starts_with(head) && bytes[head.len()..].iter().all(|byte| *byte == 0));
    }
    let file = disk(b"");
    file.as_file().write_all_at(b"x", SIZE - 1).unwrap();
    assert!(!open(file.path()).take(LABEL, true).unwrap(), "something at its end");
    // An archive that is too long: refused, and whole.
    let long = archive(&"A".repeat(2 << 20));
    let file = disk(&long);
    let error = open(file.path()).take(LABEL, false).unwrap_err();
    assert!(format!("{error:#}").contains("does not end within the first MiB"), "{error:#}");
    assert!(std::fs::read(file.path()).unwrap().starts_with(&long));
}

#[test]
fn a_blank_disk_is_taken_where_it_is_allowed() {
    let file = disk(b"");
    open(file.path()).take(LABEL, true).unwrap_err();
    assert_eq!(keys(file.path()), Some(Keys::default()));
}

/// Each write is whole or not there; the next boot has the keys in any case.
#[test]
fn a_power_cut_between_two_writes() {
    let key = "ssh-ed25519 AAAA a@b\n";
    let asking = archive(key);
    let finished = {
        let file = disk(&asking);
        open(file.path()).take(LABEL, false).unwrap_err();
        std::fs::read(file.path()).unwrap()
    };
    let end = SIZE as usize - (33 << 9);
    let mark = (SIZE - (1 << 20) - BLANK_BYTES) as usize;
    // In the order of the writes: keys, the partition's start, backup, primary.
    let writes = [mark..mark + BLANK_BYTES as usize, 1 << 20..2 << 20, end..SIZE as usize, 512..34 << 9];
    for done in 0..=writes.len() {
        let file = disk(&asking);
        for range in &writes[..done] {
            file.as_file().write_all_at(&finished[range.clone()], range.start as u64).unwrap();
        }
        assert!(asks(&std::fs::read(file.path()).unwrap()));
        open(file.path()).take(LABEL, false).unwrap_err();
        assert_eq!(keys(file.path()), Some(Keys(format!("{key}\n").into_bytes())), "after {done} writes");
    }
}

#[test]
fn keys_behind_the_mark() {
    for keys in [&b""[..], b"k", &[b'k'; 5000]] {
        let mut tail = Keys(keys.to_vec()).encode();
        assert_eq!(tail.len() as u64, BLANK_BYTES);
        assert_eq!(Keys::decode(&tail), Some(Keys(keys.to_vec())));
        if !keys.is_empty() {
            tail[super::KEYS_AT] ^= 1;
            assert_eq!(Keys::decode(&tail), None, "another sum");
        }
        *tail.last_mut().unwrap() = 1;
        assert_eq!(Keys::decode(&tail), None, "something behind");
    }
    assert_eq!(Keys::decode(&vec![0; BLANK_BYTES as usize]), None);
}

#[test]
fn fuzz_keys() {
    fuzz::Fuzz::new("keys").seed(&Keys(b"ssh-ed25519 AAAA".to_vec()).encode()[..256]).run(|input| {
        let _ = Keys::decode(input);
        let _ = keys_of(input);
    });
}
