//! A DHCP lease: read from what udhcpc tells its script (environment variables, busybox `networking/udhcp/dhcpc.c`), kept
//! as `key value` lines in [`contract::paths::LEASE_DIR`], and turned into the changes that it asks for.

use std::fmt::Write;
use std::net::Ipv4Addr;

use anyhow::{Context, Result, bail};

/// An IPv4 address and the length of its network's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    pub(crate) address: Ipv4Addr,
    pub(crate) prefix: u8,
}

impl Network {
    fn new(address: Ipv4Addr, prefix: u8) -> Result<Self> {
        if prefix > 32 {
            bail!("prefix length {prefix}, at most 32 is possible");
        }
        Ok(Self { address, prefix })
    }

    fn mask(self) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(self.prefix.min(32))).unwrap_or(0)
    }

    pub(super) fn base(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.address.to_bits() & self.mask())
    }

    pub(super) fn broadcast(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.address.to_bits() | !self.mask())
    }

    fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits() & self.mask() == self.base().to_bits()
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl std::str::FromStr for Network {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (address, prefix) = text.split_once('/').unwrap_or((text, "32"));
        Self::new(
            address.parse().with_context(|| format!("address {address:?}"))?,
            prefix.parse().with_context(|| format!("prefix length {prefix:?}"))?,
        )
    }
}

/// A route; gateway 0.0.0.0 means that the destination is on the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) destination: Network,
    pub(super) gateway: Ipv4Addr,
    /// The gateway is outside of the interface's network, as some clouds have it, and reached directly nevertheless.
    pub(super) on_link: bool,
}

/// What a DHCP server has given to an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) network: Network,
    pub(super) routes: Vec<Route>,
    pub(super) mtu: Option<u32>,
    pub(super) dns: Vec<Ipv4Addr>,
    pub(super) search: Vec<String>,
    pub(super) ntp: Vec<Ipv4Addr>,
    pub(super) hostname: Option<String>,
}

impl Lease {
    /// The lease in udhcpc's environment. What is optional and malformed is left out: a server's odd option must not
    /// cost the address.
    pub(super) fn from_environment(env: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let words = |key: &str| -> Vec<String> {
            env(key).unwrap_or_default().split_ascii_whitespace().map(str::to_string).collect()
        };
        let addresses =
            |key: &str| -> Vec<Ipv4Addr> { words(key).iter().filter_map(|word| word.parse().ok()).collect() };
        let ip = env("ip").context("udhcpc gave no \"ip\"")?;
        let network = Network::new(ip.trim().parse().with_context(|| format!("ip {ip:?}"))?, prefix(&env))?;
        let mut search: Vec<String> = words("search");
        search.extend(words("domain"));
        search.retain(|domain| is_domain(domain));
        search.dedup();
        Ok(Self {
            network,
            routes: routes(network, &words("staticroutes"), &addresses("router")),
            mtu: env("mtu").and_then(|mtu| mtu.trim().parse().ok()).filter(|mtu| (576..=65535).contains(mtu)),
            dns: addresses("dns").into_iter().filter(|address| !address.is_unspecified()).collect(),
            search,
            ntp: addresses("ntpsrv"),
            hostname: env("hostname").filter(|name| crate::hostname::check(name).is_ok()),
        })
    }

    /// The text of its state file.
    pub(super) fn encode(&self) -> String {
        let mut text = format!("address {}\n", self.network);
        let mut line = |key: &str, value: &dyn std::fmt::Display| {
            let _ = writeln!(text, "{key} {value}");
        };
        for route in &self.routes {
            let on_link = if route.on_link { " onlink" } else { "" };
            line("route", &format_args!("{} {}{on_link}", route.destination, route.gateway));
        }
        self.mtu.iter().for_each(|mtu| line("mtu", mtu));
        self.dns.iter().for_each(|address| line("dns", address));
        self.search.iter().for_each(|domain| line("search", domain));
        self.ntp.iter().for_each(|address| line("ntp", address));
        self.hostname.iter().for_each(|name| line("hostname", name));
        text
    }

