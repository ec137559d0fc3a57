//! Builds an image again from the recipe inside of it.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use contract::paths;
use formats::pe;

use crate::fetch::Fetcher;
use crate::image::{Format, Target};
use crate::inspect::{self, Layer, Parts};
use crate::problem::{Class, Problem};
use crate::progress::Progress;
use crate::root::embedded::BuildSettings;
use crate::signing::Signer;
use crate::{config, fetch, image, lock, make};

/// What an image was built from.
#[derive(Debug)]
pub struct Recipe {
    /// What the build was told.
    pub settings: BuildSettings,
    /// The time of the image's files, in seconds since 1970.
    pub mtime: u32,
    /// The project, in a folder of its own.
    pub project: tempfile::TempDir,
}

impl Recipe {
    /// Takes the recipe out of an image, into a temporary folder.
    ///
    /// # Errors
    /// If the image has none, or was built by another version of this program: class `Verify`.
    pub fn of(bytes: &Bytes) -> Result<Self> {
        let parts = Parts::of(bytes)?.context("its format is not known")?;
        let root = &parts.get("root").context("it has no root file system")?.layer;
        let none = || {
            let message = format!("it has no {}: it does not say what it was built from", paths::BUILD_SETTINGS);
            Problem::error(Class::Verify, message, "only images of mkdistro build can be verified")
        };
        let settings = BuildSettings::parse(&root.text(paths::BUILD_SETTINGS)?.ok_or_else(none)?)?;
        let own = env!("CARGO_PKG_VERSION");
        if settings.builder != own {
            let message = format!("it was built by mkdistro {}, this is {own}", settings.builder);
            return Err(Problem::error(Class::Verify, message, format!("take mkdistro {}", settings.builder)));
        }
        let project =
            tempfile::Builder::new().prefix("mkdistro-verify-").tempdir().context("making a temporary folder")?;
        let folder = root.resolve(paths::RECIPE_DIR.as_bytes(), true).ok_or_else(none)?;
        inspect::extract(root, &folder, project.path()).context("taking out the recipe")?;
        Ok(Self { settings, mtime: time(root)?, project })
    }

    /// The project, read and checked, with the settings of the build.
    ///
    /// # Errors
    /// If it is not one.
    pub fn load(&self) -> Result<config::Checked> {
        let mut checked = config::load(self.project.path()).context("reading the recipe inside the image")?;
        checked.distro.root.compression.clone_from(&self.settings.compression);
        checked.flavour.clone_from(&self.settings.flavour);
        // The key is not in the image: its signature is taken over.
        checked.distro.boot.signing = None;
        Ok(checked)
    }

    /// Builds it to `target`, signed with `signer` if it was signed.
    ///
    /// # Errors
    /// Those of a build.
    pub fn build(
        &self,
        checked: config::Checked,
        fetcher: &Fetcher,
        target: Target,
        signer: Option<&Signer>,
        progress: &dyn Progress,
    ) -> Result<image::Image> {
        let lock = lock::Lock::read(self.project.path())?;
        let locked = lock::check(checked, lock, image::BOOT_PACKAGES)?;
        let fetched = fetch::fetch(locked, fetcher, progress)?;
        let made = make::make(fetched, self.mtime, progress)?;
        let images = image::write(&made.checked, &made.root, &[target], self.mtime, signer, progress)?;
        images.into_iter().next().context("nothing was written")
    }
}

/// What is to be verified.
#[derive(Debug)]
pub struct Subject {
    /// Its format.
    pub format: Format,
    /// The file that has the root in it.
    pub bytes: Bytes,
}

impl Subject {
    /// Finds out what a file or folder is.
    ///
    /// # Errors
    /// It cannot be read, or is nothing that a build writes.
    pub fn read(path: &Path) -> Result<Self> {
        if path.is_dir() {
            let format = if path.join("boot.ipxe").exists() { Format::Pxe } else { Format::Kernel };
            return Ok(Self { format, bytes: inspect::read(&path.join("initrd.img"))? });
        }
        let bytes = inspect::read(path)?;
        let format = match inspect::recognise(&bytes) {
            Some(inspect::Format::Iso) if image::is_disk(&bytes) => Format::Disk,
            Some(inspect::Format::Iso) => Format::Iso,
            Some(inspect::Format::Uki) => Format::Uki,
            Some(inspect::Format::Oci) => Format::Oci,
            Some(inspect::Format::Initramfs) => {
                anyhow::bail!("it is a part of an image\nhint: name the folder that it is in")
            }
            Some(other) => anyhow::bail!("it is no image but: {}", other.name()),
            None => anyhow::bail!("its format is not known"),
        };
        Ok(Self { format, bytes })
    }

    /// The signature that it has, to be put on the same again.
    ///
    /// # Errors
    /// It is damaged.
    pub fn signer(&self) -> Result<Option<Signer>> {
        // In an ISO it is the program that firmware starts.
        let Some(parts) = Parts::of(&self.bytes)? else { return Ok(None) };
        let Some(uki) = parts.get("uki") else { return Ok(None) };
        Ok(pe::signed_data(&uki.bytes)?.map(|data| Signer::Kept(data.to_vec())))
    }
}

/// The time that the SquashFS, or a container image's layer, has.
fn time(root: &Layer) -> Result<u32> {
    let times: Vec<&str> =
        root.facts.iter().filter(|fact| fact.name == "time").map(|fact| fact.value.as_str()).collect();
    ensure!(times.len() == 1, "its root has no time");
    times[0].parse().context("reading the time of the SquashFS")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::tests::{iso, squash};
    use crate::problem::exit_code;
    use crate::root::testing::{file, tree};

    #[test]
    fn takes_the_recipe_out_of_an_image() {
        let recipe = Recipe::of(&iso(&[("overlay/etc/motd", "mine\n")])).unwrap();
        assert_eq!((recipe.mtime, recipe.settings.compression.as_str()), (1_700_000_000, "zstd:1"));
        let checked = recipe.load().unwrap();
        assert_eq!(checked.recipes.keys().collect::<Vec<_>>(), ["base", "busybox", "tool"]);
        assert_eq!(checked.dir, recipe.project.path());
        let overlay: Vec<&str> = checked.overlay.iter().map(|entry| entry.target.as_str()).collect();
        assert_eq!(overlay, ["etc", "etc/motd", "usr", "usr/bin", "usr/bin/ash"]);
        assert_eq!(std::fs::read_to_string(&checked.overlay[1].source).unwrap(), "mine\n");
    }

    #[test]
    fn refuses_what_it_cannot_build() {
        let image = |text: &str| squash(&tree(&[("usr/share/mkdistro/build.toml", file(text, 0o644))]), "zstd:1");
        let error = Recipe::of(&image("schema = 1\nbuilder = \"9.9.9\"\ncompression = \"xz\"\n")).unwrap_err();
        let expected = format!("it was built by mkdistro 9.9.9, this is {}", env!("CARGO_PKG_VERSION"));
        assert_eq!((error.to_string(), exit_code(&error)), (expected, contract::exit::VERIFY));
        let error = Recipe::of(&squash(&tree(&[]), "zstd:1")).unwrap_err();
        assert!(error.to_string().starts_with("it has no /usr/share/mkdistro/build.toml"), "{error}");
        assert_eq!(exit_code(&error), contract::exit::VERIFY);
        assert_eq!(Recipe::of(&"text".into()).unwrap_err().to_string(), "its format is not known");
    }
}
