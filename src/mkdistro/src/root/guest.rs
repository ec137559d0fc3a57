//! The guest's own programs, built by build.rs and carried in this binary.

/// PID 1, statically linked.
pub const INIT: &[u8] = include_bytes!(env!("GUEST_INIT"));
/// The other guest programs, statically linked.
pub const DISTROCTL: &[u8] = include_bytes!(env!("GUEST_DISTROCTL"));
