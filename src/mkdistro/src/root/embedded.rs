//! What the image was built from, inside it at [`paths::RECIPE_DIR`]: a project's folder of what this build read, and
//! nothing it did not. Whoever has the image can see how it was made, and `mkdistro verify` makes it again.
//!
//! The overlay's files are there a second time; the SquashFS stores equal contents once. Passwords in mirrors' addresses
//! are left out, and so is a key ring from outside the project's folder: a build does not need it.

use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use contract::paths;
use document::nesting;
use formats::tree::{Kind, Node, Tree};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{insert, show};
use crate::builtin::Builtin;
use crate::config::Checked;
use crate::fetch::hex;
use crate::lock::{self, Locked};
use crate::problem::{Class, Problem};

/// The format of build.toml that is written and read.
const SCHEMA: u32 = 1;

const HEADER: &str =
    "# Written by `mkdistro build`: with the files beside it, what `mkdistro verify` builds again.\n\n";

/// build.toml: what the build was told besides the project's files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BuildSettings {
    /// Version of this file's format; 1.
    pub schema: u32,
    /// The builder's version.
    pub builder: String,
    /// How the root was compressed; the command line may say other than distro.toml.
    pub compression: String,
    /// The flavour that was built. distro.toml beside it is what that made of the project's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flavour: Option<String>,
}

impl BuildSettings {
    /// Those of a build by this program.
    pub fn of(checked: &Checked) -> Self {
        let builder = env!("CARGO_PKG_VERSION").to_string();
        let compression = checked.distro.root.compression.clone();
        Self { schema: SCHEMA, builder, compression, flavour: checked.flavour.clone() }
    }

    /// Reads the text of a build.toml.
    ///
    /// # Errors
    /// Not TOML, unknown keys, another schema.
    pub fn parse(text: &str) -> Result<Self> {
        ensure!(nesting::too_deep(text).is_none(), "build.toml is nested too deeply");
        let settings: Self = toml::from_str(text).context("reading build.toml")?;
        ensure!(settings.schema == SCHEMA, "build.toml has schema {}, this mkdistro reads {SCHEMA}", settings.schema);
        Ok(settings)
    }

    fn to_text(&self) -> Result<String> {
        Ok(HEADER.to_owned() + &toml::to_string(self).context("writing build.toml")?)
    }
}

/// A file or link of the folder: its path below it, what it is, its mode.
pub(super) type EmbeddedFile = (String, Kind, u16);

/// The files of the folder; `overlay` is what [`super::overlay`] has read.
pub(super) fn files(locked: &Locked, overlay: &[(Kind, u16)]) -> Result<Vec<EmbeddedFile>> {
    let Locked { checked, lock } = locked;
    let mut files = Vec::new();
    let mut put_text = |path: &str, text: Bytes| files.push((path.to_owned(), Kind::File(text), 0o644));
    put_text("build.toml", BuildSettings::of(checked).to_text()?.into());
    let distro = match &checked.flattened {
        Some(text) => text.clone(),
        None => read_text(&checked.dir.join("distro.toml"))?,
    };
    put_text("distro.toml", without_passwords(checked, &distro).into());
    put_text(lock::PATH, lock.to_text()?.into());
    for name in checked.recipes.keys() {
        let path = format!("packages/{name}.toml");
        put_text(&path, read(checked, &path)?);
    }
    for fragment in &checked.fragments {
        let path = format!("kernel-config/{}.config", fragment.name);
        put_text(&path, read(checked, &path)?);
    }
    if let Some(keyring) = inside(&checked.distro.sources.keyring) {
        put_text(keyring, read(checked, keyring)?);
    }
    for (entry, (kind, mode)) in checked.overlay.iter().zip(overlay) {
        files.push((format!("overlay/{}", entry.target), kind.clone(), *mode));
    }
    Ok(files)
}

/// Adds the folder.
pub(super) fn add(tree: &mut Tree, files: Vec<EmbeddedFile>) -> Result<()> {
    refuse_others(tree)?;
    let origin: Arc<str> = Arc::from("recipe");
    for (path, kind, mode) in files {
        let path = format!("{}/{path}", paths::RECIPE_DIR);
        insert(tree, path.as_bytes(), Node::new(kind, mode, &origin))?;
    }
    Ok(())
}

/// What tells this build from others: 32 hex digits of a sha256 over the recipe (with the lock, which has the packages'
/// hashes), our programs and the kernel, which may have been compiled here.
pub(super) fn build_id(files: &[EmbeddedFile], kernel: &[u8]) -> String {
    let mut hash = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    for program in [guest::INIT, guest::DISTROCTL, kernel] {
        add(program);
    }
    for (path, kind, mode) in files {
        add(path.as_bytes());
        add(&mode.to_le_bytes());
        match kind {
            Kind::File(content) => add(content),
            Kind::Symlink(target) => add(target),
            // The overlay has nothing else but folders.
            _ => add(b""),
        }
    }
    let mut id = hex(hash);
    id.truncate(32);
    id
}

/// An overlay with a recipe's folder in it would have to hold itself.
fn refuse_others(tree: &Tree) -> Result<()> {
    let Some(folder) = tree.resolve(paths::RECIPE_DIR.as_bytes()) else { return Ok(()) };
    let origin = tree.get(&folder).map_or("", |node| &node.origin);
    let message = format!("{} of {origin} is in the root", show(&folder));
    Err(Problem::error(Class::Config, message, "this folder is kept for the image's recipe: rename the other one"))
}

/// A path that stays in the project's folder.
fn inside(path: &str) -> Option<&str> {
    Path::new(path).components().all(|part| matches!(part, Component::Normal(_))).then_some(path)
}

