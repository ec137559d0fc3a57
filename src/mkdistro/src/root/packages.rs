//! Opens the locked packages, keeping of each only what this build can use.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context, Result};
use formats::tree::Tree;
use rayon::prelude::*;

use crate::cache;
use crate::config::KernelSource;
use crate::deb::{self, packed};
use crate::fetch::Fetched;
use crate::image;
use crate::kernel;
use crate::lock::LockedPackage;
use crate::pattern::{Pattern, PatternSet};
use crate::sbom::copyright;

/// The trees of the packages, reduced to what was asked for and what could be a shared library.
pub struct Packages {
    /// Package name → its files, without the kernel's.
    pub trees: BTreeMap<String, Tree>,
    /// The kernel package; empty if the kernel is built from source.
    pub kernel: Tree,
}

impl Packages {
    /// Opens all packages in parallel.
    pub fn open(fetched: &Fetched) -> Result<Self> {
        // A kernel's source is not for the root, and has 150 MB.
        if fetched.locked.checked.distro.kernel.source == KernelSource::Source {
            return Self::open_userland(fetched);
        }
        let mut trees = Self::trees(fetched, |_| true)?;
        let kernel = trees.remove(&fetched.locked.lock.kernel).context("the lock has no kernel package")?;
        Ok(Self { trees, kernel })
    }

    /// The same without the kernel's package, whose tree is empty then.
    pub fn open_userland(fetched: &Fetched) -> Result<Self> {
        let trees = Self::trees(fetched, |package| package.name != fetched.locked.lock.kernel)?;
        Ok(Self { trees, kernel: Tree::new() })
    }

    fn trees(fetched: &Fetched, filter: impl Fn(&LockedPackage) -> bool) -> Result<BTreeMap<String, Tree>> {
        // The largest first, so that one core does not end up alone with the kernel.
        let mut list: Vec<&LockedPackage> =
            fetched.locked.lock.packages.iter().filter(|package| filter(package)).collect();
        list.sort_by_key(|package| std::cmp::Reverse(package.size));
        let open = |package: &&LockedPackage| Ok((package.name.clone(), open(fetched, package)?));
        list.par_iter().with_max_len(1).map(open).collect()
    }

    /// Files of one recipe's packages whose absolute path fits a pattern: package, path, in order of the paths.
    pub fn matching<'a>(&'a self, names: &'a [String], pattern: &str) -> Result<Vec<(&'a str, &'a [u8])>> {
        let set = pattern_set([pattern])?;
        let mut found: Vec<(&str, &[u8])> = Vec::new();
        for name in names {
            let Some(tree) = self.trees.get(name) else { continue };
            found.extend(
                tree.iter().filter(|(path, _)| set.is_match(&to_path(path))).map(|(path, _)| (name.as_str(), path)),
            );
        }
        found.sort_by_key(|(_, path)| *path);
        Ok(found)
    }
}

/// A package's files that this build can use, unpacked once and then used in place.
fn open(fetched: &Fetched, package: &LockedPackage) -> Result<Tree> {
    let file = fetched.files.get(&package.name).with_context(|| format!("{} is not fetched", package.name))?;
    let origin: Arc<str> = Arc::from(package.name.as_str());
    let is_kernel = package.name == fetched.locked.lock.kernel;
    let wanted = wanted(fetched, &package.name);
    let key = key(package, is_kernel, &wanted);
    let store = &fetched.store;
    let cached = || packed::read(&store.map(cache::Kind::Unpacked, key.as_ref()?)?, &origin);
    if let Some(tree) = cached() {
        return Ok(tree);
    }
    let wanted = pattern_set(wanted)?;
    let keep = |path: &[u8]| {
        (is_kernel && kernel::is_wanted(path))
            || is_library(path)
            || copyright::is_wanted(path)
            || wanted.is_match(&to_path(path))
    };
    let tree = deb::open(file, &origin, &keep)?.tree;
    // What has just been unpacked is on the heap; the same in a file is memory that the kernel can take back.
    let kept = key.and_then(|key| store.keep(cache::Kind::Unpacked, &key, |out| packed::write(&tree, out)));
    Ok(kept.and_then(|()| cached()).unwrap_or(tree))
}

/// Name of the unpacked files: all that they follow from. None if the program cannot be told from others.
fn key(package: &LockedPackage, is_kernel: bool, wanted: &BTreeSet<&str>) -> Option<cache::Key> {
    // With the program, since what counts as a library or as a kernel's file is up to it.
    let kernel: &[u8] = if is_kernel { b"kernel" } else { b"" };
    let mut parts = vec![b"unpacked package", cache::builder()?.as_slice(), package.sha256.as_bytes(), kernel];
    parts.extend(wanted.iter().map(|pattern| pattern.as_bytes()));
    Some(cache::key(&parts))
}

