//! Which modules a kernel package has, by name. In names `-` and `_` are the same, as for the kernel itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use formats::tree::{Node, Tree};

use crate::nearest;

/// Extensions of module files, the longer ones first.
const EXTENSIONS: [&str; 4] = [".ko.xz", ".ko.zst", ".ko.gz", ".ko"];

/// A module file of the package.
pub(super) struct File<'a> {
    /// Path below `usr/lib/modules/RELEASE`, without the extension of a compression: `kernel/fs/ext4/ext4.ko`.
    pub(super) path: String,
    /// How the content is compressed: `xz`, `zst`, `gz` or nothing.
    pub(super) compression: &'static str,
    /// The file as it is in the package.
    pub(super) content: &'a Bytes,
    /// The package.
    pub(super) origin: &'a Arc<str>,
}

/// The modules of a package.
pub(super) struct Index<'a> {
    files: BTreeMap<String, File<'a>>,
    builtin: BTreeSet<String>,
    builtin_text: &'a str,
}

impl<'a> Index<'a> {
    /// Looks through `usr/lib/modules/RELEASE`.
    pub(super) fn new(package: &'a Tree, release: &str) -> Result<Self> {
        let folder = format!("usr/lib/modules/{release}/");
        let mut files = BTreeMap::new();
        for (path, node) in package.iter() {
            let Some(path) = path.strip_prefix(folder.as_bytes()) else { continue };
            let (Ok(path), Some(content)) = (std::str::from_utf8(path), node.content()) else { continue };
            let Some(extension) = EXTENSIONS.into_iter().find(|extension| path.ends_with(extension)) else { continue };
            let compression = extension.trim_start_matches(".ko").trim_start_matches('.');
            let path = format!("{}.ko", path.trim_end_matches(extension));
            let file = File { path, compression, content, origin: &node.origin };
            files.insert(module_name(&file.path), file);
        }
        ensure!(!files.is_empty(), "the kernel's package has no modules below /{folder}");
        let builtin_path = format!("{folder}modules.builtin");
        let builtin_text = package.get(builtin_path.as_bytes()).and_then(Node::content);
        let builtin_text = builtin_text.with_context(|| format!("the kernel's package has no /{builtin_path}"))?;
        let builtin_text = std::str::from_utf8(builtin_text).with_context(|| format!("reading /{builtin_path}"))?;
        Ok(Self { files, builtin: builtin_text.lines().map(module_name).collect(), builtin_text })
    }

    /// The file of a module.
    pub(super) fn file(&self, name: &str) -> Option<&File<'a>> {
        self.files.get(&normal(name))
    }

    /// Whether the package has it as a module or built in.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.files.contains_key(&normal(name)) || self.is_builtin(name)
    }

    /// Whether it is part of the kernel image.
    pub(super) fn is_builtin(&self, name: &str) -> bool {
        self.builtin.contains(&normal(name))
    }

    /// `modules.builtin` as the package has it.
    pub(super) fn builtin_text(&self) -> &'a str {
        self.builtin_text
    }

    /// The most similar name, if there is one worth showing.
    pub(super) fn nearest(&self, name: &str) -> Option<&str> {
        nearest::nearest(name, self.files.keys().chain(&self.builtin).map(String::as_str))
    }
}

/// Name of the module in a file `…/NAME.ko`.
pub(super) fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    normal(file.trim_end_matches(".ko"))
}

/// A name as the kernel writes it.
pub(super) fn normal(name: &str) -> String {
    name.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::module_name;

    #[test]
    fn names_modules() {
        assert_eq!(module_name("kernel/arch/x86/crypto/crc32c-intel.ko"), "crc32c_intel");
    }
}
