//! The inventory as SPDX 2.3 in JSON.
//!
//! How things are said, where the specification leaves a choice: a file of the image is `EXPANDED_FROM_ARCHIVE` of its .deb,
//! or `GENERATED_FROM` the program or project it is made of; a .deb is `GENERATED_FROM` its source package and those that
//! are compiled in; what needs a shared library has a `DYNAMIC_LINK` to it. Reference: spdx.github.io/spdx-spec/v2.3.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sha1::{Digest, Sha1};

use super::inventory::{FileEntry, Inventory, Origin, Package, Source};
use super::{crates, license, purl, text, unique};
use crate::archive::date;
use crate::oci;

const NONE: &str = "NOASSERTION";
const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const IMAGE: &str = "SPDXRef-image";
const ROOT: &str = "SPDXRef-root";
const MEDIUM: &str = "SPDXRef-medium";
const PROJECT: &str = "SPDXRef-project";

/// Writes the document. `excluded`: paths of root files that are not in the inventory, because they are its documents.
pub(super) fn write(inventory: &Inventory, excluded: &[&str]) -> String {
    let mut document = Document { inventory, packages: Vec::new(), files: Vec::new(), relations: Vec::new() };
    document.relate(DOCUMENT, "DESCRIBES", IMAGE);
    document.containers(excluded);
    document.debian();
    document.images();
    document.crates();
    document.files_of(ROOT, &inventory.root);
    document.files_of(MEDIUM, &inventory.medium);
    let name = format!("{}-{}", inventory.name, inventory.version);
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
    let mut written = Written {
        id: DOCUMENT,
        spdx_version: "SPDX-2.3",
        data_license: "CC0-1.0",
        name,
        document_namespace: String::new(),
        creation_info: json!({
            "created": date::format_rfc3339(inventory.created.into()),
            "creators": [format!("Tool: mkdistro-{}", env!("CARGO_PKG_VERSION"))],
        }),
        packages: document.packages,
        files: document.files,
        relationships: document.relations,
        has_extracted_licensing_infos: extracted(inventory),
    };
    written.document_namespace = format!("https://spdx.org/spdxdocs/{plain}-{}", unique(&written));
    serde_json::to_string(&written).unwrap_or_default()
}

/// The document's fields.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    #[serde(rename = "SPDXID")]
    id: &'static str,
    spdx_version: &'static str,
    data_license: &'static str,
    name: String,
    document_namespace: String,
    creation_info: Value,
    packages: Vec<Value>,
    files: Vec<Box<RawValue>>,
    relationships: Vec<Box<RawValue>>,
    has_extracted_licensing_infos: Vec<Value>,
}

struct Document<'a> {
    inventory: &'a Inventory,
    packages: Vec<Value>,
    files: Vec<Box<RawValue>>,
    relations: Vec<Box<RawValue>>,
}

