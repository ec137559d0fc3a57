//! Errors that a user can act on: a class that decides the exit code, and a hint.

use std::fmt;

/// What kind of failure it is; decides the exit code of [`contract::exit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// distro.toml, a recipe, a kernel fragment or the overlay.
    Config,
    /// No mirror has it, or the network failed.
    Network,
    /// A signature, hash or size is not what it must be.
    Verify,
    /// The lock does not fit.
    Lock,
    /// The output could not be written.
    Output,
}

impl Class {
    /// The exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Config => contract::exit::CONFIG,
            Self::Network => contract::exit::NETWORK,
            Self::Verify => contract::exit::VERIFY,
            Self::Lock => contract::exit::LOCK,
            Self::Output => contract::exit::OUTPUT,
        }
    }
}

/// A failure with its class and what to do about it. Travels as a cause inside [`anyhow::Error`].
#[derive(Debug)]
pub struct Problem {
    /// What kind of failure.
    pub class: Class,
    /// Action, object, expected and found.
    pub message: String,
    /// What the user can do; empty if nothing.
    pub hint: String,
}

impl Problem {
    /// A problem as an [`anyhow::Error`].
    pub fn error(class: Class, message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Self { class, message: message.into(), hint: hint.into() })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

/// The exit code of an error: that of the first [`Problem`] in its chain.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Problem>())
        .map_or(contract::exit::FAILURE, |problem| problem.class.exit_code())
}
