//! Package files from cache or mirror, verified while they stream.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::lock::Locked;

/// A locked project whose package files are all on this machine, verified.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The project and its lock.
    pub locked: Locked,
    /// Package name → verified file in the cache.
    pub files: BTreeMap<String, PathBuf>,
}
