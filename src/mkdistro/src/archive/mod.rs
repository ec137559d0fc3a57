//! Debian archives: where mirrors are, their signed Release files, and their package indices.
//!
//! Reference: Debian's repository format (wiki.debian.org/DebianRepository/Format).

pub mod apt;
mod ca;
pub mod date;
pub mod http;
pub mod keyring;
pub mod mirrors;
pub mod packages;
mod plain_proxy;
pub mod proxy;
pub mod relation;
pub mod release;
pub mod sources;
pub mod version;

#[cfg(test)]
pub(crate) mod testing;
