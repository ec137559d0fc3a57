//! What is wrong at one place of a source.

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problem {
    /// The file, or what stands for it; filled in by who reads the source.
    pub source: String,
    /// Line, from 1; 0 if unknown.
    pub line: usize,
    /// Path of the key, `files[2].mode`; empty for the whole.
    pub key: String,
    /// What is wrong: `expected …, found …` or a sentence.
    pub reason: String,
    /// What to do about it; may be empty.
    pub hint: String,
}

impl Problem {
    /// A problem at a key.
    pub fn at(key: impl Into<String>, line: usize, reason: impl Into<String>) -> Self {
        Self { key: key.into(), line, reason: reason.into(), ..Self::default() }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// The same with its source.
    #[must_use]
    pub fn within(mut self, source: &str) -> Self {
        self.source = source.into();
        self
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.source.is_empty() {
            write!(f, "{}:", self.source)?;
            if self.line > 0 {
                write!(f, "{}:", self.line)?;
            }
            f.write_str(" ")?;
        } else if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.reason)?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, "\nhint: {}", self.hint) }
    }
}
