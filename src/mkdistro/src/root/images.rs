//! The container images of a root: their stores, and what tells podman of them.
//!
//! The stores are trees of their own: their files are other distributions' and no business of the root's checks and bills.
//! They meet the root when its SquashFS is written.

use std::borrow::Cow;
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use contract::paths;
use formats::tree::{Kind, Node, Tree};
use toml_edit::{Array, DocumentMut, Item, Table, value};

use super::{graft, insert};
use crate::config::{Checked, Place};
use crate::fetch::Fetched;
use crate::oci::store::{Store, StoredImage};
use crate::problem::{Class, Problem};
use crate::progress::Progress;

/// Where podman reads how it stores images.
const STORAGE_CONF: &str = "/etc/containers/storage.conf";

/// Container images.
#[derive(Debug, Clone, Default)]
pub struct Images {
    /// They, by name.
    pub list: Vec<StoredImage>,
    /// The store in the root, without the folder that it is in; none if no image is there.
    root: Option<Tree>,
    /// The store beside it on the medium.
    medium: Option<Tree>,
}

impl Images {
    /// Unpacks what was fetched.
    pub(super) fn make(fetched: &Fetched, progress: &dyn Progress) -> Result<Self> {
        let mut images = Self::default();
        if fetched.images.is_empty() {
            return Ok(images);
        }
        let task = progress.start("unpacking images", 0);
        for place in [Place::Root, Place::Medium] {
            let wanted: Vec<_> = fetched.images.iter().filter(|image| image.place == place).collect();
            if wanted.is_empty() {
                continue;
            }
            let mut store = Store::new();
            for image in wanted {
                images.list.push(store.add(image, &fetched.store)?);
            }
            let tree = store.finish()?;
            match place {
                Place::Root => images.root = Some(tree),
                Place::Medium => images.medium = Some(tree),
            }
        }
        images.list.sort_by(|a, b| a.name.cmp(&b.name));
        task.finish(&format!("{} images", images.list.len()));
        Ok(images)
    }

    /// Tells the root's podman where they are, before the overlay has the last word.
    pub(super) fn prepare(&self, tree: &mut Tree, checked: &Checked) -> Result<()> {
        let mut stores = Vec::new();
        stores.extend(self.root.is_some().then_some(paths::IMAGE_STORE));
        stores.extend(self.medium.is_some().then_some(paths::MEDIUM_STORE));
        if stores.is_empty() {
            return Ok(());
        }
        let origin: Arc<str> = Arc::from("distro.toml");
        let node = tree.lookup(STORAGE_CONF.as_bytes()).and_then(Node::content).cloned();
        let Some(conf) = node else {
            let message = format!("distro.toml: images: {STORAGE_CONF} is not in the root, so nothing would use them");
            return Err(Problem::error(Class::Config, message, "add \"podman\" to [root] recipes"));
        };
        let conf = with_stores(&String::from_utf8_lossy(&conf), &stores)?;
        let file = |text: String| Node::new(Kind::File(Bytes::from(text)), 0o644, &origin);
        insert(tree, STORAGE_CONF.as_bytes(), file(conf))?;
        if self.medium.is_some() {
            // Until the medium is mounted there, and if it is gone.
            let empty = under(Store::new().finish()?, paths::MEDIUM_STORE)?;
            graft(tree, &empty)?;
        }
        self.tell_user(tree, checked, &stores)
    }

    /// Engines without rights read no options of root's file.
    fn tell_user(&self, tree: &mut Tree, checked: &Checked, stores: &[&str]) -> Result<()> {
        let origin: Arc<str> = Arc::from("distro.toml");
        let user = &checked.distro.user;
        let mut path = checked.distro.home();
        for part in ["", "/.config", "/.config/containers"] {
            let folder = format!("{path}{part}");
            if tree.lookup(folder.as_bytes()).is_none() {
                let mut node = Node::new(Kind::Directory, 0o750, &origin);
                (node.uid, node.gid) = (user.uid, user.uid);
                insert(tree, folder.as_bytes(), node)?;
            }
        }
        path.push_str("/.config/containers/storage.conf");
        if tree.lookup(path.as_bytes()).is_some() {
            return Ok(());
        }
        let folder = paths::USER_STORES;
        let text = format!("[storage]\ndriver = \"overlay\"\nrootless_storage_path = \"{folder}/$UID/storage\"\n");
        let mut node = Node::new(Kind::File(with_stores(&text, stores)?.into()), 0o644, &origin);
        (node.uid, node.gid) = (user.uid, user.uid);
        insert(tree, path.as_bytes(), node).map(drop)
    }

    /// The root with the store that is in it.
    pub(crate) fn with_root<'a>(&self, tree: &'a Tree) -> Result<Cow<'a, Tree>> {
        let Some(store) = &self.root else { return Ok(Cow::Borrowed(tree)) };
        let mut whole = tree.clone();
        graft(&mut whole, &under(store.clone(), paths::IMAGE_STORE)?)?;
        Ok(Cow::Owned(whole))
    }

    /// The store on the medium.
    pub(crate) fn medium(&self) -> Option<&Tree> {
        self.medium.as_ref()
    }
}

/// A tree's entries below a folder.
fn under(tree: Tree, folder: &str) -> Result<Tree> {
    let mut moved = Tree::new();
    for (path, node) in tree.iter() {
        insert(&mut moved, &[folder.as_bytes(), b"/", path].concat(), node.clone())?;
    }
    Ok(moved)
}

/// A storage.conf with further stores, behind those that it has.
fn with_stores(text: &str, stores: &[&str]) -> Result<String> {
    let mut document: DocumentMut = text.parse().with_context(|| format!("reading {STORAGE_CONF}"))?;
    let table = |item: &mut Item| -> Result<()> {
        if item.is_none() {
            *item = Item::Table(Table::new());
        }
        item.as_table_mut().map(drop).with_context(|| format!("{STORAGE_CONF}: expected tables"))
    };
    let storage = &mut document["storage"];
    table(storage)?;
    let options = &mut storage["options"];
    table(options)?;
    let list = &mut options["additionalimagestores"];
    if list.is_none() {
        *list = value(Array::new());
    }
    let array = list.as_array_mut().with_context(|| format!("{STORAGE_CONF}: additionalimagestores is no list"))?;
    array.extend(stores.iter().copied());
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::with_stores;

    #[test]
    fn podman_is_told_of_the_stores() {
        for (text, expected) in [
            (
                "[storage]\ndriver = \"overlay\"\n",
                "[storage]\ndriver = \"overlay\"\n\n[storage.options]\nadditionalimagestores = [\"/a\", \"/b\"]\n",
            ),
            (
                "[storage.options]\nadditionalimagestores = [\"/own\"] # mine\n",
                "[storage.options]\nadditionalimagestores = [\"/own\", \"/a\", \"/b\"] # mine\n",
            ),
        ] {
            assert_eq!(with_stores(text, &["/a", "/b"]).unwrap(), expected);
        }
        assert!(with_stores("storage = 1", &["/a"]).is_err());
        assert!(with_stores("[storage.options]\nadditionalimagestores = \"/a\"", &["/a"]).is_err());
    }
}
