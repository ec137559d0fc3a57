//! Which version of each component really runs, for every pair of a suite and a flavour: what `mkdistro matrix` writes.
//!
//! A manifest ([`Manifest`]) names suites and flavours; each pair is locked for itself, built and booted, and the running
//! system is asked ([`versions`]). A pair that fails keeps its place in the [`Table`], with the reason.

mod manifest;
mod table;
pub mod versions;

pub use manifest::{Manifest, Suite};
pub use table::{Outcome, Row, Table};

/// A suite and a flavour, by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    /// Of the manifest.
    pub suite: String,
    /// Of distro.toml; `-` for one that has none.
    pub flavour: String,
}

/// The name of what is built where distro.toml has no flavours.
pub const NO_FLAVOUR: &str = "-";

impl std::fmt::Display for Pair {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}/{}", self.suite, self.flavour)
    }
}
