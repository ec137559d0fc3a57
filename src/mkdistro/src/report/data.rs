//! What a report says, as plain data: the text, the page and `--json` are three views of this.
//!
//! `bytes` are uncompressed. `stored` are bytes in the image, compressed; absent where there is no image to look into.
//! Contents that are there twice are stored once and counted at the first path.

use serde::Serialize;

pub use crate::timeline::Timeline;

/// Version of the JSON form.
pub const SCHEMA: u32 = 1;

/// A report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Version of the mkdistro that wrote it.
    pub mkdistro: String,
    /// Name of the distribution.
    pub name: String,
    /// Its version; empty if the image does not tell.
    pub version: String,
    /// The image's file, if there is one.
    pub image: Option<ImageFile>,
    /// What the reader must know to judge the figures (an image of another build, say).
    pub notes: Vec<String>,
    /// The kernel and its modules.
    pub kernel: Kernel,
    /// Where files come from, largest first.
    pub packages: Vec<Package>,
    /// What each recipe costs, the dearest first; empty if nothing tells of recipes.
    pub recipes: Vec<RecipeCost>,
    /// Files and links of the root, by path.
    pub files: Vec<FileRow>,
    /// Where the time of the build went.
    pub build: Option<Timeline>,
    /// Where the time of a boot went.
    pub boot: Option<Timeline>,
    /// What changed since another image.
    pub difference: Option<Difference>,
}

/// An image file and what it consists of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImageFile {
    /// File name, without its folder.
    pub name: String,
    /// Size in bytes.
    pub bytes: u64,
    /// sha256, hex.
    pub sha256: String,
    /// `zstd`, `xz`, `gzip`: how the root is compressed.
    pub compression: String,
    /// What it consists of, largest first; the sizes add up to `bytes`.
    pub parts: Vec<Part>,
    /// Bytes of RAM that the root holds while it runs: the SquashFS stays as it is.
    pub root_bytes: u64,
    /// Inodes, folders and tables of the root, in bytes: what no file accounts for.
    pub root_overhead_bytes: u64,
}

/// A part of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// What it is.
    pub name: String,
    /// Bytes in the image.
    pub bytes: u64,
}

/// Files, how many and how large.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Amount {
    /// Files and links.
    pub files: u32,
    /// Bytes before compression.
    pub bytes: u64,
    /// Bytes in the image.
    pub stored: Option<u64>,
}

impl Amount {
    /// Adds a file.
    pub fn add(&mut self, file: &FileRow) {
        self.files += 1;
        self.bytes += file.bytes;
        if let Some(stored) = file.stored {
            *self.stored.get_or_insert(0) += stored;
        }
    }

    /// What it weighs: in the image if that is known.
    pub fn weight(&self) -> u64 {
        self.stored.unwrap_or(self.bytes)
    }
}

/// The kernel.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Kernel {
    /// `uname -r`.
    pub release: String,
    /// Size of the bootable kernel in bytes.
    pub bytes: u64,
    /// All modules.
    pub modules: Amount,
    /// Modules by what brought them in, largest first.
    pub subjects: Vec<Subject>,
}

/// The modules of one subject.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Subject {
    /// A fragment's name, `recipe podman`, `distro.toml` or `boot`; a folder of the modules if nothing else is known.
    pub name: String,
    /// What they weigh together.
    pub total: Amount,
    /// The modules, largest first.
    pub modules: Vec<Module>,
}

/// A module.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Module {
    /// Its name.
    pub name: String,
    /// Bytes before compression.
    pub bytes: u64,
    /// Bytes in the image.
    pub stored: Option<u64>,
    /// Who asked for it: a fragment's line, another module; empty if unknown.
    pub asked_by: String,
}

/// Where files come from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Package {
    /// A Debian package, or what stands for one: `recipe base`, `mkdistro`, `overlay`.
    pub name: String,
    /// Its version; the following are empty for what is no package.
    pub version: String,
    /// Source package and version.
    pub source: String,
    /// Suite it was found in.
    pub suite: String,
    /// Licence expression, if known.
    pub licence: String,
    /// sha256 of the package file.
    pub sha256: String,
    /// What of it is in the root.
    pub total: Amount,
}

/// What a recipe costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecipeCost {
    /// Its name.
    pub name: String,
    /// Its summary.
    pub summary: String,
    /// Whether distro.toml names it; the others come along with those.
    pub chosen: bool,
    /// Recipes that need it.
    pub needed_by: Vec<String>,
    /// Files and kernel modules that it asks for.
    pub own: Amount,
    /// Shared libraries that nothing else needs.
    pub libraries: Amount,
    /// Paths of those libraries.
    pub library_paths: Vec<String>,
    /// Recipes that nothing else needs and that would go with it.
    pub goes_with: Vec<String>,
    /// What would vanish from the root without it and the recipes that go with it.
    pub dropped: Amount,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// A program or script.
    Program,
    /// A shared library.
    Library,
    /// A kernel module.
    Module,
    /// Text in `/etc`.
    Config,
    /// Any other file.
    Data,
    /// A symbolic link.
    Link,
}

/// Who asked for a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Because {
    /// A recipe names it: `by` is the recipe.
    Recipe,
    /// A program or library needs it: `by` is its path, or the place in a recipe that names it.
    Library,
    /// A kernel module: `by` is its subject.
    Module,
    /// Every root has it.
    Builder,
    /// The user's overlay.
    Overlay,
    /// A container image: `by` is its name, or the names of those that share the layer.
    Image,
    /// The image does not tell.
    Unknown,
}

/// A file or link of the root.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FileRow {
    /// Absolute path.
    pub path: String,
    /// What it is.
    pub kind: FileKind,
    /// Bytes before compression; 0 for a link.
    pub bytes: u64,
    /// Bytes in the image.
    pub stored: Option<u64>,
    /// Name of its [`Package`].
    pub package: String,
    /// The recipe in whose name it is there.
    pub recipe: Option<String>,
    /// Who asked for it.
    pub because: Because,
    /// See [`Because`].
    pub by: String,
    /// sha256 of the content, hex; empty for a link.
    pub sha256: String,
    /// Target of a link.
    pub target: Option<String>,
}

/// What is different in an older image.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// The older image.
    pub old: ImageFile,
    /// Bytes before compression of all its files.
    pub old_unpacked: u64,
    /// Packages that differ, by name; none if the older image does not tell of packages.
    pub packages: Vec<PackageChange>,
    /// Files that differ, by path.
    pub files: Vec<FileChange>,
}

/// What happened to something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is another.
    Changed,
}

/// A package that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageChange {
    /// Its name.
    pub name: String,
    /// How.
    pub change: Change,
    /// Version in the older image.
    pub old_version: String,
    /// Version now.
    pub new_version: String,
}

/// A file that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// Absolute path.
    pub path: String,
    /// How.
    pub change: Change,
    /// Bytes before compression in the older image, 0 if it had none.
    pub old_bytes: u64,
    /// The same now.
    pub new_bytes: u64,
    /// Bytes in the older image.
    pub old_stored: u64,
    /// The same now, if known.
    pub new_stored: Option<u64>,
}
