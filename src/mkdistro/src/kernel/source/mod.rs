//! A kernel built from Debian's source with what the fragments ask for, all of it built in: no modules, no signatures.
//!
//! Base is `allnoconfig`, merged with the fragments. After Kconfig has run every option is compared with what was asked
//! for. The result is kept by source, final configuration and compiler; see [`store`] and [`tree`].

mod expression;
mod kconfig;
mod store;
mod stuck;
mod tools;
mod tree;

use std::path::Path;

use anyhow::{Context, Result};

use super::config::KernelConfig;
use crate::config::Checked;
use crate::lock::LockedPackage;
use crate::problem::{Class, Problem};
use crate::progress::Progress;

pub use store::Built;

/// The compiler and linker that a kernel would be built with.
///
/// # Errors
/// Programs or headers are missing: all are named, with the packages that bring them.
pub(crate) fn compiler() -> Result<String> {
    tools::check("")
}

use kconfig::Kconfig;
use store::Store;
use tree::SourceTree;

/// What a kernel is built from.
pub struct Source<'a> {
    /// The project.
    pub checked: &'a Checked,
    /// The linux-source package in the lock.
    pub package: &'a LockedPackage,
    /// Its file.
    pub file: &'a Path,
    /// The cache's folder.
    pub cache: &'a Path,
}

/// A request, and what decides about it.
struct Request {
    merged: String,
    toolchain: String,
    hash: String,
}

impl Source<'_> {
    /// The kernel, from the cache or compiled now.
    ///
    /// # Errors
    /// Class `Config`: build tools are missing, or options did not stick. Others: unpacking or compiling failed.
    pub fn build(&self, progress: &dyn Progress) -> Result<Built> {
        let store = Store::new(self.cache);
        let request = self.request()?;
        if let Some(built) = store.find(&request.hash) {
            return Ok(built);
        }
        let tree = self.tree(&store, progress)?;
        // Another process may have built it while this one waited for the tree.
        if let Some(built) = store.find(&request.hash) {
            return Ok(built);
        }
        let config = self.configured(&tree, &request, progress)?;
        let key = store::hash(&[&self.package.sha256, &config, &request.toolchain]);
        if let Some(built) = store.adopt(&request.hash, &key)? {
            return Ok(built);
        }
        progress.say(&format!(
            "the kernel has to be compiled, once: half an hour of processor time; its log is {}",
            tree.log().display()
        ));
        let task = progress.start("compiling the kernel", 0);
        tree.compile()?;
        let built = store.keep(&request.hash, &key, &tree.output())?;
        task.finish(&format!("{}, {:.1} MB", built.release, built.vmlinuz.len() as f64 / 1e6));
        Ok(built)
    }

    /// The configuration that it has or would have; nothing is compiled.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub fn config(&self, progress: &dyn Progress) -> Result<String> {
        let store = Store::new(self.cache);
        let request = self.request()?;
        match store.find_config(&request.hash) {
            Some(config) => Ok(config),
            None => self.configured(&self.tree(&store, progress)?, &request, progress),
        }
    }

    fn request(&self) -> Result<Request> {
        let merged = stuck::merged(self.checked);
        let toolchain = tools::check(&merged)?;
        let hash = store::hash(&[&self.package.sha256, &merged, &toolchain]);
        Ok(Request { merged, toolchain, hash })
    }

    fn tree(&self, store: &Store, progress: &dyn Progress) -> Result<SourceTree> {
        let folder = store.source(&self.package.sha256);
        let task = std::cell::RefCell::new(None);
        let tree = SourceTree::open(&folder, self.file, &|| {
            *task.borrow_mut() = Some(progress.start("unpacking the kernel's source", 0));
        });
        let tree = tree.with_context(|| format!("unpacking {}", self.package.name))?;
        if let Some(task) = task.into_inner() {
            task.finish(&self.package.version);
        }
        Ok(tree)
    }

    /// Runs Kconfig, and checks that every option stuck.
    fn configured(&self, tree: &SourceTree, request: &Request, progress: &dyn Progress) -> Result<String> {
        let task = progress.start("configuring the kernel", 0);
        let config = tree.configure(&request.merged)?;
        let failures = stuck::failures(self.checked, &KernelConfig::parse(&config), || Kconfig::read(tree.dir()))?;
        if !failures.is_empty() {
            let message = format!(
                "Linux {} does not take what the fragments ask for:\n  {}",
                self.package.version,
                failures.join("\n  ")
            );
            let hint = "ask for what they depend on too, in a line of the same fragment, or remove the lines";
            return Err(Problem::error(Class::Config, message, hint));
        }
        task.finish(&format!(
            "{} options asked for, {} set",
            request.merged.lines().count(),
            config.lines().filter(|line| line.starts_with("CONFIG_")).count()
        ));
        Ok(config)
    }
}
