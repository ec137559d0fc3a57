//! distro.toml, recipes, kernel fragments and the overlay: read, checked all at once, and handed on as [`Checked`].

mod cross;
mod distro;
mod document;
mod effective;
mod fragment;
mod load;
mod overlay;
mod problems;
mod recipe;
pub(crate) mod rules;
mod schema;
mod single;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use distro::{Allow, Boot, Console, Data, Distro, Identity, Kernel, Lint, Root, Sources, User};
pub use load::{check, load, parse_distro, parse_fragment, parse_recipe};
pub use problems::{ConfigProblem, Problems};
pub use recipe::{Applets, Directory, Recipe, ServiceEntry, WriteFile};

/// A project whose files have been read and make sense together.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The project's folder.
    pub dir: PathBuf,
    /// distro.toml.
    pub distro: Distro,
    /// Recipes that the distribution uses, `needs` included, by name.
    pub recipes: BTreeMap<String, Recipe>,
    /// Kernel fragments that distro.toml names, in that order.
    pub fragments: Vec<Fragment>,
    /// Files of the overlay: path in the image (without leading `/`) and on the host, sorted.
    pub overlay: Vec<OverlayEntry>,
}

/// One file, folder or link below `overlay/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverlayEntry {
    /// Path in the image, relative.
    pub target: String,
    /// Path on the host.
    pub source: PathBuf,
}

/// A `kernel-config/NAME.config` file: options a kernel must have, and the modules that its subject loads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    /// File name without `.config`.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Its lines that ask for something.
    pub options: Vec<KernelOption>,
}

/// One line of a fragment: `CONFIG_OVERLAY_FS=m`, with the comment lines right above it as the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelOption {
    /// `CONFIG_…`.
    pub name: String,
    /// What the line asks for.
    pub value: OptionValue,
    /// Line number from 1.
    pub line: usize,
    /// Comment above the line, joined; may be empty.
    pub reason: String,
    /// Modules to ship for it, from `# modules: a b c` in the comment; the builder knows the rest by name.
    pub modules: Vec<String>,
}

/// What a fragment asks of an option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OptionValue {
    /// `=y`: built in, nothing else will do.
    BuiltIn,
    /// `=m`: built in or a module.
    Module,
    /// `# CONFIG_X is not set`.
    Unset,
    /// Any other value, as written.
    Exactly(String),
}
