//! Images in files: OCI layouts (image layout specification 1.0.0), as a folder or tar, and the archives of `docker save`.
//!
//! Newer archives are both; they are read as layouts. The older ones have no manifest: one is made of what they say, the
//! same bytes every time, and its layers are the archives' uncompressed ones.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::files::Files;
use super::manifest::{self, Config, Descriptor, Document};
use super::reference::Reference;
use crate::archive::http::{Body, OpenError};
use crate::fetch::{Place, hex};

/// A file that may hold images.
pub(super) struct Local {
    files: Files,
    is_layout: bool,
    /// Of a Docker archive.
    images: Vec<DockerImage>,
}

/// An image that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// What the file calls it.
    pub(super) name: Option<Reference>,
    /// Its manifest or index.
    pub(super) descriptor: Descriptor,
}

/// An entry of `manifest.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl Local {
    /// Opens a folder or archive.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let files = Files::open(path)?;
        let is_layout = files.read("oci-layout")?.is_some() && files.read("index.json")?.is_some();
        let mut images = Vec::new();
        if !is_layout {
            let list = files.small("manifest.json", manifest::MAX_BYTES)?.with_context(|| {
                format!("{}: neither an OCI layout nor an archive of \"docker save\"", path.display())
            })?;
            images =
                serde_json::from_slice(&list).with_context(|| format!("reading {}: manifest.json", path.display()))?;
        }
        Ok(Self { files, is_layout, images })
    }

    /// The image of a name, or the only one.
    pub(super) fn find(&self, wanted: Option<&Reference>) -> Result<Found> {
        let all = if self.is_layout { self.of_layout()? } else { self.of_archive()? };
        let path = self.files.path().display();
        let named = all.iter().find(|found| wanted.is_some() && found.name.as_ref() == wanted);
        match (named, all.as_slice()) {
            (Some(found), _) => Ok(found.clone()),
            // One image may have several names; the first one counts.
            (None, [first, others @ ..])
                if others.iter().all(|other| other.descriptor.digest == first.descriptor.digest) =>
            {
                Ok(first.clone())
            }
            (None, []) => bail!("{path}: there is no image in it"),
            (None, several) => {
                let names = several.iter().map(|found| found.name.as_ref().map_or("?".into(), Reference::to_string));
                let names = names.collect::<Vec<_>>().join(", ");
                bail!("{path}: several images are in it\nhint: set name to one of {names}")
            }
        }
    }

    fn of_layout(&self) -> Result<Vec<Found>> {
        let bytes = self.files.small("index.json", manifest::MAX_BYTES)?.context("index.json has gone")?;
        let context = || format!("reading {}: index.json", self.files.path().display());
        let Document::Index(entries) = Document::parse(&bytes).with_context(context)? else {
            bail!("{}: it is no index", context());
        };
        let found = |descriptor: Descriptor| {
            let name = [descriptor.full_name(), descriptor.ref_name()].into_iter().flatten().find_map(full_name);
            Found { name, descriptor }
        };
        // Without names the entries are one image for several platforms.
        if entries.len() > 1 && entries.iter().all(|entry| entry.ref_name().is_none() && entry.full_name().is_none()) {
            let descriptor = manifest::choose(&entries).with_context(context)?.clone();
            return Ok(vec![found(descriptor)]);
        }
        Ok(entries.into_iter().map(found).collect())
    }

    fn of_archive(&self) -> Result<Vec<Found>> {
        let mut all = Vec::new();
        for image in &self.images {
            let manifest = self.made_manifest(image)?;
            let sha256 = sha256_of(&manifest);
            let descriptor = Descriptor::new(DOCKER_MANIFEST, &sha256, manifest.len() as u64);
            let names: Vec<_> = image.repo_tags.iter().flatten().filter_map(|tag| full_name(tag)).collect();
            if names.is_empty() {
                all.push(Found { name: None, descriptor: descriptor.clone() });
            }
            all.extend(names.into_iter().map(|name| Found { name: Some(name), descriptor: descriptor.clone() }));
        }
        Ok(all)
    }

    /// A manifest for an image of an archive that has none.
    fn made_manifest(&self, image: &DockerImage) -> Result<Vec<u8>> {
        let path = self.files.path().display();
        let missing = |name: &str| format!("{path}: {name} is missing");
        let config = self.files.small(&image.config, manifest::MAX_BYTES)?.with_context(|| missing(&image.config))?;
        let parsed = Config::parse(&config, image.layers.len()).with_context(|| format!("{path}: {}", image.config))?;
        let mut layers = Vec::new();
        for (name, diff_id) in image.layers.iter().zip(parsed.diff_ids()?) {
            let (_, size) = self.files.read(name)?.with_context(|| missing(name))?;
            layers.push(Descriptor::new("application/vnd.docker.image.rootfs.diff.tar", diff_id, size));
        }
        let config_type = "application/vnd.docker.container.image.v1+json";
        let config = Descriptor::new(config_type, &sha256_of(&config), config.len() as u64);
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": DOCKER_MANIFEST, "config": config, "layers": layers,
        });
        Ok(manifest.to_string().into_bytes())
    }

    /// What has this sha256, and its size.
    pub(super) fn blob(&self, sha256: &str) -> Result<Option<(Box<dyn Read + Send>, u64)>> {
        if self.is_layout {
            return self.files.read(&format!("blobs/sha256/{sha256}"));
        }
        for image in &self.images {
            let manifest = self.made_manifest(image)?;
            if sha256_of(&manifest) == sha256 {
                let size = manifest.len() as u64;
                return Ok(Some((Box::new(std::io::Cursor::new(manifest)), size)));
            }
            let config = self.files.small(&image.config, manifest::MAX_BYTES)?.unwrap_or_default();
            if sha256_of(&config) == sha256 {
                let size = config.len() as u64;
                return Ok(Some((Box::new(std::io::Cursor::new(config)), size)));
            }
            let parsed = Config::parse(&config, image.layers.len())?;
            let layers = parsed.diff_ids()?;
            if let Some((_, name)) = layers.iter().zip(&image.layers).find(|(id, _)| **id == sha256) {
                return self.files.read(name);
            }
        }
        Ok(None)
    }

    /// The same as something to fetch from.
    pub(super) fn place<'a>(&'a self, sha256: &'a str) -> LocalFile<'a> {
        LocalFile { local: self, sha256, base: self.files.path().display().to_string() }
    }
}

