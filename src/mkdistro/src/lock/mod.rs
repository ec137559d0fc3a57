//! `packages/lock.toml`: exactly which package files a build uses.

mod indices;
mod outdated;
mod request;
mod resolve;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use document::nesting;
use serde::{Deserialize, Serialize};

use crate::archive::date;
use crate::builtin::Builtin;
use crate::config::{Checked, edit};
use crate::problem::{Class, Problem};

pub use indices::{Described, Indices};
pub(crate) use indices::{Freshness, index, read_keyring, release};
pub use outdated::{Outdated, outdated};
pub use request::Request;
pub use resolve::resolve;

/// Where the lock is, relative to the project.
pub const PATH: &str = "packages/lock.toml";

/// The format that is written and read.
const SCHEMA: u32 = 1;

/// No package of Debian comes near it.
const MAX_PACKAGE_BYTES: u64 = 4 << 30;

const HEADER: &str = "\
# Written by `mkdistro lock`: the package files that a build uses, from signed Release files. Do not edit; commit it.

";

/// The lock file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Lock {
    /// Version of this file's format; 1.
    pub schema: u32,
    /// sha256 of what the lock was made for: suites, components and the package names asked for.
    pub request: String,
    /// The package that the kernel comes from, one of `packages`: what distro.toml's meta package led to.
    pub kernel: String,
    /// Suites as they were: sorted by name.
    #[serde(rename = "suite")]
    pub suites: Vec<LockedSuite>,
    /// Packages, sorted by name.
    #[serde(rename = "package")]
    pub packages: Vec<LockedPackage>,
    /// Container images, sorted by name.
    #[serde(rename = "image", default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<LockedImage>,
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
    /// The flavours whose builds use it; empty: those of all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flavours: Vec<String>,
}

/// One container image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedImage {
    /// Its name in the guest.
    pub name: String,
    /// Where it comes from: the reference of distro.toml, or `file:` and the path.
    pub source: String,
    /// `sha256:…` of the manifest or index that the source led to.
    pub digest: String,
    /// Size of that in bytes.
    pub size: u64,
}

/// A checked project with a lock that fits it.
#[derive(Debug, Clone)]
pub struct Locked {
    /// The project.
    pub checked: Checked,
    /// Its lock.
    pub lock: Lock,
}

/// Which packages and images of an existing lock [`resolve`] may give another version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// None.
    Nothing,
    /// These.
    Only(Vec<String>),
    /// All.
    All,
}

impl Update {
    /// Whether an image is to be looked up again.
    pub(crate) fn moves_image(&self, image: &LockedImage) -> bool {
        match self {
            Self::Nothing => false,
            Self::Only(names) => names.iter().any(|name| image.is_called(name)),
            Self::All => true,
        }
    }
}

impl LockedImage {
    /// Whether a user may mean it by that.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        name == self.name || name == self.source || Some(name) == self.source.strip_prefix("file:")
    }
}

impl Lock {
    /// Reads a project's lock.
    ///
    /// # Errors
    /// Class `Lock`: it is missing, or [`Self::parse`] refuses it.
    pub fn read(project: &Path) -> Result<Self> {
        let missing = |error: std::io::Error| {
            Problem::error(Class::Lock, format!("reading {PATH}: {error}"), "\"mkdistro lock\" writes it")
        };
        Self::parse(&fs::read_to_string(project.join(PATH)).map_err(missing)?)
    }

