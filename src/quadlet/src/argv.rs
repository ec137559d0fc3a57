//! A podman command line in the making.

use std::collections::BTreeMap;

/// The engine.
pub(crate) const PODMAN: &str = "/usr/bin/podman";

/// Program and arguments.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Argv(pub(crate) Vec<String>);

impl Argv {
    pub(crate) fn push(&mut self, argument: impl Into<String>) {
        self.0.push(argument.into());
    }

    pub(crate) fn extend<T: Into<String>>(&mut self, arguments: impl IntoIterator<Item = T>) {
        self.0.extend(arguments.into_iter().map(Into::into));
    }

    /// `--flag value`.
    pub(crate) fn option(&mut self, flag: &str, value: impl Into<String>) {
        self.push(flag);
        self.push(value);
    }

    /// `--flag` or `--flag=false`.
    pub(crate) fn boolean(&mut self, flag: &str, value: bool) {
        self.push(if value { flag.to_owned() } else { format!("{flag}=false") });
    }

    /// `--flag name=value` of each.
    pub(crate) fn pairs(&mut self, flag: &str, pairs: &BTreeMap<String, String>) {
        for (name, value) in pairs {
            self.option(flag, format!("{name}={value}"));
        }
    }
}
