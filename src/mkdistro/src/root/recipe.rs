//! Applies a recipe to the root.

use anyhow::{Context, Result};
use bytes::Bytes;
use formats::tree::{Kind, Node, Tree};
use std::sync::Arc;

use super::{Packages, insert, octal, show};
use crate::config::{Checked, Recipe};
use crate::problem::{Class, Problem};

/// Names of the recipes: `base` first, since its links (`/bin` → `usr/bin`) decide where the others' files go.
pub(super) fn order(checked: &Checked) -> Vec<&str> {
    let mut names: Vec<&str> = checked.recipes.keys().map(String::as_str).collect();
    names.sort_by_key(|name| (*name != "base", *name));
    names
}

/// Puts everything that recipe `name` says into the tree.
pub(super) fn apply(tree: &mut Tree, checked: &Checked, name: &str, packages: &Packages) -> Result<()> {
    let recipe = checked.recipes.get(name).context("the recipe exists")?;
    let file = &checked.recipe_file(name);
    let origin: Arc<str> = Arc::from(format!("recipe {name}").as_str());
    for directory in &recipe.directories {
        let path = checked.expand(&directory.path);
        let mut node = Node::new(Kind::Directory, octal(&directory.mode)?, &origin);
        if directory.user {
            (node.uid, node.gid) = (checked.distro.user.uid, checked.distro.user.uid);
        }
        insert(tree, path.as_bytes(), node)?;
    }
    for (path, target) in &recipe.links {
        insert(tree, path.as_bytes(), Node::new(Kind::Symlink(target.clone().into_bytes()), 0o777, &origin))?;
    }
    take_files(tree, recipe, file, packages)?;
    for (path, pattern) in &recipe.concat {
        let content = concat(recipe, file, pattern, packages)?;
        insert(tree, path.as_bytes(), Node::new(Kind::File(content), 0o644, &origin))?;
    }
    for write in &recipe.writes {
        let content = Bytes::from(checked.expand(&write.content).into_bytes());
        insert(tree, write.path.as_bytes(), Node::new(Kind::File(content), octal(&write.mode)?, &origin))?;
    }
    for (path, mode) in &recipe.modes {
        let node = tree.resolve(path.as_bytes()).and_then(|real| tree.get_mut(&real));
        let node = node.ok_or_else(|| {
            let message = format!("{file}: modes: {path} is not in the root");
            Problem::error(Class::Config, message, "modes may name what this recipe or one before it brings")
        })?;
        node.mode = octal(mode)?;
    }
    Ok(())
}

fn take_files(tree: &mut Tree, recipe: &Recipe, file: &str, packages: &Packages) -> Result<()> {
    for pattern in &recipe.files {
        let found = matching(recipe, file, pattern, packages)?;
        if let Some(folder) = lone_folder(&found, packages) {
            return Err(Problem::error(
                Class::Config,
                format!("{file}: files: {pattern} is a folder, expected files"),
                format!("{}/** takes what is in it, [[directory]] makes an empty one", show(folder)),
            ));
        }
        for (package, path) in found {
            copy(tree, packages, package, path, path)?;
        }
    }
    for (target, source) in &recipe.rename {
        let found = matching(recipe, file, source, packages)?;
        let [(package, path)] = found[..] else {
            return Err(Problem::error(
                Class::Config,
                format!("{file}: rename: {source} fits {} files, expected one", found.len()),
                "give the file's full path",
            ));
        };
        copy(tree, packages, package, path, target.as_bytes())?;
    }
    Ok(())
}

/// The folder, if that is all a pattern fits: its content would silently be missing.
fn lone_folder<'a>(found: &[(&str, &'a [u8])], packages: &Packages) -> Option<&'a [u8]> {
    let is_folder = |package: &str, path: &[u8]| {
        let node = packages.trees.get(package).and_then(|files| files.get(path));
        node.is_some_and(|node| node.kind == Kind::Directory)
    };
    let (_, first) = found.first()?;
    found.iter().all(|(package, path)| path == first && is_folder(package, path)).then_some(*first)
}

