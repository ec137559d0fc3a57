//! What this program carries of the project it was built from: recipes, kernel fragments, the key ring, the lock, the
//! overlay, the default distro.toml and the templates of other distributions. build.rs lists them.
//!
//! A project needs only what differs: of a recipe or fragment that it does not have the built-in one is used.

/// Files by path, sorted: `packages/podman.toml`, `templates/docker/distro.toml`.
#[derive(Debug, Clone, Copy)]
pub struct Builtin(&'static [(&'static str, &'static [u8])]);

static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/builtin.rs"));

impl Builtin {
    /// All files of this program.
    pub const ALL: Self = Self(FILES);
    /// No files, for a project that must have its own.
    pub const NONE: Self = Self(&[]);

    /// A set of files, which must be sorted by path.
    pub const fn new(files: &'static [(&'static str, &'static [u8])]) -> Self {
        Self(files)
    }

    /// The content of a file.
    pub fn get(self, path: &str) -> Option<&'static [u8]> {
        let index = self.0.binary_search_by(|(name, _)| (*name).cmp(path)).ok()?;
        self.0.get(index).map(|(_, content)| *content)
    }

    /// The content of a text file.
    pub fn text(self, path: &str) -> Option<&'static str> {
        self.get(path).and_then(|content| std::str::from_utf8(content).ok())
    }

    /// Files below a folder: path below it, content.
    pub fn below(self, folder: &str) -> impl Iterator<Item = (&'static str, &'static [u8])> {
        self.0.iter().filter_map(move |(path, content)| {
            let rest = path.strip_prefix(folder)?.strip_prefix('/')?;
            Some((rest, *content))
        })
    }

    /// Names, without `suffix`, of the files directly in a folder that end in it.
    pub fn names(self, folder: &str, suffix: &str) -> Vec<&'static str> {
        let direct = self.below(folder).filter(|(path, _)| !path.contains('/'));
        direct.filter_map(|(path, _)| path.strip_suffix(suffix)).collect()
    }
}

/// How messages call a built-in file: `built-in packages/podman.toml`.
pub fn shown(path: &str) -> String {
    format!("built-in {path}")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Builtin, FILES};

    #[test]
    fn carries_the_project() {
        assert!(FILES.is_sorted());
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for path in ["distro.toml", "packages/podman.toml", "kernel-config/base.config", "overlay/etc/motd"] {
            assert_eq!(Builtin::ALL.get(path).unwrap(), std::fs::read(project.join(path)).unwrap(), "{path}");
        }
        assert!(Builtin::ALL.names("packages", ".toml").contains(&"podman"));
        assert!(Builtin::ALL.names("kernel-config", ".config").contains(&"base"));
        assert_eq!(Builtin::ALL.names("overlay", ""), Vec::<&str>::new());
        assert_eq!(Builtin::ALL.text("no/where"), None);
        assert_eq!(Builtin::NONE.get("distro.toml"), None);
    }
}
