//! Links a multi-call program under the names it answers to.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Result;
use formats::tree::{Kind, Node, Tree, split};

use super::insert;
use crate::config::Applets;
use crate::problem::{Class, Problem};

/// Adds the links. A name that is already a program of the root stays what it is.
pub(super) fn link(tree: &mut Tree, applets: &Applets) -> Result<()> {
    let program = tree.lookup(applets.program.as_bytes()).and_then(Node::content).cloned();
    let names = program.as_deref().map(names).unwrap_or_default();
    if names.is_empty() {
        return Err(Problem::error(
            Class::Config,
            format!("reading the applet names of {}: found no table of them", applets.program),
            "it must be a busybox program, and among the recipe's files",
        ));
    }
    let taken: BTreeSet<Vec<u8>> = tree
        .iter()
        .filter(|(path, node)| node.kind != Kind::Directory && path.windows(4).any(|part| part == b"bin/"))
        .map(|(path, _)| split(path).1.to_vec())
        .collect();
    let origin: Arc<str> = Arc::from("busybox applet");
    let target = split(applets.program.as_bytes()).1;
    for name in names {
        if applets.except.contains(&name) || taken.contains(name.as_bytes()) {
            continue;
        }
        let path = format!("{}/{name}", applets.folder);
        insert(tree, path.as_bytes(), Node::new(Kind::Symlink(target.to_vec()), 0o777, &origin))?;
    }
    Ok(())
}

/// The names in busybox's own table: NUL-terminated and sorted (busybox `include/applet_tables.h`, `applet_names`); the
/// first two are `[` and `[[`.
fn names(program: &[u8]) -> Vec<String> {
    const HEAD: &[u8] = b"[\0[[\0";
    let Some(at) = program.windows(HEAD.len()).position(|part| part == HEAD) else { return Vec::new() };
    let mut names = Vec::new();
    for name in program[at..].split(|&byte| byte == 0) {
        let Ok(name) = std::str::from_utf8(name) else { break };
        let plausible =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"[_-.".contains(&byte));
        let in_order = names.last().is_none_or(|last: &String| last.as_str() < name);
        if !plausible || !in_order {
            break;
        }
        names.push(name.to_string());
    }
    names
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn reads_the_table() {
        let program = b"ELF..x[\0[[\0ash\0cat\0\0zzz\0";
        assert_eq!(names(program), ["[", "[[", "ash", "cat"]);
        assert_eq!(names(b"ELF"), Vec::<String>::new());
        assert_eq!(names(b"[\0[[\0cat\0ash\0"), ["[", "[[", "cat"]);
    }
}
