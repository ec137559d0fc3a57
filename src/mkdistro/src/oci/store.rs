//! The read-only store that podman uses images from in place: an "additional image store" of containers/storage, as
//! containers-storage.conf(5) has it in `additionalimagestores`.
//!
//! | below the store | holds |
//! |---|---|
//! | `overlay-images/images.json` | the images: id (sha256 of the configuration), names, top layer, and their "big data": name, size and digest of files |
//! | `overlay-images/ID/NAME` | a big data file: manifest, index, configuration; a NAME of other characters than `a-z0-9.` is `=` and base64 |
//! | `overlay-layers/layers.json` | the layers: id, parent, digests and sizes of the blob and the unpacked archive |
//! | `overlay-layers/ID.tar-split.gz` | see [`super::tar_split`] |
//! | `overlay/ID/diff` | a layer's files, see [`super::layer`] |
//! | `overlay/ID/link`, `overlay/l/LINK` | a short name of 26 characters, and the link of that name to `../ID/diff` |
//! | `overlay/ID/lower` | `l/LINK` of the layers below, the nearest first, joined by `:`; without any there is `overlay/ID/empty` |
//! | `overlay-images/images.lock`, `overlay-layers/layers.lock` | empty; without them a store that cannot be written is left out |
//!
//! A layer's id is its diff id, or sha256 of `PARENT+DIFFID`: the same layers on the same ones are there once, and what
//! podman would pull has the same ids. What is random elsewhere follows from the ids, and all times from the images.
//! Reference: containers/storage 1.57 and containers/image 5.34, which podman 5.4 is made of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use formats::tree::{Kind, Node, Tree};
use serde_json::{Value, json};

use super::layer::{self, Layer};
use super::local::sha256_of;
use super::obtain::FetchedImage;
use super::reference::Reference;
use crate::cache::Store as Cache;

/// Characters of a layer's short name.
const LINK_CHARACTERS: usize = 26;
/// Of an image that does not say when it was made.
const UNKNOWN_TIME: &str = "1970-01-01T00:00:00Z";

/// An image in a store, for reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredImage {
    /// Its name in the guest.
    pub name: String,
    /// Where it comes from, as distro.toml says.
    pub source: String,
    /// sha256 of its manifest, hex.
    pub manifest: String,
    /// Its id: sha256 of its configuration, hex.
    pub id: String,
    /// Ids of its layers, the lowest first.
    pub layers: Vec<String>,
    /// Bytes of its blobs, compressed as they came.
    pub size_bytes: u64,
    /// Whether it is beside the root on the medium.
    pub on_medium: bool,
}

/// A store in the making.
pub(crate) struct Store {
    tree: Tree,
    images: Vec<Value>,
    layers: BTreeMap<String, Value>,
    /// What implied folders take over: the layers' trees.
    trees: BTreeMap<String, Arc<Tree>>,
    links: u32,
}

impl Store {
    /// An empty one, which podman takes for a store, too.
    pub(crate) fn new() -> Self {
        let (images, layers, trees) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Self { tree: Tree::new(), images, layers, trees, links: 0 }
    }

    /// Adds an image; blobs are unpacked through the cache.
    pub(crate) fn add(&mut self, image: &FetchedImage, cache: &Cache) -> Result<StoredImage> {
        let origin: Arc<str> = Arc::from(format!("image {}", image.locked.name).as_str());
        let created = image.parsed.created.as_deref().unwrap_or(UNKNOWN_TIME);
        let mut chain: Vec<String> = Vec::new();
        for (diff_id, (blob, file)) in image.parsed.diff_ids()?.into_iter().zip(&image.layers) {
            let id = match chain.last() {
                None => diff_id.to_owned(),
                Some(parent) => sha256_of(format!("{parent}+{diff_id}").as_bytes()),
            };
            if !self.layers.contains_key(&id) {
                let context = || format!("unpacking the layer {} of {}", blob.digest, image.locked.name);
                let archive = layer::archive(file, diff_id, cache).with_context(context)?;
                let layer = layer::read(&archive, &origin, &mut self.links).with_context(context)?;
                let compression = layer::compression(file)?.number();
                let mut entry = json!({
                    "id": id,
                    "created": created,
                    "compressed-diff-digest": blob.digest,
                    "compressed-size": blob.size,
                    "diff-digest": format!("sha256:{diff_id}"),
                    "diff-size": layer.size,
                    "compression": compression,
                    "uidset": layer.uids,
                    "gidset": layer.gids,
                });
                if let (Some(parent), Some(fields)) = (chain.last(), entry.as_object_mut()) {
                    fields.insert("parent".into(), parent.as_str().into());
                }
                self.add_layer(&id, &chain, layer, &origin)?;
                self.layers.insert(id.clone(), entry);
            }
            chain.push(id);
        }
        self.add_image(image, created, &chain, &origin)?;
        Ok(StoredImage {
            name: image.locked.name.clone(),
            source: image.locked.source.clone(),
            manifest: image.manifest.1.clone(),
            id: image.config.1.clone(),
            layers: chain,
            size_bytes: image.size_bytes(),
            on_medium: image.place == crate::config::Place::Medium,
        })
    }

