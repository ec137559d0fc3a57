//! Finds the SquashFS in the initramfs that the kernel has kept, so that the root needs its RAM once.
//!
//! With `retain_initrd` on its command line the kernel leaves the initramfs in memory and shows it as
//! `/sys/firmware/initrd` (`init/initramfs.c`, since 6.7). The SquashFS lies in it uncompressed, as an archive entry whose
//! folder does not exist: unpacking passes over it without a copy (`do_name`, same file), and PID 1 mounts it where it is.
//!
//! Only headers of "newc" archives are read, as the builder writes them; a boot loader may put further uncompressed
//! archives (microcode) in front.

use std::io;

use contract::paths::ROOT_IMAGE;

/// Where the kernel shows the initramfs.
pub(crate) const INITRD: &str = "/sys/firmware/initrd";

const HEADER_BYTES: usize = 110;
const MAGIC: &[u8] = b"070701";
/// Offsets of eight hexadecimal digits each in a header.
const CONTENT_SIZE: usize = 54;
const NAME_SIZE: usize = 94;
/// Ours is the first entry, or among the first behind microcode.
const MAX_ENTRIES: usize = 64;
/// PATH_MAX of `linux/limits.h`.
const MAX_NAME_BYTES: u64 = 4096;

/// A part of a file, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) offset: u64,
    pub(crate) size: u64,
}

/// Looks for the SquashFS. `read_at` fills a buffer from an offset and gives back how much there was.
pub(crate) fn find(read_at: &dyn Fn(&mut [u8], u64) -> io::Result<usize>) -> io::Result<Option<Extent>> {
    let mut at = 0;
    for _ in 0..MAX_ENTRIES {
        let Some(start) = skip_zeros(read_at, at)? else { return Ok(None) };
        let mut header = [0; HEADER_BYTES];
        if read_at(&mut header, start)? < HEADER_BYTES || !header.starts_with(MAGIC) {
            return Ok(None);
        }
        let (Some(size), Some(name_size)) = (number(&header, CONTENT_SIZE), number(&header, NAME_SIZE)) else {
            return Ok(None);
        };
        if name_size > MAX_NAME_BYTES {
            return Ok(None);
        }
        let name_at = start + HEADER_BYTES as u64;
        let mut name = vec![0; name_size as usize];
        let have = read_at(&mut name, name_at)?;
        let offset = (name_at + name_size).next_multiple_of(4);
        if name.get(..have).and_then(|name| name.strip_suffix(b"\0")) == Some(&ROOT_IMAGE.as_bytes()[1..]) {
            return Ok(Some(Extent { offset, size }));
        }
        at = (offset + size).next_multiple_of(4);
    }
    Ok(None)
}

/// The first multiple of four from `at` on where a word is not zero; archives are filled up with zeros.
fn skip_zeros(read_at: &dyn Fn(&mut [u8], u64) -> io::Result<usize>, mut at: u64) -> io::Result<Option<u64>> {
    let mut chunk = [0; 512];
    loop {
        let have = read_at(&mut chunk, at)?;
        let words = chunk.get(..have).unwrap_or_default().chunks_exact(4);
        if words.len() == 0 {
            return Ok(None);
        }
        let count = words.len() as u64;
        match words.into_iter().position(|word| word != [0; 4]) {
            Some(index) => return Ok(Some(at + 4 * index as u64)),
            None => at += 4 * count,
        }
    }
}

fn number(header: &[u8; HEADER_BYTES], offset: usize) -> Option<u64> {
    let digits = std::str::from_utf8(header.get(offset..offset + 8)?).ok()?;
    u32::from_str_radix(digits, 16).ok().map(u64::from)
}

#[cfg(test)]
mod tests {
    use super::{Extent, find};

    /// An archive entry.
    fn entry(name: &str, content: &[u8]) -> Vec<u8> {
        let mut bytes = b"070701".to_vec();
        for field in 0..13 {
            let value = match field {
                6 => content.len(),
                11 => name.len() + 1,
                _ => 0,
            };
            bytes.extend(format!("{value:08x}").bytes());
        }
        bytes.extend(name.bytes());
        bytes.push(0);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn found(bytes: &[u8]) -> Option<Extent> {
        find(&|buffer, at| {
            let rest = bytes.get(usize::try_from(at).unwrap()..).unwrap_or_default();
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        })
        .unwrap()
    }

    #[test]
    fn finds_the_root() {
        let ours = entry("retained/root.squashfs", b"hsqs!");
        assert_eq!(found(&ours), Some(Extent { offset: 136, size: 5 }));
        assert_eq!(&ours[136..141], b"hsqs!");
        // Behind microcode and its padding.
        let mut both = [entry("kernel/x86/microcode/GenuineIntel.bin", b"code"), entry("TRAILER!!!", b"")].concat();
        both.resize(2048, 0);
        both.extend(&ours);
        assert_eq!(found(&both), Some(Extent { offset: 2048 + 136, size: 5 }));
    }

    #[test]
    fn gives_up_where_there_is_none() {
        let other = entry("root.squashfs", b"hsqs");
        let mut damaged = entry("retained/root.squashfs", b"hsqs");
        damaged[100] = b'x';
        let mut endless = entry("a", b"");
        endless[94..102].copy_from_slice(b"ffffffff");
        for bytes in [&b""[..], &[0; 4096], &other, &damaged, &endless, b"\x28\xb5\x2f\xfd compressed", &other[..50]] {
            assert_eq!(found(bytes), None, "{:?}", bytes.get(..20));
        }
    }
}
