//! The guest's own programs, built by build.rs, as the bytes that the builder puts into images.
//!
//! A crate of its own: it needs nothing, so cargo can build them beside the builder's dependencies and not after them.

/// PID 1, statically linked.
pub static INIT: &[u8] = include_bytes!(env!("GUEST_INIT"));
/// The other guest programs, statically linked.
pub static DISTROCTL: &[u8] = include_bytes!(env!("GUEST_DISTROCTL"));
