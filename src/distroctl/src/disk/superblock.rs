//! Superblocks of the file systems a data disk may have: just enough to know kind and label.
//!
//! ext2/3/4: kernel `Documentation/filesystems/ext4/super.rst`; the superblock is at byte 1024, little-endian.
//! XFS: "XFS Algorithms & Data Structures", chapter "Superblocks"; at byte 0, big-endian.
//!
//! A superblock alone does not prove that the file system is still there: who formats a disk anew need not clear what he does
//! not use. So what begins with another owner's signature is not ours. `mke2fs` and `mkfs.xfs` clear all of these places.

use std::io::{ErrorKind, Read};

/// Bytes that hold every superblock and signature we know: the last one ends at 4096 + 4.
const HEAD_BYTES: u64 = 4100;

/// Signatures of what uses a whole device for itself: byte offset and bytes.
const FOREIGN: [(usize, &[u8]); 7] = [
    // Partition table (UEFI specification, "GPT Header").
    (512, b"EFI PART"),
    (4096, b"EFI PART"),
    // Physical volume of LVM, in the first or, as it is made today, the second sector.
    (0, b"LABELONE"),
    (512, b"LABELONE"),
    // "LUKS1 On-Disk Format" and "LUKS2 On-Disk Format".
    (0, b"LUKS\xba\xbe"),
    // Member of a RAID of md with metadata 1.1 or 1.2 (kernel `include/uapi/linux/raid/md_p.h`, `MD_SB_MAGIC`).
    (0, &0xa92b_4efc_u32.to_le_bytes()),
    (4096, &0xa92b_4efc_u32.to_le_bytes()),
];
/// What a partition table of the PC ends with. The first sector of a partition may have it too, as that of a boot loader.
const MBR: (usize, &[u8]) = (510, b"\x55\xaa");

/// File-system kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// ext2, ext3 or ext4; the kernel's ext4 driver mounts all three.
    Ext,
    /// XFS.
    Xfs,
}

impl Kind {
    /// Name of the kernel's driver, and of its module.
    pub(crate) fn driver(self) -> &'static str {
        match self {
            Self::Ext => "ext4",
            Self::Xfs => "xfs",
        }
    }
}

/// A recognized file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileSystem {
    pub(crate) kind: Kind,
    /// Label without the padding; no encoding is defined for it.
    pub(crate) label: Vec<u8>,
}

impl FileSystem {
    /// Whether it has this label, or as much of it as fits: 12 bytes in XFS, 16 in ext.
    pub(crate) fn is_labelled(&self, wanted: &[u8]) -> bool {
        let room = match self.kind {
            Kind::Ext => 16,
            Kind::Xfs => 12,
        };
        self.label == wanted.get(..room).unwrap_or(wanted)
    }
}

/// Reads the start of a device. A device that ends early holds no file system of ours.
pub(crate) fn read(device: impl Read, partition: bool) -> std::io::Result<Option<FileSystem>> {
    Ok(recognize(&head(device)?, partition))
}

/// The start of a device, as much as is needed to know what it holds.
pub(crate) fn head(device: impl Read) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    match device.take(HEAD_BYTES).read_to_end(&mut head) {
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => Err(error),
        _ => Ok(head),
    }
}

/// The file system whose superblock is in the first bytes of a device. XFS first: it is at the very start, where a later
/// `mke2fs` clears it, while `mkfs.xfs` may leave an old ext superblock behind in what was free.
pub(crate) fn recognize(head: &[u8], partition: bool) -> Option<FileSystem> {
    let has = |(offset, bytes): (usize, &[u8])| head.get(offset..).is_some_and(|rest| rest.starts_with(bytes));
    if is_claimed(head) || (!partition && has(MBR)) {
        return None;
    }
    xfs(head).or_else(|| ext(head.get(1024..2048)?))
}

/// Whether something other than a file system says at the start of a partition that all of it is its own.
pub(crate) fn is_claimed(head: &[u8]) -> bool {
    FOREIGN.iter().any(|(offset, bytes)| head.get(*offset..).is_some_and(|rest| rest.starts_with(bytes)))
}

