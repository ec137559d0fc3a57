//! Variables that every service gets besides its own: proxy and time zone, which `distroctl provision` writes as
//! `NAME=VALUE` lines. They count from a service's next start.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Nothing behind it is read.
const LIMIT_BYTES: u64 = 64 << 10;

/// The variables of the file; none if there is none. Lines that are none are passed over.
pub(super) fn read(path: &Path) -> Vec<(String, String)> {
    let mut bytes = Vec::new();
    if File::open(path).and_then(|file| file.take(LIMIT_BYTES).read_to_end(&mut bytes)).is_err() {
        return Vec::new();
    }
    variables(&String::from_utf8_lossy(&bytes))
}

fn variables(text: &str) -> Vec<(String, String)> {
    let valid = |name: &str, value: &str| !name.is_empty() && !name.contains('\0') && !value.contains('\0');
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.filter(|(name, value)| valid(name, value)).map(|(name, value)| (name.into(), value.into())).collect()
}

#[cfg(test)]
mod tests {
    use super::{read, variables};

    #[test]
    fn reads_variables() {
        let pair = |name: &str, value: &str| (name.to_string(), value.to_string());
        assert_eq!(variables("A=1\nB=x=y\n\nnothing\n=x\nC=\0\nD="), [pair("A", "1"), pair("B", "x=y"), pair("D", "")]);
        assert!(read("/nonexistent".as_ref()).is_empty());
    }
}
