//! Rock Ridge, to write: the system use entries behind each directory record (SUSP 1.12 section 4 and 5, RRIP section 4).
//!
//! Every entry starts with a signature of 2 bytes, its length in bytes (1 byte) and its version (1 byte, 1). Those that
//! do not fit into the record (at most 255 bytes) go to a *continuation area*, which an entry `CE` in the record points
//! to.
//!
//! The extension is announced as `RRIP_1991A` and `PX` has 36 bytes, as in RRIP 1.10 and by default with genisoimage and
//! xorriso, because that is what all readers know; 1.12 (`IEEE_1282`, `PX` with a file serial number) adds nothing here.

use anyhow::{Result, bail, ensure};

use super::fields::{both_u32, record_date};
use super::{Lba, SECTOR_BYTES};
use crate::tree::{Kind, Node};

/// Size of a `CE` entry.
const CE_BYTES: usize = 28;
/// What an entry can hold behind its header and one byte of flags.
const CONTENT_BYTES: usize = 255 - 5;
/// Flag of `NM`, of `SL` and of a component: goes on in the next one.
const CONTINUE: u8 = 1;

/// The entries of one directory record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SystemUse {
    /// What goes into the record, without `CE`.
    pub(super) inline: Vec<u8>,
    /// What goes into a continuation area.
    pub(super) continued: Vec<u8>,
}

impl SystemUse {
    /// Distributes entries to the record, which has `room_bytes`, and a continuation area, which must not cross a sector
    /// (Linux refuses it: `rock_continue` in `fs/isofs/rock.c`).
    pub(super) fn split(entries: &[Vec<u8>], room_bytes: usize) -> Result<Self> {
        let total: usize = entries.iter().map(Vec::len).sum();
        let limit = if total <= room_bytes { room_bytes } else { room_bytes - CE_BYTES };
        let mut result = Self::default();
        for entry in entries {
            if result.continued.is_empty() && result.inline.len() + entry.len() <= limit {
                result.inline.extend(entry);
            } else {
                result.continued.extend(entry);
            }
        }
        let continued = result.continued.len();
        ensure!(continued <= SECTOR_BYTES, "name and link target take {continued} bytes, at most {SECTOR_BYTES} fit");
        Ok(result)
    }

    /// Size in the record.
    pub(super) fn record_bytes(&self) -> usize {
        self.inline.len() + if self.continued.is_empty() { 0 } else { CE_BYTES }
    }
}

/// The start of an entry.
fn entry(signature: &[u8; 2], content_bytes: usize) -> Vec<u8> {
    vec![signature[0], signature[1], (4 + content_bytes) as u8, 1]
}

/// `CE` (SUSP 5.1): at 4 sector, at 12 offset in it, at 20 length in bytes of the continuation area, each in both orders.
pub(super) fn continuation(lba: Lba, offset: u32, len: u32) -> Vec<u8> {
    let mut ce = entry(b"CE", 24);
    for number in [lba.0, offset, len] {
        ce.extend(both_u32(number));
    }
    ce
}

/// `SP` (SUSP 5.3), first in the root's own record: at 4 check bytes, at 6 bytes to skip in every system use area (0).
pub(super) fn announcement() -> Vec<u8> {
    let mut sp = entry(b"SP", 3);
    sp.extend([0xbe, 0xef, 0]);
    sp
}

/// `ER` (SUSP 5.5), in the root's own record: at 4 length of the identifier, at 5 and 6 of descriptor and source (both
/// only recommended, left out), at 7 version of the extension, at 8 the identifier.
pub(super) fn extension_reference() -> Vec<u8> {
    let identifier = b"RRIP_1991A";
    let mut er = entry(b"ER", 4 + identifier.len());
    er.extend([identifier.len() as u8, 0, 0, 1]);
    er.extend(identifier);
    er
}

/// `PX` (RRIP 4.1.1): at 4 mode, at 12 number of links, at 20 owner, at 28 group, each in both orders.
pub(super) fn attributes(node: &Node, nlink: u32) -> Vec<u8> {
    let file_type = match node.kind {
        Kind::Fifo => 0o010_000,
        Kind::CharDevice(..) => 0o020_000,
        Kind::Directory => 0o040_000,
        Kind::BlockDevice(..) => 0o060_000,
        Kind::File(_) => 0o100_000,
        Kind::Symlink(_) => 0o120_000,
    };
    let mut px = entry(b"PX", 32);
    for number in [file_type | u32::from(node.mode & 0o7777), nlink, node.uid, node.gid] {
        px.extend(both_u32(number));
    }
    px
}

