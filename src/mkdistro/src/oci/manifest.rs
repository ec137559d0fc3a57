//! Manifests, indices and configurations of images: OCI image specification 1.1, and Docker's "Image Manifest Version 2,
//! Schema 2", which has the same fields under other media types.
//!
//! Both come from outside: sizes are bounded, digests are sha256, and what one says of the other must agree.

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::reference::sha256;

/// What registries are asked for; those of an index too.
pub(super) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";
/// No manifest or configuration is larger (registries refuse manifests of more than 4 MiB).
pub(super) const MAX_BYTES: u64 = 8 << 20;
/// No layer is larger.
const MAX_LAYER_BYTES: u64 = 16 << 30;
/// The driver "overlay" takes no more.
const MAX_LAYERS: usize = 500;
/// The platform that is taken of an index.
const PLATFORM: (&str, &str) = ("linux", "amd64");

/// What something else points at by size and digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is; may be missing in old indices.
    #[serde(default)]
    pub media_type: String,
    /// Size in bytes.
    pub size: u64,
    /// `sha256:…`.
    pub digest: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    platform: Option<Platform>,
    #[serde(default, skip_serializing)]
    annotations: std::collections::BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Platform {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
}

impl Descriptor {
    /// One without platform.
    pub(super) fn new(media_type: &str, sha256: &str, size: u64) -> Self {
        let (media_type, digest) = (media_type.to_owned(), format!("sha256:{sha256}"));
        Self { media_type, size, digest, platform: None, annotations: std::collections::BTreeMap::new() }
    }

    /// The digest's hex digits.
    ///
    /// # Errors
    /// It is no sha256.
    pub fn sha256(&self) -> Result<&str> {
        sha256(&self.digest).with_context(|| format!("digest {:?}: expected sha256 and 64 hex digits", self.digest))
    }

    /// The name that an OCI layout gives it.
    pub(super) fn ref_name(&self) -> Option<&str> {
        self.annotations.get("org.opencontainers.image.ref.name").map(String::as_str)
    }

    /// The full name that containerd and podman note beside it.
    pub(super) fn full_name(&self) -> Option<&str> {
        self.annotations.get("io.containerd.image.name").map(String::as_str)
    }
}

fn is_index_type(media_type: &str) -> bool {
    media_type.ends_with(".image.index.v1+json") || media_type.ends_with(".manifest.list.v2+json")
}

/// A manifest, or an index of manifests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Document {
    /// Of one image.
    Manifest(Manifest),
    /// Manifests by platform.
    Index(Vec<Descriptor>),
}

/// A manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// The image's configuration.
    pub(crate) config: Descriptor,
    /// Its layers, the lowest first.
    pub(crate) layers: Vec<Descriptor>,
}

impl Document {
    /// Reads one.
    ///
    /// # Errors
    /// It is neither, or has sizes or digests that cannot be.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Raw {
            schema_version: u32,
            #[serde(default)]
            media_type: String,
            config: Option<Descriptor>,
            layers: Option<Vec<Descriptor>>,
            manifests: Option<Vec<Descriptor>>,
        }
        let raw: Raw = serde_json::from_slice(bytes).context("reading the manifest")?;
        if raw.schema_version == 1 {
            bail!("a manifest of Docker's schema 1, which has been out of use since 2017");
        }
        ensure!(raw.schema_version == 2, "a manifest of schema {}, expected 2", raw.schema_version);
        match (raw.manifests, raw.config, raw.layers) {
            (Some(manifests), None, _) => Ok(Self::Index(manifests)),
            (None, Some(config), Some(layers)) if !is_index_type(&raw.media_type) => {
                ensure!(config.size <= MAX_BYTES, "a configuration of {} bytes", config.size);
                ensure!(layers.len() <= MAX_LAYERS, "{} layers, at most {MAX_LAYERS} can be mounted", layers.len());
                for part in layers.iter().chain([&config]) {
                    part.sha256()?;
                    ensure!(part.size <= MAX_LAYER_BYTES, "{}: a size of {} bytes", part.digest, part.size);
                }
                if let Some(other) = layers.iter().find(|layer| !is_layer(&layer.media_type)) {
                    bail!("a layer of type {:?}, expected a tar archive", other.media_type);
                }
                Ok(Self::Manifest(Manifest { config, layers }))
            }
            _ => bail!("neither a manifest nor an index"),
        }
    }
}

/// Whether a layer of that type is a tar archive, compressed or not.
fn is_layer(media_type: &str) -> bool {
    let known = ["application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs."];
    media_type.is_empty()
        || known.iter().any(|start| media_type.starts_with(start)) && !media_type.contains("encrypted")
}

/// The manifest of our platform in an index.
///
/// # Errors
/// There is none; which there are.
pub(super) fn choose(manifests: &[Descriptor]) -> Result<&Descriptor> {
    let fits = |entry: &&Descriptor| {
        let platform = entry.platform.as_ref();
        platform.is_some_and(|platform| (platform.os.as_str(), platform.architecture.as_str()) == PLATFORM)
    };
    let lone = || match manifests {
        [only] if only.platform.is_none() => Some(only),
        _ => None,
    };
    manifests.iter().find(fits).or_else(lone).with_context(|| {
        let platforms = manifests.iter().filter_map(|entry| entry.platform.as_ref());
        let platforms: Vec<String> =
            platforms.map(|platform| format!("{}/{}", platform.os, platform.architecture)).collect();
        format!("no image for {}/{} in it, but for: {}", PLATFORM.0, PLATFORM.1, platforms.join(", "))
    })
}

/// What a configuration says that matters here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Config {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    /// RFC 3339; may be missing.
    #[serde(default)]
    pub(crate) created: Option<String>,
    rootfs: RootFs,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Vec<String>,
}

