//! Superblocks of the file systems a data disk may have: just enough to know kind and label.
//!
//! ext2/3/4: kernel `Documentation/filesystems/ext4/super.rst`; the superblock is at byte 1024, little-endian.
//! XFS: "XFS Algorithms & Data Structures", chapter "Superblocks"; at byte 0, big-endian.

use std::io::{ErrorKind, Read};

/// Bytes that hold every superblock we know: the ext one ends at 1024 + 1024.
const HEAD_BYTES: u64 = 2048;

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
pub(crate) fn read(device: impl Read) -> std::io::Result<Option<FileSystem>> {
    let mut head = Vec::new();
    match device.take(HEAD_BYTES).read_to_end(&mut head) {
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => Err(error),
        _ => Ok(recognize(&head)),
    }
}

/// The file system whose superblock is in the first bytes of a device. XFS first: it is at the very start, where a later
/// `mke2fs` clears it, while `mkfs.xfs` may leave an old ext superblock behind in what was free.
pub(crate) fn recognize(head: &[u8]) -> Option<FileSystem> {
    xfs(head).or_else(|| ext(head.get(1024..2048)?))
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
    use super::{FileSystem, Kind, read, recognize};
    use std::process::Command;

    fn formatted(program: &str, arguments: &[&str], size_bytes: u64) -> Vec<u8> {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(size_bytes).unwrap();
        let output = Command::new(program)
            .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
            .args(arguments)
            .arg(file.path())
            .output()
            .unwrap_or_else(|error| panic!("{program}: {error} (packages e2fsprogs, xfsprogs)"));
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        let mut head = std::fs::read(file.path()).unwrap();
        head.truncate(4096);
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
            assert_eq!(read(&head[..]).unwrap(), found(Kind::Ext, "boot2podman-data"));
        }
        assert_eq!(recognize(&ext(&["-t", "ext4", "-b", "4096"])), found(Kind::Ext, ""));
        let head = formatted("mkfs.xfs", &["-q", "-f", "-L", "b2p-data"], 320 << 20);
        assert_eq!(recognize(&head), found(Kind::Xfs, "b2p-data"));
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
    fn a_journal_device_is_no_file_system() {
        assert_eq!(recognize(&ext(&["-O", "journal_dev", "-b", "4096", "-L", "x"])), None);
    }

    #[test]
    fn truncated_and_garbage_devices_are_nothing() {
        let head = ext(&["-t", "ext4", "-L", "x"]);
        for length in 0..2048 {
            assert_eq!(read(&head[..length]).unwrap(), None, "{length} bytes");
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
