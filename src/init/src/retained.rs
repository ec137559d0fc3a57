//! Finds the SquashFS in the initramfs that the kernel has kept, so that the root needs its RAM once, and looks whether it
//! is as the builder wrote it.
//!
//! With `retain_initrd` on its command line the kernel leaves the initramfs in memory and shows it as
//! `/sys/firmware/initrd` (`init/initramfs.c`, since 6.7). The SquashFS lies in it uncompressed, as an archive entry whose
//! folder does not exist: unpacking passes over it without a copy (`do_name`, same file), and PID 1 mounts it where it is.
//!
//! Its entry is found by looking for it: before it there is a compressed archive, with this program in it, and a boot loader
//! may put further archives (microcode) in front. So all but the start of a medium can be damaged, and PID 1 runs to say so.

use std::io;

use contract::paths::ROOT_IMAGE;
use contract::sum::{RootSum, Xxh64};

/// Where the kernel shows the initramfs.
pub(crate) const INITRD: &str = "/sys/firmware/initrd";

const HEADER_BYTES: usize = 110;
/// Of a "newc" archive's entry; it begins at a multiple of four.
const MAGIC: &[u8] = b"070701";
/// Offsets of eight hexadecimal digits each in a header.
const CONTENT_SIZE: usize = 54;
const NAME_SIZE: usize = 94;
const CHUNK: usize = 64 << 10;

/// A part of a file, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) offset: u64,
    pub(crate) size: u64,
}

/// Fills a buffer from an offset and gives back how much there was; the kernel gives a page at a time.
pub(crate) type ReadAt<'a> = &'a dyn Fn(&mut [u8], u64) -> io::Result<usize>;

/// Looks for the SquashFS.
pub(crate) fn find(read_at: ReadAt<'_>) -> io::Result<Option<Extent>> {
    // An entry's header and name may go on behind the chunk they begin in.
    let mut buffer = vec![0; CHUNK + HEADER_BYTES + ROOT_IMAGE.len()];
    let mut at = 0;
    loop {
        let have = fill(read_at, &mut buffer, at)?;
        let bytes = buffer.get(..have).unwrap_or_default();
        for start in (0..have.min(CHUNK)).step_by(4) {
            let rest = bytes.get(start..).unwrap_or_default();
            if let Some(extent) = rest.starts_with(MAGIC).then(|| entry(rest, at + start as u64)).flatten() {
                return Ok(Some(extent));
            }
        }
        if have < buffer.len() {
            return Ok(None);
        }
        at += CHUNK as u64;
    }
}

/// Where the content is, if these bytes at an offset are the SquashFS's entry.
fn entry(bytes: &[u8], at: u64) -> Option<Extent> {
    let name_size = number(bytes, NAME_SIZE)?;
    let name = bytes.get(HEADER_BYTES..HEADER_BYTES + usize::try_from(name_size).ok()?)?;
    if name.strip_suffix(b"\0")? != &ROOT_IMAGE.as_bytes()[1..] {
        return None;
    }
    let offset = (at + HEADER_BYTES as u64 + name_size).next_multiple_of(4);
    Some(Extent { offset, size: number(bytes, CONTENT_SIZE)? })
}

fn number(header: &[u8], offset: usize) -> Option<u64> {
    let digits = std::str::from_utf8(header.get(offset..offset + 8)?).ok()?;
    u32::from_str_radix(digits, 16).ok().map(u64::from)
}

/// Reads until the buffer is full or nothing is left.
fn fill(read_at: ReadAt<'_>, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut have = 0;
    while let Some(rest) = buffer.get_mut(have..).filter(|rest| !rest.is_empty()) {
        match read_at(rest, at + have as u64)? {
            0 => break,
            count => have += count,
        }
    }
    Ok(have)
}

/// Size and sum of what there is of a part.
pub(crate) fn sum(read_at: ReadAt<'_>, part: Extent) -> io::Result<RootSum> {
    let mut buffer = vec![0; CHUNK];
    let (mut sum, mut size) = (Xxh64::default(), 0);
    while size < part.size {
        let wanted = usize::try_from(part.size - size).unwrap_or(CHUNK).min(CHUNK);
        let count = read_at(buffer.get_mut(..wanted).unwrap_or_default(), part.offset + size)?;
        if count == 0 {
            break;
        }
        sum.update(buffer.get(..count).unwrap_or_default());
        size += count as u64;
    }
    Ok(RootSum { size, xxh64: sum.finish() })
}

#[cfg(test)]
mod tests {
    use contract::sum::RootSum;

    use super::{CHUNK, Extent, find, sum};

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

    /// A page at a time, as the kernel does it.
    fn reader(bytes: &[u8]) -> impl Fn(&mut [u8], u64) -> std::io::Result<usize> + '_ {
        |buffer, at| {
            let rest = bytes.get(usize::try_from(at).unwrap()..).unwrap_or_default();
            let count = rest.len().min(buffer.len()).min(4096);
            buffer[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        }
    }

    fn found(bytes: &[u8]) -> Option<Extent> {
        find(&reader(bytes)).unwrap()
    }

    #[test]
    fn finds_the_root() {
        let ours = entry("retained/root.squashfs", b"hsqs!");
        assert_eq!(found(&ours), Some(Extent { offset: 136, size: 5 }));
        assert_eq!(&ours[136..141], b"hsqs!");
        // Behind anything, wherever a chunk ends.
        for before in [4, 512, CHUNK - 200, CHUNK - 136, CHUNK - 100, CHUNK - 8, CHUNK - 4, CHUNK, 3 * CHUNK + 20] {
            let mut both = [entry("microcode", b"070701"), entry("TRAILER!!!", b"")].concat();
            both.resize(before.max(both.len()), b'x');
            let at = both.len();
            both.extend(&ours);
            assert_eq!(found(&both), Some(Extent { offset: at as u64 + 136, size: 5 }), "{before}");
        }
    }

    #[test]
    fn gives_up_where_there_is_none() {
        let other = entry("root.squashfs", b"hsqs");
        let mut damaged = entry("retained/root.squashfs", b"hsqs");
        damaged[100] = b'x';
        let mut endless = entry("a", b"");
        endless[94..102].copy_from_slice(b"ffffffff");
        let misplaced = [b"1".to_vec(), entry("retained/root.squashfs", b"hsqs")].concat();
        for bytes in [&b""[..], &[0; 4096], &other, &damaged, &endless, &misplaced, &other[..50]] {
            assert_eq!(found(bytes), None, "{:?}", bytes.get(..20));
        }
    }

    #[test]
    fn sums_what_is_there() {
        let bytes: Vec<u8> = (0..200_000u32).map(|number| (number / 3) as u8).collect();
        let part = Extent { offset: 11, size: 190_000 };
        assert_eq!(sum(&reader(&bytes), part).unwrap(), RootSum::of(&bytes[11..190_011]));
        assert_eq!(sum(&reader(&bytes[..5000]), part).unwrap(), RootSum::of(&bytes[11..5000]));
        assert_eq!(sum(&reader(&[]), part).unwrap(), RootSum::of(&[]));
    }
}