impl Config {
    /// Reads one.
    ///
    /// # Errors
    /// Not an image's configuration, of another platform, or of another number of layers than its manifest.
    pub(crate) fn parse(bytes: &[u8], layers: usize) -> Result<Self> {
        let config: Self = serde_json::from_slice(bytes).context("reading the image's configuration")?;
        let platform = (config.os.as_str(), config.architecture.as_str());
        ensure!(
            platform == PLATFORM,
            "an image for {}/{}, expected {}/{}",
            platform.0,
            platform.1,
            PLATFORM.0,
            PLATFORM.1
        );
        let count = config.rootfs.diff_ids.len();
        ensure!(count == layers, "the configuration tells of {count} layers, the manifest of {layers}");
        ensure!(count > 0, "an image without layers");
        config.diff_ids()?;
        Ok(config)
    }

    /// sha256 of the layers' uncompressed archives, hex, the lowest first.
    ///
    /// # Errors
    /// One is no sha256.
    pub(crate) fn diff_ids(&self) -> Result<Vec<&str>> {
        let ids = self.rootfs.diff_ids.iter();
        ids.map(|id| sha256(id).with_context(|| format!("diff id {id:?}: expected sha256"))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(digit: char) -> String {
        format!("sha256:{}", digit.to_string().repeat(64))
    }

    fn manifest(config: &str, layers: &str) -> Result<Document> {
        Document::parse(format!("{{\"schemaVersion\":2,\"config\":{config},\"layers\":[{layers}]}}").as_bytes())
    }

    fn part(media_type: &str, size: u64, digit: char) -> String {
        format!("{{\"mediaType\":\"{media_type}\",\"size\":{size},\"digest\":\"{}\"}}", digest(digit))
    }

    #[test]
    fn reads_manifests_of_both_kinds() {
        for layer in
            ["application/vnd.oci.image.layer.v1.tar+zstd", "application/vnd.docker.image.rootfs.diff.tar.gzip"]
        {
            let found = manifest(&part("x", 7, 'a'), &part(layer, 9, 'b')).unwrap();
            let Document::Manifest(found) = found else { panic!("{found:?}") };
            assert_eq!((found.config.size, found.layers[0].sha256().unwrap()), (7, "b".repeat(64).as_str()));
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let layer = "application/vnd.oci.image.layer.v1.tar";
        for (config, layers, expected) in [
            (part("x", 1 << 30, 'a'), part(layer, 1, 'b'), "a configuration of 1073741824 bytes"),
            (part("x", 1, 'a'), part(layer, 1 << 40, 'b'), "a size of 1099511627776 bytes"),
            (part("x", 1, 'g'), part(layer, 1, 'b'), "expected sha256 and 64 hex digits"),
            (part("x", 1, 'a'), part("application/vnd.in-toto+json", 1, 'b'), "expected a tar archive"),
            (part("x", 1, 'a'), vec![part(layer, 1, 'b'); 501].join(","), "501 layers"),
        ] {
            let error = format!("{:#}", manifest(&config, &layers).unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
        for (text, expected) in [
            ("{}", "reading the manifest"),
            ("[", "reading the manifest"),
            ("{\"schemaVersion\":1}", "schema 1"),
            ("{\"schemaVersion\":3}", "schema 3"),
            ("{\"schemaVersion\":2}", "neither"),
        ] {
            let error = format!("{:#}", Document::parse(text.as_bytes()).unwrap_err());
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn an_index_has_our_platform_or_says_what_it_has() {
        let entry = |platform: &str, digit| {
            let platform = platform.split_once('/').map_or(String::new(), |(os, architecture)| {
                format!(",\"platform\":{{\"os\":\"{os}\",\"architecture\":\"{architecture}\"}}")
            });
            format!("{{\"mediaType\":\"m\",\"size\":1,\"digest\":\"{}\"{platform}}}", digest(digit))
        };
        let chosen = |entries: &[String]| {
            let text = format!("{{\"schemaVersion\":2,\"manifests\":[{}]}}", entries.join(","));
            let Document::Index(list) = Document::parse(text.as_bytes()).unwrap() else { panic!("{text}") };
            choose(&list).map(|entry| entry.digest.clone()).map_err(|error| error.to_string())
        };
        let others = [entry("linux/arm64", 'a'), entry("unknown/unknown", 'b')];
        let both = [others.as_slice(), &[entry("linux/amd64", 'c')]].concat();
        assert_eq!(chosen(&both), Ok(digest('c')));
        assert_eq!(chosen(&[entry("", 'd')]), Ok(digest('d')));
        let expected = "no image for linux/amd64 in it, but for: linux/arm64, unknown/unknown";
        assert_eq!(chosen(&others), Err(expected.to_owned()));
    }

    #[test]
    fn a_configuration_fits_its_manifest() {
        let text = |os: &str, ids: &[String]| {
            let ids = serde_json::to_string(ids).unwrap();
            format!(
                "{{\"architecture\":\"amd64\",\"os\":\"{os}\",\"rootfs\":{{\"type\":\"layers\",\"diff_ids\":{ids}}}}}"
            )
        };
        let ids = [digest('a')];
        assert_eq!(Config::parse(text("linux", &ids).as_bytes(), 1).unwrap().diff_ids().unwrap(), ["a".repeat(64)]);
        for (text, layers, expected) in [
            (text("linux", &ids), 2, "of 1 layers, the manifest of 2"),
            (text("windows", &ids), 1, "an image for windows/amd64"),
            (text("linux", &[]), 0, "without layers"),
            (text("linux", &["x".to_string()]), 1, "expected sha256"),
        ] {
            let error = format!("{:#}", Config::parse(text.as_bytes(), layers).unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
    }
}
