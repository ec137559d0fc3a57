//! Builds bootable, RAM-resident micro Linux distributions that run containers.
//!
//! The stages are plain types, each made only by the step before:
//! [`config::Checked`] → [`lock::Locked`] → [`fetch::Fetched`] → [`root::RootTree`] → [`image::Image`].

pub mod add;
pub mod archive;
pub mod builtin;
pub mod cli;
pub mod config;
pub mod deb;
pub mod elf;
pub mod fetch;
pub mod image;
pub mod kernel;
pub mod lock;
mod nearest;
pub mod problem;
pub mod progress;
pub mod root;
pub mod shell;
pub mod template;
