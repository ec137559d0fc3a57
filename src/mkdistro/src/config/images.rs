//! `[[images]]` and `[[registries]]` of distro.toml: container images that are part of the image, and where they come from.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Distro;
use super::document::Document;
use crate::oci::Reference;

/// `[[images]]`: a container image that is there from the first second.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ContainerImage {
    /// Where a registry has it: `docker.io/library/nginx:1.27`, also with `@sha256:…`; empty: [`Self::path`].
    pub reference: String,
    /// An OCI layout (folder or tar) or an archive of `docker save`, relative to the project; empty: [`Self::reference`].
    pub path: String,
    /// Its name in the guest; empty: the reference, or the name that the archive has.
    pub name: String,
    /// Where it is kept.
    #[serde(rename = "where")]
    pub place: Place,
}

/// Where a container image is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// In the root: in RAM, compressed, however the machine was started.
    #[default]
    Root,
    /// Beside the root on the boot medium, from which it is read.
    Medium,
}

/// `[[registries]]`: how a registry is asked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Registry {
    /// The host of references, with its port if it has one.
    pub host: String,
    /// URLs of registries that have the same, asked first, in this order; a path stands before the repository's.
    pub mirrors: Vec<String>,
    /// Whether it is asked by plain HTTP.
    pub insecure: bool,
    /// A file of credentials in the format of containers-auth.json(5), relative to the project; empty: none.
    pub auth_file: String,
}

impl Distro {
    /// Whether an image is kept there.
    pub fn has_images(&self, place: Place) -> bool {
        self.images.iter().any(|image| image.place == place)
    }

    /// How a registry is asked; by TLS and without credentials if distro.toml does not say.
    pub fn registry(&self, host: &str) -> Registry {
        let named = self.registries.iter().find(|registry| registry.host == host);
        named.cloned().unwrap_or_else(|| Registry { host: host.to_owned(), ..Registry::default() })
    }
}

/// Checks both.
pub(super) fn check(distro: &Distro, document: &mut Document) {
    let mut names = BTreeSet::new();
    for (index, image) in distro.images.iter().enumerate() {
        let at = format!("images[{index}]");
        let is_broken = ["reference", "path"].iter().any(|key| document.is_broken(&format!("{at}.{key}")));
        match (image.reference.is_empty(), image.path.is_empty()) {
            (true, true) if !is_broken => {
                document.report(&at, "no source, expected reference = \"…\" or path = \"…\"", "");
            }
            (false, false) => {
                document.report(&format!("{at}.path"), "a second source, expected reference or path", "remove one");
            }
            _ => {}
        }
        let name = if image.name.is_empty() { &image.reference } else { &image.name };
        if let Ok(name) = name.parse::<Reference>()
            && !names.insert(name.name())
        {
            let key = if image.name.is_empty() { "reference" } else { "name" };
            document.report(&format!("{at}.{key}"), format!("{:?} is given twice", name.name()), "remove one");
        }
    }
    let mut hosts = BTreeSet::new();
    for (index, registry) in distro.registries.iter().enumerate() {
        if !registry.host.is_empty() && !hosts.insert(&registry.host) {
            let message = format!("{:?} is given twice", registry.host);
            document.report(&format!("registries[{index}].host"), message, "remove one");
        }
    }
}
