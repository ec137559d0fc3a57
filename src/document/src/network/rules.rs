//! Rules for the texts of `[network]`.

use std::net::IpAddr;

use super::types::{BOND_MODES, Cidr, MacAddress};
use crate::key::Rule;

/// An address of either family.
pub(super) static ADDRESS: Rule = Rule::new("an IPv4 or IPv6 address", |text| text.parse::<IpAddr>().is_ok());

/// An address with the length of its prefix.
pub(super) static CIDR: Rule = Rule {
    expected: "an address and the length of its prefix, for instance 192.168.1.5/24",
    valid: |text| text.contains('/') && text.parse::<Cidr>().is_ok(),
    hint: |text| match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => format!("write {address}/24, or the length that the network has"),
        Ok(IpAddr::V6(address)) => format!("write {address}/64, or the length that the network has"),
        Err(_) => String::new(),
    },
};

/// Where a route leads.
pub(super) static DESTINATION: Rule = Rule::new("\"default\" or a network, for instance 10.0.0.0/8", |text| {
    text == "default" || text.parse::<Cidr>().is_ok()
});

/// A DNS domain.
pub(super) static DOMAIN: Rule = Rule::new("a DNS domain", is_domain);

/// Name of an entry.
pub(super) static NAME: Rule =
    Rule::new("the name of an interface, or a pattern with * and ?, of at most 15 characters", is_pattern);

/// A hardware address.
pub(super) static MAC: Rule =
    Rule::new("a hardware address such as \"52:54:00:12:34:56\"", |text| text.parse::<MacAddress>().is_ok());

/// Name of a driver.
pub(super) static DRIVER: Rule =
    Rule::new("the name of a kernel driver, or a pattern with * and ?", |text| is_made_for_patterns(text, 40));

/// A bond's mode.
pub(super) static BOND_MODE: Rule = Rule {
    expected: "a mode of bonding",
    valid: |text| BOND_MODES.iter().any(|(name, _)| *name == text),
    hint: |_| format!("one of {}", BOND_MODES.map(|(name, _)| name).join(", ")),
};

/// What may come in.
pub(super) static FIREWALL: Rule = Rule::new("\"none\", \"ssh-only\" or the absolute path of a file for nft", |text| {
    ["none", "ssh-only"].contains(&text) || (text.len() > 1 && text.starts_with('/') && !text.contains('\0'))
});

/// What becomes of interfaces without an entry.
pub(super) static OTHERS: Rule = Rule::new("\"dhcp\" or \"off\"", |text| ["dhcp", "off"].contains(&text));

/// Whether it is a DNS domain: names come from outside and go into a file that every program parses.
pub fn is_domain(name: &str) -> bool {
    (1..=253).contains(&name.len())
        && !name.starts_with(['-', '.'])
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
}

/// Whether it can name an interface: as the kernel has it (`dev_valid_name` of `net/core/dev.c`), and no more than is needed,
/// because it becomes a file's name.
pub fn is_interface_name(name: &str) -> bool {
    is_pattern(name) && !name.contains(['*', '?'])
}

fn is_pattern(name: &str) -> bool {
    is_made_for_patterns(name, 15)
}

fn is_made_for_patterns(name: &str, limit: usize) -> bool {
    (1..=limit).contains(&name.len())
        && ![".", ".."].contains(&name)
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '@' | '*' | '?'))
}
