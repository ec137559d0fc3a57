//! The line format of the builder's files for the guest: `key value` lines, `#` comments, no quoting. Keys have no space,
//! values no line break, so PID 1 needs no parser that outside bytes could confuse.

use std::fmt::Write;

/// A line that does not fit the format: its number from 1 and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// Line number, from 1.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl std::error::Error for Malformed {}

/// A key and its value with the line number (from 1) they stand on.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (usize, &str, &str)> {
    text.lines().enumerate().filter_map(|(index, line)| {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        Some((index + 1, key, value.trim()))
    })
}

/// Appends one line; line breaks in the value become spaces.
pub(crate) fn push(out: &mut String, key: &str, value: impl std::fmt::Display) {
    let value = value.to_string().replace(['\n', '\r'], " ");
    let _ = writeln!(out, "{key} {}", value.trim());
}

pub(crate) fn number<T: std::str::FromStr>(line: usize, key: &str, value: &str) -> Result<T, Malformed> {
    value.parse().map_err(|_| Malformed { line, reason: format!("{key}: expected a number, found {value:?}") })
}
