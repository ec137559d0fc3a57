//! Container images that are part of the image: fetched from registries, OCI layouts and Docker archives without an engine,
//! pinned in the lock, and written as a read-only store that podman uses in place.
//!
//! `lock` finds out which manifest a name means; [`fetch`] has its blobs in the cache, verified; [`store`] makes the files
//! of the store. Left out: signatures (policy.json is the guest's), foreign layers, images of other platforms.

mod challenge;
mod credentials;
mod files;
mod layer;
mod local;
mod lock;
mod manifest;
mod obtain;
mod reference;
mod registry;
pub(crate) mod store;
mod tar_split;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use anyhow::Result;

use crate::config::{Checked, ContainerImage};
use crate::fetch::Fetcher;
use crate::lock::LockedImage;

pub use lock::resolve;
pub use obtain::{FetchedImage, fetch};
pub use reference::Reference;
pub(crate) use reference::sha256;
pub use store::StoredImage;
pub(crate) use store::purl;

/// Where an image comes from.
enum Origin<'a> {
    Registry(registry::Repository<'a>),
    Local(local::Local),
}

impl<'a> Origin<'a> {
    /// The origin that distro.toml names.
    fn open(image: &ContainerImage, checked: &Checked, fetcher: &'a Fetcher) -> Result<Self> {
        match image.reference.parse::<Reference>() {
            Ok(reference) => Ok(Self::Registry(registry::Repository::open(checked, fetcher, &reference)?)),
            Err(_) => Ok(Self::Local(local::Local::open(&checked.dir.join(&image.path))?)),
        }
    }
}

impl ContainerImage {
    /// How the lock and messages call where it comes from.
    pub fn source(&self) -> String {
        if self.reference.is_empty() { format!("file:{}", self.path) } else { self.reference.clone() }
    }

    /// What the lock's request says of it.
    pub(crate) fn request(&self) -> String {
        format!("{} {}", self.source(), self.name)
    }

    /// Whether that entry of a lock is it.
    pub(crate) fn is_locked_as(&self, locked: &LockedImage) -> bool {
        locked.source == self.source() && (self.name.is_empty() || self.wanted_name() == locked.name)
    }

    /// Its name in the guest in full; empty if the archive gives it.
    pub(crate) fn wanted_name(&self) -> String {
        let given = if self.name.is_empty() { &self.reference } else { &self.name };
        given.parse::<Reference>().map_or(String::new(), |reference| reference.name())
    }
}