/// A file of an image in files.
pub(super) struct LocalFile<'a> {
    local: &'a Local,
    sha256: &'a str,
    base: String,
}

impl Place for LocalFile<'_> {
    fn base(&self) -> &str {
        &self.base
    }

    fn url(&self) -> String {
        format!("{}: sha256:{}", self.base, self.sha256)
    }

    fn open(&self, _from: u64) -> Result<Body, OpenError> {
        match self.local.blob(self.sha256) {
            Ok(Some((reader, size))) => Ok(Body { start: 0, total: Some(size), reader }),
            Ok(None) => Err(OpenError::Missing("it is not in it".into())),
            Err(error) => Err(OpenError::Fatal(format!("{error:#}"))),
        }
    }
}

const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

pub(super) fn sha256_of(bytes: &[u8]) -> String {
    let mut hasher = Sha256::new();
    hasher.update(bytes);
    hex(hasher)
}

/// A name as engines complete it: Docker writes `nginx:1` for `docker.io/library/nginx:1`.
fn full_name(text: &str) -> Option<Reference> {
    let candidates = [text.to_owned(), format!("docker.io/{text}"), format!("docker.io/library/{text}")];
    let is_name = text.contains([':', '/']);
    candidates.iter().filter(|_| is_name).find_map(|candidate| candidate.parse().ok())
}
