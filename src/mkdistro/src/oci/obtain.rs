//! All blobs of the locked images, in the cache and verified.

use std::cell::OnceCell;
use std::path::PathBuf;

use anyhow::{Context, Result};
use bytes::Bytes;

use super::lock::hint;
use super::manifest::{self, Config, Descriptor, Document};
use super::reference::Reference;
use super::{Origin, sha256};
use crate::config::{Checked, ContainerImage, Place as Where};
use crate::fetch::{Failure, Fetcher, Place};
use crate::lock::{self, Locked, LockedImage};
use crate::problem::{Class, Problem};
use crate::progress::Progress;

/// An image whose parts are all on this machine.
#[derive(Debug, Clone)]
pub struct FetchedImage {
    /// Its entry in the lock.
    pub locked: LockedImage,
    /// Where distro.toml wants it.
    pub place: Where,
    /// The index that the name leads to, if it is not the manifest.
    pub index: Option<Bytes>,
    /// The manifest and its sha256, hex.
    pub manifest: (Bytes, String),
    /// The configuration and its sha256, hex: the image's id.
    pub config: (Bytes, String),
    /// What the configuration says.
    pub(crate) parsed: Config,
    /// The layers, the lowest first: what the manifest says of each, and the verified file.
    pub layers: Vec<(Descriptor, PathBuf)>,
}

impl FetchedImage {
    /// What was downloaded, in bytes.
    pub fn size_bytes(&self) -> u64 {
        let small = self.manifest.0.len() + self.config.0.len() + self.index.as_ref().map_or(0, Bytes::len);
        small as u64 + self.layers.iter().map(|(layer, _)| layer.size).sum::<u64>()
    }
}

/// Fetches and verifies the images of a lock.
///
/// # Errors
/// As [`crate::fetch::fetch`].
pub fn fetch(locked: &Locked, fetcher: &Fetcher, progress: &dyn Progress) -> Result<Vec<FetchedImage>> {
    let mut images = Vec::new();
    for entry in &locked.lock.images {
        let image = locked.checked.distro.images.iter().find(|image| image.is_locked_as(entry));
        let image = image.with_context(|| format!("{} is in the lock, but not in distro.toml", entry.name))?;
        let task = progress.start(&format!("fetching {}", entry.name), 0);
        let source = Source { image, entry, checked: &locked.checked, fetcher, origin: OnceCell::new() };
        let fetched = source.fetch().with_context(|| format!("fetching the image {}", entry.name))?;
        task.finish(&format!("{} layers, {:.1} MB", fetched.layers.len(), fetched.size_bytes() as f64 / 1e6));
        images.push(fetched);
    }
    Ok(images)
}

/// An image's parts.
struct Source<'a> {
    image: &'a ContainerImage,
    entry: &'a LockedImage,
    checked: &'a Checked,
    fetcher: &'a Fetcher,
    /// Opened when something is not in the cache.
    origin: OnceCell<Origin<'a>>,
}

impl Source<'_> {
    fn fetch(&self) -> Result<FetchedImage> {
        let locked = sha256(&self.entry.digest).context("the lock has been checked")?.to_owned();
        let first = self.small(&locked, self.entry.size, true)?;
        let (index, manifest) = match Document::parse(&first).map_err(refused)? {
            Document::Manifest(_) => (None, (first, locked)),
            Document::Index(entries) => {
                let chosen = manifest::choose(&entries).map_err(refused)?;
                let digest = chosen.sha256().map_err(refused)?.to_owned();
                (Some(first), (self.small(&digest, chosen.size, true)?, digest))
            }
        };
        let Document::Manifest(parts) = Document::parse(&manifest.0).map_err(refused)? else {
            return Err(refused(anyhow::anyhow!("an index in an index")));
        };
        let id = parts.config.sha256()?.to_owned();
        let config = self.small(&id, parts.config.size, false)?;
        let parsed = Config::parse(&config, parts.layers.len()).map_err(refused)?;
        let mut layers = Vec::new();
        for layer in parts.layers {
            let file = self.obtain(layer.sha256()?, layer.size, false)?;
            layers.push((layer, file));
        }
        let place = self.image.place;
        Ok(FetchedImage { locked: self.entry.clone(), place, index, manifest, config: (config, id), parsed, layers })
    }

    fn small(&self, digest: &str, size: u64, is_manifest: bool) -> Result<Bytes> {
        if size > manifest::MAX_BYTES {
            return Err(refused(anyhow::anyhow!("sha256:{digest} has {size} bytes, more than is taken")));
        }
        let path = self.obtain(digest, size, is_manifest)?;
        let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        Ok(bytes.into())
    }

    fn obtain(&self, digest: &str, size: u64, is_manifest: bool) -> Result<PathBuf> {
        let failed = |failure| self.explain(digest, size, failure);
        if let Some(path) = self.fetcher.cache.verified(digest, size)? {
            return Ok(path);
        }
        // Files of the project need no network.
        if self.fetcher.offline && !self.image.reference.is_empty() {
            return Err(failed(Failure::Offline));
        }
        let named = format!("sha256:{digest}");
        match self.origin()? {
            Origin::Registry(repository) => {
                let files = if is_manifest { repository.manifest(&named) } else { repository.blob(&named) };
                let places: Vec<&dyn Place> = files.iter().map(|file| file as &dyn Place).collect();
                self.fetcher.obtain_from(digest, size, &places, &|_| {}).map_err(failed)
            }
            Origin::Local(local) => {
                self.fetcher.obtain_from(digest, size, &[&local.place(digest)], &|_| {}).map_err(failed)
            }
        }
    }

    fn origin(&self) -> Result<&Origin<'_>> {
        if let Some(origin) = self.origin.get() {
            return Ok(origin);
        }
        let origin = Origin::open(self.image, self.checked, self.fetcher)
            .map_err(|error| Problem::error(Class::Config, format!("{error:#}"), ""))?;
        Ok(self.origin.get_or_init(|| origin))
    }

    fn explain(&self, digest: &str, size: u64, failure: Failure) -> anyhow::Error {
        match failure {
            Failure::Local(error) => error,
            Failure::Offline => {
                let message = format!("not in the cache, and --offline was given: sha256:{digest}");
                Problem::error(Class::Network, message, "run once without --offline")
            }
            Failure::Mismatch { url, got, bytes } => {
                let line = lock::line_of(&self.checked.dir, &format!("sha256:{digest}"));
                let place = line.map_or_else(|| self.entry.name.clone(), |line| format!("{}:{line}", lock::PATH));
                let message =
                    format!("{place} says sha256:{digest} ({size} bytes), got {got} ({bytes} bytes) from {url}");
                let hint = format!("the registry has something else; \"mkdistro lock --update {}\"", self.entry.name);
                Problem::error(Class::Verify, message, hint)
            }
            Failure::Unavailable { tried, missing } => {
                let message = format!("sha256:{digest} could not be had; tried\n  {}", tried.join("\n  "));
                let hint = match self.image.reference.parse::<Reference>() {
                    _ if missing => format!("\"mkdistro lock --update {}\" takes what is there now", self.entry.name),
                    Ok(reference) => hint(&tried, &reference),
                    Err(_) => String::new(),
                };
                Problem::error(Class::Network, message, hint)
            }
        }
    }
}

fn refused(error: anyhow::Error) -> anyhow::Error {
    Problem::error(Class::Verify, format!("{error:#}"), "")
}
