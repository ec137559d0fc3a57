//! The configuration document: what a guest is told besides its image, as TOML. Builder and guest read it by the same
//! table of keys ([`keys`]), which is what checks it ([`check`]), what [`schema`] prints as JSON schema, and what says how a
//! heavier source goes over a lighter one ([`merge`]).
//!
//! Bytes in, values out: no files, processes or network here. A document is never refused as a whole: what is wrong comes
//! back as [`Problem`]s, what is right is kept.

pub mod base64;
mod check;
#[cfg(test)]
mod fuzz_tests;
pub mod ignition;
pub mod json;
pub mod key;
mod keys;
mod merge;
mod nearest;
pub mod nesting;
pub mod network;
pub mod network_config;
pub mod node;
mod options;
mod problem;
mod reader;
mod rules;
mod schema;
pub mod smbios;
#[cfg(test)]
mod tests;
mod text;
mod types;
pub mod user_data;
mod validate;
mod yaml;

pub use check::check;
pub use keys::DOCUMENT;
pub use merge::merge;
pub use network::Network;
pub use node::{Node, Table, Value};
pub use options::from_options;
pub use problem::Problem;
pub use schema::{reference, schema};
pub use text::{parse, write};
pub use types::{Credential, Document, File, Mount, Ntp, Proxy, Registries, User};
pub use validate::validate;

/// No source is larger.
pub const MAX_BYTES: usize = 4 << 20;
