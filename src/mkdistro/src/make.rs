//! From fetched packages to what every output is written from: a root that is assembled, checked, and has its bill of
//! materials.

use anyhow::Result;
use bytes::Bytes;

use crate::config::Checked;
use crate::fetch::Fetched;
use crate::progress::Progress;
use crate::root::{self, RootTree};
use crate::sbom::{self, Format, Inventory};
use crate::{image, lint};

/// A project and its root, ready to be written.
pub struct Made {
    /// The project.
    pub checked: Checked,
    /// Its root.
    pub root: RootTree,
    /// The bills of materials, in full.
    pub bills: Vec<(Format, Bytes)>,
    /// What a container image of it has, which is without a kernel.
    pub container: Inventory,
}

/// Assembles and checks the root of a fetched project. `mtime` (seconds since 1970) is the time of every file.
///
/// # Errors
/// Class `Config`: the project does not fit its packages, or the lint has something fatal.
pub fn make(fetched: Fetched, mtime: u32, progress: &dyn Progress) -> Result<Made> {
    let mut root = root::assemble(&fetched, progress)?;
    let checked = &fetched.locked.checked;
    lint::gate(checked, &root.tree, progress)?;
    let task = progress.start("taking stock", 0);
    let medium = image::medium(checked, &root)?;
    let inventory = Inventory::take(&fetched, &root, &medium, mtime)?;
    let bills = sbom::embed(&inventory, &mut root)?;
    task.finish(&format!("{} files", inventory.root.len()));
    let container = inventory.without_kernel(&image::is_of_kernel);
    root.container_bill = Some(sbom::short(&container));
    Ok(Made { checked: fetched.locked.checked, root, bills, container })
}
