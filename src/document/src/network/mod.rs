//! `[network]` of the document: which interfaces there are to be and what each has; firewall, name servers, search
//! domains. [`KEYS`] describes it, [`Network::of`] turns a table into types, [`check`] finds what the table of keys
//! cannot: keys that exclude each other.
//!
//! An entry of `[[network.interfaces]]` is for the interfaces that its `match-…` keys select; without one `name` is the
//! interface's name, or a pattern of names. Entries with `vlan-link`, `bond` or `bridge` make an interface of that name.

mod keys;
mod rules;
#[cfg(test)]
mod tests;
mod types;

use std::net::IpAddr;

pub(crate) use keys::KEYS;
pub use rules::{is_domain, is_interface_name};
pub use types::{BondMode, Cidr, Link, MacAddress, Route, Selector};

use crate::node::Table;
use crate::problem::Problem;

/// The network as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// What may come in.
    pub firewall: Firewall,
    /// Name servers that come before those of interfaces and leases.
    pub dns: Vec<IpAddr>,
    /// Search domains that come before those of interfaces and leases.
    pub search: Vec<String>,
    /// What becomes of wired interfaces that no entry is for.
    pub others: Others,
    /// The entries; for an interface the first that selects it counts.
    pub interfaces: Vec<Interface>,
}

/// What may come in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Firewall {
    /// Everything.
    #[default]
    None,
    /// SSH, ICMP, answers, and what containers publish.
    SshOnly,
    /// What this file of nft(8) says.
    File(String),
}

/// What becomes of wired interfaces that no entry is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Others {
    /// DHCP and router advertisements.
    #[default]
    Dhcp,
    /// Nothing.
    Off,
}

/// One entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its name in the document, for `members` and `link` of others.
    pub name: String,
    /// The interfaces it is for; `None`: those whose name fits `name`.
    pub selector: Option<Selector>,
    /// Whether the selected interface is given `name`.
    pub rename: bool,
    /// What is made, if anything is.
    pub link: Option<Link>,
    /// Whether DHCPv4 is asked; by default if the entry has no address.
    pub dhcp: Option<bool>,
    /// Whether router advertisements are heeded; by default they are.
    pub ipv6_auto: Option<bool>,
    /// Static addresses.
    pub addresses: Vec<Cidr>,
    /// Where the IPv4 default route goes.
    pub gateway: Option<IpAddr>,
    /// Where the IPv6 default route goes.
    pub gateway6: Option<IpAddr>,
    /// Further routes.
    pub routes: Vec<Route>,
    /// Name servers.
    pub dns: Vec<IpAddr>,
    /// Search domains.
    pub search: Vec<String>,
    /// Largest packet in bytes.
    pub mtu: Option<u32>,
    /// Hardware address that it is given.
    pub mac: Option<MacAddress>,
}

impl Network {
    /// Reads `[network]`. What is wrong counts as absent: [`crate::check`] names it.
    pub fn of(table: &Table) -> Self {
        Self {
            firewall: table.text("firewall").map(Firewall::from_word).unwrap_or_default(),
            dns: parsed(table, "dns"),
            search: table.texts("search"),
            others: if table.text("others").as_deref() == Some("off") { Others::Off } else { Others::Dhcp },
            interfaces: table.tables("interfaces").map(Interface::of).collect(),
        }
    }

    /// The entry of this name.
    pub fn entry(&self, name: &str) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.name == name)
    }
}

impl Firewall {
    fn from_word(word: String) -> Self {
        match word.as_str() {
            "none" => Self::None,
            "ssh-only" => Self::SshOnly,
            _ => Self::File(word),
        }
    }
}

impl Interface {
    fn of(table: &Table) -> Self {
        Self {
            name: table.text("name").unwrap_or_default(),
            selector: Selector::of(table),
            rename: table.flag("rename").unwrap_or_default(),
            link: Link::of(table),
            dhcp: table.flag("dhcp"),
            ipv6_auto: table.flag("ipv6-auto"),
            addresses: parsed(table, "addresses"),
            gateway: parse(table, "gateway"),
            gateway6: parse(table, "gateway6"),
            routes: table.tables("routes").filter_map(Route::of).collect(),
            dns: parsed(table, "dns"),
            search: table.texts("search"),
            mtu: table.integer("mtu").and_then(|mtu| mtu.try_into().ok()),
            mac: parse(table, "mac"),
        }
    }

