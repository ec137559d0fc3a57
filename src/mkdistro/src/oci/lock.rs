//! From names to digests: what `mkdistro lock` writes of images.

use anyhow::{Context, Result};

use super::Origin;
use super::local::{Local, sha256_of};
use super::manifest::Document;
use super::reference::{Reference, sha256};
use super::registry::Repository;
use crate::archive::http::OpenError;
use crate::config::{Checked, ContainerImage};
use crate::fetch::{Fetcher, Place};
use crate::lock::{Lock, LockedImage, Update};
use crate::problem::{Class, Problem};
use crate::progress::Progress;

/// Finds the digests of a project's images. Those that `previous` has stay as they are unless its update names them.
///
/// # Errors
/// An image that is not there, class `Network` or `Config`; one that is not for our platform, class `Verify`.
pub fn resolve(
    checked: &Checked,
    fetcher: &Fetcher,
    previous: Option<(&Lock, &Update)>,
    progress: &dyn Progress,
) -> Result<Vec<LockedImage>> {
    let mut locked = Vec::new();
    let mut images: Vec<(&ContainerImage, &Checked)> = Vec::new();
    for flavour in std::iter::once(checked).chain(&checked.others) {
        for image in &flavour.distro.images {
            if !images.iter().any(|(other, _)| other.request() == image.request()) {
                images.push((image, flavour));
            }
        }
    }
    for (image, checked) in images {
        let source = image.source();
        let kept = previous.and_then(|(lock, update)| {
            let old = lock.images.iter().find(|old| image.is_locked_as(old))?;
            (!update.moves_image(old)).then_some(old)
        });
        locked.push(match kept {
            Some(old) => old.clone(),
            None => {
                let task = progress.start(&format!("looking up {source}"), 0);
                let found = look_up(image, checked, fetcher).with_context(|| format!("locking the image {source}"))?;
                task.finish(&found.digest);
                found
            }
        });
    }
    locked.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(pair) = locked.windows(2).find(|pair| pair[0].name == pair[1].name) {
        let message =
            format!("distro.toml: images: {} and {} are both {}", pair[0].source, pair[1].source, pair[0].name);
        return Err(Problem::error(Class::Config, message, "give one of them another name"));
    }
    Ok(locked)
}

fn look_up(image: &ContainerImage, checked: &Checked, fetcher: &Fetcher) -> Result<LockedImage> {
    let config = |error: anyhow::Error| match error.downcast::<Problem>() {
        Ok(problem) => anyhow::Error::new(problem),
        Err(error) => {
            let text = format!("{error:#}");
            let (message, hint) = text.split_once("\nhint: ").unwrap_or((&text, ""));
            Problem::error(Class::Config, message, hint)
        }
    };
    match Origin::open(image, checked, fetcher).map_err(config)? {
        Origin::Registry(repository) => of_registry(image, &repository, fetcher),
        Origin::Local(local) => of_file(image, &local).map_err(config),
    }
}

fn of_file(image: &ContainerImage, local: &Local) -> Result<LockedImage> {
    let wanted = image.name.parse::<Reference>().ok();
    let found = local.find(wanted.as_ref())?;
    let name = match (image.wanted_name(), found.name) {
        (name, Some(own)) if name.is_empty() => own.name(),
        (name, None) if name.is_empty() => {
            return Err(Problem::error(
                Class::Config,
                format!("{}: the image in it has no name", image.path),
                "give it one in distro.toml: name = \"localhost/NAME:TAG\"",
            ));
        }
        (name, _) => name,
    };
    let digest = found.descriptor.sha256()?.to_owned();
    let (_, size) = local.blob(&digest)?.with_context(|| format!("sha256:{digest} is missing in {}", image.path))?;
    Ok(LockedImage { name, source: image.source(), digest: format!("sha256:{digest}"), size })
}

fn of_registry(image: &ContainerImage, repository: &Repository<'_>, fetcher: &Fetcher) -> Result<LockedImage> {
    let reference: Reference = image.reference.parse().ok().context("the reference has been checked")?;
    let mut tried = Vec::new();
    for file in repository.manifest(&reference.asked()) {
        let bytes = match file.read(fetcher) {
            Ok(bytes) => bytes,
            Err(OpenError::Missing(reason) | OpenError::Transient(reason) | OpenError::Fatal(reason)) => {
                tried.push(format!("{}: {reason}", file.url()));
                continue;
            }
        };
        let digest = sha256_of(&bytes);
        if let Some(expected) = reference.digest.as_ref().filter(|expected| **expected != digest) {
            tried.push(format!("{}: expected sha256:{expected}, got sha256:{digest}", file.url()));
            continue;
        }
        let verify = |error: anyhow::Error| {
            let message = format!("{}: {error:#}", file.url());
            Problem::error(Class::Verify, message, "choose another tag, or another image")
        };
        if let Document::Index(entries) = Document::parse(&bytes).map_err(verify)? {
            super::manifest::choose(&entries).map_err(verify)?;
        }
        let (size, digest) = (bytes.len() as u64, format!("sha256:{digest}"));
        return Ok(LockedImage { name: image.wanted_name(), source: image.source(), digest, size });
    }
    let message = format!("no registry has it; tried\n  {}", tried.join("\n  "));
    Err(Problem::error(Class::Network, message, hint(&tried, &reference)))
}

/// What may help, from what the registries said.
pub(super) fn hint(tried: &[String], reference: &Reference) -> String {
    let all = tried.join("\n");
    let host = &reference.host;
    if all.contains("HTTP status 401") || all.contains("credentials") {
        format!(
            "\"podman login --authfile FILE {host}\" writes credentials; name the file with --auth-file, or as auth-file \
             of a [[registries]] in distro.toml"
        )
    } else if all.contains("404") {
        "look whether the repository has that tag".to_owned()
    } else if all.contains("https://") && (all.contains("InvalidContentType") || all.contains("corrupt message")) {
        format!("a registry without TLS is asked only with [[registries]] host = \"{host}\", insecure = true")
    } else {
        "check the network and proxy settings, or name a mirror in [[registries]] of distro.toml".to_owned()
    }
}

impl LockedImage {
    /// What cannot be right about it.
    pub(crate) fn wrong_value(&self) -> Option<String> {
        if self.name.parse::<Reference>().is_err() {
            return Some("malformed name".to_owned());
        }
        if sha256(&self.digest).is_none() {
            return Some(format!("{:?} is not sha256 and 64 hex digits", self.digest));
        }
        if self.size == 0 || self.size > super::manifest::MAX_BYTES {
            return Some(format!("a manifest of {} bytes", self.size));
        }
        None
    }
}
