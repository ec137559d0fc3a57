//! Kernel and modules by subject.

use std::collections::{BTreeMap, HashMap};

use super::contents::recipe_in;
use super::data::{Amount, Because, FileKind, FileRow, Kernel, Module, Subject};
use crate::kernel::{KernelFiles, Module as KernelModule};

/// Folder of the modules' releases.
const FOLDER: &str = "/usr/lib/modules/";

/// Who brought a module in.
struct Asked<'a> {
    subject: String,
    asked_by: &'a str,
}

/// The kernel of an assembled root; `files` are the report's rows.
pub(super) fn of_root(kernel: &KernelFiles, files: &[FileRow]) -> Kernel {
    let by_path: HashMap<&str, &KernelModule> =
        kernel.modules.iter().map(|module| (module.path.as_str(), module)).collect();
    let asked = |path: &str| {
        let module = by_path.get(path)?;
        let subject = match recipe(kernel, module) {
            Some(recipe) => format!("recipe {recipe}"),
            None => module.subject.clone(),
        };
        Some(Asked { subject, asked_by: &module.asked_by })
    };
    of_files(kernel.release.clone(), kernel.vmlinuz.len() as u64, files, &asked)
}

/// The kernel of an image: by what the rows say, else by folder (`fs`, `drivers/net`).
pub(super) fn of_image(vmlinuz_bytes: u64, files: &[FileRow]) -> Kernel {
    let mut releases = files.iter().filter_map(|file| file.path.strip_prefix(FOLDER)?.split_once('/'));
    let release = releases.next().map(|(release, _)| release.to_owned()).unwrap_or_default();
    let subjects: HashMap<&str, &str> = files
        .iter()
        .filter(|file| file.because == Because::Module && !file.by.is_empty())
        .filter_map(|file| Some((file.path.strip_prefix(FOLDER)?.split_once('/')?.1, file.by.as_str())))
        .collect();
    let asked = |path: &str| Some(Asked { subject: (*subjects.get(path)?).to_owned(), asked_by: "" });
    of_files(release, vmlinuz_bytes, files, &asked)
}

/// Path of each module that a recipe brought in, and that recipe.
pub(super) fn recipes(kernel: &KernelFiles) -> HashMap<String, &str> {
    let path = |module: &KernelModule| format!("{FOLDER}{}/{}", kernel.release, module.path);
    kernel.modules.iter().filter_map(|module| Some((path(module), recipe(kernel, module)?))).collect()
}

/// The recipe at the end of `the module a`, `the module b`, `packages/podman.toml, load-modules`.
fn recipe<'a>(kernel: &'a KernelFiles, module: &'a KernelModule) -> Option<&'a str> {
    let mut module = module;
    // Modules do not depend on each other in circles; the bound is for damaged ones.
    for _ in 0..100 {
        let asked_by = module.asked_by.as_str();
        let Some(name) = asked_by.strip_prefix("the module ") else {
            return recipe_in(asked_by);
        };
        module = kernel.modules.iter().find(|other| other.name == name)?;
    }
    None
}

fn of_files<'a>(release: String, bytes: u64, files: &[FileRow], asked: &dyn Fn(&str) -> Option<Asked<'a>>) -> Kernel {
    let folder = format!("{FOLDER}{release}/");
    let mut modules = Amount::default();
    let mut subjects: BTreeMap<String, Subject> = BTreeMap::new();
    for file in files.iter().filter(|file| file.kind == FileKind::Module) {
        let Some(path) = file.path.strip_prefix(&folder) else { continue };
        modules.add(file);
        let asked = asked(path).unwrap_or_else(|| Asked { subject: subject_of(path), asked_by: "" });
        let subject = subjects.entry(asked.subject).or_insert_with_key(|name| Subject {
            name: name.clone(),
            total: Amount::default(),
            modules: Vec::new(),
        });
        subject.total.add(file);
        let name = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".ko").to_owned();
        subject.modules.push(Module { name, bytes: file.bytes, stored: file.stored, asked_by: asked.asked_by.into() });
    }
    let mut subjects: Vec<Subject> = subjects.into_values().collect();
    subjects.sort_by_key(|subject| std::cmp::Reverse(subject.total.weight()));
    for subject in &mut subjects {
        subject.modules.sort_by_key(|module| std::cmp::Reverse(module.stored.unwrap_or(module.bytes)));
    }
    Kernel { release, bytes, modules, subjects }
}

/// `drivers/net` of `kernel/drivers/net/ethernet/intel/e1000/e1000.ko`.
fn subject_of(path: &str) -> String {
    let folders: Vec<&str> = path.trim_start_matches("kernel/").split('/').collect();
    let depth = if folders.first() == Some(&"drivers") { 2 } else { 1 };
    folders[..folders.len().saturating_sub(1).min(depth)].join("/")
}
