//! packages/lock.toml as a layer: its suites and how many packages it names.

use anyhow::{Context, Result};
use bytes::Bytes;

use super::{Format, Layer};
use crate::lock::Lock;

/// No lock is larger; text beyond it is not looked at.
const MAX_BYTES: usize = 16 << 20;

pub(super) fn is_lock(bytes: &[u8]) -> bool {
    let is_small = bytes.len() <= MAX_BYTES;
    is_small && std::str::from_utf8(bytes).is_ok_and(|text| text.contains("\nrequest = ") && text.contains("[[suite]]"))
}

/// Reads the text of a lock file.
pub(super) fn parse(bytes: &Bytes) -> Result<Lock> {
    Lock::parse(std::str::from_utf8(bytes).context("reading it as text")?)
}

pub(super) fn read(bytes: &Bytes) -> Result<Layer> {
    let lock = parse(bytes)?;
    let mut layer = Layer::new(Format::Lock);
    for suite in &lock.suites {
        layer.fact("suite", format!("{} of {}", suite.name, suite.date));
    }
    layer.fact("kernel", &lock.kernel);
    layer.fact("packages", lock.packages.len());
    layer.fact("download-bytes", lock.packages.iter().map(|package| package.size).sum::<u64>());
    Ok(layer)
}
