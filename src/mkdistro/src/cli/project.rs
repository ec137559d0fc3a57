//! What the sub-commands that read a project have in common: where it is, mirrors, cache.

use std::env;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use clap::Args;

use crate::archive::mirrors::Mirrors;
use crate::config::{self, Checked};
use crate::doctor::Subject;
use crate::fetch::{Cache, Fetcher};
use crate::image;
use crate::lock::{self, Indices, Lock, Update};
use crate::oci;
use crate::progress::Progress;

#[derive(Debug, Args)]
pub(super) struct ProjectArguments {
    /// The folder with distro.toml
    #[arg(long, default_value = ".", value_name = "DIR")]
    pub(super) project: PathBuf,
    #[command(flatten)]
    sources: SourceArguments,
}

/// The same for commands about one flavour of the project.
#[derive(Debug, Args)]
pub(super) struct FlavourArguments {
    #[command(flatten)]
    project: ProjectArguments,
    /// A flavour of distro.toml instead of the default one; "mkdistro flavours" lists them
    #[arg(long, value_name = "NAME")]
    flavour: Option<String>,
}

impl FlavourArguments {
    pub(super) fn load(&self) -> Result<Checked> {
        config::load_flavour(&self.project.project, self.flavour.as_deref())
    }
}

impl Deref for FlavourArguments {
    type Target = ProjectArguments;

    fn deref(&self) -> &ProjectArguments {
        &self.project
    }
}

/// Where packages come from.
#[derive(Debug, Args)]
pub(super) struct SourceArguments {
    /// A mirror's base URL, asked before those of distro.toml; may be repeated
    #[arg(long, value_name = "URL")]
    mirror: Vec<String>,
    /// Where downloads and parts of builds are kept [default: $XDG_CACHE_HOME/mkdistro]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Credentials of registries, a file that "podman login --authfile" writes, instead of those of distro.toml
    #[arg(long, value_name = "FILE")]
    auth_file: Option<PathBuf>,
}

impl ProjectArguments {
    pub(super) fn load(&self) -> Result<Checked> {
        config::load(&self.project)
    }

    pub(super) fn cache_folder(&self) -> Result<PathBuf> {
        cache_folder(self.sources.cache.as_deref())
    }

    /// The project's lock. One that has none yet is locked now: against the archive, or, from the cache alone, as this
    /// program was.
    pub(super) fn lock(&self, checked: &Checked, offline: bool, progress: &dyn Progress) -> Result<Lock> {
        let lock = match (Lock::read_if_present(&checked.dir)?, offline) {
            (Some(lock), _) => return Ok(lock),
            (None, true) => match Lock::builtin(checked, image::BOOT_PACKAGES) {
                Some(lock) => lock,
                None => return Lock::read(&checked.dir),
            },
            (None, false) => {
                progress.say(&format!("{} is missing: locking packages now", lock::PATH));
                self.resolve(checked, None, progress)?
            }
        };
        lock.write(&checked.dir)?;
        let how = if offline { ", the versions built into this mkdistro" } else { "" };
        progress.say(&format!("wrote {}: {} packages{how}", lock::PATH, lock.packages.len()));
        Ok(lock)
    }

    /// The suites as they are now.
    pub(super) fn indices(
        &self,
        checked: &Checked,
        previous: Option<&Lock>,
        progress: &dyn Progress,
    ) -> Result<Indices> {
        let fetcher = self.fetcher(checked, false)?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("reading the clock")?.as_secs();
        Indices::read(checked, &fetcher, previous, now, progress)
    }

    /// A lock against the suites as they are now; see [`lock::resolve`].
    pub(super) fn resolve(
        &self,
        checked: &Checked,
        previous: Option<(&Lock, &Update)>,
        progress: &dyn Progress,
    ) -> Result<Lock> {
        let indices = self.indices(checked, previous.map(|(lock, _)| lock), progress)?;
        let lock = lock::resolve(checked, image::BOOT_PACKAGES, &indices, previous, progress)?;
        let images = oci::resolve(checked, &self.fetcher(checked, false)?, previous, progress)?;
        Ok(Lock { images, ..lock })
    }

    /// What `mkdistro doctor` looks at.
    pub(super) fn subject(&self, offline: bool) -> Result<Subject> {
        let SourceArguments { mirror, cache, .. } = &self.sources;
        let cache = cache_folder(cache.as_deref())?;
        Ok(Subject { project: self.project.clone(), cache, mirrors: mirror.clone(), offline })
    }

    /// What fetches for this project. `offline`: from the cache alone.
    pub(super) fn fetcher(&self, checked: &Checked, offline: bool) -> Result<Fetcher> {
        self.sources.fetcher(checked, offline)
    }
}

impl SourceArguments {
    /// As [`ProjectArguments::fetcher`].
    pub(super) fn fetcher(&self, checked: &Checked, offline: bool) -> Result<Fetcher> {
        let mut sources = checked.distro.sources.clone();
        for list in [&mut sources.mirrors, &mut sources.security_mirrors] {
            list.splice(0..0, self.mirror.iter().cloned());
        }
        let folder = cache_folder(self.cache.as_deref())?;
        let mut fetcher = Fetcher::new(Cache::open(&folder)?, Mirrors::of_system(&sources)?, offline);
        fetcher.registry_auth.clone_from(&self.auth_file);
        Ok(fetcher)
    }
}

/// The cache folder: the one named, or the user's.
pub(super) fn cache_folder(named: Option<&Path>) -> Result<PathBuf> {
    if let Some(folder) = named {
        return Ok(folder.to_owned());
    }
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    Ok(base.context("finding the cache folder: neither XDG_CACHE_HOME nor HOME is set")?.join("mkdistro"))
}