    /// Whether it is for the interface of this name, address and driver.
    pub fn selects(&self, name: &str, mac: Option<MacAddress>, driver: Option<&str>) -> bool {
        match &self.selector {
            Some(selector) => {
                let renamed = || Selector { name: None, ..selector.clone() }.matches(name, mac, driver);
                selector.matches(name, mac, driver)
                    // What it was given does not make it another.
                    || (self.rename && name == self.name && renamed())
                    || (mac.is_some() && mac == self.mac)
            }
            None => types::glob(&self.name, name),
        }
    }

    /// Whether DHCPv4 is asked.
    pub fn asks_dhcp(&self) -> bool {
        self.dhcp.unwrap_or(self.addresses.is_empty())
    }
}

/// The text of a key as a value of a type.
fn parse<T: std::str::FromStr>(table: &Table, key: &str) -> Option<T> {
    table.text(key)?.parse().ok()
}

/// The entries of a list that are values of a type.
fn parsed<T: std::str::FromStr>(table: &Table, key: &str) -> Vec<T> {
    table.list(key).iter().filter_map(|node| node.text()?.parse().ok()).collect()
}

/// What is wrong between keys of `[network]` whose values are right each.
pub(crate) fn check(table: &Table, problems: &mut Vec<Problem>) {
    let network = Network::of(table);
    let mut taken: Vec<(&str, &str)> = Vec::new();
    for (index, node) in table.list("interfaces").iter().enumerate() {
        let (Some(entry), Some(interface)) = (node.table(), network.interfaces.get(index)) else { continue };
        let mut problem = |key: &str, reason: String, hint: &str| {
            let line = entry.get(key).map_or(node.line, |node| node.line);
            problems.push(Problem::at(format!("network.interfaces[{index}].{key}"), line, reason).hint(hint));
        };
        check_entry(entry, interface, &mut problem);
        let Some(link) = &interface.link else { continue };
        for member in link.members() {
            if let Some((_, other)) = taken.iter().find(|(name, _)| *name == member) {
                problem(link.kind(), format!("{member:?} is a member of {other:?} already"), "");
            }
            taken.push((member, &interface.name));
        }
    }
}

fn check_entry(entry: &Table, interface: &Interface, problem: &mut dyn FnMut(&str, String, &str)) {
    let has = |key: &&str| entry.get(key).is_some();
    let made: Vec<&str> = ["vlan-link", "bond", "bridge"].into_iter().filter(has).collect();
    if let [_, second, ..] = made[..] {
        problem(second, format!("an interface is only one of: {}", made.join(", ")), "");
    }
    for (key, other) in
        [("vlan-link", "vlan-id"), ("vlan-id", "vlan-link"), ("bond-mode", "bond"), ("bond-miimon", "bond")]
    {
        if has(&key) && !has(&other) {
            problem(key, format!("expected {other} to go with it"), "");
        }
    }
    let matches: Vec<&str> = ["match-name", "match-mac", "match-driver"].into_iter().filter(has).collect();
    if let (Some(made), Some(key)) = (made.first(), matches.first()) {
        problem(key, format!("{made} makes the interface, there is nothing to match"), "");
    }
    if interface.rename && matches.is_empty() {
        problem("rename", "expected a match to go with it".into(), "for instance: match-mac = \"52:54:00:12:34:56\"");
    }
    if (interface.rename || !made.is_empty()) && !is_interface_name(&interface.name) {
        let reason = format!("expected a name of at most 15 characters without patterns, found {:?}", interface.name);
        problem("name", reason, "");
    }
    for (key, gateway, ipv4) in [("gateway", interface.gateway, true), ("gateway6", interface.gateway6, false)] {
        if gateway.is_some_and(|gateway| gateway.is_ipv4() != ipv4) {
            problem(key, format!("expected an IPv{} address", if ipv4 { 4 } else { 6 }), "");
        }
    }
    for route in entry.tables("routes") {
        let (to, via): (_, Option<IpAddr>) = (route.text("to").unwrap_or_default(), parse(route, "via"));
        match (to.parse::<Cidr>(), via) {
            (Err(()), None) => problem("routes", format!("a route to {to:?} without via"), ""),
            (Ok(to), Some(via)) if to.address.is_ipv4() != via.is_ipv4() => {
                problem("routes", format!("{to} and {via} are of different families"), "");
            }
            _ => {}
        }
    }
    if interface.mtu.is_some_and(|mtu| mtu < 1280) && interface.addresses.iter().any(|cidr| cidr.address.is_ipv6()) {
        problem("mtu", "IPv6 needs 1280 at least".into(), "");
    }
}
