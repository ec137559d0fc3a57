//! distro.toml, recipes, kernel fragments and the overlay: read, checked all at once, and handed on as [`Checked`].

mod cross;
mod distro;
mod document;
pub mod edit;
mod effective;
mod flavour;
mod fragment;
mod images;
mod load;
mod overlay;
mod problems;
mod recipe;
pub(crate) mod rules;
mod schema;
mod single;
mod size;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::builtin;

pub use distro::{
    Allow, Boot, Console, Data, Distro, Identity, Kernel, KernelSource, Lint, Logs, Memory, Output, Root, Signing,
    Sources, Swap, Uefi, User,
};
pub use flavour::Flavour;
pub use images::{ContainerImage, Place, Registry};
pub use load::{
    Draft, check, check_with, load, load_draft, load_flavour, other_fragments, parse_distro, parse_fragment,
    parse_recipe,
};
pub use problems::{ConfigProblem, Problems};
pub use recipe::{Applets, Directory, LimitsEntry, Recipe, ServiceEntry, WriteFile};
pub use size::Size;

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
    /// The flavour that this is, if it is one.
    pub flavour: Option<String>,
    /// All flavours that distro.toml has, by name.
    pub flavours: Vec<Flavour>,
    /// distro.toml as text with this flavour laid over it and without any other; if it has flavours.
    pub flattened: Option<String>,
    /// The project's other flavours, which share its lock. If none is the default, what the document is without one is
    /// among them.
    pub others: Vec<Checked>,
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
    /// The file; `built-in kernel-config/NAME.config` if the project has none.
    pub path: PathBuf,
    /// Its lines that ask for something.
    pub options: Vec<KernelOption>,
}

/// How the lock calls the document without a flavour; no flavour can be named so.
const NO_FLAVOUR: &str = "-";

/// Whether it can be the name of a distribution, a recipe or a service.
pub fn is_name(name: &str) -> bool {
    (rules::NAME.valid)(name)
}

/// What [`is_name`] accepts, in words that follow "expected".
pub const NAME_EXPECTED: &str = rules::NAME.expected;

impl Checked {
    /// How the lock calls this flavour.
    pub fn flavour_key(&self) -> &str {
        self.flavour.as_deref().unwrap_or(NO_FLAVOUR)
    }

    /// Whether this is what a build makes that names no flavour.
    pub fn is_default(&self) -> bool {
        let is_default = |name: &String| self.flavours.iter().any(|other| other.name == *name && other.is_default);
        self.flavour.as_ref().is_none_or(is_default)
    }

    /// How messages call a recipe's file: `packages/podman.toml`, `built-in packages/podman.toml`.
    pub fn recipe_file(&self, name: &str) -> String {
        let file = format!("packages/{name}.toml");
        match self.recipes.get(name) {
            Some(recipe) if recipe.builtin => builtin::shown(&file),
            _ => file,
        }
    }
}

impl Fragment {
    /// How messages call its file.
    pub fn file(&self) -> String {
        let file = format!("kernel-config/{}.config", self.name);
        let shown = builtin::shown(&file);
        if self.path == Path::new(&shown) { shown } else { file }
    }
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
    /// From `# only: package` or `# only: source` in the comment: the line counts for such a kernel only.
    pub only: Option<KernelSource>,
}

impl KernelOption {
    /// Whether the line counts for a kernel from there.
    pub fn applies_to(&self, source: KernelSource) -> bool {
        self.only.is_none_or(|only| only == source)
    }

    /// The line of a fragment, as the kernel's own configuration writes it.
    pub fn line_text(&self) -> String {
        self.value.line_text(&self.name)
    }
}

impl OptionValue {
    /// A line of a kernel configuration that gives an option this value.
    pub fn line_text(&self, name: &str) -> String {
        match self {
            Self::BuiltIn => format!("{name}=y"),
            Self::Module => format!("{name}=m"),
            Self::Unset => format!("# {name} is not set"),
            Self::Exactly(value) => format!("{name}={value}"),
        }
    }
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