    fn add_layer(&mut self, id: &str, below: &[String], mut layer: Layer, origin: &Arc<str>) -> Result<()> {
        self.inherit(below, &mut layer);
        let folder = format!("overlay/{id}");
        let link = short_name(id);
        for (path, node) in layer.tree.iter() {
            let path = [format!("{folder}/diff/").as_bytes(), path].concat();
            put(&mut self.tree, &path, node.clone())?;
        }
        let file = |content: String| Node::new(Kind::File(content.into()), 0o644, origin);
        put(&mut self.tree, format!("{folder}/link").as_bytes(), file(link.clone()))?;
        let target = Node::new(Kind::Symlink(format!("../{id}/diff").into_bytes()), 0o777, origin);
        put(&mut self.tree, format!("overlay/l/{link}").as_bytes(), target)?;
        if below.is_empty() {
            let empty = Node::new(Kind::Directory, 0o755, origin);
            put(&mut self.tree, format!("{folder}/empty").as_bytes(), empty)?;
        } else {
            let lower: Vec<String> = below.iter().rev().map(|id| format!("l/{}", short_name(id))).collect();
            put(&mut self.tree, format!("{folder}/lower").as_bytes(), file(lower.join(":")))?;
        }
        let split = Node::new(Kind::File(layer.tar_split), 0o644, origin);
        put(&mut self.tree, format!("overlay-layers/{id}.tar-split.gz").as_bytes(), split)?;
        self.trees.insert(id.to_owned(), Arc::new(layer.tree));
        Ok(())
    }

    /// Folders that the archive does not tell of, but needs, are those of the layers below: an upper folder's mode and owner
    /// are what overlayfs shows.
    fn inherit(&self, below: &[String], layer: &mut Layer) {
        let mut folders: Vec<Vec<u8>> = layer.implied.iter().cloned().collect();
        folders.extend((!layer.has_root).then(Vec::new));
        for path in folders {
            let trees = below.iter().rev().filter_map(|id| self.trees.get(id));
            let found = trees.filter_map(|tree| tree.get(&path)).find(|node| node.kind == Kind::Directory);
            let Some(node) = layer.tree.get_mut(&path) else { continue };
            if let Some(found) = found {
                (node.mode, node.uid, node.gid, node.mtime) = (found.mode, found.uid, found.gid, found.mtime);
                let own = found.xattrs.iter().filter(|(name, _)| !name.windows(9).any(|part| part == b".overlay."));
                let own: Vec<_> = own.map(|(name, value)| (name.clone(), value.clone())).collect();
                node.xattrs.extend(own);
            }
        }
    }