    /// Reads a lock, or `None` if the project has none yet.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_if_present(project: &Path) -> Result<Option<Self>> {
        if project.join(PATH).exists() { Self::read(project).map(Some) } else { Ok(None) }
    }

    /// The lock that this program carries, if it was made for what the project asks.
    pub fn builtin(checked: &Checked, builder: &[&str]) -> Option<Self> {
        let lock = Self::parse(Builtin::ALL.text(PATH)?).ok()?;
        (Request::of(checked, builder).hash() == lock.request).then_some(lock)
    }

    /// Reads and checks the text of a lock.
    ///
    /// # Errors
    /// Class `Lock`: not TOML, unknown keys, another schema, or values that cannot be: names, hashes, sizes, paths that
    /// leave the mirror, duplicates.
    pub fn parse(text: &str) -> Result<Self> {
        let refused = |reason: String| {
            let hint = "the file was edited or damaged; \"mkdistro lock\" writes it anew";
            Problem::error(Class::Lock, format!("reading {PATH}: {reason}"), hint)
        };
        if let Some(line) = nesting::too_deep(text) {
            return Err(refused(format!("line {line}: nested too deeply")));
        }
        let lock: Self = toml::from_str(text).map_err(|error| refused(error.to_string().trim_end().to_owned()))?;
        lock.check_values().map_err(|(reason, object)| {
            let line = object.and_then(|object| line_in(text, &object));
            refused(line.map_or_else(|| reason.clone(), |line| format!("line {line}: {reason}")))
        })?;
        Ok(lock)
    }

    /// What is wrong, and a value in the offending line.
    fn check_values(&self) -> Result<(), (String, Option<String>)> {
        if self.schema != SCHEMA {
            return Err((format!("schema {}, but this mkdistro reads {SCHEMA}", self.schema), None));
        }
        if !is_sha256(&self.request) {
            return Err(("request is not a sha256".to_owned(), Some(self.request.clone())));
        }
        let mut dates = BTreeMap::new();
        for LockedSuite { name, date } in &self.suites {
            if date::parse_rfc3339(date).is_none() || dates.insert(name.as_str(), date).is_some() {
                return Err((format!("suite {name}: malformed date or second entry"), Some(name.clone())));
            }
        }
        let mut previous = "";
        for package in &self.packages {
            let refused =
                |reason: &str| Err((format!("package {}: {reason}", package.name), Some(package.name.clone())));
            if let Some(reason) = package.wrong_value() {
                return refused(&reason);
            }
            if !dates.contains_key(package.suite.as_str()) {
                return refused(&format!("suite {:?} is not in the lock", package.suite));
            }
            if package.name.as_str() <= previous {
                return refused("listed twice or out of order");
            }
            previous = &package.name;
        }
        let mut previous = "";
        for image in &self.images {
            let reason = image.wrong_value().or((image.name.as_str() <= previous).then(|| "out of order".to_owned()));
            if let Some(reason) = reason {
                return Err((format!("image {}: {reason}", image.name), Some(image.name.clone())));
            }
            previous = &image.name;
        }
        if self.package(&self.kernel).is_none() {
            return Err((format!("the kernel's package {:?} is not in it", self.kernel), Some(self.kernel.clone())));
        }
        Ok(())
    }

    /// What a flavour uses of it: a lock as the flavour would have were it a project of its own.
    pub fn narrowed(mut self, checked: &Checked, builder: &[&str]) -> Self {
        if checked.others.is_empty() {
            return self;
        }
        let flavour = checked.flavour_key();
        self.packages
            .retain(|package| package.flavours.is_empty() || package.flavours.iter().any(|other| other == flavour));
        self.packages.iter_mut().for_each(|package| package.flavours.clear());
        self.images.retain(|locked| checked.distro.images.iter().any(|image| image.is_locked_as(locked)));
        self.request = Request::of_flavour(checked, builder).hash();
        self
    }

    /// A package by name.
    pub fn package(&self, name: &str) -> Option<&LockedPackage> {
        let index = self.packages.binary_search_by(|package| package.name.as_str().cmp(name)).ok()?;
        self.packages.get(index)
    }

    /// The file's text; the same lock gives the same bytes.
    ///
    /// # Errors
    /// None in practice: all values have a form in TOML.
    pub fn to_text(&self) -> Result<String> {
        Ok(HEADER.to_owned() + &toml::to_string(self).context("writing the lock as TOML")?)
    }

    /// Writes a project's lock, by rename from a temporary file beside it.
    ///
    /// # Errors
    /// Class `Output`: the file cannot be written.
    pub fn write(&self, project: &Path) -> Result<()> {
        let path = project.join(PATH);
        let text = self.to_text()?;
        edit::replace(&path, &text)
            .map_err(|error| Problem::error(Class::Output, format!("writing {}: {error}", path.display()), ""))
    }

    /// What changed since `old`, one line per package, sorted by name, then per image: `added …`, `removed …`,
    /// `changed … → …`, each package with what it does to the download.
    pub fn diff(&self, old: &Self) -> Vec<String> {
        let mut lines = BTreeMap::new();
        for LockedPackage { name, version, size, .. } in &old.packages {
            if self.package(name).is_none() {
                lines.insert(name, format!("removed {name} {version} ({})", bytes_difference(0, *size)));
            }
        }
        for package in &self.packages {
            let LockedPackage { name, version, size, .. } = package;
            match old.package(name) {
                None => drop(lines.insert(name, format!("added {name} {version} ({})", bytes_difference(*size, 0)))),
                Some(before) if before.version != *version => {
                    let difference = bytes_difference(*size, before.size);
                    lines.insert(name, format!("changed {name} {} → {version} ({difference})", before.version));
                }
                Some(before) if before.sha256 != package.sha256 => {
                    lines.insert(name, format!("changed {name} {version} (another file of the same version)"));
                }
                Some(_) => {}
            }
        }
        let mut lines: Vec<String> = lines.into_values().collect();
        lines.extend(self.image_diff(old));
        lines
    }

    fn image_diff(&self, old: &Self) -> Vec<String> {
        let mut lines = BTreeMap::new();
        for LockedImage { name, digest, .. } in &old.images {
            if !self.images.iter().any(|image| image.name == *name) {
                lines.insert(name, format!("removed {name} {digest}"));
            }
        }
        for LockedImage { name, digest, .. } in &self.images {
            match old.images.iter().find(|image| image.name == *name) {
                None => drop(lines.insert(name, format!("added {name} {digest}"))),
                Some(before) if before.digest != *digest => {
                    lines.insert(name, format!("changed {name} {} → {digest}", before.digest));
                }
                Some(_) => {}
            }
        }
        lines.into_values().collect()
    }
}

