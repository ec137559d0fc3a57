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
    let (folder, name) = split(applets.program.as_bytes());
    let target = if folder == applets.folder.as_bytes() { name } else { applets.program.as_bytes() };
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
    use super::{link, names};
    use crate::config::Applets;
    use crate::root::testing::{file, shown, tree};
    use formats::tree::Node;

    const BUSYBOX: &str = "ELF..x[\0[[\0ash\0busybox\0cat\0init\0mount\0\0zzz\0";

    /// The root after `folder` was filled with links to busybox; without /usr/bin/busybox itself.
    fn linked(root: &[(&str, Node)], folder: &str) -> Vec<String> {
        let mut tree = tree(root);
        tree.insert(b"usr/bin/busybox", file(BUSYBOX, 0o755)).unwrap();
        let applets =
            Applets { program: "/usr/bin/busybox".into(), folder: folder.into(), except: vec!["init".into()] };
        link(&mut tree, &applets).unwrap();
        shown(&tree).into_iter().filter(|line| !line.contains("busybox 0755") && !line.ends_with('/')).collect()
    }

    #[test]
    fn a_program_is_not_replaced() {
        assert_eq!(
            linked(&[("usr/sbin/mount", file("real", 0o755))], "/usr/bin"),
            [
                "/usr/bin/[ 0777 0 -> busybox",
                "/usr/bin/[[ 0777 0 -> busybox",
                "/usr/bin/ash 0777 0 -> busybox",
                "/usr/bin/cat 0777 0 -> busybox",
                "/usr/sbin/mount 0755 0 \"real\"",
            ]
        );
        // A data file of that name is no program.
        assert_eq!(linked(&[("etc/cat", file("", 0o644))], "/usr/bin").len(), 6);
    }

    #[test]
    fn links_from_another_folder_lead_to_the_program() {
        let links = linked(&[], "/usr/lib/applets");
        assert_eq!(links[2], "/usr/lib/applets/ash 0777 0 -> /usr/bin/busybox");
    }

    #[test]
    fn a_program_without_a_table_is_refused() {
        let mut tree = tree(&[("usr/bin/tool", file("ELF", 0o755))]);
        let applets = Applets { program: "/usr/bin/tool".into(), folder: "/usr/bin".into(), except: Vec::new() };
        assert_eq!(
            link(&mut tree, &applets).unwrap_err().to_string(),
            "reading the applet names of /usr/bin/tool: found no table of them"
        );
    }

    #[test]
    fn reads_the_table() {
        let program = b"ELF..x[\0[[\0ash\0cat\0\0zzz\0";
        assert_eq!(names(program), ["[", "[[", "ash", "cat"]);
        assert_eq!(names(b"ELF"), Vec::<String>::new());
        assert_eq!(names(b"[\0[[\0cat\0ash\0"), ["[", "[[", "cat"]);
    }
}
