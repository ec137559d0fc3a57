//! Tells what an image consists of and what everything in it costs: as text, as JSON, and as one page to look at.
//!
//! [`of_project`] knows everything: who asked for which file, what each recipe costs. [`of_image`] knows what the image
//! itself tells.

mod bill;
mod contents;
mod cost;
pub mod data;
mod difference;
mod embedded;
mod image;
mod images;
mod kernel;
pub mod page;
#[cfg(test)]
mod tests;
pub mod text;
pub mod timeline;

use std::collections::HashMap;

use anyhow::Result;
use formats::tree::{Node, Tree, show};

use crate::config::Checked;
use crate::elf;
use crate::fetch::Fetched;
use crate::root::RootTree;
use crate::sbom::Inventory;
use bill::Bill;
use contents::{StoredBytes, Why};
use cost::Loads;
use data::{Because, FileRow, RecipeCost, Report};
use images::Images;

pub use image::Opened;

/// What an assembled project consists of. `inventory`: for licences; `image`: its image, for sizes after compression;
/// `old`: an older one to compare with.
///
/// # Errors
/// If a program of the root is a damaged ELF file.
pub fn of_project(
    fetched: &Fetched,
    root: &RootTree,
    inventory: Option<&Inventory>,
    image: Option<&Opened>,
    old: Option<&Opened>,
) -> Result<Report> {
    let checked = &fetched.locked.checked;
    let lock = &fetched.locked.lock;
    let mut notes = Vec::new();
    let whole = root.images.with_root(&root.tree)?;
    let mut tree: &Tree = &whole;
    let stored = image.map(|image| {
        let (stored, estimated) = image::stored_for(&whole, image);
        if estimated == 0 {
            // With what the build adds to a root at its end, such as bills of materials.
            tree = &image.tree;
            return image.stored.clone();
        }
        notes.push(format!(
            "{} is of another build; compressed sizes are estimated for {estimated} of the project's files",
            image.file.name
        ));
        stored
    });
    let images = Images::of(tree);
    let builder = || Why { package: "mkdistro".into(), recipe: None, because: Because::Builder, by: String::new() };
    let why = |path: &[u8], _: &Node| match root.tree.get(path) {
        Some(node) => Why::of_root(&root.reasons, path, node),
        None => images.why(path).unwrap_or_else(builder),
    };
    let files = contents::files(tree, stored.as_ref(), &why);
    let bill = inventory.map(Bill::of_packages);
    let modules = kernel::recipes(&root.kernel);
    Ok(Report {
        schema: data::SCHEMA,
        mkdistro: env!("CARGO_PKG_VERSION").into(),
        name: checked.distro.distro.name.clone(),
        version: checked.distro.distro.version.clone(),
        image: image.map(|image| image.file.clone()),
        notes,
        kernel: kernel::of_root(&root.kernel, &files),
        packages: contents::packages(&files, Some(lock), bill.as_ref()),
        recipes: costs(checked, tree, &modules, &files)?,
        build: None,
        boot: None,
        difference: old.map(|old| difference::difference(old, tree, stored.as_ref(), Some(lock))),
        files,
    })
}

/// What an image tells of itself: all of it if it carries its project and a bill of materials.
///
/// # Errors
/// If a program of its root is a damaged ELF file.
pub fn of_image(image: &Opened, old: Option<&Opened>) -> Result<Report> {
    let lock = embedded::lock(&image.tree);
    let checked = embedded::project(&image.tree);
    let stored: &StoredBytes = &image.stored;
    let images = Images::of(&image.tree);
    // Bills have no links; a link is from where its target is from.
    let why = |path: &[u8], _: &Node| {
        let real = image.tree.resolve(path).unwrap_or_default();
        let told = |path: &[u8]| image.bill.as_ref().and_then(|bill| bill.why(&show(path)));
        let linked = || told(&real).map(|target| Why { package: target.package, ..Why::unknown() });
        images.why(path).or_else(|| told(path)).or_else(linked).unwrap_or_else(Why::unknown)
    };
    let files = contents::files(&image.tree, Some(stored), &why);
    let mut notes = Vec::new();
    if image.bill.is_none() {
        notes.push("The image does not tell which package each file is from, or why it is there.".to_owned());
    }
    let recipes = match (&checked, &image.bill) {
        (Some(checked), Some(_)) => costs(checked, &image.tree, &modules_of_recipes(checked, &files), &files)?,
        _ => Vec::new(),
    };
    let (name, version) = image.identity.clone().unwrap_or_else(|| (image.file.name.clone(), String::new()));
    Ok(Report {
        schema: data::SCHEMA,
        mkdistro: env!("CARGO_PKG_VERSION").into(),
        name,
        version,
        image: Some(image.file.clone()),
        notes,
        kernel: kernel::of_image(image.kernel_bytes, &files),
        packages: contents::packages(&files, lock.as_ref(), image.bill.as_ref()),
        recipes,
        build: None,
        boot: None,
        difference: old.map(|old| difference::difference(old, &image.tree, Some(stored), lock.as_ref())),
        files,
    })
}

/// Modules whose subject is a recipe. One of the same name as a fragment is taken for the fragment's.
fn modules_of_recipes<'a>(checked: &'a Checked, files: &[FileRow]) -> HashMap<String, &'a str> {
    let is_fragment = |name: &str| checked.fragments.iter().any(|fragment| fragment.name == name);
    let modules = files.iter().filter(|file| file.because == Because::Module && !is_fragment(&file.by));
    modules
        .filter_map(|file| {
            let (recipe, _) = checked.recipes.get_key_value(&file.by)?;
            Some((file.path.clone(), recipe.as_str()))
        })
        .collect()
}

fn costs(
    checked: &Checked,
    tree: &Tree,
    modules: &HashMap<String, &str>,
    files: &[FileRow],
) -> Result<Vec<RecipeCost>> {
    let loader = elf::Loader::new(tree);
    let shown = |paths: Vec<Vec<u8>>| -> Vec<String> { paths.iter().map(|path| show(path)).collect() };
    let mut loads = Loads::new();
    // Modules load nothing this way, and what is in container images is no business of the root's loader.
    for file in files.iter().filter(|file| !matches!(file.because, Because::Module | Because::Image)) {
        let needed = loader.needs(file.path.trim_start_matches('/').as_bytes())?;
        if !needed.is_empty() {
            loads.insert(file.path.clone(), shown(needed));
        }
    }
    let mut named = Vec::new();
    for (name, recipe) in &checked.recipes {
        let libraries = recipe.libraries.iter().flat_map(|soname| shown(loader.named(soname)));
        named.extend(libraries.map(|path| (name.as_str(), path)));
    }
    Ok(cost::Graph::new(files, &loads, modules, &named, &checked.recipes, &checked.distro.root.recipes).costs())
}
