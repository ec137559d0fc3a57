//! What the host of a virtual machine offers: folders ([`shares`]), QEMU's guest agent ([`agent`]), a shell over vsock
//! ([`vsock`]).

pub(crate) mod agent;
pub(crate) mod shares;
pub(crate) mod vsock;