fn without_passwords(checked: &Checked, distro: &str) -> String {
    let sources = &checked.distro.sources;
    let mut text = distro.to_string();
    for url in sources.mirrors.iter().chain(&sources.security_mirrors) {
        let authority = url.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or(rest));
        if let Some((user, _)) = authority.rsplit_once('@') {
            text = text.replace(&format!("{user}@"), "");
        }
    }
    text
}

/// A file of the project, or the built-in one that it does not replace.
fn read(checked: &Checked, file: &str) -> Result<Bytes> {
    let path = checked.dir.join(file);
    match (fs::read(&path), Builtin::ALL.get(file)) {
        (Ok(content), _) => Ok(content.into()),
        (Err(error), Some(content)) if error.kind() == ErrorKind::NotFound => Ok(Bytes::from_static(content)),
        (Err(error), _) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

fn read_text(path: &PathBuf) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use formats::squashfs;

    use super::*;
    use crate::config;
    use crate::problem::exit_code;
    use crate::progress::Silent;
    use crate::root::testing::{project, shown, text, whole_fetched, whole_project, write};
    use crate::root::{assemble, testing};

    fn embedded(tree: &Tree) -> Vec<String> {
        let lines = shown(tree).into_iter();
        lines.filter_map(|line| line.strip_prefix("/usr/share/mkdistro/").map(String::from)).collect()
    }

    #[test]
    fn the_image_has_its_recipe() {
        let dir = whole_project();
        write(dir.path(), "packages/unused.toml", "schema = 1\nsummary = \"x\"\n");
        let overlay = dir.path().join("overlay");
        fs::set_permissions(overlay.join("usr/bin/ash"), fs::Permissions::from_mode(0o700)).unwrap();
        symlink("../no/where", overlay.join("etc/link")).unwrap();
        fs::create_dir(overlay.join("srv")).unwrap();
        let fetched = whole_fetched(&dir);
        let root = assemble(&fetched, &Silent).unwrap();
        let short = |line: String| if line.len() > 60 { line[..line.find(" 0 ").unwrap()].to_string() } else { line };
        let lines: Vec<String> = embedded(&root.tree).into_iter().map(short).collect();
        assert_eq!(
            lines,
            [
                "build.toml 0644",
                "distro.toml 0644",
                "overlay 0755 0/",
                "overlay/etc 0755 0/",
                "overlay/etc/link 0777 0 -> ../no/where",
                "overlay/etc/motd 0644 0 \"hello\\n\"",
                "overlay/srv 0755 0/",
                "overlay/usr 0755 0/",
                "overlay/usr/bin 0755 0/",
                "overlay/usr/bin/ash 0755 0 \"#!/bin/sh\\n\"",
                "packages 0755 0/",
                "packages/base.toml 0644",
                "packages/busybox.toml 0644",
                "packages/debian-archive-keyring.asc 0644 0 \"keys\"",
                "packages/lock.toml 0644",
                "packages/tool.toml 0644",
            ]
        );
        let lock = lock::Lock::parse(text(&root.tree, "usr/share/mkdistro/packages/lock.toml"));
        // The test's lock has no request, which a lock that is read must have.
        assert!(lock.unwrap_err().to_string().contains("request is not a sha256"));
        let settings = BuildSettings::parse(text(&root.tree, paths::BUILD_SETTINGS)).unwrap();
        assert_eq!(settings, BuildSettings::of(&fetched.locked.checked));
        assert_eq!((settings.builder.as_str(), settings.compression.as_str()), (env!("CARGO_PKG_VERSION"), "zstd:1"));
    }

    #[test]
    fn the_squashfs_stores_the_overlay_once() {
        let big: String = (0..100_000).map(|number| format!("{number} ")).collect();
        let dir = whole_project();
        write(dir.path(), "overlay/srv/big", &big);
        let root = assemble(&whole_fetched(&dir), &Silent).unwrap();
        let options = squashfs::Options { compression: "zstd:1".parse().unwrap(), ..Default::default() };
        let mut out = std::io::Cursor::new(Vec::new());
        let summary = squashfs::write(&root.tree, &options, None, &mut out, &|_, _| {}).unwrap();
        assert!(summary.duplicate_bytes >= big.len() as u64, "{summary:?}");
    }

    #[test]
    fn a_recipe_in_the_overlay_is_refused() {
        let dir = whole_project();
        write(dir.path(), "overlay/usr/share/mkdistro/x", "x");
        let error = assemble(&whole_fetched(&dir), &Silent).err().unwrap();
        assert_eq!(error.to_string(), "/usr/share/mkdistro of overlay is in the root");
        assert_eq!(exit_code(&error), contract::exit::CONFIG);
    }

    #[test]
    fn passwords_stay_at_home() {
        let dir = project(&[("toy", "")], &[]);
        let mirrors = "[sources]\nmirrors = [\"system\", \"https://me:secret@mirror.test/debian\"]\n";
        write(dir.path(), "distro.toml", &format!("{}[root]\nrecipes = [\"toy\"]\n{mirrors}", testing::DISTRO));
        let checked = config::load(dir.path()).unwrap();
        let text = fs::read_to_string(dir.path().join("distro.toml")).unwrap();
        assert_eq!(without_passwords(&checked, &text), text.replace("me:secret@", ""));
    }

    #[test]
    fn only_files_of_the_project_are_taken() {
        for (path, expected) in [("packages/a.asc", true), ("a.asc", true), ("/etc/a", false), ("../a", false)] {
            assert_eq!(inside(path).is_some(), expected, "{path}");
        }
    }

    #[test]
    fn other_schemas_are_refused() {
        let text = "schema = 2\nbuilder = \"9\"\ncompression = \"xz\"\n";
        let error = BuildSettings::parse(text).unwrap_err();
        assert_eq!(error.to_string(), "build.toml has schema 2, this mkdistro reads 1");
    }
}