impl Document<'_> {
    fn relate(&mut self, from: &str, how: &str, to: &str) {
        self.relations.push(text(&json!({"spdxElementId": from, "relationshipType": how, "relatedSpdxElement": to})));
    }

    /// The image, what it consists of, and the project that it is made from.
    fn containers(&mut self, excluded: &[&str]) {
        let (name, version) = (&self.inventory.name, &self.inventory.version);
        let excluded: Vec<String> = excluded.iter().map(|path| format!(".{path}")).collect();
        let packages = [
            json!({"SPDXID": IMAGE, "name": name, "primaryPackagePurpose": "OPERATING-SYSTEM"}),
            json!({
                "SPDXID": ROOT,
                "name": format!("{name}-root"),
                "comment": "the root file system; the initramfs carries it, with copies of some of its files",
                "filesAnalyzed": true,
                "packageVerificationCode": {
                    "packageVerificationCodeValue": verification_code(&self.inventory.root),
                    "packageVerificationCodeExcludedFiles": excluded,
                },
            }),
            json!({
                "SPDXID": MEDIUM,
                "name": format!("{name}-medium"),
                "comment": "kernel and boot loader, which are beside the root on the boot medium",
                "filesAnalyzed": true,
                "packageVerificationCode": {
                    "packageVerificationCodeValue": verification_code(&self.inventory.medium),
                },
            }),
            json!({
                "SPDXID": PROJECT,
                "name": format!("{name}-project"),
                "comment": "distro.toml, recipes and overlay that the image is made from",
            }),
        ];
        for mut package in packages {
            package["versionInfo"] = json!(version);
            let purl = purl::generic(package["name"].as_str().unwrap_or(name), version);
            complete(&mut package, &purl);
            self.packages.push(package);
        }
        self.relate(IMAGE, "CONTAINS", ROOT);
        self.relate(IMAGE, "CONTAINS", MEDIUM);
        self.relate(IMAGE, "GENERATED_FROM", PROJECT);
    }

    fn debian(&mut self) {
        let inventory = self.inventory;
        let mut sources: BTreeMap<&Source, &str> = BTreeMap::new();
        for package in &inventory.packages {
            let id = debian_id(&package.locked.name);
            self.packages.push(debian_package(package));
            self.relate(IMAGE, "CONTAINS", &id);
            sources.insert(&package.source, &package.locked.suite);
            self.relate(&id, "GENERATED_FROM", &source_id(&package.source));
            for source in &package.built_using {
                sources.entry(source).or_insert(&package.locked.suite);
                self.relate(&id, "GENERATED_FROM", &source_id(source));
            }
        }
        for (source, suite) in sources {
            let mut value = json!({
                "SPDXID": source_id(source),
                "name": source.name,
                "versionInfo": source.version,
                "supplier": "Organization: Debian",
                "primaryPackagePurpose": "SOURCE",
            });
            if let Some(package) = inventory.packages.iter().find(|package| package.source == *source) {
                value["licenseDeclared"] = json!(declared(package));
            }
            complete(&mut value, &purl::deb(&source.name, &source.version, "source", suite));
            self.packages.push(value);
        }
    }

    fn images(&mut self) {
        for image in &self.inventory.images {
            let plain: String = image.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
            let id = format!("SPDXRef-oci-{plain}-{}", image.manifest.get(..12).unwrap_or_default());
            let mut value = json!({
                "SPDXID": id,
                "name": image.name,
                "versionInfo": format!("sha256:{}", image.manifest),
                "checksums": [{"algorithm": "SHA256", "checksumValue": image.manifest}],
                "primaryPackagePurpose": "CONTAINER",
            });
            complete(&mut value, &oci::purl(image));
            self.packages.push(value);
            self.relate(IMAGE, "CONTAINS", &id);
        }
    }

    fn crates(&mut self) {
        for found in self.inventory.crates {
            let id = crate_id(found.name, found.version);
            let mut value = json!({
                "SPDXID": id,
                "name": found.name,
                "versionInfo": found.version,
                "licenseDeclared": if found.license.is_empty() { NONE } else { &found.license },
                "primaryPackagePurpose": if found.programs.contains(found.name) { "APPLICATION" } else { "LIBRARY" },
            });
            if !found.sha256.is_empty() {
                value["checksums"] = json!([{"algorithm": "SHA256", "checksumValue": found.sha256}]);
            }
            complete(&mut value, &purl::cargo(found.name, found.version));
            self.packages.push(value);
            for (name, version) in &found.needs {
                self.relate(&id, "DEPENDS_ON", &crate_id(name, version));
            }
            if found.name == crates::BUILDER {
                self.relate(&id, "BUILD_TOOL_OF", IMAGE);
            } else if found.programs.contains(found.name) {
                self.relate(IMAGE, "CONTAINS", &id);
            }
        }
    }

    fn files_of(&mut self, container: &str, files: &[FileEntry]) {
        let inventory = self.inventory;
        let ids = file_ids(container, files);
        for (file, id) in files.iter().zip(ids.values()) {
            self.files.push(text(&json!({
                "SPDXID": id,
                "fileName": format!(".{}", file.path),
                "checksums": [
                    {"algorithm": "SHA1", "checksumValue": file.sha1},
                    {"algorithm": "SHA256", "checksumValue": file.sha256},
                ],
                "comment": comment(file),
            })));
            self.relate(container, "CONTAINS", id);
            match &file.origin {
                Origin::Package(name) => self.relate(id, "EXPANDED_FROM_ARCHIVE", &debian_id(name)),
                Origin::Program(name) => {
                    let version =
                        inventory.crates.iter().find(|found| found.name == *name).map_or("", |found| found.version);
                    self.relate(id, "GENERATED_FROM", &crate_id(name, version));
                }
                Origin::Project(_) => self.relate(id, "GENERATED_FROM", PROJECT),
            }
            if let Some(user) = file.wanted_by.as_deref().and_then(|path| ids.get(path)) {
                self.relate(user, "DYNAMIC_LINK", id);
            }
        }
    }
}

