//! `distroctl network status`: each interface with its link, addresses, routes and where its name servers come from.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::ExitCode;

use anyhow::Result;
use contract::paths;
use document::network::Cidr;

use super::CommandLine;
use super::interface::{self, Interface};
use super::source::Source;
use crate::file::first_line;
use crate::{addresses, console};

/// What is to be said of one interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) name: String,
    /// `up`, `no carrier`, or the bond or bridge it is in.
    pub(crate) link: String,
    /// Kind or driver, hardware address, MTU.
    pub(crate) details: String,
    /// Addresses, with where they come from.
    pub(crate) addresses: Vec<String>,
    pub(crate) routes: Vec<String>,
    /// Name servers, with where they come from.
    pub(crate) dns: Vec<String>,
}

/// Prints all.
pub(crate) fn status() -> Result<ExitCode> {
    let mut text = String::new();
    for summary in summaries() {
        let _ = writeln!(text, "{}: {}{}", summary.name, summary.link, summary.details);
        for (key, lines) in [("address", &summary.addresses), ("route", &summary.routes), ("dns", &summary.dns)] {
            for line in lines {
                let _ = writeln!(text, "  {key:<8} {line}");
            }
        }
    }
    let firewall = first_line(paths::FIREWALL_STATE);
    let _ = writeln!(text, "firewall: {}", if firewall.is_empty() { "not in force" } else { &firewall });
    let line = CommandLine::parse(&std::fs::read_to_string("/proc/cmdline").unwrap_or_default());
    for problem in &line.problems {
        let _ = writeln!(text, "problem: {problem}");
    }
    console::print(&text)
}

/// Every interface that is hardware or has settings.
pub(crate) fn summaries() -> Vec<Summary> {
    let addresses = addresses::list().unwrap_or_default();
    let routes = routes();
    let concerns = |interface: &Interface| {
        interface.wired || Source::ALL.into_iter().any(|source| source.lease(&interface.name).is_some())
    };
    let interfaces = interface::all().into_iter().filter(concerns);
    interfaces.map(|interface| summary(interface, &addresses, &routes)).collect()
}

fn summary(interface: Interface, addresses: &[addresses::Address], routes: &[(String, String)]) -> Summary {
    let leases: Vec<_> =
        Source::ALL.into_iter().filter_map(|source| Some((source, source.lease(&interface.name)?))).collect();
    let of = |ip: IpAddr| {
        let lease = leases.iter().find(|(_, lease)| lease.addresses.iter().any(|cidr| cidr.address == ip));
        match lease {
            Some((source, _)) => source.word(),
            None if ip.is_ipv6() => Source::Advertised.word(),
            None => "other",
        }
    };
    let dns = leases
        .iter()
        .flat_map(|(source, lease)| lease.dns.iter().map(|server| format!("{server} ({})", source.word())));
    let own = |address: &&addresses::Address| address.interface == interface.name;
    let what = Some(interface.kind.clone()).filter(|kind| !kind.is_empty()).or_else(|| interface.driver.clone());
    let mac = interface.mac.map(|mac| mac.to_string());
    let mtu = interface.mtu.map(|mtu| format!("mtu {mtu}"));
    Summary {
        link: match &interface.master {
            Some(master) => format!("in {master}"),
            None if interface.carrier => "up".into(),
            None => "no carrier".into(),
        },
        details: [what, mac, mtu].into_iter().flatten().map(|detail| format!(", {detail}")).collect(),
        addresses: addresses.iter().filter(own).map(|address| format!("{} ({})", address.ip, of(address.ip))).collect(),
        routes: routes.iter().filter(|(name, _)| *name == interface.name).map(|(_, route)| route.clone()).collect(),
        dns: dns.collect(),
        name: interface.name,
    }
}

/// Interface and text of each route through a gateway.
fn routes() -> Vec<(String, String)> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let mut routes = ipv4_routes(&read("/proc/net/route"));
    routes.extend(ipv6_routes(&read("/proc/net/ipv6_route")));
    routes
}

/// `/proc/net/route`: interface, destination, gateway, flags, three numbers of which the last is the metric, mask; addresses
/// are the bytes of the network as a number of this machine, hexadecimal (kernel `net/ipv4/fib_trie.c`).
fn ipv4_routes(text: &str) -> Vec<(String, String)> {
    let route = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| u32::from_str_radix(fields.get(at)?, 16).ok();
        let address = |at: usize| Some(Ipv4Addr::from(number(at)?.to_ne_bytes()));
        let gateway = address(2).filter(|gateway| !gateway.is_unspecified())?;
        let to = Cidr::new(address(1)?.into(), number(7)?.count_ones() as u8)?;
        Some((fields.first()?.to_string(), say(to, gateway.into(), fields.get(6)?)))
    };
    text.lines().skip(1).filter_map(route).collect()
}

/// `/proc/net/ipv6_route`: destination, length of its prefix, source, its length, next hop, metric, two numbers, flags,
/// interface; all hexadecimal (kernel `net/ipv6/route.c`).
fn ipv6_routes(text: &str) -> Vec<(String, String)> {
    let route = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let address = |at: usize| Some(Ipv6Addr::from_bits(u128::from_str_radix(fields.get(at)?, 16).ok()?));
        let number = |at: usize| u32::from_str_radix(fields.get(at)?, 16).ok();
        let gateway = address(4).filter(|gateway| !gateway.is_unspecified())?;
        let to = Cidr::new(address(0)?.into(), u8::try_from(number(1)?).ok()?)?;
        Some((fields.get(9)?.to_string(), say(to, gateway.into(), &number(5)?.to_string())))
    };
    text.lines().filter_map(route).collect()
}

fn say(to: Cidr, via: IpAddr, metric: &str) -> String {
    let to = if to == Cidr::all(via.is_ipv6()) { "default".into() } else { to.to_string() };
    format!("{to} via {via} metric {metric}")
}

#[cfg(test)]
mod tests {
    use super::{ipv4_routes, ipv6_routes};

    #[test]
    fn reads_routes() {
        let text = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                    eth0\t00000000\t0202000A\t0003\t0\t0\t102\t00000000\t0\t0\t0\n\
                    eth0\t0002000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
                    eth1\t0000A8C0\t0102000A\t0003\t0\t0\t5\t0000FFFF\t0\t0\t0\nbad\n";
        let eth = |name: &str, text: &str| (name.to_string(), text.to_string());
        assert_eq!(
            ipv4_routes(text),
            [eth("eth0", "default via 10.0.2.2 metric 102"), eth("eth1", "192.168.0.0/16 via 10.0.2.1 metric 5")]
        );
        let text = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
                    fe800000000000000000000000000002 00000400 00000002 00000000 00450003 eth0\n\
                    fe800000000000000000000000000000 40 00000000000000000000000000000000 00 \
                    00000000000000000000000000000000 00000100 00000001 00000000 00000001 eth0\nbad\n";
        assert_eq!(ipv6_routes(text), [eth("eth0", "default via fe80::2 metric 1024")]);
    }
}
