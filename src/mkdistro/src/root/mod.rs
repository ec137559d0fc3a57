//! Assembles the root file tree: recipes' files out of the packages, our own programs, accounts, kernel modules, shared
//! libraries by the ELF closure, and the user's overlay on top.

mod accounts;
mod applets;
pub mod embedded;
mod images;
mod overlay;
mod packages;
mod reason;
mod recipe;
mod state;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use contract::paths;
use formats::tree::{Kind, Node, Tree};

use crate::cache::Store;
use crate::config::Checked;
use crate::elf;
use crate::fetch::Fetched;
use crate::kernel::{self, KernelFiles};
use crate::problem::{Class, Problem};
use crate::progress::Progress;

pub use images::Images;
pub use packages::Packages;
pub use reason::{Reason, Reasons};

/// The finished root and what goes beside it into an image.
pub struct RootTree {
    /// The root's files.
    pub tree: Tree,
    /// Why each of them is there.
    pub reasons: Reasons,
    /// Kernel, its configuration and the modules of the initramfs.
    pub kernel: KernelFiles,
    /// The opened packages, for what the image takes from them (boot loader).
    pub packages: Packages,
    /// What earlier builds left.
    pub store: Store,
    /// The container images.
    pub images: Images,
    /// Further files for the medium, beside kernel and initramfs.
    pub beside: Tree,
    /// The bill of materials of a container image, which has no kernel.
    pub container_bill: Option<Bytes>,
    /// Follows from everything that the build was made of, the time of the image apart: 32 hex digits.
    pub build_id: String,
}

/// Assembles the root of a fetched project.
pub fn assemble(fetched: &Fetched, progress: &dyn Progress) -> Result<RootTree> {
    let checked = &fetched.locked.checked;
    let task = progress.start("reading packages", 0);
    let packages = Packages::open(fetched)?;
    task.finish(&format!("{} packages", packages.trees.len() + 1));

    let kernel = kernel::of(fetched, &packages.kernel, progress)?;
    let task = progress.start("assembling the root", 0);
    let mut tree = Tree::new();
    let mut reasons = Reasons::default();
    for name in recipe::order(checked) {
        recipe::apply(&mut tree, checked, name, &packages)
            .with_context(|| format!("applying {}", checked.recipe_file(name)))?;
        reasons.note(&tree, |_| Reason::Recipe(name.to_owned()));
    }
    graft(&mut tree, &kernel.tree).context("adding the kernel's modules")?;
    reasons.note(&tree, |path| module_reason(&kernel, path));
    add_guest_programs(&mut tree)?;
    reasons.note(&tree, |_| Reason::Builder);
    for (name, recipe) in &checked.recipes {
        if let Some(applets) = &recipe.applets {
            applets::link(&mut tree, applets)?;
            reasons.note(&tree, |_| Reason::Recipe(name.clone()));
        }
    }
    accounts::add(&mut tree, checked)?;
    let overlay = overlay::read(checked, &fetched.store)?;
    let embedded = embedded::files(&fetched.locked, &overlay)?;
    let build_id = embedded::build_id(&embedded, &kernel.vmlinuz);
    state::add(&mut tree, checked, &build_id)?;
    let images = Images::make(fetched, progress)?;
    images.prepare(&mut tree, checked)?;
    reasons.note(&tree, |_| Reason::Builder);
    overlay::add(&mut tree, checked, &overlay)?;
    reasons.note(&tree, |_| Reason::Overlay);
    let wanted_by = add_libraries(&mut tree, checked, &packages)?;
    reasons.note(&tree, |path| wanted_by.get(path).cloned().map_or(Reason::Builder, Reason::Library));
    embedded::add(&mut tree, embedded)?;
    reasons.note(&tree, |_| Reason::Builder);
    task.finish(&format!("{} entries", tree.len()));
    let store = fetched.store.clone();
    Ok(RootTree { tree, reasons, kernel, packages, store, images, beside: Tree::new(), container_bill: None, build_id })
}

/// What the recipes of a project take from packages, with the libraries that it needs; without kernel, accounts and
/// overlay. For comparing what recipes cost.
pub fn assemble_recipes(checked: &Checked, packages: &Packages) -> Result<Tree> {
    let mut tree = Tree::new();
    for name in recipe::order(checked) {
        recipe::apply(&mut tree, checked, name, packages)
            .with_context(|| format!("applying {}", checked.recipe_file(name)))?;
    }
    add_libraries(&mut tree, checked, packages)?;
    Ok(tree)
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

/// A module's subject; the indices beside the modules are there in every root.
fn module_reason(kernel: &KernelFiles, path: &[u8]) -> Reason {
    let module = kernel.modules.iter().find(|module| path.ends_with(module.path.as_bytes()));
    module.map_or(Reason::Builder, |module| Reason::Module(module.subject.clone()))
}

/// Adds them; for each path the file or place that wanted it first.
fn add_libraries(tree: &mut Tree, checked: &Checked, packages: &Packages) -> Result<BTreeMap<Vec<u8>, String>> {
    let extras: Vec<elf::Extra> = checked
        .recipes
        .iter()
        .flat_map(|(name, recipe)| recipe.libraries.iter().map(move |soname| (name, soname)))
        .map(|(name, soname)| elf::Extra {
            soname: soname.clone(),
            wanted_by: format!("{}, libraries", checked.recipe_file(name)),
        })
        .collect();
    let candidates: Vec<&Tree> = packages.trees.values().collect();
    let needed = elf::closure(tree, &extras, &candidates).context("finding shared libraries")?;
    let mut wanted_by = BTreeMap::new();
    for library in needed {
        let path = insert(tree, &library.path, library.node)?;
        wanted_by.insert(path, library.wanted_by);
    }
    Ok(wanted_by)
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
