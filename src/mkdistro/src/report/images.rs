//! Which container images the files of a root's image store belong to, as the store says itself (containers/storage:
//! `overlay-images/images.json`, `overlay-layers/layers.json`). A layer that images share is each one's.

use std::collections::{BTreeMap, BTreeSet};

use contract::paths;
use formats::tree::{Node, Tree};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::contents::Why;
use super::data::Because;

/// What is no image's own: the lists of images and layers.
const STORE: &str = "image store";

#[derive(Deserialize)]
struct StoredImage {
    id: String,
    #[serde(default)]
    names: Vec<String>,
    layer: Option<String>,
}

#[derive(Deserialize)]
struct StoredLayer {
    id: String,
    parent: Option<String>,
}

/// Names of images by the ids of the images and of their layers.
#[derive(Debug, Default)]
pub(super) struct Images {
    names: BTreeMap<String, BTreeSet<String>>,
}

impl Images {
    /// Those of a root; none if it has no store, or one that does not read.
    pub(super) fn of(tree: &Tree) -> Self {
        let layers: Vec<StoredLayer> = read(tree, "overlay-layers/layers.json");
        let parents: BTreeMap<&str, &str> =
            layers.iter().filter_map(|layer| Some((layer.id.as_str(), layer.parent.as_deref()?))).collect();
        let mut images = Self::default();
        for image in read::<StoredImage>(tree, "overlay-images/images.json") {
            let mut ids = BTreeSet::from([image.id.as_str()]);
            let mut layer = image.layer.as_deref();
            // A store that is not ours may lead in circles.
            while let Some(id) = layer.filter(|id| ids.insert(id)) {
                layer = parents.get(id).copied();
            }
            for id in ids {
                images.names.entry(id.to_owned()).or_default().extend(image.names.iter().cloned());
            }
        }
        images
    }

    /// Why a file is in the store; `None` if it is elsewhere.
    pub(super) fn why(&self, path: &[u8]) -> Option<Why> {
        let rest = std::str::from_utf8(path.strip_prefix(folder().as_bytes())?).unwrap_or_default();
        // `overlay/ID/…`, `overlay-images/ID/…`, `overlay-layers/ID.tar-split.gz`
        let id = rest.split('/').nth(1).and_then(|name| name.split('.').next()).unwrap_or_default();
        let names: Vec<&str> = self.names.get(id).into_iter().flatten().map(String::as_str).collect();
        let names = names.join(", ");
        let package = if names.is_empty() { STORE.into() } else { format!("image {names}") };
        Some(Why { package, recipe: None, because: Because::Image, by: names })
    }
}

/// The store's folder as a [`Tree`] has it, with a slash at its end.
fn folder() -> String {
    format!("{}/", paths::IMAGE_STORE.trim_start_matches('/'))
}

fn read<T: DeserializeOwned>(tree: &Tree, name: &str) -> Vec<T> {
    let content = tree.get(format!("{}{name}", folder()).as_bytes()).and_then(Node::content);
    content.and_then(|content| serde_json::from_slice(content).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::Images;
    use crate::root::testing::{file, tree};

    const STORE: &str = "usr/lib/containers/storage";
    const IMAGES: &str = "usr/lib/containers/storage/overlay-images/images.json";
    const LAYERS: &str = "usr/lib/containers/storage/overlay-layers/layers.json";

    #[test]
    fn layers_lead_to_images() {
        let root = tree(&[
            (
                IMAGES,
                file(
                    r#"[{"id": "i1", "names": ["localhost/a:1"], "layer": "top"},
                        {"id": "i2", "names": ["localhost/b:1", "localhost/c:1"], "layer": "base"}]"#,
                    0o644,
                ),
            ),
            (LAYERS, file(r#"[{"id": "base"}, {"id": "top", "parent": "base"}, {"id": "x", "parent": "x"}]"#, 0o644)),
        ]);
        let images = Images::of(&root);
        for (path, expected) in [
            ("overlay/top/diff/bin/sh", "image localhost/a:1"),
            ("overlay/base/diff/bin/sh", "image localhost/a:1, localhost/b:1, localhost/c:1"),
            ("overlay-layers/top.tar-split.gz", "image localhost/a:1"),
            ("overlay-images/i2/manifest", "image localhost/b:1, localhost/c:1"),
            ("overlay-images/images.json", "image store"),
            ("overlay/l/SHORT", "image store"),
        ] {
            assert_eq!(images.why(format!("{STORE}/{path}").as_bytes()).unwrap().package, expected, "{path}");
        }
        assert!(images.why(b"usr/bin/sh").is_none());
    }

    #[test]
    fn a_store_that_leads_in_circles_ends() {
        let root = tree(&[
            (IMAGES, file(r#"[{"id": "i", "names": ["a"], "layer": "x"}]"#, 0o644)),
            (LAYERS, file(r#"[{"id": "x", "parent": "y"}, {"id": "y", "parent": "x"}]"#, 0o644)),
        ]);
        let why = Images::of(&root).why(format!("{STORE}/overlay/y/link").as_bytes()).unwrap();
        assert_eq!(why.by, "a");
        let damaged = tree(&[(IMAGES, file("[{", 0o644))]);
        assert!(Images::of(&damaged).names.is_empty());
    }
}
