//! What an image's own bill of materials (SPDX 2.3, JSON) says of its files: from which package each is, who asked for it,
//! and the packages' licences. Only what the report shows is read; a document of another program gives what it has.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::contents::{Why, recipe_in};
use super::data::Because;
use crate::sbom::Inventory;

/// Where it is on a medium.
pub(super) const PATH: &[u8] = b"sbom/sbom.spdx.json.gz";
/// Most that it may be unpacked; one of 50,000 files has a tenth of it.
const MAX_BYTES: u64 = 512 << 20;

/// What a bill says.
#[derive(Debug, Default)]
pub(super) struct Bill {
    /// Packages by name.
    pub(super) packages: BTreeMap<String, BillPackage>,
    /// Files of the root by absolute path.
    files: HashMap<String, BillFile>,
}

/// A package of a bill.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct BillPackage {
    pub(super) version: String,
    pub(super) licence: String,
    pub(super) sha256: String,
}

#[derive(Debug)]
struct BillFile {
    package: String,
    reason: String,
}

#[derive(Deserialize)]
struct Document {
    packages: Vec<Package>,
    #[serde(default)]
    files: Vec<File>,
    #[serde(default)]
    relationships: Vec<Relation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Package {
    #[serde(rename = "SPDXID")]
    id: String,
    name: String,
    #[serde(default)]
    version_info: String,
    #[serde(default)]
    license_declared: String,
    #[serde(default)]
    checksums: Vec<Checksum>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Checksum {
    algorithm: String,
    checksum_value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(rename = "SPDXID")]
    id: String,
    file_name: String,
    #[serde(default)]
    comment: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Relation {
    spdx_element_id: String,
    relationship_type: String,
    related_spdx_element: String,
}

impl Bill {
    /// What an inventory says of the packages, for a project that knows its files itself.
    pub(super) fn of_packages(inventory: &Inventory) -> Self {
        let package = |package: &crate::sbom::Package| {
            let known = BillPackage {
                version: package.locked.version.clone(),
                licence: package.copyright.license.expression().unwrap_or_default(),
                sha256: package.locked.sha256.clone(),
            };
            (package.locked.name.clone(), known)
        };
        Self { packages: inventory.packages.iter().map(package).collect(), files: HashMap::new() }
    }

    /// Reads a document, compressed by gzip.
    ///
    /// # Errors
    /// If it is damaged, too large, or no SPDX in JSON.
    pub(super) fn unpack(compressed: &[u8]) -> Result<Self> {
        let mut text = Vec::new();
        let mut decoder = flate2::read::GzDecoder::new(compressed).take(MAX_BYTES + 1);
        decoder.read_to_end(&mut text).context("unpacking the bill of materials")?;
        ensure!(text.len() as u64 <= MAX_BYTES, "the bill of materials unpacks to more than {MAX_BYTES} bytes");
        Self::parse(&text)
    }

    /// Reads a document.
    ///
    /// # Errors
    /// If it is no SPDX in JSON.
    fn parse(text: &[u8]) -> Result<Self> {
        let document: Document = serde_json::from_slice(text).context("reading the bill of materials")?;
        let names: HashMap<&str, &str> =
            document.packages.iter().map(|package| (package.id.as_str(), package.name.as_str())).collect();
        let from_archive = |relation: &&Relation| relation.relationship_type == "EXPANDED_FROM_ARCHIVE";
        let archives: HashMap<&str, &str> = document
            .relationships
            .iter()
            .filter(from_archive)
            .filter_map(|found| {
                Some((found.spdx_element_id.as_str(), *names.get(found.related_spdx_element.as_str())?))
            })
            .collect();
        let files = document.files.iter().filter(|file| !file.id.starts_with("SPDXRef-medium")).map(|file| {
            // "recipe base (made by: recipe base)"
            let (reason, maker) = match file.comment.split_once(" (made by: ") {
                Some((reason, maker)) => (reason, maker.trim_end_matches(')')),
                None => (file.comment.as_str(), "mkdistro"),
            };
            let package = archives.get(file.id.as_str()).copied().unwrap_or(maker).to_owned();
            (file.file_name.trim_start_matches('.').to_owned(), BillFile { package, reason: reason.to_owned() })
        });
        let files = files.collect();
        let packages = document.packages.iter().map(|package| {
            let sha256 = package.checksums.iter().find(|sum| sum.algorithm == "SHA256");
            let licence = package.license_declared.as_str();
            let known = BillPackage {
                version: package.version_info.clone(),
                licence: if licence == "NOASSERTION" { String::new() } else { licence.to_owned() },
                sha256: sha256.map(|sum| sum.checksum_value.clone()).unwrap_or_default(),
            };
            // Source packages of the same name stand behind the binary ones.
            (package.id.starts_with("SPDXRef-source"), package.name.clone(), known)
        });
        let mut packages: Vec<_> = packages.collect();
        packages.sort_by_key(|(is_source, ..)| std::cmp::Reverse(*is_source));
        Ok(Self { packages: packages.into_iter().map(|(_, name, known)| (name, known)).collect(), files })
    }

    /// Why a file is there.
    pub(super) fn why(&self, path: &str) -> Option<Why> {
        let file = self.files.get(path)?;
        let (because, by) = words(&file.reason);
        Some(Why {
            package: file.package.clone(),
            recipe: self.recipe(path).map(str::to_owned),
            because,
            by: by.into(),
        })
    }

    /// The recipe that names a file, or the program that needs it, over any number of libraries.
    fn recipe(&self, path: &str) -> Option<&str> {
        let mut path = path;
        for _ in 0..100 {
            match words(&self.files.get(path)?.reason) {
                (Because::Recipe, name) => return Some(name),
                (Because::Library, by) if by.starts_with('/') => path = by,
                (Because::Library, by) => return recipe_in(by),
                _ => return None,
            }
        }
        None
    }
}

/// Reads a reason as the bill has it.
fn words(reason: &str) -> (Because, &str) {
    let known = [
        ("recipe ", Because::Recipe),
        ("needed by ", Because::Library),
        ("kernel module for ", Because::Module),
        ("overlay", Because::Overlay),
        ("every image", Because::Builder),
    ];
    let found = known.into_iter().find_map(|(word, because)| Some((because, reason.strip_prefix(word)?)));
    found.unwrap_or((Because::Unknown, ""))
}

#[cfg(test)]
mod tests {
    use super::{Because, Bill};

    const TEXT: &str = r#"{
        "spdxVersion": "SPDX-2.3",
        "packages": [
            {"SPDXID": "SPDXRef-deb-tool", "name": "tool", "versionInfo": "1.2-3", "licenseDeclared": "MIT",
             "checksums": [{"algorithm": "SHA256", "checksumValue": "ab"}]},
            {"SPDXID": "SPDXRef-source-tool-1.2-3", "name": "tool", "versionInfo": "1.2", "licenseDeclared": "GPL-2.0-only"},
            {"SPDXID": "SPDXRef-deb-lib", "name": "lib", "licenseDeclared": "NOASSERTION"}
        ],
        "files": [
            {"SPDXID": "SPDXRef-root-1", "fileName": "./usr/bin/tool", "comment": "recipe tool"},
            {"SPDXID": "SPDXRef-root-2", "fileName": "./usr/lib/a.so", "comment": "needed by /usr/bin/tool"},
            {"SPDXID": "SPDXRef-root-3", "fileName": "./usr/lib/b.so", "comment": "needed by /usr/lib/a.so"},
            {"SPDXID": "SPDXRef-root-4", "fileName": "./usr/lib/c.so", "comment": "needed by packages/x.toml, libraries"},
            {"SPDXID": "SPDXRef-root-5", "fileName": "./etc/motd", "comment": "overlay (made by: overlay)"},
            {"SPDXID": "SPDXRef-root-6", "fileName": "./init", "comment": "every image"},
            {"SPDXID": "SPDXRef-medium-1", "fileName": "./boot/vmlinuz", "comment": "boot medium"}
        ],
        "relationships": [
            {"spdxElementId": "SPDXRef-root-1", "relationshipType": "EXPANDED_FROM_ARCHIVE", "relatedSpdxElement": "SPDXRef-deb-tool"},
            {"spdxElementId": "SPDXRef-root-2", "relationshipType": "EXPANDED_FROM_ARCHIVE", "relatedSpdxElement": "SPDXRef-deb-lib"},
            {"spdxElementId": "SPDXRef-root-1", "relationshipType": "DYNAMIC_LINK", "relatedSpdxElement": "SPDXRef-root-2"}
        ]
    }"#;

    #[test]
    fn tells_where_files_come_from() {
        let bill = Bill::parse(TEXT.as_bytes()).unwrap();
        for (path, package, because, by, recipe) in [
            ("/usr/bin/tool", "tool", Because::Recipe, "tool", Some("tool")),
            ("/usr/lib/a.so", "lib", Because::Library, "/usr/bin/tool", Some("tool")),
            ("/usr/lib/b.so", "mkdistro", Because::Library, "/usr/lib/a.so", Some("tool")),
            ("/usr/lib/c.so", "mkdistro", Because::Library, "packages/x.toml, libraries", Some("x")),
            ("/etc/motd", "overlay", Because::Overlay, "", None),
            ("/init", "mkdistro", Because::Builder, "", None),
        ] {
            let why = bill.why(path).unwrap();
            let found = (why.package.as_str(), why.because, why.by.as_str(), why.recipe.as_deref());
            assert_eq!(found, (package, because, by, recipe), "{path}");
        }
        assert!(bill.why("/boot/vmlinuz").is_none());
        let tool = &bill.packages["tool"];
        assert_eq!((tool.version.as_str(), tool.licence.as_str(), tool.sha256.as_str()), ("1.2-3", "MIT", "ab"));
        assert_eq!(bill.packages["lib"].licence, "");
        assert!(Bill::parse(b"{}").is_err());
    }
}
