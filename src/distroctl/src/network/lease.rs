//! What an interface is given: read from what udhcpc tells its script (environment variables, busybox
//! `networking/udhcp/dhcpc.c`) or made from the document, kept as `key value` lines in files, one for each source and
//! interface, and turned into the changes that it asks for.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, Result};
use document::network::{Cidr, Route, is_domain, is_interface_name};

/// What one source (the document, a DHCP server, router advertisements) gives to an interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) addresses: Vec<Cidr>,
    pub(super) routes: Vec<Route>,
    pub(super) mtu: Option<u32>,
    pub(super) dns: Vec<NameServer>,
    pub(super) search: Vec<String>,
    pub(crate) ntp: Vec<IpAddr>,
    pub(super) hostname: Option<String>,
}

/// A name server; one with a link-local address is reached through one interface only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NameServer {
    pub(crate) address: IpAddr,
    pub(crate) zone: Option<String>,
}

impl From<IpAddr> for NameServer {
    fn from(address: IpAddr) -> Self {
        Self { address, zone: None }
    }
}

impl std::fmt::Display for NameServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.zone {
            Some(zone) => write!(f, "{}%{zone}", self.address),
            None => write!(f, "{}", self.address),
        }
    }
}

impl std::str::FromStr for NameServer {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, zone) = match text.split_once('%') {
            Some((address, zone)) if is_interface_name(zone) => (address, Some(zone.to_string())),
            Some(_) => return Err(()),
            None => (text, None),
        };
        Ok(Self { address: address.parse().map_err(drop)?, zone })
    }
}

impl Lease {
    /// The lease in udhcpc's environment. What is optional and malformed is left out: a server's odd option must not
    /// cost the address.
    pub(super) fn from_environment(env: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let words = |key: &str| -> Vec<String> {
            env(key).unwrap_or_default().split_ascii_whitespace().map(str::to_string).collect()
        };
        let addresses = |key: &str| -> Vec<IpAddr> {
            words(key).iter().filter_map(|word| word.parse::<Ipv4Addr>().ok()).map(IpAddr::from).collect()
        };
        let ip = env("ip").context("udhcpc gave no \"ip\"")?;
        let address: Ipv4Addr = ip.trim().parse().with_context(|| format!("ip {ip:?}"))?;
        let prefix = prefix(&env);
        let network = Cidr::new(address.into(), prefix)
            .with_context(|| format!("prefix length {prefix}, at most 32 is possible"))?;
        let mut search: Vec<String> = words("search");
        search.extend(words("domain"));
        search.retain(|domain| is_domain(domain));
        search.dedup();
        Ok(Self {
            addresses: vec![network],
            routes: routes(network, &words("staticroutes"), &addresses("router")),
            mtu: env("mtu").and_then(|mtu| mtu.trim().parse().ok()).filter(|mtu| (576..=65535).contains(mtu)),
            dns: addresses("dns").into_iter().filter(|address| !address.is_unspecified()).map(Into::into).collect(),
            search,
            ntp: addresses("ntpsrv"),
            hostname: env("hostname").filter(|name| crate::hostname::check(name).is_ok()),
        })
    }

    /// The text of its state file.
    pub(super) fn encode(&self) -> String {
        let mut text = String::new();
        let mut line = |key: &str, value: &dyn std::fmt::Display| {
            let _ = writeln!(text, "{key} {value}");
        };
        self.addresses.iter().for_each(|address| line("address", address));
        for route in &self.routes {
            let via = route.via.map_or_else(|| "-".to_string(), |via| via.to_string());
            let metric = route.metric.map_or_else(|| "-".to_string(), |metric| metric.to_string());
            let on_link = if route.on_link { " onlink" } else { "" };
            line("route", &format_args!("{} {via} {metric}{on_link}", route.to));
        }
        self.mtu.iter().for_each(|mtu| line("mtu", mtu));
        self.dns.iter().for_each(|address| line("dns", address));
        self.search.iter().for_each(|domain| line("search", domain));
        self.ntp.iter().for_each(|address| line("ntp", address));
        self.hostname.iter().for_each(|name| line("hostname", name));
        text
    }

