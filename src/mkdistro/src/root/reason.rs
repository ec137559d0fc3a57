//! Why each entry is in the root: what every account of an image (bill of materials, report, difference) starts from.
//!
//! A node's origin says where its bytes come from (a package, a recipe's text, the overlay); its reason says who asked for
//! them. A library's reason leads to the file that needs it, and so on to a recipe.

use std::collections::BTreeMap;
use std::sync::Arc;

use formats::tree::{Tree, split};

/// Who asked for an entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A recipe names it.
    Recipe(String),
    /// A shared library or interpreter: the path (absolute) of the file that needed it first, or the place in a recipe
    /// that names it (`packages/podman.toml, libraries`).
    Library(String),
    /// A kernel module: the fragment, recipe, `distro.toml` or `boot` that brought it in first.
    Module(String),
    /// Every root has it: the guest's programs, accounts, settings, module indices.
    Builder,
    /// The user's overlay.
    Overlay,
}

/// Reasons by path (relative, as in [`Tree`]); every entry but the root has one.
#[derive(Debug, Clone, Default)]
pub struct Reasons {
    by_path: BTreeMap<Vec<u8>, (Arc<str>, Reason)>,
}

impl Reasons {
    /// Gives a reason to what has come into `tree`, or was replaced from another origin, since the last call.
    pub(super) fn note(&mut self, tree: &Tree, reason: impl Fn(&[u8]) -> Reason) {
        for (path, node) in tree.iter().skip(1) {
            if self.by_path.get(path).is_none_or(|(origin, _)| *origin != node.origin) {
                self.by_path.insert(path.to_vec(), (Arc::clone(&node.origin), reason(path)));
            }
        }
    }

    /// Why an entry is there.
    pub fn get(&self, path: &[u8]) -> Option<&Reason> {
        self.by_path.get(path).map(|(_, reason)| reason)
    }

    /// The recipe in whose name an entry is there: the one that names it, or that names the program which needs this
    /// library, over any number of libraries. None for what no recipe asked for.
    pub fn recipe(&self, path: &[u8]) -> Option<&str> {
        let mut path = path.to_vec();
        // A library cannot be the first to need itself, so the chain ends; the bound is for what nobody foresaw.
        for _ in 0..100 {
            match self.get(&path)? {
                Reason::Recipe(name) => return Some(name),
                Reason::Library(wanted_by) => match wanted_by.strip_prefix('/') {
                    Some(next) => path = next.as_bytes().to_vec(),
                    None => return recipe_in(wanted_by),
                },
                Reason::Module(_) | Reason::Builder | Reason::Overlay => return None,
            }
        }
        None
    }
}

/// `podman` of `packages/podman.toml, libraries`.
fn recipe_in(place: &str) -> Option<&str> {
    let (file, _) = place.split_once(',')?;
    let name = split(file.as_bytes()).1;
    std::str::from_utf8(name).ok()?.strip_suffix(".toml")
}

#[cfg(test)]
mod tests {
    use super::{Reason, Reasons};
    use crate::root::testing::{file, tree};
    use std::sync::Arc;

    #[test]
    fn leads_to_the_recipe() {
        let mut reasons = Reasons::default();
        let mut root = tree(&[("usr/bin/a", file("a", 0o755))]);
        reasons.note(&root, |_| Reason::Recipe("one".into()));
        root.insert(b"usr/lib/x.so", file("x", 0o644)).unwrap();
        reasons.note(&root, |_| Reason::Library("/usr/bin/a".into()));
        root.insert(b"usr/lib/y.so", file("y", 0o644)).unwrap();
        reasons.note(&root, |_| Reason::Library("/usr/lib/x.so".into()));
        root.insert(b"usr/lib/z.so", file("z", 0o644)).unwrap();
        reasons.note(&root, |_| Reason::Library("packages/two.toml, libraries".into()));
        let mut overlay = file("b", 0o755);
        overlay.origin = Arc::from("overlay");
        root.insert(b"etc/b", overlay.clone()).unwrap();
        reasons.note(&root, |_| Reason::Overlay);
        for (path, expected) in [
            ("usr/bin", Some("one")),
            ("usr/lib/x.so", Some("one")),
            ("usr/lib/y.so", Some("one")),
            ("usr/lib/z.so", Some("two")),
            ("etc/b", None),
            ("none", None),
        ] {
            assert_eq!(reasons.recipe(path.as_bytes()), expected, "{path}");
        }
        // What the overlay replaces is the overlay's.
        root.insert(b"usr/bin/a", overlay).unwrap();
        reasons.note(&root, |_| Reason::Overlay);
        assert_eq!(reasons.get(b"usr/bin/a"), Some(&Reason::Overlay));
        assert_eq!(reasons.recipe(b"usr/lib/y.so"), None);
    }
}
