//! `oci`: the same userland as a container image, in one archive: a tar of an OCI image layout (OCI image specification 1.1,
//! "Image Layout") that docker-archive readers take, too (`manifest.json`). Its entry point is our PID 1.
//!
//! | member | |
//! |---|---|
//! | `oci-layout`, `index.json` | the layout, and the image's name |
//! | `manifest.json` | the same for `docker load` of any age |
//! | `blobs/sha256/…` | manifest, configuration, layer |

mod configuration;
mod layer;

use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::compose::{Composed, Finished};
use super::format::Writer;
use crate::inspect::sha256;

pub use layer::is_of_kernel;

pub(super) const WRITER: Writer =
    Writer { name: "oci", suffix: "oci.tar", title: "the container image", rest: "layer (gzip)", folders: &[], write };

const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIGURATION_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

fn write(composed: &Composed<'_>, path: &Path) -> Result<Vec<Finished>> {
    let mtime = composed.mtime;
    let tree = layer::tree(composed.root)?;
    let quick = composed.is_quick();
    let mut ids = layer::Ids::default();
    let layer = composed.unnamed(|out| {
        ids = layer::write(&tree, mtime, quick, out)?;
        Ok(())
    })?;
    let configuration = configuration::write(composed.checked, composed.root, mtime, &ids.diff_id)?;
    let manifest = text(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": descriptor(CONFIGURATION_TYPE, &sha256(&configuration), configuration.len()),
        "layers": [descriptor(LAYER_TYPE, &ids.digest, layer.len())],
    }))?;
    let name = configuration::reference(composed.checked);
    let mut entry = descriptor(MANIFEST_TYPE, &sha256(&manifest), manifest.len());
    entry["platform"] = json!({"architecture": "amd64", "os": "linux"});
    // The second is what containerd, and with it Docker, goes by.
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": name, "io.containerd.image.name": name});
    let index = text(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [entry],
    }))?;
    let blob = |sha256: &str| format!("blobs/sha256/{sha256}");
    let docker = text(&json!([{
        "Config": blob(&sha256(&configuration)),
        "RepoTags": [name],
        "Layers": [blob(&ids.digest)],
    }]))?;
    let members: [(String, &[u8]); 6] = [
        ("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#),
        ("index.json".into(), &index),
        ("manifest.json".into(), &docker),
        (blob(&sha256(&manifest)), &manifest),
        (blob(&sha256(&configuration)), &configuration),
        (blob(&ids.digest), &layer),
    ];
    let file = Finished::new(path, |file| {
        let mut archive = tar::Builder::new(BufWriter::with_capacity(1 << 20, file));
        for (name, content) in members {
            let mut header = tar::Header::new_ustar();
            header.set_mode(0o644);
            header.set_mtime(mtime.into());
            header.set_size(content.len() as u64);
            header.set_uid(0);
            header.set_gid(0);
            archive.append_data(&mut header, name, content)?;
        }
        Ok(archive.into_inner()?.flush()?)
    })?;
    Ok(vec![file])
}

fn descriptor(media_type: &str, sha256: &str, size: usize) -> Value {
    json!({"mediaType": media_type, "digest": format!("sha256:{sha256}"), "size": size})
}

/// Keys are sorted, so the same values give the same bytes.
fn text(value: &Value) -> Result<Vec<u8>> {
    serde_json::to_vec(value).context("encoding the container image's JSON")
}

#[cfg(test)]
mod tests;
