//! The few rtnetlink requests that DHCP needs (rtnetlink(7); kernel `linux/rtnetlink.h`, `linux/if_link.h`,
//! `linux/if_addr.h`). All numbers are in host byte order, addresses in network byte order; messages and attributes are
//! padded to four bytes.

use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::{Errno, Result};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with};

use super::lease::{Network, Route};

const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_REPLACE: u16 = 0x100;
const NLM_F_CREATE: u16 = 0x400;
const NLMSG_ERROR: u16 = 2;
const RTMGRP_LINK: u32 = 0x1;

const AF_INET: u8 = 2;
const IFF_UP: u32 = 0x1;
const IFLA_MTU: u16 = 4;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_DHCP: u8 = 16;
const RT_SCOPE_UNIVERSE: u8 = 0;
const RT_SCOPE_LINK: u8 = 253;
const RTN_UNICAST: u8 = 1;
const RTNH_F_ONLINK: u32 = 4;

/// A request to the kernel's routing tables.
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
        self.0.extend((4 + value.len() as u16).to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    fn finish(mut self) -> Vec<u8> {
        let length = self.0.len() as u32;
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0
    }
}

/// A socket for requests.
pub(super) struct RouteSocket(OwnedFd);

impl RouteSocket {
    pub(super) fn open() -> Result<Self> {
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        Ok(Self(socket))
    }

    /// Brings a link up.
    pub(super) fn link_up(&self, index: u32) -> Result<()> {
        self.call(Request::new(RTM_NEWLINK, 0, &link_message(index, IFF_UP)))
    }

    pub(super) fn set_mtu(&self, index: u32, mtu: u32) -> Result<()> {
        self.call(Request::new(RTM_NEWLINK, 0, &link_message(index, 0)).attribute(IFLA_MTU, &mtu.to_ne_bytes()))
    }

    pub(super) fn add_address(&self, index: u32, network: Network) -> Result<()> {
        self.call(address_request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, index, network))
    }

    pub(super) fn delete_address(&self, index: u32, network: Network) -> Result<()> {
        self.call(address_request(RTM_DELADDR, 0, index, network))
    }

    pub(super) fn add_route(&self, index: u32, route: Route, metric: u32) -> Result<()> {
        self.call(route_request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, index, route, metric))
    }

    pub(super) fn delete_route(&self, index: u32, route: Route, metric: u32) -> Result<()> {
        self.call(route_request(RTM_DELROUTE, 0, index, route, metric))
    }

    /// Sends a request and reads the kernel's answer: NLMSG_ERROR with a negative errno, 0 for success.
    fn call(&self, request: Request) -> Result<()> {
        send(&self.0, &request.finish(), SendFlags::empty())?;
        let mut answer = [0; 4096];
        let (length, _) = rustix::io::retry_on_intr(|| recv(&self.0, &mut answer[..], RecvFlags::empty()))?;
        status(answer.get(..length).unwrap_or_default())
    }
}

/// A socket that becomes readable when a link changes.
pub(super) struct LinkEvents(OwnedFd);

impl LinkEvents {
    pub(super) fn open() -> Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        bind(&socket, &SocketAddrNetlink::new(0, RTMGRP_LINK))?;
        Ok(Self(socket))
    }

    /// Takes all waiting events; whether there were any. What they say is read from `/sys/class/net`.
    pub(super) fn drain(&self) -> bool {
        let mut any = false;
        let mut message = [0; 16384];
        loop {
            match recv(&self.0, &mut message[..], RecvFlags::empty()) {
                Ok(_) | Err(Errno::NOBUFS) => any = true,
                Err(Errno::INTR) => {}
                Err(_) => return any,
            }
        }
    }
}

impl AsFd for LinkEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// `struct ifinfomsg`: family, pad, type (16 bits), index, flags, change mask (32 bits each).
fn link_message(index: u32, flags: u32) -> Vec<u8> {
    [[0; 4], index.to_ne_bytes(), flags.to_ne_bytes(), flags.to_ne_bytes()].concat()
}

/// `struct ifaddrmsg`: family, prefix length, flags, scope (8 bits each), index (32 bits).
fn address_request(kind: u16, flags: u16, index: u32, network: Network) -> Request {
    let fixed = [[AF_INET, network.prefix, 0, RT_SCOPE_UNIVERSE], index.to_ne_bytes()].concat();
    let request = Request::new(kind, flags, &fixed)
        .attribute(IFA_LOCAL, &network.address.octets())
        .attribute(IFA_ADDRESS, &network.address.octets());
    if network.prefix < 31 { request.attribute(IFA_BROADCAST, &network.broadcast().octets()) } else { request }
}

/// `struct rtmsg`: family, destination and source prefix length, type of service, table, protocol, scope, type (8 bits
/// each), flags (32 bits).
fn route_request(kind: u16, flags: u16, index: u32, route: Route, metric: u32) -> Request {
    let direct = route.gateway == Ipv4Addr::UNSPECIFIED;
    let scope = if direct { RT_SCOPE_LINK } else { RT_SCOPE_UNIVERSE };
    let on_link = if route.on_link { RTNH_F_ONLINK } else { 0 };
    let prefix = route.destination.prefix;
    let fixed =
        [[AF_INET, prefix, 0, 0], [RT_TABLE_MAIN, RTPROT_DHCP, scope, RTN_UNICAST], on_link.to_ne_bytes()].concat();
    let mut request = Request::new(kind, flags, &fixed)
        .attribute(RTA_DST, &route.destination.base().octets())
        .attribute(RTA_OIF, &index.to_ne_bytes())
        .attribute(RTA_PRIORITY, &metric.to_ne_bytes());
    if !direct {
        request = request.attribute(RTA_GATEWAY, &route.gateway.octets());
    }
    request
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

#[cfg(test)]
mod tests {
    use super::{Errno, address_request, status};
    use crate::network::lease::Network;

    #[test]
    fn lays_out_a_request() {
        let network = Network { address: "10.0.2.15".parse().unwrap(), prefix: 24 };
        let bytes = address_request(super::RTM_NEWADDR, super::NLM_F_CREATE, 2, network).finish();
        #[rustfmt::skip]
        assert_eq!(bytes, [
            48, 0, 0, 0,  20, 0,  5, 4,  0, 0, 0, 0,  0, 0, 0, 0,
            2, 24, 0, 0,  2, 0, 0, 0,
            8, 0, 2, 0,  10, 0, 2, 15,
            8, 0, 1, 0,  10, 0, 2, 15,
            8, 0, 4, 0,  10, 0, 2, 255,
        ]);
    }

    #[test]
    fn reads_answers() {
        let mut answer = [0; 20];
        answer[4] = 2;
        assert_eq!(status(&answer), Ok(()));
        answer[16..20].copy_from_slice(&(-17i32).to_ne_bytes());
        assert_eq!(status(&answer), Err(Errno::EXIST));
        assert_eq!(status(&answer[..18]), Err(Errno::BADMSG));
        assert_eq!(status(&[]), Err(Errno::BADMSG));
    }
}
