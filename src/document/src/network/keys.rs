//! The keys of `[network]`.

use super::rules;
use crate::key::{Key, Kind, optional, required};

/// Keys of `[network]`.
pub(crate) static KEYS: &[Key] = &[
    optional("dns", Kind::List(&rules::ADDRESS), "name servers; they come before those of interfaces and DHCP"),
    optional("search", Kind::List(&rules::DOMAIN), "domains that names are looked for in"),
    optional(
        "firewall",
        Kind::Text(&rules::FIREWALL),
        "`none` (default), `ssh-only` (SSH, ICMP, answers, ports that containers publish) or a file for `nft -f`",
    ),
    optional("others", Kind::Text(&rules::OTHERS), "wired interfaces without an entry: `dhcp` (default) or `off`"),
    optional(
        "interfaces",
        Kind::Tables("name", INTERFACE),
        "what interfaces have; for each the first entry that fits counts",
    ),
];

static INTERFACE: &[Key] = &[
    required(
        "name",
        Kind::Text(&rules::NAME),
        "name of the entry; the interface's own name, perhaps with `*`, unless it is matched otherwise",
    ),
    optional("match-name", Kind::Text(&rules::NAME), "the interface has this name (`*` matches)"),
    optional("match-mac", Kind::Text(&rules::MAC), "the interface has this hardware address"),
    optional("match-driver", Kind::Text(&rules::DRIVER), "the interface has this driver (`*` matches)"),
    optional("rename", Kind::Flag, "the matched interface is given the entry's name; default `false`"),
    optional("dhcp", Kind::Flag, "DHCPv4; default: if there is no address"),
    optional("ipv6-auto", Kind::Flag, "router advertisements (SLAAC); default `true`"),
    optional("addresses", Kind::List(&rules::CIDR), "static addresses with prefix length"),
    optional("gateway", Kind::Text(&rules::ADDRESS), "IPv4 default route"),
    optional("gateway6", Kind::Text(&rules::ADDRESS), "IPv6 default route"),
    optional("routes", Kind::Tables("to", ROUTE), "further routes"),
    optional("dns", Kind::List(&rules::ADDRESS), "name servers"),
    optional("search", Kind::List(&rules::DOMAIN), "domains that names are looked for in"),
    optional("mtu", Kind::Integer(68, 65535), "largest packet in bytes"),
    optional("mac", Kind::Text(&rules::MAC), "hardware address to set"),
    optional("vlan-id", Kind::Integer(1, 4094), "this is a VLAN of `vlan-link`"),
    optional("vlan-link", Kind::Text(&rules::NAME), "entry or interface that a VLAN is on"),
    optional("bond", Kind::List(&rules::NAME), "this is a bond of these entries or interfaces"),
    optional(
        "bond-mode",
        Kind::Text(&rules::BOND_MODE),
        "mode of the bond: `active-backup` (default), `802.3ad`, `balance-rr`, …",
    ),
    optional("bond-miimon", Kind::Integer(0, 60_000), "milliseconds between looks at the carriers; default 100"),
    optional("bridge", Kind::List(&rules::NAME), "this is a bridge of these entries or interfaces"),
    optional("bridge-stp", Kind::Flag, "the bridge speaks the spanning tree protocol; default `false`"),
];

static ROUTE: &[Key] = &[
    required("to", Kind::Text(&rules::DESTINATION), "`default` or a network"),
    optional("via", Kind::Text(&rules::ADDRESS), "next hop; without one the network is on the link"),
    optional("metric", Kind::Integer(0, 4_294_967_295), "lower ones are preferred"),
    optional("on-link", Kind::Flag, "`via` is reached directly although no address is in its network; default `false`"),
];
