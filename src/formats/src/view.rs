//! Checked reads of outside bytes: every read names what it looks for and the offset (in bytes from the start of the
//! outermost file), and none can panic.

use anyhow::{Context, Result, bail};

/// A piece of a file and where in the file it lies.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    bytes: &'a [u8],
    base: usize,
}

impl<'a> View<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, base: 0 }
    }

    /// Offset of the piece's byte `at` in the whole file.
    pub(crate) fn offset(&self, at: usize) -> usize {
        self.base.saturating_add(at)
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// `len` bytes at `at` as a view of their own.
    pub(crate) fn sub(&self, at: usize, len: usize, what: &str) -> Result<View<'a>> {
        let bytes = at.checked_add(len).and_then(|end| self.bytes.get(at..end)).with_context(|| {
            let left = self.bytes.len().saturating_sub(at);
            format!("reading {what} at byte {}: expected {len} bytes, found {left}", self.offset(at))
        })?;
        Ok(View { bytes, base: self.offset(at) })
    }

    pub(crate) fn take(&self, at: usize, len: usize, what: &str) -> Result<&'a [u8]> {
        Ok(self.sub(at, len, what)?.bytes)
    }

    /// `N` bytes at `at`.
    pub(crate) fn array<const N: usize>(&self, at: usize, what: &str) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(at, N, what)?);
        Ok(array)
    }

    /// Refuses bytes that are not `expected`.
    pub(crate) fn expect(&self, at: usize, expected: &[u8], what: &str) -> Result<()> {
        let found = self.take(at, expected.len(), what)?;
        if found != expected {
            bail!(
                "reading {what} at byte {}: expected \"{}\", found \"{}\"",
                self.offset(at),
                expected.escape_ascii(),
                found.escape_ascii()
            );
        }
        Ok(())
    }

    pub(crate) fn u8(&self, at: usize, what: &str) -> Result<u8> {
        Ok(self.array::<1>(at, what)?[0])
    }

    pub(crate) fn u16_le(&self, at: usize, what: &str) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array(at, what)?))
    }

    pub(crate) fn u32_le(&self, at: usize, what: &str) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array(at, what)?))
    }

    pub(crate) fn u64_le(&self, at: usize, what: &str) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array(at, what)?))
    }
}
