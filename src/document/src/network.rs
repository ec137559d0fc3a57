//! `[network]`: interfaces, how each is found, its addresses and what it is made of.

use crate::key::{Key, Kind, Rule, optional, required};
use crate::node::Table;
use crate::rules;

const ADDRESS: Rule = Rule::new("an address with its prefix length such as \"192.0.2.5/24\"", |v| {
    let Some((address, length)) = v.split_once('/') else { return false };
    match (address.parse::<std::net::IpAddr>(), length.parse::<u8>()) {
        (Ok(address), Ok(length)) => length <= if address.is_ipv4() { 32 } else { 128 },
        _ => false,
    }
});
const IP: Rule = Rule::new("an IPv4 or IPv6 address", |v| v.parse::<std::net::IpAddr>().is_ok());
const TARGET: Rule =
    Rule::new("\"default\" or a network such as \"10.0.0.0/8\"", |v| v == "default" || (ADDRESS.valid)(v));
const MAC: Rule = Rule::new("a hardware address such as \"52:54:00:12:34:56\"", |v| {
    v.len() == 17
        && v.split(':').count() == 6
        && v.split(':').all(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit()))
});
/// `IFNAMSIZ` of the kernel's `linux/if.h` is 16 with the final NUL.
const NAME: Rule = Rule::new("an interface's name, at most 15 characters without \"/\", \":\" and spaces", |v| {
    rules::is_made_of(v, 15, |c| c.is_ascii_graphic() && !"/:%\"'`\\$".contains(c)) && v != "." && v != ".."
});
/// The same with `*` and `?`.
const PATTERN: Rule = Rule::new("an interface's name, perhaps with \"*\"", |v| (NAME.valid)(v));
const FIREWALL: Rule = Rule::new("\"none\", \"ssh-only\" or the absolute path of an nftables file", |v| {
    matches!(v, "none" | "ssh-only") || (rules::PATH.valid)(v)
});

/// Keys of `[network]`.
pub(crate) static KEYS: &[Key] = &[
    optional("dns", Kind::List(&IP), "name servers; they come before those of DHCP"),
    optional("search", Kind::List(&rules::HOSTNAME), "domains that names are looked for in"),
    optional("firewall", Kind::Text(&FIREWALL), "`none`, `ssh-only` or an nftables file"),
    optional("interfaces", Kind::Tables("name", INTERFACE), "what is set up instead of DHCP on every wired interface"),
];

static INTERFACE: &[Key] = &[
    required("name", Kind::Text(&NAME), "name of the entry; the interface's own name unless it is matched otherwise"),
    optional("match-name", Kind::Text(&PATTERN), "the interface has this name (`*` matches)"),
    optional("match-mac", Kind::Text(&MAC), "the interface has this hardware address"),
    optional("match-driver", Kind::Text(&PATTERN), "the interface has this driver"),
    optional("dhcp", Kind::Flag, "DHCPv4; default: if there is no address"),
    optional("ipv6-auto", Kind::Flag, "router advertisements (SLAAC); default `true`"),
    optional("addresses", Kind::List(&ADDRESS), "static addresses with prefix length"),
    optional("gateway", Kind::Text(&IP), "IPv4 default route"),
    optional("gateway6", Kind::Text(&IP), "IPv6 default route"),
    optional("routes", Kind::Tables("to", ROUTE), "further routes"),
    optional("dns", Kind::List(&IP), "name servers"),
    optional("search", Kind::List(&rules::HOSTNAME), "domains that names are looked for in"),
    optional("mtu", Kind::Integer(68, 65536), "largest packet in bytes"),
    optional("mac", Kind::Text(&MAC), "hardware address to set"),
    optional("vlan-id", Kind::Integer(1, 4094), "this is a VLAN of `link`"),
    optional("vlan-link", Kind::Text(&NAME), "entry that a VLAN is on"),
    optional("bond", Kind::List(&NAME), "this is a bond of these entries"),
    optional("bond-mode", Kind::Text(&rules::LINE), "mode of the bond: `active-backup` (default), `802.3ad`, …"),
    optional("bridge", Kind::List(&NAME), "this is a bridge of these entries"),
];