fn copy(tree: &mut Tree, packages: &Packages, package: &str, path: &[u8], target: &[u8]) -> Result<()> {
    let node = packages.trees.get(package).and_then(|files| files.get(path));
    let node = node.with_context(|| format!("{} is not in {package}", show(path)))?;
    if node.kind != Kind::Directory || tree.lookup(target).is_none() {
        insert(tree, target, node.clone())?;
    }
    Ok(())
}

fn concat(recipe: &Recipe, file: &str, pattern: &str, packages: &Packages) -> Result<Bytes> {
    let mut joined = Vec::new();
    for (package, path) in matching(recipe, file, pattern, packages)? {
        if let Some(content) = packages.trees.get(package).and_then(|files| files.get(path)).and_then(Node::content) {
            joined.extend_from_slice(content);
            if !joined.is_empty() && !joined.ends_with(b"\n") {
                joined.push(b'\n');
            }
        }
    }
    if joined.is_empty() {
        let message = format!("{file}: concat: nothing is in the files that fit {pattern}");
        return Err(Problem::error(Class::Config, message, "the pattern must fit files, not folders or links"));
    }
    Ok(Bytes::from(joined))
}

fn matching<'a>(
    recipe: &'a Recipe,
    file: &str,
    pattern: &str,
    packages: &'a Packages,
) -> Result<Vec<(&'a str, &'a [u8])>> {
    let found = packages.matching(&recipe.packages, pattern)?;
    if found.is_empty() {
        return Err(Problem::error(
            Class::Config,
            format!("{file}: {pattern} is in none of its packages ({})", recipe.packages.join(", ")),
            "\"dpkg -L PACKAGE\" on a Debian machine lists a package's files",
        ));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::{apply, order};
    use crate::config::Checked;
    use crate::problem::exit_code;
    use crate::root::Packages;
    use crate::root::testing::{checked, file, folder, link, packages, shown, text, tree};
    use formats::tree::Tree;

    fn toys() -> Packages {
        let one = tree(&[
            ("usr/bin/tool", file("one", 0o755)),
            ("usr/bin/same", link("tool")),
            ("usr/lib/toy", folder(0o750)),
            ("usr/lib/toy/b.crt", file("B", 0o600)),
            ("usr/lib/toy/a.crt", file("A\n", 0o600)),
            ("usr/lib/toy/0.crt", file("", 0o600)),
            ("usr/lib/toy/sub.crt/x", file("x", 0o600)),
            ("usr/lib/empty", folder(0o711)),
            ("etc/conf", file("one", 0o644)),
        ]);
        let two = tree(&[("etc/conf", file("two", 0o644)), ("usr/bin/other", file("other", 0o755))]);
        packages(&[("one", one), ("two", two)])
    }

    /// Applies a recipe, called "toy", that takes from both packages.
    fn applied(text: &str) -> anyhow::Result<Tree> {
        let checked = checked(&[("toy", &format!("packages = [\"one\", \"two\"]\n{text}"))]);
        let mut tree = tree(&[("usr/bin", folder(0o755)), ("bin", link("usr/bin"))]);
        apply(&mut tree, &checked, "toy", &toys()).map(|()| tree)
    }

    #[test]
    fn puts_in_what_the_recipe_says() {
        let frame = ["/bin 0777 0 -> usr/bin", "/usr 0755 0/", "/usr/bin 0755 0/"];
        for (text, expected) in [
            // A merged /usr: the package's /bin is the root's /usr/bin.
            ("files = [\"/bin/tool\"]", &["/usr/bin/tool 0755 0 \"one\""][..]),
            ("files = [\"/usr/bin/s*\"]", &["/usr/bin/same 0777 0 -> tool"]),
            (
                "rename = { \"/bin/renamed\" = \"/usr/bin/tool\", \"/etc/a/b\" = \"/bin/other\" }",
                &["/etc 0755 0/", "/etc/a 0755 0/", "/etc/a/b 0755 0 \"other\"", "/usr/bin/renamed 0755 0 \"one\""],
            ),
            (
                "concat = { \"/etc/all.crt\" = \"/usr/lib/toy/*.crt\" }",
                &["/etc 0755 0/", "/etc/all.crt 0644 0 \"A\\nB\\n\""],
            ),
            (
                "files = [\"/usr/bin/tool\", \"/usr/bin/same\"]\nmodes = { \"/bin/same\" = \"4755\" }",
                &["/usr/bin/same 0777 0 -> tool", "/usr/bin/tool 4755 0 \"one\""],
            ),
            (
                "[[directory]]\npath = \"/home/${user}\"\nmode = \"0750\"\nuser = true\n[[directory]]\npath = \"/tmp\"\nmode = \"1777\"",
                &["/home 0755 0/", "/home/core 0750 1000/", "/tmp 1777 0/"],
            ),
            (
                "links = { \"/bin/docker\" = \"podman\" }\n[[write]]\npath = \"/etc/who\"\nmode = \"0440\"\n\
                 content = \"${user} ${uid} ${hostname} ${name} ${version} ${x}\"",
                &["/etc 0755 0/", "/etc/who 0440 0 \"core 1000 box toy 1.2 ${x}\"", "/usr/bin/docker 0777 0 -> podman"],
            ),
        ] {
            let mut expected: Vec<&str> = frame.iter().chain(expected).copied().collect();
            expected.sort_unstable();
            assert_eq!(shown(&applied(text).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn folders_come_with_their_content() {
        let tree = applied("files = [\"/usr/lib/*\", \"/usr/lib/toy/**\"]").unwrap();
        assert_eq!(
            shown(&tree)[3..],
            [
                "/usr/lib 0755 0/",
                "/usr/lib/empty 0711 0/",
                "/usr/lib/toy 0750 0/",
                "/usr/lib/toy/0.crt 0600 0 \"\"",
                "/usr/lib/toy/a.crt 0600 0 \"A\\n\"",
                "/usr/lib/toy/b.crt 0600 0 \"B\"",
                "/usr/lib/toy/sub.crt 0755 0/",
                "/usr/lib/toy/sub.crt/x 0600 0 \"x\"",
            ]
        );
    }

    #[test]
    fn of_two_packages_the_later_wins_by_name_of_the_list() {
        assert_eq!(text(&applied("files = [\"/etc/conf\"]").unwrap(), "etc/conf"), "two");
    }

    #[test]
    fn names_what_does_not_fit() {
        for (text, expected) in [
            ("files = [\"/usr/bin/toll\"]", "packages/toy.toml: /usr/bin/toll is in none of its packages (one, two)"),
            ("files = [\"/usr/lib/toy\"]", "packages/toy.toml: files: /usr/lib/toy is a folder, expected files"),
            (
                "rename = { \"/etc/x\" = \"/etc/conf\" }",
                "packages/toy.toml: rename: /etc/conf fits 2 files, expected one",
            ),
            ("concat = { \"/etc/x\" = \"/no/*\" }", "packages/toy.toml: /no/* is in none of its packages (one, two)"),
            (
                "concat = { \"/etc/x\" = \"/usr/lib/*\" }",
                "packages/toy.toml: concat: nothing is in the files that fit /usr/lib/*",
            ),
            ("modes = { \"/usr/bin/su\" = \"4755\" }", "packages/toy.toml: modes: /usr/bin/su is not in the root"),
            (
                "files = [\"/etc/conf\"]\nlinks = { \"/etc/x\" = \"conf\" }\n[[write]]\npath = \"/etc/x/y\"\ncontent = \"\"",
                "putting /etc/x/y of recipe toy into the root: /etc/conf is no folder",
            ),
        ] {
            let error = applied(text).unwrap_err();
            assert_eq!((error.to_string().as_str(), exit_code(&error)), (expected, contract::exit::CONFIG), "{text}");
        }
    }

    #[test]
    fn base_goes_first() {
        let checked: Checked = checked(&[("zlib", ""), ("base", ""), ("alpha", "")]);
        assert_eq!(order(&checked), ["base", "alpha", "zlib"]);
    }
}
