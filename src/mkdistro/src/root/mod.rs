//! Assembles the root file tree: recipes' files out of the packages, our own programs, accounts, kernel modules, shared
//! libraries by the ELF closure, and the user's overlay on top.

mod accounts;
mod applets;
pub mod guest;
mod overlay;
mod packages;
mod recipe;
mod state;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use contract::paths;
use formats::tree::{Kind, Node, Tree};

use crate::cache::Store;
use crate::elf;
use crate::fetch::Fetched;
use crate::kernel::{self, KernelFiles};
use crate::problem::{Class, Problem};
use crate::progress::Progress;

pub use packages::Packages;

/// The finished root and what goes beside it into an image.
pub struct RootTree {
    /// The root's files.
    pub tree: Tree,
    /// Kernel, its configuration and the modules of the initramfs.
    pub kernel: KernelFiles,
    /// The opened packages, for what the image takes from them (boot loader).
    pub packages: Packages,
    /// What earlier builds left.
    pub store: Store,
}

/// Assembles the root of a fetched project.
pub fn assemble(fetched: &Fetched, progress: &dyn Progress) -> Result<RootTree> {
    let checked = &fetched.locked.checked;
    let task = progress.start("reading packages", 0);
    let packages = Packages::open(fetched)?;
    task.finish(&format!("{} packages", packages.trees.len() + 1));

    let task = progress.start("assembling the root", 0);
    let kernel = kernel::select(checked, &packages.kernel)?;
    let mut tree = Tree::new();
    for name in recipe::order(checked) {
        recipe::apply(&mut tree, checked, name, &packages).with_context(|| format!("applying packages/{name}.toml"))?;
    }
    graft(&mut tree, &kernel.tree).context("adding the kernel's modules")?;
    add_guest_programs(&mut tree)?;
    for recipe in checked.recipes.values() {
        if let Some(applets) = &recipe.applets {
            applets::link(&mut tree, applets)?;
        }
    }
    accounts::add(&mut tree, checked)?;
    state::add(&mut tree, checked)?;
    overlay::add(&mut tree, checked, &fetched.store)?;
    add_libraries(&mut tree, checked, &packages)?;
    task.finish(&format!("{} entries", tree.len()));
    Ok(RootTree { tree, kernel, packages, store: fetched.store.clone() })
}

/// Puts every entry of `other` into `tree`; folders that exist stay as they are.
fn graft(tree: &mut Tree, other: &Tree) -> Result<()> {
    for (path, node) in other.iter() {
        if node.kind == Kind::Directory && tree.lookup(path).is_some() {
            continue;
        }
        insert(tree, path, node.clone())?;
    }
    Ok(())
}

fn add_guest_programs(tree: &mut Tree) -> Result<()> {
    let origin: Arc<str> = Arc::from("mkdistro");
    for (path, program) in [(paths::INIT, guest::INIT), ("/usr/bin/distroctl", guest::DISTROCTL)] {
        let content = Kind::File(Bytes::from_static(program));
        insert(tree, path.as_bytes(), Node::new(content, 0o755, &origin))?;
    }
    Ok(())
}

fn add_libraries(tree: &mut Tree, checked: &crate::config::Checked, packages: &Packages) -> Result<()> {
    let extras: Vec<elf::Extra> = checked
        .recipes
        .iter()
        .flat_map(|(name, recipe)| recipe.libraries.iter().map(move |soname| (name, soname)))
        .map(|(name, soname)| elf::Extra {
            soname: soname.clone(),
            wanted_by: format!("packages/{name}.toml, libraries"),
        })
        .collect();
    let candidates: Vec<&Tree> = packages.trees.values().collect();
    let needed = elf::closure(tree, &extras, &candidates).context("finding shared libraries")?;
    for library in needed {
        insert(tree, &library.path, library.node)?;
    }
    Ok(())
}

fn insert(tree: &mut Tree, path: &[u8], node: Node) -> Result<Vec<u8>> {
    let origin = Arc::clone(&node.origin);
    tree.insert(path, node).map_err(|reason| {
        Problem::error(Class::Config, format!("putting {} of {origin} into the root: {reason}", show(path)), "")
    })
}

fn show(path: &[u8]) -> String {
    formats::tree::show(&formats::tree::clean(path))
}

/// Mode bits from their octal text; the configuration check has seen it before.
fn octal(text: &str) -> Result<u16> {
    u16::from_str_radix(text, 8).with_context(|| format!("reading the mode {text:?} as octal"))
}
