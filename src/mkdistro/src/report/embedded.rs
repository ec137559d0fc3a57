//! The project that an image carries: what it was built from, as a folder in its root.

use anyhow::{Context, Result};
use contract::paths;
use formats::tree::{Kind, Tree};

use crate::config::{self, Checked};
use crate::lock::{self, Lock};

/// The lock that an image carries, if it does.
pub(super) fn lock(tree: &Tree) -> Option<Lock> {
    let path = format!("{}/{}", paths::RECIPE_DIR, lock::PATH);
    let text = std::str::from_utf8(tree.get(path.as_bytes())?.content()?).ok()?;
    Lock::parse(text).ok()
}

/// The project that an image carries; none if it carries none, or one for another mkdistro.
pub(super) fn project(tree: &Tree) -> Option<Checked> {
    tree.get(format!("{}/distro.toml", paths::RECIPE_DIR).as_bytes())?;
    unpack(tree).and_then(|folder| config::load(folder.path())).ok()
}

/// Its files in a folder that goes when it is dropped.
fn unpack(tree: &Tree) -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir().context("making a temporary folder for the image's project")?;
    let prefix = format!("{}/", paths::RECIPE_DIR.trim_start_matches('/'));
    for (path, node) in tree.iter() {
        let Some(name) = path.strip_prefix(prefix.as_bytes()) else { continue };
        // Names in a tree have no `..` and are not absolute, and links are left out: nothing leads out of the folder.
        let (Ok(name), Kind::File(content)) = (std::str::from_utf8(name), &node.kind) else { continue };
        let target = folder.path().join(name);
        let parent = target.parent().unwrap_or(folder.path());
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&target, content))
            .with_context(|| format!("unpacking {name} of the image's project"))?;
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::{lock, project};
    use crate::root::testing::{DISTRO, file, tree};

    #[test]
    fn reads_the_project_of_an_image() {
        let distro = format!("{DISTRO}[root]\nrecipes = [\"toy\"]\n");
        let tree = tree(&[
            ("usr/share/mkdistro/distro.toml", file(&distro, 0o644)),
            ("usr/share/mkdistro/packages/toy.toml", file("schema = 1\nsummary = \"a toy\"\n", 0o644)),
            ("usr/share/mkdistro/packages/debian-archive-keyring.asc", file("keys", 0o644)),
            ("usr/share/mkdistro/packages/lock.toml", file("schema = 9\n", 0o644)),
        ]);
        assert_eq!(project(&tree).unwrap().recipes["toy"].summary, "a toy");
        assert_eq!(lock(&tree), None, "of another schema");
        assert!(project(&formats::tree::Tree::new()).is_none());
    }
}
