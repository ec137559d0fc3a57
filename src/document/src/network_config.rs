//! cloud-init's `network-config`, version 1 and 2 (its documentation, "Networking config Version 1", "… Version 2"), as the
//! document's `[network]`. Version 2 is netplan's format.

mod v1;
mod v2;

use crate::node::Table;
use crate::reader::Translation;
use crate::yaml::{self, Yaml};
use crate::{Problem, Table as Document};

/// Translates a network configuration; the document is not checked.
pub fn read(text: &str) -> (Document, Vec<Problem>) {
    let mut out = Translation::default();
    match yaml::parse(text) {
        Err(problem) if problem.reason == "nothing in it" => {}
        Err(problem) => out.problems.push(problem),
        Ok(yaml) if yaml.is_null() => {}
        Ok(yaml) => {
            let network = yaml.get("network").unwrap_or(&yaml);
            match network.get("version").and_then(Yaml::text) {
                Some("1") => v1::read(&mut out, network),
                Some("2") => v2::read(&mut out, network),
                _ if network.get("config").and_then(Yaml::text) == Some("disabled") => {
                    out.unsupported("config", network.line, "use [network] in an own document");
                }
                found => {
                    let found = found.unwrap_or("none").to_string();
                    out.problems.push(Problem::at("version", network.line, format!("expected 1 or 2, found {found}")));
                }
            }
        }
    }
    out.problems.sort_by_key(|problem| problem.line);
    (out.table, out.problems)
}

/// Appends texts to a list of an interface, each once.
fn add_texts(interface: &mut Table, key: &str, texts: impl IntoIterator<Item = crate::Node>) {
    for node in texts {
        if !interface.list(key).contains(&node) {
            interface.push(key, node);
        }
    }
}