    /// Reads a state file; lines that it does not know are passed over.
    pub(crate) fn decode(text: &str) -> Self {
        let mut lease = Self::default();
        for (key, value) in text.lines().filter_map(|line| line.split_once(' ')) {
            match key {
                "address" => lease.addresses.extend(value.parse::<Cidr>()),
                "route" => lease.routes.extend(decode_route(value)),
                "mtu" => lease.mtu = value.parse().ok(),
                "dns" => lease.dns.extend(value.parse::<NameServer>()),
                "search" => lease.search.push(value.into()),
                "ntp" => lease.ntp.extend(value.parse::<IpAddr>()),
                "hostname" => lease.hostname = Some(value.into()),
                _ => {}
            }
        }
        lease
    }
}

fn prefix(env: &impl Fn(&str) -> Option<String>) -> u8 {
    let from_subnet = || {
        let mask: Ipv4Addr = env("subnet")?.trim().parse().ok()?;
        u8::try_from(mask.to_bits().leading_ones()).ok()
    };
    // busybox puts the prefix length into "mask", the mask into "subnet". A server that gives none has a plain network.
    env("mask").and_then(|mask| mask.trim().parse().ok()).or_else(from_subnet).unwrap_or(24)
}

/// RFC 3442: a server that gives classless static routes has its default route among them, and `router` is ignored.
fn routes(network: Cidr, static_routes: &[String], routers: &[IpAddr]) -> Vec<Route> {
    let route = |to: Cidr, gateway: IpAddr| {
        let via = Some(gateway).filter(|gateway| !gateway.is_unspecified());
        Route { to, via, metric: None, on_link: via.is_some_and(|via| !network.contains(via)) }
    };
    let ipv4 = |cidr: &Cidr| cidr.address.is_ipv4();
    let routes: Vec<Route> = static_routes
        .chunks_exact(2)
        .filter_map(|pair| {
            let to = pair.first()?.parse().ok().filter(ipv4)?;
            Some(route(to, pair.get(1)?.parse::<Ipv4Addr>().ok()?.into()))
        })
        .collect();
    if !routes.is_empty() {
        return routes;
    }
    routers
        .iter()
        .filter(|router| !router.is_unspecified())
        .take(1)
        .map(|router| route(Cidr::all(false), *router))
        .collect()
}

fn decode_route(text: &str) -> Option<Route> {
    let mut words = text.split(' ');
    let to = words.next()?.parse().ok()?;
    let via = match words.next()? {
        "-" => None,
        via => Some(via.parse().ok()?),
    };
    let metric = words.next()?.parse().ok();
    Some(Route { to, via, metric, on_link: words.next() == Some("onlink") })
}

/// What an interface has unless a server says otherwise.
const ETHERNET_MTU: u32 = 1500;

/// A change of the kernel's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    DeleteRoute(Route),
    DeleteAddress(Cidr),
    SetMtu(u32),
    AddAddress(Cidr),
    AddRoute(Route),
}

/// The changes from one lease of an interface to the next. All of the new one is made again, also when it is the old one:
/// the kernel drops routes with their address and when a link goes down, and adding is idempotent.
pub(super) fn changes(old: Option<&Lease>, new: Option<&Lease>) -> Vec<Change> {
    let mut changes = Vec::new();
    if let Some(old) = old {
        let gone = |route: &&Route| new.is_none_or(|new| !new.routes.contains(route));
        changes.extend(old.routes.iter().filter(gone).map(|route| Change::DeleteRoute(*route)));
        let gone = |address: &&Cidr| new.is_none_or(|new| !new.addresses.contains(address));
        changes.extend(old.addresses.iter().filter(gone).map(|address| Change::DeleteAddress(*address)));
    }
    let mtu = |lease: Option<&Lease>| lease.and_then(|lease| lease.mtu);
    if let Some(mtu) = mtu(new).or(mtu(old).map(|_| ETHERNET_MTU)) {
        changes.push(Change::SetMtu(mtu));
    }
    if let Some(new) = new {
        changes.extend(new.addresses.iter().map(|address| Change::AddAddress(*address)));
        // What a gateway is reached through comes before what goes through the gateway.
        let (direct, through): (Vec<Route>, Vec<Route>) = new.routes.iter().partition(|route| route.via.is_none());
        changes.extend(direct.into_iter().chain(through).map(Change::AddRoute));
    }
    changes
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;
