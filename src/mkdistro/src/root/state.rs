//! What the guest's own programs read: settings, services, keys, modules to load; and who the system says it is.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use contract::{paths, service};
use formats::tree::{Kind, Node, Tree};

use super::insert;
use crate::config::Checked;

/// Adds the files.
pub(super) fn add(tree: &mut Tree, checked: &Checked) -> Result<()> {
    let identity = &checked.distro.distro;
    let os_release = format!(
        "ID={name}\nNAME=\"{name}\"\nVERSION_ID=\"{version}\"\nVERSION=\"{version}\"\nPRETTY_NAME=\"{name} {version}\"\n\
         ID_LIKE=debian\n",
        name = identity.name,
        version = identity.version
    );
    let hosts = format!("127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {}\n", identity.hostname);
    let keys: String = checked.distro.user.authorized_keys.iter().map(|key| format!("{}\n", key.trim())).collect();
    let modules: BTreeSet<&str> =
        checked.recipes.values().flat_map(|recipe| recipe.load_modules.iter().map(String::as_str)).collect();
    let modules: String = modules.into_iter().map(|name| format!("{name}\n")).collect();
    let origin: Arc<str> = Arc::from("distro.toml");
    for (path, content) in [
        (paths::SETTINGS, checked.settings().encode()),
        (paths::SERVICES, service::encode(&checked.services())),
        (paths::IMAGE_AUTHORIZED_KEYS, keys),
        (paths::LOAD_MODULES, modules),
        ("/etc/os-release", os_release),
        ("/etc/hostname", format!("{}\n", identity.hostname)),
        ("/etc/hosts", hosts),
    ] {
        insert(tree, path.as_bytes(), Node::new(Kind::File(Bytes::from(content)), 0o644, &origin))?;
    }
    Ok(())
}
