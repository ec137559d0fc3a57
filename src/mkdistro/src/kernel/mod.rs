//! The kernel: out of Debian's package, checked against the project's fragments, with the modules that were asked for; or
//! built from Debian's source ([`source`]), with everything built in.
//!
//! [`of`] is the way in. Modules are stored uncompressed (SquashFS compresses them better than once each) and with
//! their signature, so that a locked-down kernel takes them; that is why they are not stripped either.

pub mod bzimage;
pub mod check;
pub mod config;
pub mod cost;
mod depmod;
pub mod found;
mod index;
mod modinfo;
mod selection;
pub mod source;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use formats::tree::{Kind, Node, Tree};

use crate::config::{Checked, KernelSource};
use crate::fetch::Fetched;
use crate::problem::{Class, Problem};
use crate::progress::Progress;

pub use modinfo::ModInfo;
pub use selection::Module;

use config::KernelConfig;
use index::Index;
use selection::Request;
use source::{Built, Source};

/// Modules that the initramfs needs to mount the root: SquashFS from a loop device below an overlay.
const BOOT_MODULES: [&str; 3] = ["loop", "squashfs", "overlay"];

/// What the image takes from a kernel package.
#[derive(Debug, Clone)]
pub struct KernelFiles {
    /// `uname -r`.
    pub release: String,
    /// The bootable kernel.
    pub vmlinuz: Bytes,
    /// The package that the kernel comes from.
    pub origin: Arc<str>,
    /// Its configuration.
    pub config: String,
    /// The modules, by path; none if it was built from source.
    pub modules: Vec<Module>,
    /// `usr/lib/modules/RELEASE`: modules, `modules.dep` and its companions.
    pub tree: Tree,
    /// File name and content of the modules that the initramfs loads, in load order.
    pub boot: Vec<(String, Bytes)>,
}

/// The kernel of a fetched project. `package`: the tree of its package, empty if the kernel is built from source.
///
/// # Errors
/// Class `Config`: the kernel lacks what the project asks for. Others: a package cannot be read, or a build failed.
pub fn of(fetched: &Fetched, package: &Tree, progress: &dyn Progress) -> Result<KernelFiles> {
    let checked = &fetched.locked.checked;
    match checked.distro.kernel.source {
        KernelSource::Package => select(checked, package),
        KernelSource::Source => {
            let origin = Arc::from(fetched.locked.lock.kernel.as_str());
            built_in(checked, source(fetched)?.build(progress)?, origin)
        }
    }
}

/// What the kernel of a fetched project is built from.
///
/// # Errors
/// The lock or the fetched files lack the source package.
pub fn source(fetched: &Fetched) -> Result<Source<'_>> {
    let lock = &fetched.locked.lock;
    let package = lock.package(&lock.kernel).context("the lock has no kernel package")?;
    let file = fetched.files.get(&package.name).with_context(|| format!("{} is not fetched", package.name))?;
    Ok(Source { checked: &fetched.locked.checked, package, file, cache: &fetched.cache })
}

/// Files of a kernel that has everything built in. Reports all modules that the project names and it lacks.
fn built_in(checked: &Checked, built: Built, origin: Arc<str>) -> Result<KernelFiles> {
    let named = |name: &String| built.builtin.lines().any(|path| index::module_name(path) == index::normal(name));
    let missing: Vec<String> = named_modules(checked)
        .filter(|(name, _, _)| !named(name))
        .map(|(name, _, place)| format!("{place}: {name} is not built in"))
        .collect();
    if !missing.is_empty() {
        let message = format!("kernel {} lacks what the project asks for:\n  {}", built.release, missing.join("\n  "));
        let hint = "ask for the option that brings it in a fragment of kernel-config/";
        return Err(Problem::error(Class::Config, message, hint));
    }
    let Built { release, vmlinuz, config, builtin } = built;
    let tree = tree(&release, &config, &builtin, &[])?;
    Ok(KernelFiles { release, vmlinuz, origin, config, modules: Vec::new(), tree, boot: Vec::new() })
}

/// Modules that distro.toml and recipes name: name, subject, place.
fn named_modules(checked: &Checked) -> impl Iterator<Item = (&String, &str, String)> {
    let distro = checked.distro.kernel.modules.iter();
    let distro = distro.map(|name| (name, "distro.toml", "distro.toml, kernel.modules".to_owned()));
    let recipes = checked.recipes.iter().flat_map(|(key, recipe)| recipe.load_modules.iter().map(move |m| (key, m)));
    distro.chain(
        recipes.map(|(recipe, name)| (name, recipe.as_str(), format!("{}, load-modules", checked.recipe_file(recipe)))),
    )
}

