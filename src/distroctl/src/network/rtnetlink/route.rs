//! Requests about addresses and routes: `struct ifaddrmsg` (kernel `linux/if_addr.h`), `struct rtmsg`.

use std::net::IpAddr;

use document::network::{Cidr, Route};
use rustix::io::{Errno, Result};

use super::{NLM_F_CREATE, NLM_F_REPLACE, Request, RouteSocket};

const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RT_TABLE_MAIN: u8 = 254;
const RT_SCOPE_UNIVERSE: u8 = 0;
const RT_SCOPE_LINK: u8 = 253;
const RTN_UNICAST: u8 = 1;
const RTNH_F_ONLINK: u32 = 4;

/// Who made a route, as `ip route` shows it (`RTPROT_STATIC`, `RTPROT_DHCP`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(in super::super) enum Protocol {
    Static = 4,
    Dhcp = 16,
}

impl RouteSocket {
    pub(in super::super) fn add_address(&self, index: u32, address: Cidr) -> Result<()> {
        self.call(address_request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, index, address))
    }

    pub(in super::super) fn delete_address(&self, index: u32, address: Cidr) -> Result<()> {
        self.call(address_request(RTM_DELADDR, 0, index, address))
    }

    /// Not `NLM_F_REPLACE`: that would take the place of a route by another interface with the same metric. The same route
    /// again is fine.
    pub(in super::super) fn add_route(&self, index: u32, route: Route, metric: u32, by: Protocol) -> Result<()> {
        match self.call(route_request(RTM_NEWROUTE, NLM_F_CREATE, index, route, metric, by)) {
            Err(Errno::EXIST) => Ok(()),
            other => other,
        }
    }

    pub(in super::super) fn delete_route(&self, index: u32, route: Route, metric: u32, by: Protocol) -> Result<()> {
        self.call(route_request(RTM_DELROUTE, 0, index, route, metric, by))
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { AF_INET } else { AF_INET6 }
}

/// `struct ifaddrmsg`: family, prefix length, flags, scope (8 bits each), index (32 bits).
pub(super) fn address_request(kind: u16, flags: u16, index: u32, cidr: Cidr) -> Request {
    let fixed = [[family(cidr.address), cidr.prefix, 0, RT_SCOPE_UNIVERSE], index.to_ne_bytes()].concat();
    let octets = octets(cidr.address);
    let request = Request::new(kind, flags, &fixed).attribute(IFA_LOCAL, &octets).attribute(IFA_ADDRESS, &octets);
    match cidr.broadcast() {
        Some(broadcast) => request.attribute(IFA_BROADCAST, &broadcast.octets()),
        None => request,
    }
}

/// `struct rtmsg`: family, destination and source prefix length, type of service, table, protocol, scope, type (8 bits
/// each), flags (32 bits). IPv6 has no scopes (`ip6_route_add` takes none), it gets the same.
pub(super) fn route_request(kind: u16, flags: u16, index: u32, route: Route, metric: u32, by: Protocol) -> Request {
    let scope = if route.via.is_none() && route.to.address.is_ipv4() { RT_SCOPE_LINK } else { RT_SCOPE_UNIVERSE };
    let on_link = if route.on_link { RTNH_F_ONLINK } else { 0 };
    let head = [family(route.to.address), route.to.prefix, 0, 0];
    let fixed = [head, [RT_TABLE_MAIN, by as u8, scope, RTN_UNICAST], on_link.to_ne_bytes()].concat();
    let request = Request::new(kind, flags, &fixed)
        .attribute(RTA_DST, &octets(route.to.base()))
        .attribute(RTA_OIF, &index.to_ne_bytes())
        .attribute(RTA_PRIORITY, &metric.to_ne_bytes());
    match route.via {
        Some(via) => request.attribute(RTA_GATEWAY, &octets(via)),
        None => request,
    }
}
