//! Lays the files of overlay/ over the root.

use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use formats::tree::{Kind, Node, Tree};

use super::insert;
use crate::cache::Store;
use crate::config::{Checked, OverlayEntry};
use crate::problem::{Class, Problem};

/// An overlay with more than this is copied to an unnamed file and used there: it takes no memory that way, and unlike
/// the files themselves nobody else can change it meanwhile.
const MAX_HEAP_BYTES: u64 = 32 << 20;

/// Adds the files, root's, whose content and modes are those that [`read`] gave.
pub(super) fn add(tree: &mut Tree, checked: &Checked, content: &[(Kind, u16)]) -> Result<()> {
    let origin: Arc<str> = Arc::from("overlay");
    for (entry, (kind, mode)) in checked.overlay.iter().zip(content) {
        match tree.lookup(entry.target.as_bytes()) {
            Some(old) if *kind == Kind::Directory && old.kind == Kind::Directory => {}
            Some(old) if *kind == Kind::Directory => {
                let message = format!("overlay/{0}: folder, but /{0} of {1} is a file", entry.target, old.origin);
                return Err(Problem::error(Class::Config, message, "rename the folder, or take the file out"));
            }
            _ => drop(insert(tree, entry.target.as_bytes(), Node::new(kind.clone(), *mode, &origin))?),
        }
    }
    Ok(())
}