/// Fields that every package here has.
fn complete(package: &mut Value, purl: &str) {
    let defaults = [
        ("downloadLocation", json!(NONE)),
        ("filesAnalyzed", json!(false)),
        ("licenseConcluded", json!(NONE)),
        ("licenseDeclared", json!(NONE)),
        ("copyrightText", json!(NONE)),
        ("supplier", json!(NONE)),
    ];
    for (key, value) in defaults {
        if package[key].is_null() {
            package[key] = value;
        }
    }
    package["externalRefs"] =
        json!([{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}]);
}

fn debian_package(package: &Package) -> Value {
    let locked = &package.locked;
    let mut value = json!({
        "SPDXID": debian_id(&locked.name),
        "name": locked.name,
        "versionInfo": locked.version,
        "supplier": "Organization: Debian",
        "packageFileName": locked.path,
        "checksums": [{"algorithm": "SHA256", "checksumValue": locked.sha256}],
        "licenseDeclared": declared(package),
        "sourceInfo": format!("built from {}", locked.source),
    });
    if package.copyright.guessed {
        value["licenseComments"] = json!("guessed from a copyright file that is prose");
    }
    complete(&mut value, &purl::deb(&locked.name, &locked.version, &package.architecture, &locked.suite));
    value
}

fn declared(package: &Package) -> String {
    package.copyright.license.expression().unwrap_or_else(|| NONE.to_owned())
}

/// The texts behind every `LicenseRef-` of the document.
fn extracted(inventory: &Inventory) -> Vec<Value> {
    let mut texts: BTreeMap<&str, (&str, String)> = BTreeMap::new();
    for package in &inventory.packages {
        for (reference, name) in &package.copyright.license.references {
            let text = package.copyright.texts.get(reference).cloned();
            let text = text.unwrap_or_else(|| license::where_to_look(&package.source.name, name));
            texts.entry(reference).or_insert((name, text));
        }
    }
    let entry = |(reference, (name, text))| json!({"licenseId": reference, "name": name, "extractedText": text});
    texts.into_iter().map(entry).collect()
}

fn comment(file: &FileEntry) -> String {
    match &file.origin {
        Origin::Project(by) => format!("{} (made by: {by})", file.reason),
        _ => file.reason.clone(),
    }
}

/// SPDX 2.3, 7.9: SHA-1 of the sorted SHA-1s of all files, joined.
fn verification_code(files: &[FileEntry]) -> String {
    let hashes: Vec<&str> = {
        let mut hashes: Vec<&str> = files.iter().map(|file| file.sha1.as_str()).collect();
        hashes.sort_unstable();
        hashes
    };
    Sha1::digest(hashes.concat()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Path → identifier, in the order of the paths.
fn file_ids<'a>(container: &str, files: &'a [FileEntry]) -> BTreeMap<&'a str, String> {
    let mut taken = BTreeSet::new();
    files
        .iter()
        .map(|file| {
            let plain = format!("{container}{}", allowed(&file.path));
            let mut id = plain.clone();
            let mut number = 2;
            while !taken.insert(id.clone()) {
                id = format!("{plain}-{number}");
                number += 1;
            }
            (file.path.as_str(), id)
        })
        .collect()
}

fn debian_id(name: &str) -> String {
    format!("SPDXRef-deb-{}", allowed(name))
}

fn source_id(source: &Source) -> String {
    format!("SPDXRef-source-{}-{}", allowed(&source.name), allowed(&source.version))
}

fn crate_id(name: &str, version: &str) -> String {
    format!("SPDXRef-crate-{}-{}", allowed(name), allowed(version))
}

/// Identifiers have letters, digits, `.` and `-`; `+`, which Debian's names are told apart by, is spelled out.
fn allowed(text: &str) -> String {
    let letter = |c: char| match c {
        '+' => "plus".to_owned(),
        '_' => "-u-".to_owned(),
        c if c.is_ascii_alphanumeric() || c == '.' => c.to_string(),
        _ => "-".to_owned(),
    };
    text.chars().map(letter).collect()
}