static ROUTE: &[Key] = &[
    required("to", Kind::Text(&TARGET), "`default` or a network"),
    optional("via", Kind::Text(&IP), "next hop"),
    optional("metric", Kind::Integer(0, 4_294_967_295), "lower ones are preferred"),
];

/// `[network]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// Name servers, before those of DHCP.
    pub dns: Vec<String>,
    /// Search domains.
    pub search: Vec<String>,
    /// `none`, `ssh-only` or a path.
    pub firewall: Option<String>,
    /// What is set up; empty: DHCP on every wired interface.
    pub interfaces: Vec<Interface>,
}

/// `[[network.interfaces]]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interface {
    /// Name of the entry.
    pub name: String,
    /// The interface's name, perhaps with `*`.
    pub match_name: Option<String>,
    /// Its hardware address, lower case.
    pub match_mac: Option<String>,
    /// Its driver.
    pub match_driver: Option<String>,
    /// DHCPv4; `None`: if there is no address.
    pub dhcp: Option<bool>,
    /// Router advertisements.
    pub ipv6_auto: Option<bool>,
    /// `ADDRESS/PREFIX`.
    pub addresses: Vec<String>,
    /// IPv4 default route.
    pub gateway: Option<String>,
    /// IPv6 default route.
    pub gateway6: Option<String>,
    /// Further routes.
    pub routes: Vec<Route>,
    /// Name servers.
    pub dns: Vec<String>,
    /// Search domains.
    pub search: Vec<String>,
    /// Largest packet in bytes.
    pub mtu: Option<u32>,
    /// Hardware address to set.
    pub mac: Option<String>,
    /// VLAN number and the entry it is on.
    pub vlan: Option<(u16, String)>,
    /// Entries of a bond.
    pub bond: Vec<String>,
    /// Its mode.
    pub bond_mode: Option<String>,
    /// Entries of a bridge; `None`: no bridge.
    pub bridge: Option<Vec<String>>,
}

/// `[[network.interfaces.routes]]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Route {
    /// `default` or `ADDRESS/PREFIX`.
    pub to: String,
    /// Next hop.
    pub via: Option<String>,
    /// Lower ones are preferred.
    pub metric: Option<u32>,
}

impl Network {
    /// Of a checked table.
    pub fn of(table: &Table) -> Self {
        Self {
            dns: table.texts("dns"),
            search: table.texts("search"),
            firewall: table.text("firewall"),
            interfaces: table.tables("interfaces").map(Interface::of).collect(),
        }
    }
}

impl Interface {
    fn of(table: &Table) -> Self {
        let number = |key: &str| table.integer(key).and_then(|number| u32::try_from(number).ok());
        let vlan_id = number("vlan-id").and_then(|id| u16::try_from(id).ok());
        Self {
            name: table.text("name").unwrap_or_default(),
            match_name: table.text("match-name"),
            match_mac: table.text("match-mac").map(|mac| mac.to_ascii_lowercase()),
            match_driver: table.text("match-driver"),
            dhcp: table.flag("dhcp"),
            ipv6_auto: table.flag("ipv6-auto"),
            addresses: table.texts("addresses"),
            gateway: table.text("gateway"),
            gateway6: table.text("gateway6"),
            routes: table.tables("routes").map(Route::of).collect(),
            dns: table.texts("dns"),
            search: table.texts("search"),
            mtu: number("mtu"),
            mac: table.text("mac").map(|mac| mac.to_ascii_lowercase()),
            vlan: vlan_id.zip(table.text("vlan-link")),
            bond: table.texts("bond"),
            bond_mode: table.text("bond-mode"),
            bridge: table.get("bridge").map(|_| table.texts("bridge")),
        }
    }
}

impl Route {
    fn of(table: &Table) -> Self {
        Self {
            to: table.text("to").unwrap_or_default(),
            via: table.text("via"),
            metric: table.integer("metric").and_then(|metric| u32::try_from(metric).ok()),
        }
    }
}
