//! A writer that hashes what goes through it.

use std::io::{self, Write};

use sha2::{Digest, Sha256};

/// Passes on what is written, and hashes what the other writer has taken of it.
pub(crate) struct Hashing<W> {
    out: W,
    hash: Sha256,
}

impl<W> Hashing<W> {
    /// `hash` may have begun with something else.
    pub(crate) fn new(out: W, hash: Sha256) -> Self {
        Self { out, hash }
    }

    /// The writer, and the hash of all that was written.
    pub(crate) fn finish(self) -> (W, Sha256) {
        (self.out, self.hash)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hash.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes three bytes at a time.
    struct Slow(Vec<u8>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(3);
            self.0.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn hashes_what_was_taken_once() {
        let mut out = Hashing::new(Slow(Vec::new()), Sha256::new_with_prefix("a"));
        out.write_all(b"bcdefgh").unwrap();
        let (slow, hash) = out.finish();
        assert_eq!((&slow.0[..], hash.finalize()), (&b"bcdefgh"[..], Sha256::digest("abcdefgh")));
    }
}
