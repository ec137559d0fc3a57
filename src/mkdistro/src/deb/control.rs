//! The fields of `control.tar`'s `control` that reports and checks use; deb-control(5).

use std::io::Read;

use anyhow::{Context, Result, bail, ensure};

/// Upper bound of the `control` file.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// What a package says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// `Package`.
    pub package: String,
    /// `Version`.
    pub version: String,
    /// `Architecture`.
    pub architecture: String,
    /// `Source` without its version; the package's name if there is none.
    pub source: String,
    /// Version of the source package.
    pub source_version: String,
    /// Source packages of which parts are compiled in, with their versions: `Built-Using` and `Static-Built-Using`; sorted.
    pub built_using: Vec<(String, String)>,
}

/// Reads `control` from an unpacked `control.tar`.
pub(super) fn read(archive: impl Read) -> Result<Control> {
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries().context("reading the tar archive")? {
        let mut entry = entry.context("reading the tar archive")?;
        let path = entry.path_bytes().into_owned();
        if path.strip_prefix(b"./").unwrap_or(&path) != b"control" {
            continue;
        }
        ensure!(entry.size() <= MAX_FILE_BYTES, "control is {} bytes long", entry.size());
        let mut text = String::new();
        entry.read_to_string(&mut text).context("reading control")?;
        return parse(&text);
    }
    bail!("it has no control file")
}

fn parse(text: &str) -> Result<Control> {
    let field = |name: &str| {
        let mut lines = text.lines().filter(|line| !line.starts_with([' ', '\t']));
        lines.find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let needed = |name: &str| {
        field(name).filter(|value| !value.is_empty()).with_context(|| format!("control: the field {name} is missing"))
    };
    let (package, version) = (needed("Package")?, needed("Version")?);
    // "Source: name (version)", the version only where it differs from the binary package's.
    let source = field("Source").unwrap_or_else(|| package.clone());
    let (source, source_version) = match source.split_once('(') {
        Some((name, rest)) => (name.trim().to_owned(), rest.trim_end().trim_end_matches(')').to_owned()),
        None => (source, version.clone()),
    };
    // "name (= version), …" in both.
    let mut built_using: Vec<(String, String)> = ["Built-Using", "Static-Built-Using"]
        .into_iter()
        .filter_map(field)
        .flat_map(|value| value.split(',').filter_map(exact).collect::<Vec<_>>())
        .collect();
    built_using.sort();
    built_using.dedup();
    Ok(Control { package, version, architecture: needed("Architecture")?, source, source_version, built_using })
}

/// Name and version of `name (= version)`.
fn exact(relation: &str) -> Option<(String, String)> {
    let (name, version) = relation.trim().strip_suffix(')')?.split_once('(')?;
    Some((name.trim().to_owned(), version.trim().strip_prefix('=')?.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{Control, parse};

    #[test]
    fn reads_fields() {
        let text = "Package: podman\nSource: libpod (5.4.2+ds1-2)\nVersion: 5.4.2+ds1-2+b2\nArchitecture: amd64\n\
                    Static-Built-Using: golang-x (= 1:2), odd (>> 1)\nBuilt-Using: conmon (= 2.1.12-4), golang-x (= 1:2)\n\
                    Description: x\n Version: 9\n";
        let expected = Control {
            package: "podman".into(),
            version: "5.4.2+ds1-2+b2".into(),
            architecture: "amd64".into(),
            source: "libpod".into(),
            source_version: "5.4.2+ds1-2".into(),
            built_using: vec![("conmon".into(), "2.1.12-4".into()), ("golang-x".into(), "1:2".into())],
        };
        assert_eq!(parse(text).unwrap(), expected);
        let plain = parse("Package: a\nVersion: 1\nArchitecture: all\n").unwrap();
        assert_eq!((plain.source.as_str(), plain.source_version.as_str()), ("a", "1"));
        assert_eq!(parse("Package: a\n").unwrap_err().to_string(), "control: the field Version is missing");
    }
}
