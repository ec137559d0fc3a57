//! Package indices: the `Packages` files of a suite, decompressed and scanned for the fields that resolving needs.
//!
//! The format is deb822(5): stanzas of `Field: value` lines, separated by an empty line; a line that begins with a space
//! continues the field above. None of the fields kept here is ever folded in an index, so continuation lines (of
//! descriptions and tags) are skipped. Reference: Debian's repository format, "Packages" indices.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// What an index may grow to when Release does not tell.
const MAX_SIZE_BYTES: u64 = 512 << 20;

/// One binary package of an index. Texts borrow from the index; fields that a stanza lacks are empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stanza<'a> {
    /// Binary package.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
    /// `amd64` or `all`.
    pub architecture: &'a str,
    /// Source package, with its version in parentheses if it is another than the binary's; empty: the same name.
    pub source: &'a str,
    /// Archive section, with the area in front if it is not main: `libs`, `non-free/libs`.
    pub section: &'a str,
    /// What it is, in one line.
    pub description: &'a str,
    /// Dependency field.
    pub depends: &'a str,
    /// Dependency field.
    pub pre_depends: &'a str,
    /// Dependency field.
    pub provides: &'a str,
    /// Path below the mirror's base.
    pub filename: &'a str,
    /// Bytes of the file.
    pub size: u64,
    /// Hash of the file, hex.
    pub sha256: &'a str,
}

impl Stanza<'_> {
    /// `source (version)`.
    pub fn source_and_version(&self) -> String {
        match (self.source.is_empty(), self.source.contains('(')) {
            (true, _) => format!("{} ({})", self.name, self.version),
            (_, true) => self.source.to_owned(),
            (_, false) => format!("{} ({})", self.source, self.version),
        }
    }

    /// Whether it holds shared libraries, by its section.
    pub fn is_library(&self) -> bool {
        matches!(self.section.rsplit('/').next(), Some("libs" | "oldlibs"))
    }
}

/// Reads the stanzas of an index.
///
/// # Errors
/// A stanza without name, version, file name, size or sha256, or a line that is no field: with the line number.
pub fn parse(text: &str) -> Result<Vec<Stanza<'_>>> {
    // Stanzas take about 800 bytes.
    let mut stanzas = Vec::with_capacity(text.len() / 800);
    let mut current = Stanza::default();
    let mut begun = false;
    for (index, line) in text.split('\n').chain([""]).enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() {
            if begun {
                check(&current)
                    .with_context(|| format!("stanza of {:?} that ends in line {}", current.name, index + 1))?;
                stanzas.push(std::mem::take(&mut current));
                begun = false;
            }
            continue;
        }
        begun = true;
        if line.starts_with([' ', '\t']) {
            continue;
        }
        let Some((field, value)) = line.split_once(':') else { bail!("line {} is not a field", index + 1) };
        let value = value.trim();
        match field {
            "Package" => current.name = value,
            "Version" => current.version = value,
            "Architecture" => current.architecture = value,
            "Source" => current.source = value,
            "Section" => current.section = value,
            "Description" => current.description = value,
            "Depends" => current.depends = value,
            "Pre-Depends" => current.pre_depends = value,
            "Provides" => current.provides = value,
            "Filename" => current.filename = value,
            "SHA256" => current.sha256 = value,
            "Size" => current.size = value.parse().with_context(|| format!("size {value:?} in line {}", index + 1))?,
            _ => {}
        }
    }
    Ok(stanzas)
}

fn check(stanza: &Stanza<'_>) -> Result<()> {
    for (field, value) in [
        ("Package", stanza.name),
        ("Version", stanza.version),
        ("Filename", stanza.filename),
        ("SHA256", stanza.sha256),
    ] {
        if value.is_empty() {
            bail!("it has no {field}");
        }
    }
    if stanza.size == 0 {
        bail!("it has no Size");
    }
    Ok(())
}

/// How an index is compressed, by preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// `.xz`.
    Xz,
    /// `.gz`.
    Gzip,
    /// Not at all.
    None,
}

impl Compression {
    /// All, best first.
    pub const ALL: [Self; 3] = [Self::Xz, Self::Gzip, Self::None];

    /// What it adds to the file name.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Xz => ".xz",
            Self::Gzip => ".gz",
            Self::None => "",
        }
    }
}

/// Reads a verified index file, `size` bytes unpacked if Release tells.
///
/// # Errors
/// It is damaged, longer than Release tells, or not UTF-8.
pub fn read(path: &Path, compression: Compression, size: Option<u64>) -> Result<String> {
    let context = || format!("reading {}", path.display());
    let file = std::fs::File::open(path).with_context(context)?;
    let limit = size.unwrap_or(MAX_SIZE_BYTES);
    let reader: Box<dyn Read> = match compression {
        Compression::Xz => Box::new(liblzma::read::XzDecoder::new_multi_decoder(file)),
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(file)),
        Compression::None => Box::new(file),
    };
    let mut bytes = Vec::with_capacity(usize::try_from(limit.min(MAX_SIZE_BYTES)).unwrap_or(0).min(128 << 20));
    reader.take(limit + 1).read_to_end(&mut bytes).with_context(context)?;
    if bytes.len() as u64 > limit {
        bail!("{}: more than {limit} bytes unpacked", path.display());
    }
    String::from_utf8(bytes).with_context(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = "\
Package: podman
Source: libpod
Version: 5.4.2+ds1-2
Architecture: amd64
Depends: libc6 (>= 2.38),
 ignored continuation
Pre-Depends: init-system-helpers
Section: admin
Filename: pool/main/libp/libpod/podman_5.4.2+ds1-2_amd64.deb
Size: 12
SHA256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855


Package: libc6
Version: 2.41
Section: non-free/libs
Provides: x
Filename: pool/libc6.deb
Size: 1
SHA256: aa";

    #[test]
    fn wanted_fields_are_kept() {
        let stanzas = parse(INDEX).unwrap();
        assert_eq!(stanzas.len(), 2);
        assert_eq!(stanzas[0].name, "podman");
        assert_eq!(stanzas[0].depends, "libc6 (>= 2.38),");
        assert_eq!(stanzas[0].size, 12);
        assert_eq!(stanzas[0].source_and_version(), "libpod (5.4.2+ds1-2)");
        assert!(!stanzas[0].is_library());
        assert_eq!(stanzas[1].source_and_version(), "libc6 (2.41)");
        assert!(stanzas[1].is_library());
        assert_eq!(parse("\n\n").unwrap(), []);
    }

    #[test]
    fn damaged_indices_are_refused() {
        for (find, replace, message) in [
            ("Size: 12\n", "", "it has no Size"),
            ("Size: 12", "Size: 0", "it has no Size"),
            ("Size: 12", "Size: twelve", "in line 10"),
            ("Version: 2.41", "Version:", "it has no Version"),
            ("Section: admin", "Section admin", "line 8 is not a field"),
            ("SHA256: aa", "", "it has no SHA256"),
        ] {
            let error = format!("{:#}", parse(&INDEX.replace(find, replace)).unwrap_err());
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn size_is_limited() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("Packages");
        std::fs::write(&path, INDEX).unwrap();
        assert_eq!(read(&path, Compression::None, None).unwrap(), INDEX);
        assert_eq!(read(&path, Compression::None, Some(INDEX.len() as u64)).unwrap(), INDEX);
        assert!(read(&path, Compression::None, Some(10)).is_err());
        assert!(read(&path, Compression::Xz, None).is_err());
        assert!(read(&path, Compression::Gzip, None).is_err());
    }
}
