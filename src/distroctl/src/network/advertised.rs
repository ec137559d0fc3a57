//! Name servers and search domains of router advertisements (RFC 8106): the kernel takes addresses and routes from an
//! advertisement itself and hands these options on.

use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use document::network::is_domain;

use super::lease::{Lease, NameServer};

/// Options (RFC 8106 sections 5.1 and 5.2), all numbers in network byte order.
const RDNSS: u8 = 25;
const DNSSL: u8 = 31;
/// A lifetime that does not end.
const INFINITY: u32 = u32::MAX;
/// Kept of each kind for an interface; the resolver takes fewer.
const LIMIT: usize = 8;
/// What an earlier run has left is believed so long: a router advertises itself more often (RFC 4861 section 6.2.1,
/// MaxRtrAdvInterval is at most 1800 seconds).
const INHERITED: Duration = Duration::from_secs(1800);

/// What one option says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Server(Ipv6Addr),
    Domain(String),
}

/// A value for one interface and the time up to which it holds.
struct Item {
    interface: String,
    value: Value,
    until: Option<Instant>,
}

/// All that is believed.
#[derive(Default)]
pub(super) struct Advertised(Vec<Item>);

impl Advertised {
    /// Takes over what an earlier run has left for an interface.
    pub(super) fn inherit(&mut self, interface: &str, lease: &Lease, now: Instant) {
        let servers = lease.dns.iter().filter_map(|server| match server.address {
            IpAddr::V6(address) => Some(Value::Server(address)),
            IpAddr::V4(_) => None,
        });
        for value in servers.chain(lease.search.iter().cloned().map(Value::Domain)) {
            self.0.push(Item { interface: interface.into(), value, until: now.checked_add(INHERITED) });
        }
    }

    /// Takes the options of an advertisement.
    pub(super) fn take(&mut self, interface: &str, options: &[u8], now: Instant) {
        for (value, lifetime) in read(options) {
            self.0.retain(|item| item.interface != interface || item.value != value);
            if lifetime == 0 || self.count(interface, &value) >= LIMIT {
                continue;
            }
            let until = match lifetime {
                INFINITY => None,
                lifetime => now.checked_add(Duration::from_secs(lifetime.into())),
            };
            self.0.push(Item { interface: interface.into(), value, until });
        }
    }

    fn count(&self, interface: &str, like: &Value) -> usize {
        let same = |item: &&Item| {
            item.interface == interface && std::mem::discriminant(&item.value) == std::mem::discriminant(like)
        };
        self.0.iter().filter(same).count()
    }

    /// Forgets what has run out; the interfaces it was for.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<String> {
        let (old, kept): (Vec<Item>, Vec<Item>) =
            std::mem::take(&mut self.0).into_iter().partition(|item| item.until.is_some_and(|until| until <= now));
        self.0 = kept;
        let mut names: Vec<String> = old.into_iter().map(|item| item.interface).collect();
        names.dedup();
        names
    }

    /// Forgets an interface.
    pub(super) fn forget(&mut self, interface: &str) {
        self.0.retain(|item| item.interface != interface);
    }

    /// When the next one runs out.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.iter().filter_map(|item| item.until).min()
    }

    /// What holds for an interface.
    pub(super) fn lease(&self, interface: &str) -> Option<Lease> {
        let mut lease = Lease::default();
        for item in self.0.iter().filter(|item| item.interface == interface) {
            match &item.value {
                Value::Server(address) => {
                    let zone = address.is_unicast_link_local().then(|| interface.to_string());
                    lease.dns.push(NameServer { address: (*address).into(), zone });
                }
                Value::Domain(domain) => lease.search.push(domain.clone()),
            }
        }
        (lease != Lease::default()).then_some(lease)
    }
}

/// The values with their lifetimes in seconds. An option: type, length in units of eight bytes (8 bits each), two bytes
/// reserved, lifetime (32 bits), addresses or names.
fn read(mut options: &[u8]) -> Vec<(Value, u32)> {
    let mut found = Vec::new();
    while let [kind, units, ..] = *options {
        let length = usize::from(units) * 8;
        let Some(option) = options.get(..length).filter(|_| length > 0) else { break };
        options = options.get(length..).unwrap_or_default();
        let Some((_, [a, b, c, d])) =
            option.split_first_chunk::<4>().and_then(|(head, rest)| Some((head, rest.first_chunk()?)))
        else {
            continue;
        };
        let lifetime = u32::from_be_bytes([*a, *b, *c, *d]);
        let body = option.get(8..).unwrap_or_default();
        match kind {
            RDNSS => found.extend(servers(body).map(|address| (Value::Server(address), lifetime))),
            DNSSL => found.extend(domains(body).into_iter().map(|domain| (Value::Domain(domain), lifetime))),
            _ => {}
        }
    }
    found
}