/// `+1.2 MB`, `-340 kB`, `+12 B`.
fn bytes_difference(new: u64, old: u64) -> String {
    let sign = if new < old { '-' } else { '+' };
    match new.abs_diff(old) {
        bytes if bytes < 1000 => format!("{sign}{bytes} B"),
        bytes if bytes < 1_000_000 => format!("{sign}{:.0} kB", bytes as f64 / 1e3),
        bytes => format!("{sign}{:.1} MB", bytes as f64 / 1e6),
    }
}

impl LockedPackage {
    /// What cannot be right about it.
    fn wrong_value(&self) -> Option<String> {
        let name_ok = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.');
        let version_ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'-' | b'~' | b':');
        let path_ok = |b: u8| b.is_ascii_graphic() && !matches!(b, b'\\' | b'"' | b'?' | b'#');
        let segment_ok = |segment: &str| !matches!(segment, "" | "." | "..");
        if self.name.is_empty() || !self.name.bytes().all(name_ok) {
            return Some("malformed name".to_owned());
        }
        if self.version.is_empty() || !self.version.bytes().all(version_ok) {
            return Some(format!("malformed version {:?}", self.version));
        }
        if !self.path.bytes().all(path_ok) || !self.path.split('/').all(segment_ok) {
            return Some(format!("{:?} is not a path below a mirror", self.path));
        }
        if !is_sha256(&self.sha256) {
            return Some(format!("{:?} is not a sha256", self.sha256));
        }
        if self.size == 0 || self.size > MAX_PACKAGE_BYTES {
            return Some(format!("a size of {} bytes", self.size));
        }
        None
    }
}

/// Takes a lock for a project if it was made for what the project asks now; of it, what its flavour uses. `builder` are the packages that the builder
/// itself needs, as for [`resolve`].
///
/// # Errors
/// Class `Lock`: the lock was made for other suites, components or packages.
pub fn check(checked: Checked, lock: Lock, builder: &[&str]) -> Result<Locked> {
    let request = Request::of(&checked, builder);
    if request.hash() == lock.request {
        let lock = lock.narrowed(&checked, builder);
        return Ok(Locked { checked, lock });
    }
    let missing: Vec<&str> =
        request.packages.keys().map(String::as_str).filter(|name| lock.package(name).is_none()).collect();
    let mut message =
        format!("{PATH} was made for other suites, packages or images than distro.toml and its recipes ask for now");
    if !missing.is_empty() {
        // Writing to a String cannot fail.
        let _ = write!(message, "; not in it: {}", missing.join(", "));
    }
    Err(Problem::error(Class::Lock, message, "run \"mkdistro lock\""))
}

/// Line (from 1) of a project's lock that has this value.
pub(crate) fn line_of(project: &Path, value: &str) -> Option<usize> {
    line_in(&fs::read_to_string(project.join(PATH)).ok()?, value)
}

fn line_in(text: &str, value: &str) -> Option<usize> {
    let quoted = format!("\"{value}\"");
    text.lines().position(|line| line.contains(&quoted)).map(|index| index + 1)
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
mod update_tests;