/// Which files of a kernel package [`select`] looks at, for [`crate::deb::open`].
pub fn is_wanted(path: &[u8]) -> bool {
    path.starts_with(b"usr/lib/modules/") || path.starts_with(b"boot/vmlinuz-") || path.starts_with(b"boot/config-")
}

/// Takes a kernel out of the tree of its package: checks the project's fragments against its configuration and selects
/// the modules of fragments, distro.toml, recipes and the initramfs. Reports everything that is missing at once.
pub fn select(checked: &Checked, package: &Tree) -> Result<KernelFiles> {
    let (release, vmlinuz, origin) = find_kernel(package)?;
    let config = text(package, &format!("boot/config-{release}"))?;
    let index = Index::new(package, &release)?;

    let mut failures = Vec::new();
    let mut requests: Vec<Request> =
        BOOT_MODULES.iter().map(|name| Request::new(name, "boot", "the initramfs".into())).collect();
    let kernel_config = KernelConfig::parse(&config);
    for fragment in &checked.fragments {
        config::check(fragment, &checked.dir, &kernel_config, &index, &mut requests, &mut failures);
    }
    requests.extend(named_modules(checked).map(|(name, subject, place)| Request::new(name, subject, place)));
    let modules = selection::closure(&index, requests, &mut failures)?;
    if !failures.is_empty() {
        let message = format!("kernel {release} lacks what the project asks for:\n  {}", failures.join("\n  "));
        let hint = "change the named lines, or choose another [kernel] package in distro.toml";
        return Err(Problem::error(Class::Config, message, hint));
    }
    let tree = tree(&release, &config, index.builtin_text(), &modules)?;
    let boot = selection::load_order(&modules, &BOOT_MODULES)
        .into_iter()
        .map(|module| (module.file_name().to_owned(), module.content.clone()))
        .collect();
    Ok(KernelFiles { release, vmlinuz, origin, config, modules, tree, boot })
}

/// The configuration in the tree of a kernel package.
///
/// # Errors
/// It has not exactly one kernel, or no configuration of it.
pub fn config_of(package: &Tree) -> Result<String> {
    let (release, ..) = find_kernel(package)?;
    text(package, &format!("boot/config-{release}"))
}

fn find_kernel(package: &Tree) -> Result<(String, Bytes, Arc<str>)> {
    let kernels: Vec<(String, &Bytes, &Arc<str>)> = package
        .children(b"boot")
        .filter_map(|(name, node)| Some((name.strip_prefix(b"vmlinuz-")?, node.content()?, &node.origin)))
        .map(|(release, content, origin)| (String::from_utf8_lossy(release).into_owned(), content, origin))
        .collect();
    match kernels.as_slice() {
        [(release, content, origin)] => Ok((release.clone(), (*content).clone(), Arc::clone(origin))),
        _ => {
            bail!("looking for the kernel: expected one /boot/vmlinuz-RELEASE in its package, found {}", kernels.len())
        }
    }
}

fn text(package: &Tree, path: &str) -> Result<String> {
    let content = package.get(path.as_bytes()).and_then(Node::content);
    let content = content.with_context(|| format!("the kernel's package has no /{path}"))?;
    String::from_utf8(content.to_vec()).with_context(|| format!("reading /{path} of the kernel's package"))
}

fn tree(release: &str, config: &str, builtin: &str, modules: &[Module]) -> Result<Tree> {
    let mut tree = Tree::new();
    let ours: Arc<str> = Arc::from("mkdistro");
    let mut put = |path: &str, content: Bytes, origin: &Arc<str>| {
        let path = format!("usr/lib/modules/{release}/{path}");
        let node = Node::new(Kind::File(content), 0o644, origin);
        tree.insert(path.as_bytes(), node).map(drop).map_err(anyhow::Error::msg)
    };
    for module in modules {
        put(&module.path, module.content.clone(), &module.origin)?;
    }
    for (name, content) in [
        ("modules.dep", depmod::dependencies(modules)),
        ("modules.alias", depmod::aliases(modules)),
        ("modules.softdep", depmod::soft_dependencies(modules)),
        ("modules.devname", depmod::device_names(modules)),
        ("modules.builtin", builtin.to_owned()),
        // For the check scripts of engines, and for "mkdistro kernel check --iso".
        ("config", config.to_owned()),
    ] {
        put(name, Bytes::from(content), &ours)?;
    }
    Ok(tree)
}
