//! Source indices: the `Sources` files of a suite, searched for certain versions of source packages.
//!
//! The format is deb822(5), as in [`super::packages`]. Reference: Debian's repository format, "Sources" indices.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};

/// A source package and the files that it consists of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourcePackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Folder of its files below the mirror's base.
    pub directory: String,
    /// `.dsc`, tarballs and the rest, as listed.
    pub files: Vec<SourceFile>,
}

/// One file of a source package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceFile {
    /// File name.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Hex.
    pub sha256: String,
}

/// What an index says about the packages that were asked for.
#[derive(Debug, Default)]
pub struct Found {
    /// Those of the wanted versions.
    pub packages: Vec<SourcePackage>,
    /// Name and version of packages of which another version is wanted.
    pub others: Vec<(String, String)>,
}

/// Searches an index for names and versions.
///
/// # Errors
/// A wanted stanza without folder or files, or with names or hashes that cannot be.
pub fn find(text: &str, wanted: &BTreeSet<(&str, &str)>) -> Result<Found> {
    let names: BTreeSet<&str> = wanted.iter().map(|(name, _)| *name).collect();
    let mut found = Found::default();
    for stanza in text.split("\n\n") {
        let field = |name: &str| {
            let mut lines = stanza.lines().filter_map(|line| line.split_once(':'));
            lines.find_map(|(key, value)| (key == name).then(|| value.trim()))
        };
        let Some(name) = field("Package").filter(|name| names.contains(name)) else { continue };
        let version = field("Version").unwrap_or_default();
        if wanted.contains(&(name, version)) {
            let package = read(stanza, name, version, field("Directory").unwrap_or_default());
            found.packages.push(package.with_context(|| format!("stanza of {name} {version}"))?);
        } else {
            found.others.push((name.to_owned(), version.to_owned()));
        }
    }
    Ok(found)
}

fn read(stanza: &str, name: &str, version: &str, directory: &str) -> Result<SourcePackage> {
    let segment_ok =
        |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(|b| b.is_ascii_graphic());
    ensure!(directory.split('/').all(segment_ok), "{directory:?} is not a folder below a mirror");
    let mut files = Vec::new();
    let lines = stanza.lines().skip_while(|line| !line.starts_with("Checksums-Sha256:")).skip(1);
    for line in lines.take_while(|line| line.starts_with(' ')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [sha256, size, file] = words[..] else { anyhow::bail!("malformed line {line:?}") };
        let is_hash = sha256.len() == 64 && sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        ensure!(is_hash && segment_ok(file) && !file.contains('/'), "malformed line {line:?}");
        let size = size.parse().with_context(|| format!("the size in {line:?}"))?;
        files.push(SourceFile { name: file.to_owned(), size, sha256: sha256.to_owned() });
    }
    ensure!(files.iter().any(|file| file.name.ends_with(".dsc")), "it lists no .dsc with a sha256");
    Ok(SourcePackage { name: name.to_owned(), version: version.to_owned(), directory: directory.to_owned(), files })
}

#[cfg(test)]
mod tests {
    use super::find;

    fn index() -> String {
        let hash = "a".repeat(64);
        format!(
            "Package: libpod\nBinary: podman, libpod\nVersion: 5.4.2+ds1-2\nBuild-Depends: x,\n y\n\
             Files:\n 00 1 libpod.dsc\nChecksums-Sha256:\n {hash} 12 libpod_5.dsc\n {hash} 3 libpod_5.orig.tar.xz\n\
             Directory: pool/main/libp/libpod\nPriority: optional\n\n\
             Package: crun\nVersion: 2\nDirectory: pool/main/c/crun\nChecksums-Sha256:\n {hash} 1 crun.dsc\n\n\
             Package: other\nVersion: 1\n"
        )
    }

    #[test]
    fn wanted_versions_are_found() {
        let found = find(&index(), &[("libpod", "5.4.2+ds1-2"), ("crun", "1"), ("none", "1")].into()).unwrap();
        assert_eq!(found.others, [("crun".to_owned(), "2".to_owned())]);
        let [package] = &found.packages[..] else { panic!("{found:?}") };
        assert_eq!((package.name.as_str(), package.directory.as_str()), ("libpod", "pool/main/libp/libpod"));
        let files: Vec<(&str, u64)> = package.files.iter().map(|file| (file.name.as_str(), file.size)).collect();
        assert_eq!(files, [("libpod_5.dsc", 12), ("libpod_5.orig.tar.xz", 3)]);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (find_text, replace, expected) in [
            ("pool/main/libp", "..", "stanza of libpod 5.4.2+ds1-2: \"../libpod\" is not a folder below a mirror"),
            (
                "Directory: pool/main/libp/libpod\n",
                "",
                "stanza of libpod 5.4.2+ds1-2: \"\" is not a folder below a mirror",
            ),
            (" 3 libpod_5.orig", " x libpod_5.orig", "stanza of libpod 5.4.2+ds1-2: the size in"),
            (" 3 libpod_5.orig", " 3 ../libpod_5.orig", "stanza of libpod 5.4.2+ds1-2: malformed line"),
            ("libpod_5.dsc", "libpod_5.txt", "stanza of libpod 5.4.2+ds1-2: it lists no .dsc with a sha256"),
        ] {
            let error = find(&index().replace(find_text, replace), &[("libpod", "5.4.2+ds1-2")].into()).unwrap_err();
            assert!(format!("{error:#}").starts_with(expected), "{error:#}");
        }
    }
}
