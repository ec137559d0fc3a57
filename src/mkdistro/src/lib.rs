//! Builds bootable, RAM-resident micro Linux distributions that run containers.
//!
//! The stages are plain types, each made only by the step before:
//! [`config::Checked`] → [`lock::Locked`] → [`fetch::Fetched`] → [`root::RootTree`] → [`image::Image`].

pub mod add;
pub mod archive;
pub mod bootchart;
pub mod builtin;
pub mod burn;
pub mod cache;
pub mod cli;
pub mod config;
pub mod deb;
pub mod diff;
pub mod doctor;
pub mod elf;
pub mod fetch;
#[cfg(test)]
mod fuzz_tests;
mod hashing;
pub mod image;
pub mod inspect;
mod interrupt;
pub mod kernel;
pub mod lint;
pub mod lock;
pub mod make;
pub mod matrix;
mod nearest;
pub mod oci;
mod pattern;
pub mod problem;
pub mod progress;
mod quadlets;
pub mod report;
pub mod root;
pub mod sbom;
pub mod serve;
pub mod shell;
pub mod signing;
pub mod sources;
pub mod sums;
pub mod template;
pub mod timeline;
pub mod verify;
pub mod watch;