/// Size of the ext file system that a device begins with: 4 and 336 (with `64bit`, bit 7 of 96) are the number of its blocks,
/// see [`ext`]. `None` if there is none.
pub(crate) fn ext_size_bytes(device: impl Read) -> std::io::Result<Option<u64>> {
    const SIXTY_FOUR_BIT: u32 = 0x80;
    let mut head = Vec::new();
    device.take(HEAD_BYTES).read_to_end(&mut head)?;
    let size = || {
        let superblock = head.get(1024..2048)?;
        ext(superblock)?;
        let word = |offset| array(superblock, offset).map(u32::from_le_bytes);
        let high = if word(96)? & SIXTY_FOUR_BIT == 0 { 0 } else { word(336)? };
        (u64::from(high) << 32 | u64::from(word(4)?)).checked_mul(1024 << word(24)?)
    };
    Ok(size())
}

/// | offset | bytes | |
/// |---|---|---|
/// | 0 | 4 | magic `XFSB` |
/// | 4 | 4 | block size in bytes, a power of two from 512 to 65536 |
/// | 108 | 12 | label, padded with NUL |
fn xfs(head: &[u8]) -> Option<FileSystem> {
    let block_size = u32::from_be_bytes(array(head, 4)?);
    let plausible = block_size.is_power_of_two() && (512..=65536).contains(&block_size);
    (array(head, 0)? == *b"XFSB" && plausible)
        .then_some(FileSystem { kind: Kind::Xfs, label: text(head.get(108..120)?) })
}

/// Offsets from the start of the superblock:
///
/// | offset | bytes | |
/// |---|---|---|
/// | 0 | 4 | inodes, not 0 |
/// | 24 | 4 | log2(block size) - 10, at most 6 |
/// | 56 | 2 | magic 0xEF53 |
/// | 96 | 4 | incompatible features; bit 3 is a journal device, which holds no files |
/// | 120 | 16 | label, padded with NUL |
fn ext(superblock: &[u8]) -> Option<FileSystem> {
    const JOURNAL_DEVICE: u32 = 0x8;
    let word = |offset| array(superblock, offset).map(u32::from_le_bytes);
    let magic = u16::from_le_bytes(array(superblock, 56)?);
    let plausible = word(0)? != 0 && word(24)? <= 6 && word(96)? & JOURNAL_DEVICE == 0;
    (magic == 0xEF53 && plausible).then_some(FileSystem { kind: Kind::Ext, label: text(superblock.get(120..136)?) })
}

fn array<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..offset.checked_add(N)?)?.try_into().ok()
}

