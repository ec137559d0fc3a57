//! Sizes of disks in distro.toml: `512MiB`, `2GiB`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Units, largest first: name and bytes.
const UNITS: [(&str, u64); 3] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20)];
/// The largest disk that all formats can hold: VHD's limit.
const MAX_BYTES: u64 = 2040 << 30;

/// A whole number of MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size {
    bytes: u64,
}

impl Size {
    /// So many GiB.
    pub const fn gib(count: u64) -> Self {
        Self { bytes: count << 30 }
    }

    /// In bytes.
    pub fn bytes(self) -> u64 {
        self.bytes
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (digits, unit) = UNITS.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))?;
            let is_number = digits.bytes().all(|digit| digit.is_ascii_digit());
            let bytes = digits.parse::<u64>().ok().filter(|_| is_number)?.checked_mul(*unit)?;
            (1..=MAX_BYTES).contains(&bytes).then_some(Self { bytes })
        };
        read().ok_or_else(|| format!("expected a number with MiB, GiB or TiB, at most 2040GiB, found {text:?}"))
    }
}

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        size.to_string()
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.iter().find(|(_, unit)| self.bytes.is_multiple_of(*unit));
        let (name, unit) = unit.copied().unwrap_or(("MiB", 1 << 20));
        write!(f, "{}{name}", self.bytes / unit)
    }
}

#[cfg(test)]
mod tests {
    use super::Size;

    #[test]
    fn reads_and_shows_sizes() {
        for (text, mib, shown) in [
            ("2GiB", 2048, "2GiB"),
            ("512MiB", 512, "512MiB"),
            ("1024MiB", 1024, "1GiB"),
            ("1TiB", 1 << 20, "1TiB"),
            ("2040GiB", 2040 << 10, "2040GiB"),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!((size.bytes(), size.to_string().as_str()), (mib << 20, shown));
        }
        for wrong in ["", "GiB", "0MiB", "2", "2GB", "2G", "-1GiB", "+1GiB", "1.5GiB", "2041GiB", "99999999999TiB"] {
            let error = wrong.parse::<Size>().unwrap_err();
            assert!(error.ends_with(&format!("at most 2040GiB, found {wrong:?}")), "{error}");
        }
    }
}
