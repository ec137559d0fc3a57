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
    take_files(tree, recipe, name, packages)?;
    for (path, pattern) in &recipe.concat {
        let content = concat(recipe, name, pattern, packages)?;
        insert(tree, path.as_bytes(), Node::new(Kind::File(content), 0o644, &origin))?;
    }
    for write in &recipe.writes {
        let content = Bytes::from(checked.expand(&write.content).into_bytes());
        insert(tree, write.path.as_bytes(), Node::new(Kind::File(content), octal(&write.mode)?, &origin))?;
    }
    for (path, mode) in &recipe.modes {
        let real = tree.resolve(path.as_bytes()).with_context(|| format!("modes: {path} is not in the root"))?;
        if let Some(node) = tree.get_mut(&real) {
            node.mode = octal(mode)?;
        }
    }
    Ok(())
}

fn take_files(tree: &mut Tree, recipe: &Recipe, name: &str, packages: &Packages) -> Result<()> {
    for pattern in &recipe.files {
        for (package, path) in matching(recipe, name, pattern, packages)? {
            copy(tree, packages, package, path, path)?;
        }
    }
    for (target, source) in &recipe.rename {
        let found = matching(recipe, name, source, packages)?;
        let [(package, path)] = found[..] else {
            return Err(Problem::error(
                Class::Config,
                format!("packages/{name}.toml: rename: {source} fits {} files, expected one", found.len()),
                "give the file's full path",
            ));
        };
        copy(tree, packages, package, path, target.as_bytes())?;
    }
    Ok(())
}

fn copy(tree: &mut Tree, packages: &Packages, package: &str, path: &[u8], target: &[u8]) -> Result<()> {
    let node = packages.trees.get(package).and_then(|files| files.get(path));
    let node = node.with_context(|| format!("{} is not in {package}", show(path)))?;
    if node.kind != Kind::Directory || tree.lookup(target).is_none() {
        insert(tree, target, node.clone())?;
    }
    Ok(())
}

fn concat(recipe: &Recipe, name: &str, pattern: &str, packages: &Packages) -> Result<Bytes> {
    let mut joined = Vec::new();
    for (package, path) in matching(recipe, name, pattern, packages)? {
        if let Some(content) = packages.trees.get(package).and_then(|files| files.get(path)).and_then(Node::content) {
            joined.extend_from_slice(content);
            if !joined.ends_with(b"\n") {
                joined.push(b'\n');
            }
        }
    }
    Ok(Bytes::from(joined))
}

fn matching<'a>(
    recipe: &'a Recipe,
    name: &str,
    pattern: &str,
    packages: &'a Packages,
) -> Result<Vec<(&'a str, &'a [u8])>> {
    let found = packages.matching(&recipe.packages, pattern)?;
    if found.is_empty() {
        return Err(Problem::error(
            Class::Config,
            format!("packages/{name}.toml: {pattern} is in none of its packages ({})", recipe.packages.join(", ")),
            "\"dpkg -L PACKAGE\" on a Debian machine lists a package's files",
        ));
    }
    Ok(found)
}
