//! The few rtnetlink requests that configuring takes (rtnetlink(7); kernel `linux/rtnetlink.h`, `linux/netlink.h`). All
//! numbers are in host byte order, addresses in network byte order; messages and attributes are padded to four bytes.

mod events;
mod link;
mod route;
#[cfg(test)]
mod tests;

use std::os::fd::OwnedFd;

use rustix::io::{Errno, Result};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};

pub(super) use events::{Events, UserOptions};
pub(super) use route::Protocol;

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_REPLACE: u16 = 0x100;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const NLMSG_ERROR: u16 = 2;
/// `NLA_F_NESTED`: the attribute holds attributes.
const NESTED: u16 = 0x8000;

/// A request to the kernel's tables of links, addresses and routes.
struct Request(Vec<u8>);

impl Request {
    /// Header (length comes with [`Request::finish`]) and the fixed part of the message.
    fn new(kind: u16, flags: u16, fixed: &[u8]) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((NLM_F_REQUEST | NLM_F_ACK | flags).to_ne_bytes());
        bytes.extend([0; 8]); // sequence number, port
        bytes.extend(fixed);
        Self(bytes)
    }

    fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.extend(attribute(kind, value));
        self
    }

    fn finish(mut self) -> Vec<u8> {
        let length = self.0.len() as u32;
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0
    }
}

/// `struct rtattr`: length without padding (16 bits), type (16 bits), value, padding.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 + value.len().next_multiple_of(4));
    bytes.extend((4 + value.len() as u16).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A socket for requests.
pub(super) struct RouteSocket(OwnedFd);

impl RouteSocket {
    pub(super) fn open() -> Result<Self> {
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        Ok(Self(socket))
    }

    /// Sends a request and reads the kernel's answer: NLMSG_ERROR with a negative errno, 0 for success.
    fn call(&self, request: Request) -> Result<()> {
        send(&self.0, &request.finish(), SendFlags::empty())?;
        let mut answer = [0; 4096];
        let (length, _) = rustix::io::retry_on_intr(|| recv(&self.0, &mut answer[..], RecvFlags::empty()))?;
        status(answer.get(..length).unwrap_or_default())
    }
}

/// `struct nlmsghdr` (length 32 bits, type 16, flags 16, sequence 32, port 32), then for NLMSG_ERROR the errno.
fn status(answer: &[u8]) -> Result<()> {
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
    let error = answer.get(16..20).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
    match (kind, error) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(NLMSG_ERROR), Some(error)) => Err(Errno::from_raw_os_error(error.saturating_neg())),
        _ => Err(Errno::BADMSG),
    }
}