fn is_library(path: &[u8]) -> bool {
    path.starts_with(b"usr/lib") && path.windows(3).any(|part| part == b".so")
}

/// Patterns of what is taken out of a package: by the recipes that name it, and by the boot loaders.
fn wanted<'a>(fetched: &'a Fetched, package: &str) -> BTreeSet<&'a str> {
    let mut patterns = BTreeSet::new();
    if image::BOOT_PACKAGES.contains(&package) {
        for path in image::boot_files() {
            patterns.insert(path);
        }
    }
    let recipes = fetched.locked.checked.recipes.values();
    for recipe in recipes.filter(|recipe| recipe.packages.iter().any(|name| name == package)) {
        patterns.extend(recipe.files.iter().map(String::as_str));
        patterns.extend(recipe.rename.values().map(String::as_str));
        patterns.extend(recipe.concat.values().map(String::as_str));
    }
    patterns
}

fn pattern_set<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<PatternSet> {
    let mut set = PatternSet::default();
    for pattern in patterns {
        set.add(Pattern::parse(&merged_usr(pattern)).with_context(|| format!("reading the pattern {pattern:?}"))?);
    }
    Ok(set)
}

/// Packages are read with a merged /usr, so a pattern below /bin means /usr/bin.
fn merged_usr(pattern: &str) -> String {
    let top = pattern.strip_prefix('/').and_then(|path| path.split_once('/')).map(|(top, _)| top);
    match top {
        Some(top) if deb::MERGED.contains(&top.as_bytes()) => format!("/usr{pattern}"),
        _ => pattern.to_string(),
    }
}

fn to_path(path: &[u8]) -> String {
    format!("/{}", String::from_utf8_lossy(path))
}

#[cfg(test)]
mod tests {
    use super::{is_library, merged_usr, pattern_set};
    use crate::root::testing::{file, folder, packages, tree};

    #[test]
    fn patterns_are_below_usr() {
        for (pattern, expected) in [
            ("/bin/ip", "/usr/bin/ip"),
            ("/sbin/*", "/usr/sbin/*"),
            ("/lib/x86_64-linux-gnu/security/**", "/usr/lib/x86_64-linux-gnu/security/**"),
            ("/lib64/ld-linux-x86-64.so.2", "/usr/lib64/ld-linux-x86-64.so.2"),
            ("/lib32/a", "/usr/lib32/a"),
            ("/usr/bin/ip", "/usr/bin/ip"),
            ("/binary/x", "/binary/x"),
            ("/etc/bin/x", "/etc/bin/x"),
            ("/bin", "/bin"),
        ] {
            assert_eq!(merged_usr(pattern), expected);
        }
    }

    #[test]
    fn finds_files_by_path() {
        let one = tree(&[("usr/bin/b", file("", 0o755)), ("usr/bin/d/c", file("", 0o755)), ("etc/a", file("", 0o644))]);
        let two = tree(&[("usr/bin/a", file("", 0o755)), ("usr/bin/b", file("", 0o755)), ("var/x", folder(0o755))]);
        let packages = packages(&[("one", one), ("two", two)]);
        let names = ["two", "one", "absent"].map(String::from);
        for (pattern, expected) in [
            ("/bin/*", &["two usr/bin/a", "two usr/bin/b", "one usr/bin/b", "one usr/bin/d"][..]),
            ("/usr/bin/**", &["two usr/bin/a", "two usr/bin/b", "one usr/bin/b", "one usr/bin/d", "one usr/bin/d/c"]),
            ("/usr/bin/a", &["two usr/bin/a"]),
            ("/{etc,usr/bin}/a", &["one etc/a", "two usr/bin/a"]),
            ("/etc", &["one etc"]),
            ("/var/*", &["two var/x"]),
            ("/b", &[]),
        ] {
            let found = packages.matching(&names, pattern).unwrap();
            let found: Vec<String> =
                found.iter().map(|(name, path)| format!("{name} {}", String::from_utf8_lossy(path))).collect();
            assert_eq!(found, expected, "{pattern}");
        }
        assert_eq!(packages.matching(&names[1..], "/usr/bin/a").unwrap(), []);
        assert_eq!(pattern_set(["/a["]).unwrap_err().to_string(), "reading the pattern \"/a[\"");
    }

    #[test]
    fn keeps_what_may_be_a_library() {
        for (path, expected) in [
            ("usr/lib/x86_64-linux-gnu/libc.so.6", true),
            ("usr/lib64/ld-linux-x86-64.so.2", true),
            ("usr/lib/security/pam_permit.so", true),
            ("usr/share/libc.so.6", false),
            ("usr/lib/os-release", false),
        ] {
            assert_eq!(is_library(path.as_bytes()), expected, "{path}");
        }
    }
}