/// `TF` (RRIP 4.1.6): at 4 flags, here only "modify", at 5 the time as in a directory record.
pub(super) fn times(unix_secs: u32) -> Vec<u8> {
    let mut tf = entry(b"TF", 8);
    tf.push(2);
    tf.extend(record_date(unix_secs));
    tf
}

/// `NM` (RRIP 4.1.4), one or two: at 4 flags, at 5 the name.
pub(super) fn name(name: &[u8]) -> Vec<Vec<u8>> {
    with_flags(b"NM", name.chunks(CONTENT_BYTES).map(<[u8]>::to_vec).collect())
}

/// What only some types have.
///
/// Devices are refused: readers disagree on `PN`. For Linux its two numbers are major and minor, for xorriso (and RRIP
/// 4.1.2) the high and low half of a `dev_t`.
pub(super) fn of_kind(kind: &Kind) -> Result<Vec<Vec<u8>>> {
    match kind {
        Kind::CharDevice(..) | Kind::BlockDevice(..) => bail!("device nodes are not possible in an ISO image"),
        Kind::Symlink(target) => link(target),
        Kind::Directory | Kind::File(_) | Kind::Fifo => Ok(Vec::new()),
    }
}

/// `SL` (RRIP 4.1.3), one or more: at 4 flags, at 5 components. A component: flags (2 `.`, 4 `..`, 8 root), length of
/// its text, text.
fn link(target: &[u8]) -> Result<Vec<Vec<u8>>> {
    if target.is_empty() {
        bail!("the link has no target");
    }
    let mut components: Vec<Vec<u8>> = Vec::new();
    let relative = target.strip_prefix(b"/").inspect(|_| components.push(vec![8, 0])).unwrap_or(target);
    for part in relative.split(|&byte| byte == b'/').filter(|part| !part.is_empty()) {
        match part {
            b"." => components.push(vec![2, 0]),
            b".." => components.push(vec![4, 0]),
            _ => {
                let chunks: Vec<&[u8]> = part.chunks(CONTENT_BYTES - 2).collect();
                for (index, chunk) in chunks.iter().enumerate() {
                    let flags = if index + 1 < chunks.len() { CONTINUE } else { 0 };
                    components.push([&[flags, chunk.len() as u8], *chunk].concat());
                }
            }
        }
    }
    let mut contents: Vec<Vec<u8>> = vec![Vec::new()];
    for component in components {
        match contents.last_mut() {
            Some(last) if last.len() + component.len() <= CONTENT_BYTES => last.extend(component),
            _ => contents.push(component),
        }
    }
    Ok(with_flags(b"SL", contents))
}

/// Entries with one byte of flags, all but the last marked as going on.
fn with_flags(signature: &[u8; 2], contents: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let last = contents.len().saturating_sub(1);
    let entries = contents.into_iter().enumerate().map(|(index, content)| {
        let mut bytes = entry(signature, 1 + content.len());
        bytes.push(if index < last { CONTINUE } else { 0 });
        bytes.extend(content);
        bytes
    });
    entries.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_components() {
        let cases: [(&[u8], &[u8]); 4] = [
            (b"a", b"SL\x08\x01\0\0\x01a"),
            (b"/", b"SL\x07\x01\0\x08\0"),
            (b"/b/../c", b"SL\x0f\x01\0\x08\0\0\x01b\x04\0\0\x01c"),
            (b"./d//", b"SL\x0a\x01\0\x02\0\0\x01d"),
        ];
        for (target, expected) in cases {
            assert_eq!(link(target).unwrap(), [expected], "{}", target.escape_ascii());
        }
        assert!(link(b"").is_err());
    }

    #[test]
    fn long_names_go_on() {
        let entries = name(&[b'n'; 255]);
        assert_eq!(entries.iter().map(|entry| (entry[2], entry[4])).collect::<Vec<_>>(), [(255, 1), (10, 0)]);
        let split = SystemUse::split(&[vec![0; 36], entries[0].clone(), entries[1].clone()], 206).unwrap();
        assert_eq!((split.inline.len(), split.continued.len(), split.record_bytes()), (36, 265, 64));
        assert!(SystemUse::split(&vec![vec![0; 250]; 9], 206).is_err());
    }
}
