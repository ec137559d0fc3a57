//! The command line: the only room that prints.

pub mod error;
pub mod progress;
