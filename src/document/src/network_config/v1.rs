//! Version 1.

use std::net::IpAddr;

use super::add_texts;
use crate::node::{Node, Table};
use crate::reader::Translation;
use crate::yaml::Yaml;

pub(super) fn read(out: &mut Translation, network: &Yaml) {
    for (index, entry) in network.get("config").map_or(&[][..], Yaml::entries).iter().enumerate() {
        let path = format!("config[{index}]");
        match entry.get("type").and_then(Yaml::text).unwrap_or_default() {
            "physical" | "vlan" | "bond" | "bridge" => {
                let table = interface(out, &path, entry);
                out.table.table_mut("network", entry.line).push("interfaces", Node::new(table, entry.line));
            }
            "nameserver" => {
                let section = out.table.table_mut("network", entry.line);
                for (key, target) in [("address", "dns"), ("search", "search")] {
                    let entries = entry.get(key).map_or(&[][..], Yaml::entries);
                    add_texts(section, target, entries.iter().filter_map(text));
                }
            }
            "route" => {
                out.unsupported(path, entry.line, "give the route in the subnet of its interface");
            }
            "loopback" => {}
            _ => out.unsupported(format!("{path}.type"), entry.line, ""),
        }
    }
}

fn text(entry: &Yaml) -> Option<Node> {
    entry.text().map(|text| Node::new(text, entry.line))
}

fn interface(out: &mut Translation, path: &str, entry: &Yaml) -> Table {
    let kind = entry.get("type").and_then(Yaml::text).unwrap_or_default();
    let mut table = Table::default();
    table.set("dhcp", Node::new(false, entry.line));
    for (key, value) in entry.pairs().iter().filter(|(_, value)| !value.is_null()) {
        let path = format!("{path}.{key}");
        match (kind, key.as_str()) {
            (_, "type" | "accept-ra") => {}
            (_, "name") => text(value).into_iter().for_each(|node| table.set("name", node)),
            // The name is what it is to be called then.
            ("physical", "mac_address") => {
                table.set("rename", Node::new(true, value.line));
                text(value).into_iter().for_each(|node| table.set("match-mac", node));
            }
            (_, "mac_address") => text(value).into_iter().for_each(|node| table.set("mac", node)),
            (_, "mtu") => out.integer(&path, value).into_iter().for_each(|node| table.set("mtu", node)),
            (_, "subnets") => {
                for (index, subnet) in value.entries().iter().enumerate() {
                    self::subnet(out, &format!("{path}[{index}]"), subnet, &mut table);
                }
            }
            ("vlan", "vlan_id") => out.integer(&path, value).into_iter().for_each(|node| table.set("vlan-id", node)),
            ("vlan", "vlan_link") => text(value).into_iter().for_each(|node| table.set("vlan-link", node)),
            ("bond", "bond_interfaces") => table.set("bond", out.texts(&path, value)),
            ("bridge", "bridge_interfaces") => table.set("bridge", out.texts(&path, value)),
            ("bond" | "bridge", "params") => {
                for (key, value) in value.pairs() {
                    match key.as_str() {
                        "bond-mode" => text(value).into_iter().for_each(|node| table.set("bond-mode", node)),
                        "bond-miimon" => {
                            out.integer(&path, value).into_iter().for_each(|node| table.set("bond-miimon", node));
                        }
                        "bridge_stp" => {
                            out.flag(&path, value).into_iter().for_each(|node| table.set("bridge-stp", node))
                        }
                        _ => out.unsupported(format!("{path}.{key}"), value.line, ""),
                    }
                }
            }
            _ => out.unsupported(path, value.line, ""),
        }
    }
    if kind == "bridge" && table.get("bridge").is_none() {
        table.set("bridge", Node::new(Vec::new(), entry.line));
    }
    table
}

fn subnet(out: &mut Translation, path: &str, subnet: &Yaml, table: &mut Table) {
    match subnet.get("type").and_then(Yaml::text).unwrap_or_default() {
        "dhcp" | "dhcp4" => table.set("dhcp", Node::new(true, subnet.line)),
        "dhcp6" | "ipv6_slaac" | "ipv6_dhcpv6-stateless" | "ipv6_dhcpv6-stateful" => {
            table.set("ipv6-auto", Node::new(true, subnet.line));
        }
        "static" | "static6" => {}
        "manual" => {}
        _ => out.unsupported(format!("{path}.type"), subnet.line, ""),
    }
    let netmask = subnet.get("netmask").and_then(Yaml::text);
    for (key, value) in subnet.pairs().iter().filter(|(_, value)| !value.is_null()) {
        let path = format!("{path}.{key}");
        match key.as_str() {
            "type" | "netmask" | "control" => {}
            "address" => match value.text().map(|address| with_prefix(address, netmask)) {
                Some(Some(address)) => add_texts(table, "addresses", [Node::new(address, value.line)]),
                _ => out.wrong(path, value, "an address with prefix length or netmask"),
            },
            "gateway" => {
                let six = value.text().is_some_and(|address| address.contains(':'));
                text(value).into_iter().for_each(|node| table.set(if six { "gateway6" } else { "gateway" }, node));
            }
            "dns_nameservers" => add_texts(table, "dns", value.entries().iter().filter_map(text)),
            "dns_search" => add_texts(table, "search", value.entries().iter().filter_map(text)),
            "routes" => {
                for (index, entry) in value.entries().iter().enumerate() {
                    if let Some(route) = route(out, &format!("{path}[{index}]"), entry) {
                        table.push("routes", Node::new(route, entry.line));
                    }
                }
            }
            _ => out.unsupported(path, value.line, ""),
        }
    }
}

fn route(out: &mut Translation, path: &str, entry: &Yaml) -> Option<Table> {
    let mut route = Table::default();
    let netmask = entry.get("netmask").and_then(Yaml::text);
    for (key, value) in entry.pairs().iter().filter(|(_, value)| !value.is_null()) {
        let path = format!("{path}.{key}");
        match key.as_str() {
            "network" | "destination" => {
                let Some(target) = value.text().and_then(|address| with_prefix(address, netmask)) else {
                    out.wrong(path, value, "a network with prefix length or netmask");
                    return None;
                };
                let target = if target.ends_with("/0") { "default".to_string() } else { target };
                route.set("to", Node::new(target, value.line));
            }
            "gateway" => text(value).into_iter().for_each(|node| route.set("via", node)),
            "metric" => out.integer(&path, value).into_iter().for_each(|node| route.set("metric", node)),
            "netmask" => {}
            _ => out.unsupported(path, value.line, ""),
        }
    }
    Some(route)
}

/// `ADDRESS/LENGTH`, from an address that has it already or from a netmask in either notation.
fn with_prefix(address: &str, netmask: Option<&str>) -> Option<String> {
    if address.contains('/') {
        return Some(address.into());
    }
    let length = match netmask?.parse::<IpAddr>() {
        Ok(IpAddr::V4(mask)) => prefix(u128::from(mask.to_bits()) << 96)?,
        Ok(IpAddr::V6(mask)) => prefix(mask.to_bits())?,
        Err(_) => netmask?.parse::<u8>().ok()?.into(),
    };
    Some(format!("{address}/{length}"))
}

/// Leading ones, if nothing but zeros follows.
fn prefix(mask: u128) -> Option<u32> {
    (mask.leading_ones() + mask.trailing_zeros() >= 128).then_some(mask.leading_ones())
}
