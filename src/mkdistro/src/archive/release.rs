//! `InRelease`: the signed description of a suite, with the hashes of its package indices.
//!
//! Reference: Debian's repository format, "Release files". Only the signed text is looked at. `Valid-Until` is optional
//! there (a stable suite has none between its point releases); where it stands, it counts.

use std::collections::BTreeMap;

use thiserror::Error;

use super::date;
use super::keyring::{CLOCK_SLACK_SECS, Keyring, SignatureError};
use crate::problem::{Class, Problem};

/// Debian's largest is 0.3 MB.
pub const MAX_SIZE_BYTES: u64 = 16 << 20;

/// The indices that are used.
const INDICES: [&str; 2] = ["/binary-amd64/Packages", "/source/Sources"];

/// What a Release file says, as far as packages are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// `Suite`: `stable-security`.
    pub suite: String,
    /// `Codename`: `trixie-security`.
    pub codename: String,
    /// `Date`, seconds since 1970.
    pub date: u64,
    /// Whether indices can be had by their hash, so that a mirror that is being updated does no harm.
    pub by_hash: bool,
    /// `Components`.
    pub components: Vec<String>,
    /// Package and source indices: path below the suite's folder → size and sha256 in hex.
    pub indices: BTreeMap<String, (u64, String)>,
}

/// What is asked of a Release file.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Suite or code name.
    pub suite: &'a str,
    /// The present, seconds since 1970.
    pub now: u64,
    /// Date of the Release file that the existing lock was made from.
    pub not_before: Option<u64>,
}

/// Why a Release file is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReleaseError {
    /// See there.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// Not a Release file.
    #[error("{0}")]
    Malformed(String),
    /// A good one, of another suite.
    #[error("it describes suite {suite} (code name {codename})")]
    WrongSuite {
        /// `Suite`.
        suite: String,
        /// `Codename`.
        codename: String,
    },
    /// `Valid-Until` is over.
    #[error("it was valid until {}, and now it is {}", date::format_rfc3339(*.until), date::format_rfc3339(*.now))]
    Expired {
        /// `Valid-Until`.
        until: u64,
        /// The present.
        now: u64,
    },
    /// `Date` is ahead of the clock.
    #[error("it was made at {}, and now it is {}", date::format_rfc3339(*.made), date::format_rfc3339(*.now))]
    Future {
        /// `Date`.
        made: u64,
        /// The present.
        now: u64,
    },
    /// Older than what the lock was made from.
    #[error(
        "it was made at {}, before the one that packages/lock.toml was made from ({})",
        date::format_rfc3339(*.made),
        date::format_rfc3339(*.locked)
    )]
    RollBack {
        /// `Date`.
        made: u64,
        /// The lock's.
        locked: u64,
    },
}

impl ReleaseError {
    /// As an error that names the file.
    pub fn problem(&self, url: &str, suite: &str) -> anyhow::Error {
        let hint = match self {
            Self::Signature(SignatureError::UnknownKey(_) | SignatureError::RevokedKey(_)) => {
                "[sources] keyring in distro.toml names the file with the keys that must have signed it"
            }
            Self::Signature(SignatureError::ExpiredKey(_)) => {
                "take newer keys from the package debian-archive-keyring into the file that [sources] keyring names"
            }
            Self::Signature(SignatureError::FutureSignature(_)) | Self::Future { .. } => "check this machine's clock",
            Self::Signature(_) | Self::Malformed(_) => {
                "something between the archive and this machine changed it (a proxy, a login page); try another mirror"
            }
            Self::WrongSuite { .. } => "check [sources] suites in distro.toml, or try another mirror",
            Self::Expired { .. } => "the mirror is behind: try another one; if it is not, check this machine's clock",
            Self::RollBack { .. } => {
                "the mirror is behind: try another one; to go back on purpose, remove packages/lock.toml first"
            }
        };
        Problem::error(Class::Verify, format!("Release file of {suite} at {url}: {self}"), hint)
    }
}

impl Release {
    /// Checks an `InRelease` file and reads it.
    ///
    /// # Errors
    /// See [`ReleaseError`].
    pub fn verify(message: &[u8], keyring: &Keyring, expected: &Expected<'_>) -> Result<Self, ReleaseError> {
        let message = std::str::from_utf8(message).map_err(|_| ReleaseError::Malformed("it is not UTF-8".into()))?;
        let text = keyring.verify(message, expected.now)?;
        let (release, until) = Self::parse(&text).map_err(ReleaseError::Malformed)?;
        if release.suite != expected.suite && release.codename != expected.suite {
            return Err(ReleaseError::WrongSuite { suite: release.suite, codename: release.codename });
        }
        if let Some(until) = until.filter(|until| *until < expected.now) {
            return Err(ReleaseError::Expired { until, now: expected.now });
        }
        if release.date > expected.now + CLOCK_SLACK_SECS {
            return Err(ReleaseError::Future { made: release.date, now: expected.now });
        }
        if let Some(locked) = expected.not_before.filter(|locked| *locked > release.date) {
            return Err(ReleaseError::RollBack { made: release.date, locked });
        }
        Ok(release)
    }

    /// Reads the signed text; also `Valid-Until`.
    fn parse(text: &str) -> Result<(Self, Option<u64>), String> {
        let mut fields: BTreeMap<&str, &str> = BTreeMap::new();
        let mut indices = BTreeMap::new();
        let mut field = "";
        for line in text.lines() {
            if line.starts_with([' ', '\t']) {
                if field == "SHA256" && INDICES.iter().any(|index| line.contains(index)) {
                    let (path, entry) = parse_hash(line).ok_or_else(|| format!("malformed hash line {line:?}"))?;
                    indices.insert(path.to_owned(), entry);
                }
            } else if let Some((name, value)) = line.split_once(':') {
                field = name;
                if fields.insert(name, value.trim()).is_some() {
                    return Err(format!("field {name} occurs twice"));
                }
            } else if !line.is_empty() {
                return Err(format!("line {line:?} is not a field"));
            }
        }
        let time = |name: &str| match fields.get(name) {
            None => Ok(None),
            Some(value) => {
                date::parse_release(value).map(Some).ok_or_else(|| format!("{name} {value:?} is no date in UTC"))
            }
        };
        let date = time("Date")?.ok_or("it has no Date")?;
        let until = time("Valid-Until")?;
        let owned = |name: &str| fields.get(name).map(|value| (*value).to_owned()).unwrap_or_default();
        let components = owned("Components").split_whitespace().map(str::to_owned).collect();
        let by_hash = fields.get("Acquire-By-Hash") == Some(&"yes");
        Ok((Self { suite: owned("Suite"), codename: owned("Codename"), date, by_hash, components, indices }, until))
    }
}

/// ` <sha256> <size> <path>`.
fn parse_hash(line: &str) -> Option<(&str, (u64, String))> {
    let mut words = line.split_whitespace();
    let (hash, size, path) = (words.next()?, words.next()?, words.next()?);
    let valid = hash.len() == 64 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !valid || words.next().is_some() {
        return None;
    }
    Some((path, (size.parse().ok()?, hash.to_owned())))
}

#[cfg(test)]
#[path = "release_tests.rs"]
mod tests;
