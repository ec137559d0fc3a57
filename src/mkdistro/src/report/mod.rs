//! Tells what an image consists of and what everything in it costs: as text, as JSON, and as one page to look at.
//!
//! [`of_project`] knows everything: who asked for which file, what each recipe costs. [`of_image`] knows what the image
//! itself tells.

mod contents;
mod cost;
pub mod data;
mod difference;
mod image;
mod kernel;
pub mod page;
#[cfg(test)]
mod tests;
pub mod text;
pub mod timeline;

use anyhow::Result;

use crate::config::Checked;
use crate::elf;
use crate::fetch::Fetched;
use crate::lock::Lock;
use crate::root::RootTree;
use contents::{StoredBytes, Why};
use cost::Loads;
use data::{Because, FileRow, RecipeCost, Report};

pub use image::Opened;

/// What an assembled project consists of. `image`: its image, for sizes after compression; `old`: an older one to
/// compare with.
///
/// # Errors
/// If a program of the root is a damaged ELF file.
pub fn of_project(fetched: &Fetched, root: &RootTree, image: Option<&Opened>, old: Option<&Opened>) -> Result<Report> {
    let checked = &fetched.locked.checked;
    let lock = &fetched.locked.lock;
    let mut notes = Vec::new();
    let stored = image.map(|image| {
        let (stored, estimated) = image::stored_for(&root.tree, image);
        if estimated > 0 {
            notes.push(format!(
                "{} is of another build; what its files take is known where they are the same, estimated for {estimated}",
                image.file.name
            ));
        }
        stored
    });
    let files = contents::files(&root.tree, stored.as_ref(), &|path, node| Why::of_root(&root.reasons, path, node));
    Ok(Report {
        schema: data::SCHEMA,
        mkdistro: env!("CARGO_PKG_VERSION").into(),
        name: checked.distro.distro.name.clone(),
        version: checked.distro.distro.version.clone(),
        image: image.map(|image| image.file.clone()),
        notes,
        kernel: kernel::of_root(&root.kernel, &files),
        packages: contents::packages(&files, Some(lock)),
        recipes: costs(checked, root, &files)?,
        build: None,
        boot: None,
        difference: old.map(|old| difference::difference(old, &root.tree, stored.as_ref(), Some(lock))),
        files,
    })
}

/// What an image tells of itself.
pub fn of_image(image: &Opened, old: Option<&Opened>) -> Report {
    let lock: Option<Lock> = difference::embedded_lock(&image.tree);
    let stored: &StoredBytes = &image.stored;
    let files = contents::files(&image.tree, Some(stored), &|_, _| Why::unknown());
    let (name, version) = image.identity.clone().unwrap_or_else(|| (image.file.name.clone(), String::new()));
    Report {
        schema: data::SCHEMA,
        mkdistro: env!("CARGO_PKG_VERSION").into(),
        name,
        version,
        image: Some(image.file.clone()),
        notes: vec!["The image does not tell which package each file is from, or why it is there.".into()],
        kernel: kernel::of_image(image.kernel_bytes, &files),
        packages: contents::packages(&files, lock.as_ref()),
        recipes: Vec::new(),
        build: None,
        boot: None,
        difference: old.map(|old| difference::difference(old, &image.tree, Some(stored), lock.as_ref())),
        files,
    }
}

fn costs(checked: &Checked, root: &RootTree, files: &[FileRow]) -> Result<Vec<RecipeCost>> {
    let loader = elf::Loader::new(&root.tree);
    let mut loads = Loads::new();
    for file in files.iter().filter(|file| file.because != Because::Module) {
        let needed = loader.needs(file.path.trim_start_matches('/').as_bytes())?;
        if !needed.is_empty() {
            loads.insert(file.path.clone(), needed.iter().map(|path| formats::tree::show(path)).collect());
        }
    }
    let mut named = Vec::new();
    for (name, recipe) in &checked.recipes {
        for path in recipe.libraries.iter().flat_map(|soname| loader.named(soname)) {
            named.push((name.as_str(), formats::tree::show(&path)));
        }
    }
    let modules = kernel::recipes(&root.kernel);
    let chosen = &checked.distro.root.recipes;
    Ok(cost::Graph::new(files, &loads, &modules, &named, &checked.recipes, chosen).costs())
}
