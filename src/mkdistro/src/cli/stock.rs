//! What `sbom`, `licenses` and `sources` have in common: the inventory of a project's image, without the image.

use anyhow::Result;
use clap::Args;

use super::making::image_time;
use super::project::FlavourArguments;
use crate::fetch::{self, Fetched, Fetcher};
use crate::progress::Progress;
use crate::sbom::Inventory;
use crate::{image, lock, root};

#[derive(Debug, Args)]
pub(super) struct StockArguments {
    #[command(flatten)]
    project: FlavourArguments,
    /// Use the cache alone
    #[arg(long)]
    offline: bool,
}

/// A project, what its image is made of, and what fetches for it.
pub(super) struct Stock {
    pub(super) fetched: Fetched,
    pub(super) inventory: Inventory,
    pub(super) fetcher: Fetcher,
}

impl StockArguments {
    /// Fetches, assembles, and takes stock.
    pub(super) fn take(&self, progress: &dyn Progress) -> Result<Stock> {
        let checked = self.project.load()?;
        let lock = self.project.lock(&checked, self.offline, progress)?;
        let locked = lock::check(checked, lock, image::BOOT_PACKAGES)?;
        let created = image_time(std::env::var_os("SOURCE_DATE_EPOCH"), &locked.lock)?;
        let fetcher = self.project.fetcher(&locked.checked, self.offline)?;
        let fetched = fetch::fetch(locked, &fetcher, progress)?;
        let root = root::assemble(&fetched, progress)?;
        let medium = image::medium(&fetched.locked.checked, &root)?;
        let inventory = Inventory::take(&fetched, &root, &medium, created)?;
        Ok(Stock { fetched, inventory, fetcher })
    }
}
