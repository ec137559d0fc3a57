//! What is wrong with a unit file, and where.

use std::rc::Rc;

/// A place in a file; line 0 is the file as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Path of the file.
    pub file: Rc<str>,
    /// Line number, from 1.
    pub line: usize,
}

impl Place {
    /// The file as a whole.
    pub fn file(path: &str) -> Self {
        Self { file: path.into(), line: 0 }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}", self.file),
        }
    }
}

/// What a problem means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The unit is there all the same; what is named is passed over.
    Warning,
    /// There is no such unit.
    Error,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What it means.
    pub severity: Severity,
    /// What it is.
    pub text: String,
}

impl Problem {
    /// One that costs the unit.
    pub fn error(place: &Place, text: impl Into<String>) -> Self {
        Self { place: place.clone(), severity: Severity::Error, text: text.into() }
    }

    /// One that costs what it names.
    pub fn warning(place: &Place, text: impl Into<String>) -> Self {
        Self { place: place.clone(), severity: Severity::Warning, text: text.into() }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = if self.severity == Severity::Error { "error" } else { "warning" };
        write!(f, "{}: {kind}: {}", self.place, self.text)
    }
}