fn servers(body: &[u8]) -> impl Iterator<Item = Ipv6Addr> {
    let addresses = body.chunks_exact(16).filter_map(|chunk| Some(Ipv6Addr::from(<[u8; 16]>::try_from(chunk).ok()?)));
    addresses.filter(|address| !address.is_unspecified() && !address.is_multicast() && !address.is_loopback())
}

/// Names of RFC 1035 section 3.1, without compression, padded with zeros.
fn domains(mut body: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    let mut labels: Vec<String> = Vec::new();
    while let Some((length, rest)) = body.split_first() {
        if *length == 0 {
            let domain = std::mem::take(&mut labels).join(".");
            if is_domain(&domain) {
                found.push(domain);
            }
            body = rest;
            continue;
        }
        let Some(label) = rest.get(..usize::from(*length)).filter(|_| *length < 64) else { break };
        labels.push(String::from_utf8_lossy(label).into_owned());
        body = rest.get(usize::from(*length)..).unwrap_or_default();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{Advertised, Duration, Instant};

    fn server(address: &str, lifetime: u32) -> Vec<u8> {
        let address: std::net::Ipv6Addr = address.parse().unwrap();
        [&[25, 3, 0, 0][..], &lifetime.to_be_bytes(), &address.octets()].concat()
    }

    fn search(lifetime: u32) -> Vec<u8> {
        [&[31, 3, 0, 0][..], &lifetime.to_be_bytes(), b"\x03lan\x07example\0\x01a\0"].concat()
    }

    #[test]
    fn takes_replaces_and_forgets() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut advertised = Advertised::default();
        let options = [server("2001:db8::53", 100), search(200), server("fe80::1", u32::MAX)].concat();
        advertised.take("eth0", &options, start);
        let text = |advertised: &Advertised| advertised.lease("eth0").map(|lease| lease.encode()).unwrap_or_default();
        assert_eq!(text(&advertised), "dns 2001:db8::53\ndns fe80::1%eth0\nsearch lan.example\nsearch a\n");
        assert_eq!(advertised.lease("eth1"), None);
        assert_eq!(advertised.next(), Some(after(100)));
        advertised.take("eth0", &server("2001:db8::53", 150), after(50));
        assert_eq!((advertised.expire(after(199)), advertised.next()), (vec![], Some(after(200))));
        assert_eq!(advertised.expire(after(200)), ["eth0"]);
        assert_eq!((text(&advertised), advertised.next()), ("dns fe80::1%eth0\n".into(), None));
        advertised.take("eth0", &server("fe80::1", 0), after(300));
        assert_eq!(text(&advertised), "");
        let lease = super::Lease::decode("dns 2001:db8::53\nsearch a\n");
        advertised.inherit("eth0", &lease, start);
        assert_eq!(advertised.lease("eth0"), Some(lease));
        advertised.forget("eth0");
        assert_eq!(advertised.lease("eth0"), None);
    }

    #[test]
    fn keeps_few() {
        let mut advertised = Advertised::default();
        for number in 1..100 {
            advertised.take("eth0", &server(&format!("2001:db8::{number}"), 10), Instant::now());
        }
        assert_eq!(advertised.lease("eth0").unwrap().dns.len(), super::LIMIT);
    }

    #[test]
    fn fuzz_router_advertisement() {
        fuzz::Fuzz::new("fuzz_router_advertisement")
            .seed([server("2001:db8::53", 100), search(200)].concat())
            .tokens(&["\u{19}\u{3}", "\u{1f}\u{2}", "\0\0\0\0"])
            .run(|input| {
                let mut advertised = Advertised::default();
                advertised.take("eth0", input, Instant::now());
                for domain in advertised.lease("eth0").unwrap_or_default().search {
                    assert!(super::is_domain(&domain), "{domain:?}");
                }
            });
    }
}
