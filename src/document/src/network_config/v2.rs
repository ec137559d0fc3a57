//! Version 2.

use super::add_texts;
use crate::node::{Node, Table};
use crate::reader::Translation;
use crate::yaml::Yaml;

pub(super) fn read(out: &mut Translation, network: &Yaml) {
    for (key, value) in network.pairs().iter().filter(|(_, value)| !value.is_null()) {
        match key.as_str() {
            "version" | "renderer" => {}
            "ethernets" | "vlans" | "bonds" | "bridges" => {
                for (name, entry) in value.pairs() {
                    let table = interface(out, key, name, entry);
                    out.table.table_mut("network", entry.line).push("interfaces", Node::new(table, entry.line));
                }
            }
            _ => out.unsupported(key, value.line, ""),
        }
    }
}

fn interface(out: &mut Translation, section: &str, name: &str, entry: &Yaml) -> Table {
    let mut table = Table::default();
    table.set("name", Node::new(name, entry.line));
    for (key, value) in entry.pairs().iter().filter(|(_, value)| !value.is_null()) {
        let path = format!("{section}.{name}.{key}");
        match (section, key.as_str()) {
            ("ethernets", "match") => matches(out, &path, value, &mut table),
            (_, "dhcp4") => set(&mut table, "dhcp", out.flag(&path, value)),
            (_, "dhcp6" | "accept-ra") => {
                // DHCPv6 is not there, what it would bring comes by router advertisements.
                if value.flag() == Some(true) || key == "accept-ra" {
                    set(&mut table, "ipv6-auto", out.flag(&path, value));
                }
            }
            (_, "addresses") => addresses(out, &path, value, &mut table),
            (_, "gateway4") => set(&mut table, "gateway", out.text(&path, value)),
            (_, "gateway6") => set(&mut table, "gateway6", out.text(&path, value)),
            (_, "mtu") => set(&mut table, "mtu", out.integer(&path, value)),
            (_, "macaddress") => set(&mut table, "mac", out.text(&path, value)),
            (_, "nameservers") => {
                let list = |key: &str| value.get(key).map_or(&[][..], Yaml::entries);
                let dns: Vec<Node> = list("addresses").iter().filter_map(|entry| out.text(&path, entry)).collect();
                let search: Vec<Node> = list("search").iter().filter_map(|entry| out.text(&path, entry)).collect();
                add_texts(&mut table, "dns", dns);
                add_texts(&mut table, "search", search);
            }
            (_, "routes") => {
                for (index, entry) in value.entries().iter().enumerate() {
                    let route = route(out, &format!("{path}[{index}]"), entry);
                    table.push("routes", Node::new(route, entry.line));
                }
            }
            ("vlans", "id") => set(&mut table, "vlan-id", out.integer(&path, value)),
            ("vlans", "link") => set(&mut table, "vlan-link", out.text(&path, value)),
            ("bonds", "interfaces") => table.set("bond", out.texts(&path, value)),
            ("bridges", "interfaces") => table.set("bridge", out.texts(&path, value)),
            ("bridges", "parameters") => {
                for (key, value) in value.pairs() {
                    match key.as_str() {
                        "stp" => set(&mut table, "bridge-stp", out.flag(&path, value)),
                        _ => out.unsupported(format!("{path}.{key}"), value.line, ""),
                    }
                }
            }
            ("bonds", "parameters") => {
                for (key, value) in value.pairs() {
                    match key.as_str() {
                        "mode" => set(&mut table, "bond-mode", out.text(&path, value)),
                        "mii-monitor-interval" => set(&mut table, "bond-miimon", out.integer(&path, value)),
                        _ => out.unsupported(format!("{path}.{key}"), value.line, ""),
                    }
                }
            }
            (_, "optional" | "renderer") => {}
            ("ethernets", "set-name") if value.text() == Some(name) => {
                if entry.get("match").is_some() {
                    table.set("rename", Node::new(true, value.line));
                }
            }
            _ => out.unsupported(path, value.line, ""),
        }
    }
    if section == "bridges" && table.get("bridge").is_none() {
        table.set("bridge", Node::new(Vec::new(), entry.line));
    }
    // Without an answer there is none: an interface of a network configuration has what that says.
    if table.get("dhcp").is_none() {
        table.set("dhcp", Node::new(false, entry.line));
    }
    table
}

fn set(table: &mut Table, key: &str, node: Option<Node>) {
    if let Some(node) = node {
        table.set(key, node);
    }
}

fn matches(out: &mut Translation, path: &str, value: &Yaml, table: &mut Table) {
    for (key, value) in value.pairs().iter().filter(|(_, value)| !value.is_null()) {
        let path = format!("{path}.{key}");
        match key.as_str() {
            "name" => set(table, "match-name", out.text(&path, value)),
            "macaddress" => set(table, "match-mac", out.text(&path, value)),
            "driver" => set(table, "match-driver", out.text(&path, value)),
            _ => out.unsupported(path, value.line, ""),
        }
    }
}

fn addresses(out: &mut Translation, path: &str, value: &Yaml, table: &mut Table) {
    for entry in value.entries() {
        // An address may be the key of a table of options.
        if let Some((address, options)) = entry.pairs().first() {
            add_texts(table, "addresses", [Node::new(address.as_str(), entry.line)]);
            out.unsupported(format!("{path}: options of {address}"), options.line, "");
        } else if let Some(node) = out.text(path, entry) {
            add_texts(table, "addresses", [node]);
        }
    }
}

fn route(out: &mut Translation, path: &str, entry: &Yaml) -> Table {
    let mut route = Table::default();
    for (key, value) in entry.pairs().iter().filter(|(_, value)| !value.is_null()) {
        let path = format!("{path}.{key}");
        match key.as_str() {
            "to" => match value.text() {
                Some("0.0.0.0/0" | "::/0") => route.set("to", Node::new("default", value.line)),
                _ => set(&mut route, "to", out.text(&path, value)),
            },
            "via" => set(&mut route, "via", out.text(&path, value)),
            "metric" => set(&mut route, "metric", out.integer(&path, value)),
            "on-link" => set(&mut route, "on-link", out.flag(&path, value)),
            _ => out.unsupported(path, value.line, ""),
        }
    }
    route
}
