//! Binary headers of LUKS: just enough to know whose container it is. What the header's JSON says, and whether its sums are
//! right, is cryptsetup's business.
//!
//! Reference: "LUKS2 On-Disk Format Specification" 1.1.1, section 2.1, and "LUKS1 On-Disk Format Specification" 1.2.3. Numbers
//! are big-endian:
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 0 | 6 | `LUKS` 0xba 0xbe; of the second header `SKUL` 0xba 0xbe |
//! | 6 | 2 | version |
//! | 24 | 48 | label, ended by NUL; version 2 only |
//! | 256 | 8 | offset of this header on the device; version 2 only |

use std::io::{Read, Seek, SeekFrom};

const FIRST: &[u8] = b"LUKS\xba\xbe";
const SECOND: &[u8] = b"SKUL\xba\xbe";
/// Bytes of a header that are looked at.
const HEADER_BYTES: usize = 264;
/// Where second headers may be: the first one's possible sizes.
const SECOND_AT: [u64; 9] = [16 << 10, 32 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20, 2 << 20, 4 << 20];

/// What a container's header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) version: u16,
    /// Without the padding; version 1 has none.
    pub(crate) label: Vec<u8>,
}

/// The header that a device begins with; `None` if there is none.
pub(crate) fn recognize(head: &[u8]) -> Option<Header> {
    header(head, FIRST, 0)
}

/// The label of the container whose second header is there while the first is not. All of the possible places are looked at.
pub(crate) fn lost(device: &mut (impl Read + Seek)) -> Option<Vec<u8>> {
    let mut read = |at: u64| {
        let mut bytes = vec![0; HEADER_BYTES];
        device.seek(SeekFrom::Start(at)).and_then(|_| device.read_exact(&mut bytes)).ok()?;
        Some(bytes)
    };
    if recognize(&read(0)?).is_some() {
        return None;
    }
    SECOND_AT.into_iter().find_map(|at| Some(header(&read(at)?, SECOND, at)?.label))
}

fn header(bytes: &[u8], magic: &[u8], at: u64) -> Option<Header> {
    let rest = bytes.strip_prefix(magic)?;
    let version = u16::from_be_bytes(rest.get(..2)?.try_into().ok()?);
    if version == 1 {
        return Some(Header { version, label: Vec::new() });
    }
    let offset = u64::from_be_bytes(bytes.get(256..HEADER_BYTES)?.try_into().ok()?);
    let label = bytes.get(24..72)?.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
    (version == 2 && offset == at).then_some(Header { version, label })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::process::Command;

    use super::{HEADER_BYTES, Header, lost, recognize};

    fn made(label: &str) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[..8].copy_from_slice(b"LUKS\xba\xbe\0\x02");
        bytes[24..24 + label.len()].copy_from_slice(label.as_bytes());
        bytes
    }

    fn header(version: u16, label: &str) -> Option<Header> {
        Some(Header { version, label: label.into() })
    }

    /// A container as cryptsetup makes it.
    fn real(arguments: &[&str]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let (image, key) = (folder.path().join("image"), folder.path().join("key"));
        std::fs::write(&key, "secret").unwrap();
        std::fs::File::create(&image).unwrap().set_len(32 << 20).unwrap();
        let output = Command::new("cryptsetup")
            .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
            .args(["luksFormat", "--batch-mode", "--disable-locks", "--pbkdf-force-iterations", "1000"])
            .args(arguments)
            .arg("--key-file")
            .args([&key, &image])
            .output()
            .unwrap_or_else(|error| panic!("cryptsetup: {error} (package cryptsetup-bin)"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::read(image).unwrap()
    }

    #[test]
    fn reads_real_containers() {
        let mut image = real(&["--type", "luks2", "--pbkdf", "pbkdf2", "--label", "boot2podman-data"]);
        assert_eq!(recognize(&image), header(2, "boot2podman-data"));
        assert_eq!(lost(&mut Cursor::new(&image)), None);
        image[..4096].fill(0);
        assert_eq!(recognize(&image), None);
        assert_eq!(lost(&mut Cursor::new(&image)).as_deref(), Some(&b"boot2podman-data"[..]));
        assert_eq!(recognize(&real(&["--type", "luks1"])), header(1, ""));
    }

    #[test]
    fn damaged_and_truncated_headers_are_nothing() {
        let head = made("a");
        assert_eq!(recognize(&head), header(2, "a"));
        assert_eq!(recognize(&made(&"l".repeat(48))), header(2, &"l".repeat(48)));
        for length in 0..HEADER_BYTES {
            assert_eq!(recognize(&head[..length]), None, "{length} bytes");
            assert_eq!(lost(&mut Cursor::new(&head[..length])), None, "{length} bytes");
        }
        for (at, byte) in [(0, b'S'), (5, 0), (7, 3), (6, 1), (263, 1)] {
            let mut wrong = head.clone();
            wrong[at] = byte;
            assert_eq!(recognize(&wrong), None, "{byte} at {at}");
        }
        // A second header where it says that it is not.
        let mut image = vec![0; 64 << 10];
        image[32 << 10..][..HEADER_BYTES].copy_from_slice(&head);
        image[32 << 10..][..4].copy_from_slice(b"SKUL");
        assert_eq!(lost(&mut Cursor::new(&image)), None);
        image[(32 << 10) + 262] = 0x80;
        assert_eq!(lost(&mut Cursor::new(&image)).as_deref(), Some(&b"a"[..]));
    }

    #[test]
    fn fuzz_luks() {
        let mut seed = made("boot2podman-data");
        seed.resize((16 << 10) + HEADER_BYTES, 0);
        fuzz::Fuzz::new("luks").seed(seed).tokens(&["LUKS", "SKUL"]).run(|input| {
            let _ = std::hint::black_box((recognize(input), lost(&mut Cursor::new(input))));
        });
    }
}