/// What each entry of the overlay is, and its mode. Of the mode bits only the owner's execute bit counts, so that the
/// builder's umask and a git checkout do not change the image.
pub(super) fn read(checked: &Checked, store: &Store) -> Result<Vec<(Kind, u16)>> {
    let entries = &checked.overlay;
    let context = |entry: &OverlayEntry| format!("reading {}", entry.source.display());
    let metadata = |entry: &OverlayEntry| fs::symlink_metadata(&entry.source).with_context(|| context(entry));
    let metadata: Vec<Metadata> = entries.iter().map(metadata).collect::<Result<_>>()?;
    let total: u64 = metadata.iter().filter(|found| found.is_file()).map(Metadata::len).sum();
    let mut spool = if total > MAX_HEAP_BYTES { Some(store.spool()?) } else { None };
    let mut kinds = Vec::with_capacity(entries.len());
    for (entry, found) in entries.iter().zip(&metadata) {
        let context = || context(entry);
        kinds.push(if found.is_symlink() {
            (Kind::Symlink(fs::read_link(&entry.source).with_context(context)?.into_os_string().into_vec()), 0o777)
        } else if found.is_dir() {
            (Kind::Directory, 0o755)
        } else {
            let content = match &mut spool {
                Some(spool) => spool.copy(&entry.source).map(|()| Bytes::new()),
                None => fs::read(&entry.source).map(Bytes::from),
            };
            let executable = found.permissions().mode() & 0o100 != 0;
            (Kind::File(content.with_context(context)?), if executable { 0o755 } else { 0o644 })
        });
    }
    if let Some(spool) = spool {
        let mut contents: std::vec::IntoIter<Bytes> = spool.contents()?.into_iter();
        for (kind, _) in &mut kinds {
            if let Kind::File(content) = kind {
                *content = contents.next().context("taking back what was copied")?;
            }
        }
    }
    Ok(kinds)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use formats::tree::{Node, Tree};

    use super::{MAX_HEAP_BYTES, add, read};
    use crate::cache::Store;
    use crate::config::{self, Checked};
    use crate::problem::exit_code;
    use crate::root::testing::{file, folder, link, project, shown, tree};

    fn add_all(tree: &mut Tree, checked: &Checked, store: &Store) -> anyhow::Result<()> {
        add(tree, checked, &read(checked, store)?)
    }

    /// Lays `overlay` over `root`.
    fn laid(root: &[(&str, Node)], overlay: &[(&str, &str)]) -> anyhow::Result<Tree> {
        let dir = project(&[("toy", "")], overlay);
        let mut tree = tree(root);
        add_all(&mut tree, &config::load(dir.path())?, &Store::none()).map(|()| tree)
    }

    #[test]
    fn modes_do_not_depend_on_the_host() {
        let dir = project(&[("toy", "")], &[]);
        let overlay = dir.path().join("overlay");
        for (name, mode, expected) in [
            ("a-private", 0o600, "0644"),
            ("b-plain", 0o664, "0644"),
            ("c-read-only", 0o444, "0644"),
            ("d-script", 0o700, "0755"),
            ("e-group-runs", 0o650, "0644"),
            ("f-setuid", 0o4755, "0755"),
        ] {
            let path = overlay.join(name);
            crate::root::testing::write(dir.path(), &format!("overlay/{name}"), "x");
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let mut tree = Tree::new();
            add_all(&mut tree, &config::load(dir.path()).unwrap(), &Store::none()).unwrap();
            assert_eq!(shown(&tree), [format!("/{name} {expected} 0 \"x\"")], "{mode:o}");
            fs::remove_file(path).unwrap();
        }
        fs::create_dir(overlay.join("folder")).unwrap();
        fs::set_permissions(overlay.join("folder"), Permissions::from_mode(0o700)).unwrap();
        symlink("no/where", overlay.join("link")).unwrap();
        let mut tree = Tree::new();
        add_all(&mut tree, &config::load(dir.path()).unwrap(), &Store::none()).unwrap();
        assert_eq!(shown(&tree), ["/folder 0755 0/", "/link 0777 0 -> no/where"]);
        assert_eq!(&*tree.get(b"link").unwrap().origin, "overlay");
    }

    #[test]
    fn replaces_files_and_keeps_folders() {
        let root = [
            ("tmp", folder(0o1777)),
            ("usr/bin/vi", link("busybox")),
            ("bin", link("usr/bin")),
            ("etc/motd", file("old", 0o600)),
        ];
        let overlay = [("overlay/tmp/x", "x"), ("overlay/bin/vi", "vim"), ("overlay/etc/motd", "new")];
        assert_eq!(
            shown(&laid(&root, &overlay).unwrap()),
            [
                "/bin 0777 0 -> usr/bin",
                "/etc 0755 0/",
                "/etc/motd 0644 0 \"new\"",
                "/tmp 1777 0/",
                "/tmp/x 0644 0 \"x\"",
                "/usr 0755 0/",
                "/usr/bin 0755 0/",
                "/usr/bin/vi 0644 0 \"vim\"",
            ]
        );
    }

    #[test]
    fn conflicts_are_errors() {
        for (root, overlay, expected) in [
            (
                ("etc/conf", file("", 0o644)),
                "overlay/etc/conf/.gitkeep",
                "overlay/etc/conf: folder, but /etc/conf of test is a file",
            ),
            (
                ("etc/conf.d/a", file("", 0o644)),
                "overlay/etc/conf.d",
                "putting /etc/conf.d of overlay into the root: /etc/conf.d is a folder with content",
            ),
        ] {
            let error = laid(&[root], &[(overlay, "")]).unwrap_err();
            assert_eq!((error.to_string().as_str(), exit_code(&error)), (expected, contract::exit::CONFIG));
        }
    }

    #[test]
    fn names_a_file_that_vanished() {
        let dir = project(&[("toy", "")], &[("overlay/etc/motd", "x")]);
        let checked = config::load(dir.path()).unwrap();
        let path = dir.path().join("overlay/etc/motd");
        fs::remove_file(&path).unwrap();
        let error = add_all(&mut Tree::new(), &checked, &Store::none()).unwrap_err();
        let expected = format!("reading {}: No such file or directory (os error 2)", path.display());
        assert_eq!(format!("{error:#}"), expected);
    }

    #[test]
    fn a_large_one_is_the_same_through_a_file() {
        let dir = project(&[("toy", "")], &[("overlay/a/last", "x"), ("overlay/empty", "")]);
        let large = vec![b'l'; MAX_HEAP_BYTES as usize];
        fs::write(dir.path().join("overlay/large"), &large).unwrap();
        symlink("large", dir.path().join("overlay/link")).unwrap();
        let checked = config::load(dir.path()).unwrap();
        let cache = tempfile::tempdir().unwrap();
        for store in [Store::none(), Store::open(cache.path())] {
            let mut tree = Tree::new();
            add_all(&mut tree, &checked, &store).unwrap();
            let content = |path: &str| tree.get(path.as_bytes()).unwrap().content().unwrap().clone();
            assert_eq!((content("a/last"), content("empty")), ("x".into(), "".into()));
            assert!(content("large") == large);
        }
        assert_eq!(fs::read_dir(cache.path().join("tmp")).unwrap().count(), 0);
    }
}
