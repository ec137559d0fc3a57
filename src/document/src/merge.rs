//! Puts a heavier source over a lighter one, as each key's [`Kind`] says.

use crate::key::{Key, Kind};
use crate::node::{Node, Table, Value};

/// Puts `over`, which has been checked, over `base`.
pub fn merge(base: &mut Table, over: Table, keys: &'static [Key]) {
    for (name, node) in over.0 {
        let Some(key) = keys.iter().find(|key| key.name == name) else { continue };
        match base.get_mut(&name) {
            Some(old) => merge_value(old, node, &key.kind),
            None => base.0.push((name, node)),
        }
    }
}

fn merge_value(old: &mut Node, new: Node, kind: &'static Kind) {
    match (kind, &mut old.value, new.value) {
        (Kind::Sum(_), Value::List(old), Value::List(new)) => {
            for node in new {
                if !old.contains(&node) {
                    old.push(node);
                }
            }
        }
        (Kind::Map(..), Value::Table(old), Value::Table(new)) => {
            for (name, node) in new.0 {
                old.set(&name, node);
            }
        }
        (Kind::Table(keys), Value::Table(old), Value::Table(new)) => merge(old, new, keys),
        (Kind::Tables(identity, _), Value::List(old), Value::List(new)) => {
            for node in new {
                let name = |node: &Node| node.table().and_then(|table| table.text(identity));
                match old.iter_mut().find(|other| name(other).is_some() && name(other) == name(&node)) {
                    Some(other) => *other = node,
                    None => old.push(node),
                }
            }
        }
        (_, old, new) => *old = new,
    }
}
