//! What the sub-commands that read a project have in common: where it is, mirrors, cache.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use crate::archive::mirrors::Mirrors;
use crate::config::{self, Checked};
use crate::fetch::{Cache, Fetcher};

#[derive(Debug, Args)]
pub(super) struct ProjectArguments {
    /// The folder with distro.toml
    #[arg(long, default_value = ".", value_name = "DIR")]
    pub(super) project: PathBuf,
    /// A mirror's base URL, asked before those of distro.toml; may be repeated
    #[arg(long, value_name = "URL")]
    mirror: Vec<String>,
    /// Where downloads and parts of builds are kept [default: $XDG_CACHE_HOME/mkdistro]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
}

impl ProjectArguments {
    pub(super) fn load(&self) -> Result<Checked> {
        config::load(&self.project)
    }

    /// What fetches for this project. `offline`: from the cache alone.
    pub(super) fn fetcher(&self, checked: &Checked, offline: bool) -> Result<Fetcher> {
        let mut sources = checked.distro.sources.clone();
        for list in [&mut sources.mirrors, &mut sources.security_mirrors] {
            list.splice(0..0, self.mirror.iter().cloned());
        }
        let folder = cache_folder(self.cache.as_deref())?;
        Ok(Fetcher::new(Cache::open(&folder)?, Mirrors::of_system(&sources)?, offline))
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
