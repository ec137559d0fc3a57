//! `packages/lock.toml`: exactly which package files a build uses.

use serde::{Deserialize, Serialize};

use crate::config::Checked;

/// The lock file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Lock {
    /// Version of this file's format; 1.
    pub schema: u32,
    /// sha256 of what the lock was made for: suites, components and the package names asked for.
    pub request: String,
    /// Suites as they were: sorted by name.
    #[serde(rename = "suite")]
    pub suites: Vec<LockedSuite>,
    /// Packages, sorted by name.
    #[serde(rename = "package")]
    pub packages: Vec<LockedPackage>,
}

/// State of a suite when the lock was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedSuite {
    /// `trixie-security`.
    pub name: String,
    /// `Date` of its Release file, RFC 3339 in UTC; a later lock refuses an older one.
    pub date: String,
}

/// One package file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedPackage {
    /// Binary package.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Suite it was found in.
    pub suite: String,
    /// Source package and its version, for reports.
    pub source: String,
    /// Path below a mirror's base URL.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// sha256 of the file, hex.
    pub sha256: String,
}

/// A checked project with a lock that fits it.
#[derive(Debug, Clone)]
pub struct Locked {
    /// The project.
    pub checked: Checked,
    /// Its lock.
    pub lock: Lock,
}
