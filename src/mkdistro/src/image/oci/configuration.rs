//! The configuration of the container image: what is started, with which signal it is stopped, what people see of it.

use anyhow::Result;
use contract::{container, paths};
use serde_json::json;

use crate::archive::date;
use crate::config::Checked;
use crate::root::RootTree;

/// The search path of `exec`; services have PID 1's.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The engine's store: on the overlay that a container's root is there can be no other, so without a volume of the user's
/// the manager makes one.
const STORE: &str = paths::PERSISTED[0];

/// The name of the image. Nobody can take one of `localhost` for a registry's.
pub(super) fn reference(checked: &Checked) -> String {
    let distro = &checked.distro.distro;
    // The characters of a tag (OCI distribution specification, "Pulling manifests").
    let tag = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let version: String = distro.version.chars().map(tag).collect();
    let version = version.trim_start_matches(['.', '-']);
    // Of the default one, too: the recipe in the image does not tell which that was.
    let flavour = checked.flavour.as_ref().map(|name| format!("-{name}")).unwrap_or_default();
    format!("localhost/{}:{}{flavour}", distro.name, if version.is_empty() { "latest" } else { version })
}

/// The document (OCI image specification, "Image Configuration").
pub(super) fn write(checked: &Checked, root: &RootTree, mtime: u32, diff_id: &str) -> Result<Vec<u8>> {
    let distro = &checked.distro.distro;
    let created = date::format_rfc3339(mtime.into());
    let description =
        format!("{} {}: {} as PID 1, for a privileged container", distro.name, distro.version, paths::INIT);
    super::text(&json!({
        "created": created,
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Entrypoint": [paths::INIT],
            "Env": [PATH],
            "ExposedPorts": {"22/tcp": {}},
            "Volumes": {STORE: {}},
            "StopSignal": container::STOP_SIGNAL_NAME,
            "Labels": {
                "org.opencontainers.image.title": distro.name,
                "org.opencontainers.image.version": distro.version,
                "org.opencontainers.image.created": created,
                "org.opencontainers.image.description": description,
                "org.mkdistro.build-id": root.build_id,
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{diff_id}")]},
        "history": [{"created": created, "created_by": format!("mkdistro {}", env!("CARGO_PKG_VERSION"))}],
    }))
}
