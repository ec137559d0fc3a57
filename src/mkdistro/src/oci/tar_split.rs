//! How a layer's archive is made again, byte by byte, of its unpacked files: what `podman push` and `podman save` read, and
//! what a check of the store compares with.
//!
//! JSON lines, gzip: pieces of the archive that are no file's content (headers, padding) as they are, and between them the
//! files, by name, size and CRC-64 (ISO 3309's polynomial, as Go's `crc64.ISO`). Reference: the format of
//! github.com/vbatts/tar-split, `tar/storage`.

use std::collections::BTreeSet;
use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// Kinds of lines.
const FILE: u8 = 1;
const PIECE: u8 = 2;
/// A piece is no longer, so that readers need not hold more.
const MAX_PIECE: usize = 1 << 20;

/// The files of an archive, in their order.
pub(super) struct TarSplit<'a> {
    archive: &'a Bytes,
    files: Vec<File>,
}

struct File {
    /// As the archive has it.
    name: Vec<u8>,
    /// Where it is unpacked.
    path: Vec<u8>,
    start: usize,
    content: Bytes,
}

impl<'a> TarSplit<'a> {
    pub(super) fn new(archive: &'a Bytes) -> Self {
        Self { archive, files: Vec::new() }
    }

    /// Notes a file whose content begins at `start` of the archive.
    pub(super) fn file(&mut self, name: &[u8], path: &[u8], start: u64, content: &Bytes) {
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        self.files.push(File { name: name.to_vec(), path: path.to_vec(), start, content: content.clone() });
    }

    /// The lines. `unpacked` gives what became of a path: a content that is not there under its name is written out.
    pub(super) fn finish(self, unpacked: &dyn Fn(&[u8]) -> Option<Bytes>) -> Vec<u8> {
        let mut lines = Lines { out: GzEncoder::new(Vec::new(), Compression::new(6)), position: 0 };
        let mut at = 0;
        let mut seen = BTreeSet::new();
        for file in &self.files {
            let is_there = |found: Bytes| found.as_ptr() == file.content.as_ptr() && found.len() == file.content.len();
            let Ok(name) = std::str::from_utf8(&file.name) else { continue };
            let usable = !file.content.is_empty() && unpacked(&file.path).is_some_and(is_there);
            if !usable || file.start < at || !seen.insert(&file.path) {
                continue;
            }
            lines.pieces(self.archive.get(at..file.start).unwrap_or_default());
            let crc = STANDARD.encode(crc64(&file.content).to_be_bytes());
            let name = serde_json::to_string(name).unwrap_or_default();
            lines.line(FILE, &format!("\"name\":{name},\"size\":{},\"payload\":\"{crc}\"", file.content.len()));
            at = file.start + file.content.len();
        }
        lines.pieces(self.archive.get(at..).unwrap_or_default());
        // Writing to memory cannot fail.
        lines.out.finish().unwrap_or_default()
    }
}

struct Lines {
    out: GzEncoder<Vec<u8>>,
    position: usize,
}

impl Lines {
    fn pieces(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(MAX_PIECE) {
            self.line(PIECE, &format!("\"payload\":\"{}\"", STANDARD.encode(piece)));
        }
    }

    fn line(&mut self, kind: u8, fields: &str) {
        let _ = writeln!(self.out, "{{\"type\":{kind},{fields},\"position\":{}}}", self.position);
        self.position += 1;
    }
}

/// CRC-64 with the polynomial x^64 + x^4 + x^3 + x + 1, reflected, all ones before and after.
fn crc64(bytes: &[u8]) -> u64 {
    static TABLE: [[u64; 256]; 8] = tables();
    let mut crc = u64::MAX;
    let (chunks, rest) = bytes.as_chunks::<8>();
    for chunk in chunks {
        let word = crc ^ u64::from_le_bytes(*chunk);
        crc = 0;
        let mut at = 0;
        while at < 8 {
            crc ^= TABLE[7 - at][(word >> (8 * at)) as usize & 0xff];
            at += 1;
        }
    }
    for byte in rest {
        crc = TABLE[0][((crc ^ u64::from(*byte)) & 0xff) as usize] ^ crc >> 8;
    }
    !crc
}

/// The remainders of a byte, and of one with 1 to 7 zero bytes behind it.
const fn tables() -> [[u64; 256]; 8] {
    const POLYNOMIAL: u64 = 0xd800_0000_0000_0000;
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut zeros = 1;
    while zeros < 8 {
        let mut byte = 0;
        while byte < 256 {
            let crc = tables[zeros - 1][byte];
            tables[zeros][byte] = tables[0][(crc & 0xff) as usize] ^ crc >> 8;
            byte += 1;
        }
        zeros += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn checksum() {
        // "CRC-64/GO-ISO" of the catalogue of parametrised CRC algorithms.
        assert_eq!(crc64(b"123456789"), 0xb909_56c7_75a4_1001);
        assert_eq!(crc64(b""), 0);
        let long: Vec<u8> = (0..1000u32).map(|number| number as u8).collect();
        let bytewise = |bytes: &[u8]| {
            let table = tables()[0];
            !bytes.iter().fold(u64::MAX, |crc, byte| table[((crc ^ u64::from(*byte)) & 0xff) as usize] ^ crc >> 8)
        };
        assert_eq!(crc64(&long), bytewise(&long));
    }

    #[test]
    fn the_archive_can_be_made_again() {
        let archive = Bytes::from_static(b"HEAD1one..HEAD2two..HEAD3one-againEND");
        let mut split = TarSplit::new(&archive);
        for (name, start, end) in [("./one", 5, 8), ("two", 15, 18), ("one", 25, 34)] {
            split.file(
                name.as_bytes(),
                name.trim_start_matches("./").as_bytes(),
                start as u64,
                &archive.slice(start..end),
            );
        }
        // The second "one" replaced the first.
        let unpacked = |path: &[u8]| match path {
            b"one" => Some(archive.slice(25..34)),
            b"two" => Some(archive.slice(15..18)),
            _ => None,
        };
        let mut text = String::new();
        flate2::read::GzDecoder::new(&split.finish(&unpacked)[..]).read_to_string(&mut text).unwrap();
        let mut again = Vec::new();
        let mut names = Vec::new();
        for (position, line) in text.lines().enumerate() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["position"], position);
            let payload = STANDARD.decode(line["payload"].as_str().unwrap()).unwrap();
            match line["type"].as_u64().unwrap() {
                1 => {
                    let name = line["name"].as_str().unwrap();
                    let content = unpacked(name.as_bytes()).unwrap();
                    assert_eq!(
                        (line["size"].as_u64().unwrap(), payload),
                        (content.len() as u64, crc64(&content).to_be_bytes().to_vec())
                    );
                    names.push(name.to_owned());
                    again.extend(content);
                }
                _ => again.extend(payload),
            }
        }
        assert_eq!(again, archive);
        assert_eq!(names, ["two", "one"]);
    }
}
