//! A tar archive of texts: `struct posix_header` of ustar (POSIX.1-2024, pax, "ustar Interchange Format"): 512-byte blocks,
//! numbers as octal digits, checksum over the header with its own field as spaces.

const BLOCK: usize = 512;
const FOLDER: &str = "support";

/// The archive as it grows.
pub(super) struct Writer {
    bytes: Vec<u8>,
    time_secs: u64,
}

impl Writer {
    pub(super) fn new() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self { bytes: Vec::new(), time_secs: now.map_or(0, |now| now.as_secs()) }
    }

    /// Adds a file below the archive's folder.
    pub(super) fn add(&mut self, name: &str, content: &[u8]) {
        self.bytes.extend(header(&format!("{FOLDER}/{name}"), content.len(), self.time_secs));
        self.bytes.extend(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
    }

    /// Two empty blocks end it.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 2 * BLOCK, 0);
        self.bytes
    }
}

/// Offsets: name 0 (100 bytes), mode 100, uid 108, gid 116 (8 each), size 124, time 136 (12 each), checksum 148 (8), type 156,
/// magic 257, version 263.
fn header(name: &str, size: usize, time_secs: u64) -> [u8; BLOCK] {
    let mut block = [0u8; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| {
        block.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = *from);
    };
    // Names here are short; a longer one is cut at the front, where the folders are.
    put(0, name.as_bytes().get(name.len().saturating_sub(99)..).unwrap_or_default());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, format!("{time_secs:011o}\0").as_bytes());
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\0");
    put(263, b"00");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    let sum = format!("{sum:06o}\0 ");
    block.iter_mut().skip(148).zip(sum.bytes()).for_each(|(to, from)| *to = from);
    block
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::Writer;

    #[test]
    fn tar_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::new();
        writer.add("a.txt", b"one\n");
        writer.add("files/proc/b", &[b'x'; 513]);
        let archive = folder.path().join("a.tar");
        std::fs::write(&archive, writer.finish()).unwrap();
        let status = Command::new("tar")
            .arg("-xf")
            .arg(&archive)
            .arg("-C")
            .arg(folder.path())
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
        assert_eq!(std::fs::read(folder.path().join("support/a.txt")).unwrap(), b"one\n");
        assert_eq!(std::fs::metadata(folder.path().join("support/files/proc/b")).unwrap().len(), 513);
    }
}
