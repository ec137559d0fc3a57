//! The kernel: out of Debian's package, checked against the project's fragments, with the modules that were asked for.
//!
//! [`select`] is the way in. Modules are stored uncompressed (SquashFS compresses them better than once each) and with
//! their signature, so that a locked-down kernel takes them; that is why they are not stripped either.

mod config;
mod depmod;
mod index;
mod modinfo;
mod selection;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use formats::tree::{Kind, Node, Tree};

use crate::config::Checked;
use crate::problem::{Class, Problem};

pub use modinfo::ModInfo;
pub use selection::Module;

use config::KernelConfig;
use index::Index;
use selection::Request;

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
    /// The modules, by path.
    pub modules: Vec<Module>,
    /// `usr/lib/modules/RELEASE`: modules, `modules.dep` and its companions.
    pub tree: Tree,
    /// File name and content of the modules that the initramfs loads, in load order.
    pub boot: Vec<(String, Bytes)>,
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
    for name in &checked.distro.kernel.modules {
        requests.push(Request::new(name, "distro.toml", "distro.toml, kernel.modules".into()));
    }
    for (recipe, name) in
        checked.recipes.iter().flat_map(|(key, recipe)| recipe.load_modules.iter().map(move |m| (key, m)))
    {
        requests.push(Request::new(name, recipe, format!("packages/{recipe}.toml, load-modules")));
    }
    let modules = selection::closure(&index, requests, &mut failures)?;
    if !failures.is_empty() {
        let message = format!("kernel {release} lacks what the project asks for:\n  {}", failures.join("\n  "));
        let hint = "change the named lines, or choose another [kernel] package in distro.toml";
        return Err(Problem::error(Class::Config, message, hint));
    }
    let tree = tree(&release, &index, &modules)?;
    let boot = selection::load_order(&modules, &BOOT_MODULES)
        .into_iter()
        .map(|module| (module.file_name().to_owned(), module.content.clone()))
        .collect();
    Ok(KernelFiles { release, vmlinuz, origin, config, modules, tree, boot })
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

fn tree(release: &str, index: &Index<'_>, modules: &[Module]) -> Result<Tree> {
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
        ("modules.builtin", index.builtin_text().to_owned()),
    ] {
        put(name, Bytes::from(content), &ours)?;
    }
    Ok(tree)
}