fn text(padded: &[u8]) -> Vec<u8> {
    padded.split(|&byte| byte == 0).next().unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use super::{FileSystem, Kind, read};
    use std::process::Command;

    /// As a whole disk, which is never more than as a partition.
    fn recognize(head: &[u8]) -> Option<FileSystem> {
        super::recognize(head, false)
    }

    fn formatted(program: &str, arguments: &[&str], size_bytes: u64) -> Vec<u8> {
        format(tempfile::NamedTempFile::new().unwrap(), program, arguments, size_bytes)
    }

    fn format(file: tempfile::NamedTempFile, program: &str, arguments: &[&str], size_bytes: u64) -> Vec<u8> {
        file.as_file().set_len(size_bytes).unwrap();
        let output = Command::new(program)
            .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
            .args(arguments)
            .arg(file.path())
            .output()
            .unwrap_or_else(|error| panic!("{program}: {error} (packages e2fsprogs, xfsprogs)"));
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        let mut head = std::fs::read(file.path()).unwrap();
        head.truncate(8192);
        head
    }

    fn ext(arguments: &[&str]) -> Vec<u8> {
        formatted("mke2fs", &[&["-q", "-F"], arguments].concat(), 8 << 20)
    }

    fn found(kind: Kind, label: &str) -> Option<FileSystem> {
        Some(FileSystem { kind, label: label.into() })
    }

    #[test]
    fn reads_real_file_systems() {
        for kind in ["ext2", "ext3", "ext4"] {
            let head = ext(&["-t", kind, "-L", "boot2podman-data"]);
            assert_eq!(recognize(&head), found(Kind::Ext, "boot2podman-data"), "{kind}");
            assert_eq!(read(&head[..], false).unwrap(), found(Kind::Ext, "boot2podman-data"));
        }
        assert_eq!(recognize(&ext(&["-t", "ext4", "-b", "4096"])), found(Kind::Ext, ""));
        let head = formatted("mkfs.xfs", &["-q", "-f", "-L", "b2p-data"], 320 << 20);
        assert_eq!(recognize(&head), found(Kind::Xfs, "b2p-data"));
    }

    #[test]
    fn knows_the_size_of_ext() {
        for (arguments, expected) in [(&["-b", "1024"][..], 8 << 20), (&["-b", "4096", "-O", "64bit"], 8 << 20)] {
            let size = super::ext_size_bytes(&ext(&[&["-t", "ext4"], arguments].concat())[..]).unwrap();
            assert_eq!(size, Some(expected), "{arguments:?}");
        }
        assert_eq!(super::ext_size_bytes(&[0; 4096][..]).unwrap(), None);
        assert_eq!(super::ext_size_bytes(&[0; 100][..]).unwrap(), None);
    }

    #[test]
    fn long_labels_are_cut_as_mkfs_must_cut_them() {
        let cut = FileSystem { kind: Kind::Xfs, label: "boot2podman-".into() };
        assert!(cut.is_labelled(b"boot2podman-data"));
        assert!(!cut.is_labelled(b"boot2podman") && !cut.is_labelled(b"boot2podman.data"));
        let ext = FileSystem { kind: Kind::Ext, label: "boot2podman-".into() };
        assert!(!ext.is_labelled(b"boot2podman-data"));
        assert!(!FileSystem { kind: Kind::Ext, label: vec![] }.is_labelled(b"x"));
    }

    #[test]
    fn an_old_superblock_on_a_foreign_disk_is_nothing() {
        let ours = found(Kind::Ext, "boot2podman-data");
        let head = ext(&["-t", "ext4", "-L", "boot2podman-data"]);
        let with = |offset: usize, bytes: &[u8]| {
            let mut head = head.clone();
            head[offset..offset + bytes.len()].copy_from_slice(bytes);
            head
        };
        // One Linux partition from sector 2048 on, as sfdisk writes it: only this, the rest of the disk stays.
        let mut table = [0; 66];
        table[..16].copy_from_slice(&[0, 0x20, 0x21, 0, 0x83, 0x45, 4, 1, 0, 8, 0, 0, 0, 0x38, 0, 0]);
        table[64..].copy_from_slice(&[0x55, 0xaa]);
        let partitioned = with(446, &table);
        assert_eq!(recognize(&partitioned), None);
        assert_eq!(super::recognize(&partitioned, true), ours, "a boot loader in a partition");
        for (offset, bytes) in super::FOREIGN {
            for partition in [false, true] {
                assert_eq!(super::recognize(&with(offset, bytes), partition), None, "{bytes:?} at {offset}");
            }
        }
    }

    #[test]
    fn making_a_file_system_clears_what_was_there() {
        for (program, arguments, size_bytes) in
            [("mke2fs", &["-q", "-F", "-L", "x"][..], 8 << 20), ("mkfs.xfs", &["-q", "-f", "-L", "x"], 320 << 20)]
        {
            let file = tempfile::NamedTempFile::new().unwrap();
            let mut old = vec![0; 8192];
            for (offset, bytes) in super::FOREIGN.into_iter().chain([super::MBR]) {
                old[offset..offset + bytes.len()].copy_from_slice(bytes);
            }
            std::fs::write(file.path(), old).unwrap();
            let head = format(file, program, arguments, size_bytes);
            assert_eq!(recognize(&head).map(|found| found.label), Some(b"x".to_vec()), "{program}");
        }
    }

    #[test]
    fn a_journal_device_is_no_file_system() {
        assert_eq!(recognize(&ext(&["-O", "journal_dev", "-b", "4096", "-L", "x"])), None);
    }

    #[test]
    fn truncated_and_garbage_devices_are_nothing() {
        let head = ext(&["-t", "ext4", "-L", "x"]);
        for length in 0..2048 {
            assert_eq!(read(&head[..length], true).unwrap(), None, "{length} bytes");
        }
        assert_eq!(recognize(&[0; 4096]), None);
        assert_eq!(recognize(&[0xff; 4096]), None);
        let mut broken = head.clone();
        broken[1024 + 24] = 7;
        assert_eq!(recognize(&broken), None, "block size out of range");
        let mut xfs = vec![0; 120];
        xfs[..4].copy_from_slice(b"XFSB");
        assert_eq!(recognize(&xfs), None, "block size 0");
        xfs[6] = 0x10;
        assert_eq!(recognize(&xfs), found(Kind::Xfs, ""));
    }
}
