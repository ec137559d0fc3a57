//! From the modules that were asked for to the modules that are shipped: those, and what they depend on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use rayon::prelude::*;

use super::index::{Index, normal};
use super::modinfo::{self, ModInfo};

/// Somebody wants a module.
pub(super) struct Request {
    name: String,
    subject: String,
    asked_by: String,
}

impl Request {
    /// `subject` is what the module's size is reported under, `asked_by` the place to change.
    pub(super) fn new(name: &str, subject: &str, asked_by: String) -> Self {
        Self { name: normal(name), subject: subject.to_owned(), asked_by }
    }
}

/// A module of the image.
#[derive(Debug, Clone)]
pub struct Module {
    /// Name, with `_` for `-`.
    pub name: String,
    /// Path below `usr/lib/modules/RELEASE`: `kernel/fs/ext4/ext4.ko`.
    pub path: String,
    /// The module, uncompressed.
    pub content: Bytes,
    /// What it says about itself.
    pub info: ModInfo,
    /// Fragment, recipe, `distro.toml` or `boot` that brought it in first.
    pub subject: String,
    /// Where it was asked for: a fragment's line or another module.
    pub asked_by: String,
    /// The package.
    pub origin: Arc<str>,
}

impl Module {
    /// The last part of its path.
    pub fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// The modules of all requests with their dependencies, by path. Requests that the package cannot fulfil go to `failures`.
///
/// Soft dependencies (`pre:`) come along if the package has a module of that name. Many are aliases instead
/// (`crypto-crc32c`); which module answers those, only the fragments know without decompressing every module there is.
pub(super) fn closure(index: &Index<'_>, requests: Vec<Request>, failures: &mut Vec<String>) -> Result<Vec<Module>> {
    let mut modules: BTreeMap<String, Module> = BTreeMap::new();
    let mut todo = requests;
    while !todo.is_empty() {
        let mut seen = BTreeSet::new();
        todo.retain(|request| !modules.contains_key(&request.name) && !index.is_builtin(&request.name));
        for request in todo.iter().filter(|request| index.file(&request.name).is_none()) {
            failures.push(unknown(index, request));
        }
        todo.retain(|request| index.file(&request.name).is_some() && seen.insert(request.name.clone()));
        let round = todo.par_iter().map(|request| load(index, request)).collect::<Result<Vec<Module>>>()?;
        todo.clear();
        for module in round {
            let soft = module.info.soft_before.iter().filter(|name| index.file(name).is_some());
            for name in module.info.depends.iter().chain(soft) {
                todo.push(Request::new(name, &module.subject, format!("the module {}", module.name)));
            }
            modules.insert(module.name.clone(), module);
        }
    }
    let mut modules: Vec<Module> = modules.into_values().collect();
    modules.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(modules)
}

fn unknown(index: &Index<'_>, request: &Request) -> String {
    let nearest = index.nearest(&request.name).map(|name| format!("; the nearest is {name}")).unwrap_or_default();
    format!("{}: the package has no module {}{nearest}", request.asked_by, request.name)
}

fn load(index: &Index<'_>, request: &Request) -> Result<Module> {
    let file = index.file(&request.name).with_context(|| format!("looking up the module {}", request.name))?;
    let content = modinfo::decompress(file)?;
    let info = ModInfo::of_module(&content).with_context(|| format!("reading {}", file.path))?;
    Ok(Module {
        name: request.name.clone(),
        path: file.path.clone(),
        content,
        info,
        subject: request.subject.clone(),
        asked_by: request.asked_by.clone(),
        origin: Arc::clone(file.origin),
    })
}

/// The named modules with all they depend on, each after its dependencies. Names that are no modules (built in) are left
/// out.
pub(super) fn load_order<'a>(modules: &'a [Module], names: &[impl AsRef<str>]) -> Vec<&'a Module> {
    let by_name: BTreeMap<&str, &Module> = modules.iter().map(|module| (module.name.as_str(), module)).collect();
    let mut order = Vec::new();
    let mut seen = BTreeSet::new();
    // A stack of names; the flag says that the dependencies have been seen to.
    let mut stack: Vec<(&Module, bool)> = Vec::new();
    for name in names {
        stack.extend(by_name.get(name.as_ref()).map(|module| (*module, false)));
        while let Some((module, ready)) = stack.pop() {
            if ready {
                order.push(module);
            } else if seen.insert(&module.name) {
                stack.push((module, true));
                let depends = module.info.depends.iter().rev();
                stack.extend(depends.filter_map(|name| by_name.get(name.as_str())).map(|module| (*module, false)));
            }
        }
    }
    order
}