    fn add_image(&mut self, image: &FetchedImage, created: &str, chain: &[String], origin: &Arc<str>) -> Result<()> {
        let (id, manifest) = (&image.config.1, &image.manifest.1);
        if let Some(known) = self.images.iter_mut().find(|known| known["id"] == **id) {
            if let Some(names) = known["names"].as_array_mut() {
                names.push(image.locked.name.as_str().into());
            }
            return Ok(());
        }
        let mut parts: BTreeMap<String, (&Bytes, &str)> = BTreeMap::new();
        parts.insert(format!("sha256:{id}"), (&image.config.0, id));
        parts.insert("manifest".into(), (&image.manifest.0, manifest));
        parts.insert(format!("manifest-sha256:{manifest}"), (&image.manifest.0, manifest));
        let index = image.index.as_ref().map(|index| (index, sha256_of(index)));
        if let Some((bytes, digest)) = &index {
            parts.insert(format!("manifest-sha256:{digest}"), (bytes, digest));
        }
        for (name, (bytes, _)) in &parts {
            let path = format!("overlay-images/{id}/{}", file_name(name));
            put(&mut self.tree, path.as_bytes(), Node::new(Kind::File((*bytes).clone()), 0o644, origin))?;
        }
        let names: BTreeSet<&str> = [image.locked.name.as_str()].into();
        let sizes: BTreeMap<&str, usize> =
            parts.iter().map(|(name, (bytes, _))| (name.as_str(), bytes.len())).collect();
        let digests: BTreeMap<&str, String> =
            parts.iter().map(|(name, (_, digest))| (name.as_str(), format!("sha256:{digest}"))).collect();
        self.images.push(json!({
            "id": id,
            "digest": format!("sha256:{manifest}"),
            "names": names,
            "layer": chain.last(),
            "metadata": "{}",
            "big-data-names": parts.keys().collect::<Vec<_>>(),
            "big-data-sizes": sizes,
            "big-data-digests": digests,
            "created": created,
        }));
        Ok(())
    }

    /// The files of the store.
    pub(crate) fn finish(mut self) -> Result<Tree> {
        let origin: Arc<str> = Arc::from("image store");
        let layers: Vec<&Value> = self.layers.values().collect();
        let list = |value: Value| Bytes::from(value.to_string());
        for (path, content) in [
            ("overlay-images/images.json", list(Value::Array(self.images.clone()))),
            ("overlay-images/images.lock", Bytes::new()),
            ("overlay-layers/layers.json", list(json!(layers))),
            ("overlay-layers/layers.lock", Bytes::new()),
        ] {
            put(&mut self.tree, path.as_bytes(), Node::new(Kind::File(content), 0o644, &origin))?;
        }
        if self.tree.get(b"overlay").is_none() {
            put(&mut self.tree, b"overlay/l", Node::new(Kind::Directory, 0o755, &origin))?;
        }
        Ok(self.tree)
    }
}

fn put(tree: &mut Tree, path: &[u8], node: Node) -> Result<()> {
    // Symbolic links of layers must not lead their way: each layer's tree is whole, and its folders are real.
    tree.insert(path, node).map(drop).map_err(anyhow::Error::msg).context("making the image store")
}

/// A short name that follows from the layer: capital letters and digits, as where they are random.
fn short_name(id: &str) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digest = sha256_of(format!("short name {id}").as_bytes());
    let letter = |byte: u8| char::from(ALPHABET[usize::from(byte) % 32]);
    let pairs = digest.as_bytes().chunks(2).filter_map(|pair| std::str::from_utf8(pair).ok());
    pairs.filter_map(|pair| u8::from_str_radix(pair, 16).ok()).map(letter).take(LINK_CHARACTERS).collect()
}

/// The file of a big data item.
fn file_name(name: &str) -> String {
    let is_plain = |c: char| c == '.' || c.is_ascii_digit() || c.is_ascii_lowercase();
    if name.chars().all(is_plain) { name.to_owned() } else { format!("={}", STANDARD.encode(name)) }
}

/// `pkg:oci/NAME@sha256:DIGEST` with the repository and the tag: the purl specification, type `oci`.
pub(crate) fn purl(image: &StoredImage) -> String {
    let encode = super::challenge::encode;
    let digest = encode(&format!("sha256:{}", image.manifest));
    let Ok(name) = image.name.parse::<Reference>() else { return format!("pkg:oci/image@{digest}?arch=amd64") };
    let last = name.repository.rsplit('/').next().unwrap_or(&name.repository);
    let tag = name.tag.as_deref().map_or(String::new(), |tag| format!("&tag={}", encode(tag)));
    let repository = encode(&name.repository_name());
    format!("pkg:oci/{last}@{digest}?arch=amd64&repository_url={repository}{tag}")
}