    /// Reads a state file; lines that it does not know are passed over.
    pub(crate) fn decode(text: &str) -> Option<Self> {
        let mut lease: Option<Self> = None;
        for (key, value) in text.lines().filter_map(|line| line.split_once(' ')) {
            let Some(lease) = &mut lease else {
                let network = (key == "address").then(|| value.parse().ok())??;
                lease = Some(Self {
                    network,
                    routes: Vec::new(),
                    mtu: None,
                    dns: Vec::new(),
                    search: Vec::new(),
                    ntp: Vec::new(),
                    hostname: None,
                });
                continue;
            };
            match key {
                "route" => lease.routes.extend(decode_route(value)),
                "mtu" => lease.mtu = value.parse().ok(),
                "dns" => lease.dns.extend(value.parse::<Ipv4Addr>()),
                "search" => lease.search.push(value.into()),
                "ntp" => lease.ntp.extend(value.parse::<Ipv4Addr>()),
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
fn routes(network: Network, static_routes: &[String], routers: &[Ipv4Addr]) -> Vec<Route> {
    let route = |destination: Network, gateway: Ipv4Addr| Route {
        destination,
        gateway,
        on_link: !gateway.is_unspecified() && !network.contains(gateway),
    };
    let routes: Vec<Route> = static_routes
        .chunks_exact(2)
        .filter_map(|pair| Some(route(pair.first()?.parse().ok()?, pair.get(1)?.parse().ok()?)))
        .collect();
    if !routes.is_empty() {
        return routes;
    }
    let default = Network { address: Ipv4Addr::UNSPECIFIED, prefix: 0 };
    routers.iter().filter(|router| !router.is_unspecified()).take(1).map(|router| route(default, *router)).collect()
}

fn decode_route(text: &str) -> Option<Route> {
    let mut words = text.split(' ');
    Some(Route {
        destination: words.next()?.parse().ok()?,
        gateway: words.next()?.parse().ok()?,
        on_link: words.next() == Some("onlink"),
    })
}

/// Names come from the network and go into a file that every program parses.
fn is_domain(name: &str) -> bool {
    (1..=253).contains(&name.len())
        && !name.starts_with(['-', '.'])
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
}

/// What an interface has unless a server says otherwise.
const ETHERNET_MTU: u32 = 1500;

/// A change of the kernel's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    DeleteRoute(Route),
    DeleteAddress(Network),
    SetMtu(u32),
    AddAddress(Network),
    AddRoute(Route),
}

/// The changes from one lease of an interface to the next. All of the new one is made again, also when it is the old one:
/// the kernel drops routes with their address and when a link goes down, and adding is idempotent.
pub(super) fn changes(old: Option<&Lease>, new: Option<&Lease>) -> Vec<Change> {
    let mut changes = Vec::new();
    if let Some(old) = old {
        let gone = |route: &&Route| new.is_none_or(|new| !new.routes.contains(route));
        changes.extend(old.routes.iter().filter(gone).map(|route| Change::DeleteRoute(*route)));
        if new.is_none_or(|new| new.network != old.network) {
            changes.push(Change::DeleteAddress(old.network));
        }
    }
    let mtu = |lease: Option<&Lease>| lease.and_then(|lease| lease.mtu);
    if let Some(mtu) = mtu(new).or(mtu(old).map(|_| ETHERNET_MTU)) {
        changes.push(Change::SetMtu(mtu));
    }
    if let Some(new) = new {
        changes.push(Change::AddAddress(new.network));
        // What a gateway is reached through comes before what goes through the gateway.
        let (direct, through): (Vec<Route>, Vec<Route>) =
            new.routes.iter().partition(|route| route.gateway.is_unspecified());
        changes.extend(direct.into_iter().chain(through).map(Change::AddRoute));
    }
    changes
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;
