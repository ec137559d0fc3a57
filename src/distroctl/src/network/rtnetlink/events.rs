//! What the kernel tells by itself: that a link has changed, and options of router advertisements that it leaves to
//! programs (`RTM_NEWNDUSEROPT`, kernel `net/ipv6/ndisc.c`, `ndisc_ra_useropt`).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::{Errno, Result};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};

const RTMGRP_LINK: u32 = 0x1;
/// Bit of the group `RTNLGRP_ND_USEROPT`, which is number 20.
const RTMGRP_ND_USEROPT: u32 = 1 << 19;
const RTM_NEWNDUSEROPT: u16 = 68;
const AF_INET6: u8 = 10;
/// Type of the ICMPv6 message (RFC 4861 section 4.2).
const ROUTER_ADVERTISEMENT: u8 = 134;

/// A socket that becomes readable when there is something to tell.
pub(in super::super) struct Events(OwnedFd);

/// Options of a router advertisement, as RFC 4861 section 4.6 lays them out one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct UserOptions {
    /// Interface that the advertisement came by.
    pub(in super::super) index: u32,
    pub(in super::super) options: Vec<u8>,
}

impl Events {
    pub(in super::super) fn open() -> Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        bind(&socket, &SocketAddrNetlink::new(0, RTMGRP_LINK | RTMGRP_ND_USEROPT))?;
        Ok(Self(socket))
    }

    /// Takes all waiting events: whether links may have changed, and the options. What became of links is read from
    /// `/sys/class/net`.
    pub(in super::super) fn drain(&self) -> (bool, Vec<UserOptions>) {
        let (mut links, mut options) = (false, Vec::new());
        let mut buffer = [0; 16384];
        loop {
            match recv(&self.0, &mut buffer[..], RecvFlags::empty()) {
                Ok((length, _)) => {
                    for (kind, message) in messages(buffer.get(..length).unwrap_or_default()) {
                        match kind {
                            RTM_NEWNDUSEROPT => options.extend(user_options(message)),
                            _ => links = true,
                        }
                    }
                }
                Err(Errno::NOBUFS) => links = true,
                Err(Errno::INTR) => {}
                Err(_) => return (links, options),
            }
        }
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The messages of a datagram: type and what follows the header.
fn messages(mut datagram: &[u8]) -> Vec<(u16, &[u8])> {
    let mut messages = Vec::new();
    while let Some((header, _)) = datagram.split_first_chunk::<16>() {
        let [a, b, c, d, e, g, ..] = *header;
        let length = u32::from_ne_bytes([a, b, c, d]) as usize;
        let Some(body) = datagram.get(16..length) else { break };
        messages.push((u16::from_ne_bytes([e, g]), body));
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    messages
}

/// `struct nduseroptmsg`: family (8 bits), pad, length of the options (16), interface (32), ICMP type, code (8 each), pad (48);
/// the options; attributes.
pub(super) fn user_options(message: &[u8]) -> Option<UserOptions> {
    let (header, rest) = message.split_first_chunk::<16>()?;
    let [family, _, low, high, a, b, c, d, icmp_type, ..] = *header;
    if family != AF_INET6 || icmp_type != ROUTER_ADVERTISEMENT {
        return None;
    }
    let options = rest.get(..u16::from_ne_bytes([low, high]).into())?;
    Some(UserOptions { index: u32::from_ne_bytes([a, b, c, d]), options: options.to_vec() })
}
