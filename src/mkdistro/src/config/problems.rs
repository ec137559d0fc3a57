//! What is wrong with a project's files: every problem with its place, collected so that one run tells all of them.

use std::fmt;

use crate::problem::{Class, Problem};

/// One problem of a project's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// File, relative to the project.
    pub file: String,
    /// Line, from 1; 0 if it concerns the whole file.
    pub line: usize,
    /// Dotted key; empty if there is none.
    pub key: String,
    /// What is wrong, what was expected and found.
    pub message: String,
    /// What to write instead; empty if nothing can be said.
    pub hint: String,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)?;
        if !self.hint.is_empty() {
            write!(f, "\n  hint: {}", self.hint)?;
        }
        Ok(())
    }
}

/// Everything that is wrong with a project's files, by file and line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems(pub Vec<ConfigProblem>);

impl Problems {
    /// A problem of a whole file.
    pub(super) fn file(&mut self, file: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.0.push(ConfigProblem {
            file: file.into(),
            line: 0,
            key: String::new(),
            message: message.into(),
            hint: hint.into(),
        });
    }

    /// Orders by file and line; problems of one line stay as they were found.
    pub(super) fn sort(&mut self) {
        self.0.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(f, "the project has a problem")?,
            count => write!(f, "the project has {count} problems")?,
        }
        self.0.iter().try_for_each(|problem| write!(f, "\n{problem}"))
    }
}

impl std::error::Error for Problems {}

impl From<Problems> for Problem {
    fn from(problems: Problems) -> Self {
        Self { class: Class::Config, message: problems.to_string(), hint: String::new() }
    }
}
