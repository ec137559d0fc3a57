//! The inventory as CycloneDX 1.6 in JSON.
//!
//! A component per package, with its files as components inside; `dependencies` say which package needs which, as far as a
//! shared library of the one was taken for a file of the other. Reference: cyclonedx.org/docs/1.6/json.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::crates::{self, Crate};
use super::inventory::{FileEntry, Inventory, Origin, Package};
use super::{Detail, purl, text, unique};
use crate::archive::date;
use crate::oci::{self, StoredImage};

/// Writes the document.
pub(super) fn write(inventory: &Inventory, detail: Detail) -> String {
    let image = purl::generic(&inventory.name, &inventory.version);
    let files = files_by_component(inventory, &image);
    let files_of = |reference: &str| files.get(reference).map_or(&[][..], Vec::as_slice);
    let mut components: Vec<Component<'_>> = Vec::new();
    for package in &inventory.packages {
        components.push(Component { fields: debian(package, detail), components: files_of(&debian_purl(package)) });
    }
    for found in inventory.crates.iter().filter(|found| found.is_in_guest()) {
        let reference = purl::cargo(found.name, found.version);
        components.push(Component { fields: of_crate(found), components: files_of(&reference) });
    }
    components.extend(inventory.images.iter().map(|image| Component { fields: of_image(image), components: &[] }));
    let project = json!({
        "type": "application",
        "bom-ref": format!("{image}#project"),
        "name": format!("{}-project", inventory.name),
        "version": inventory.version,
        "description": "what distro.toml, recipes, overlay and the builder make",
        "purl": purl::generic(&format!("{}-project", inventory.name), &inventory.version),
    });
    components.push(Component { fields: project, components: files_of(&format!("{image}#project")) });

    let mut builder = json!({
        "type": "application",
        "name": crates::BUILDER,
        "version": env!("CARGO_PKG_VERSION"),
        "purl": purl::cargo(crates::BUILDER, env!("CARGO_PKG_VERSION")),
    });
    if detail == Detail::Full {
        let linked = inventory.crates.iter().filter(|found| found.programs.contains(crates::BUILDER));
        let linked = linked.filter(|found| found.name != crates::BUILDER);
        builder["components"] = linked.map(of_crate).map(without_reference).collect();
    }
    let mut written = Written {
        bom_format: "CycloneDX",
        spec_version: "1.6",
        serial_number: String::new(),
        version: 1,
        metadata: json!({
            "timestamp": date::format_rfc3339(inventory.created.into()),
            "tools": {"components": [builder]},
            "component": {
                "type": "operating-system",
                "bom-ref": image,
                "name": inventory.name,
                "version": inventory.version,
                "purl": image,
            },
        }),
        components,
        dependencies: dependencies(inventory, &image),
    };
    written.serial_number = format!("urn:uuid:{}", unique(&written));
    serde_json::to_string(&written).unwrap_or_default()
}

/// The document's fields.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    bom_format: &'static str,
    spec_version: &'static str,
    serial_number: String,
    version: u32,
    metadata: Value,
    components: Vec<Component<'a>>,
    dependencies: Vec<Value>,
}

/// A component with its files.
#[derive(Serialize)]
struct Component<'a> {
    #[serde(flatten)]
    fields: Value,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    components: &'a [Box<RawValue>],
}

fn debian_purl(package: &Package) -> String {
    let locked = &package.locked;
    purl::deb(&locked.name, &locked.version, &package.architecture, &locked.suite)
}

fn debian(package: &Package, detail: Detail) -> Value {
    let locked = &package.locked;
    let purl = debian_purl(package);
    let source = |source: &super::inventory::Source| {
        json!({
            "type": "library",
            "name": source.name,
            "version": source.version,
            "purl": purl::deb(&source.name, &source.version, "source", &locked.suite),
        })
    };
    let mut value = json!({
        "type": "library",
        "bom-ref": purl,
        "name": locked.name,
        "version": locked.version,
        "supplier": {"name": "Debian"},
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": locked.sha256}],
        "pedigree": {"ancestors": [source(&package.source)]},
    });
    if let Some(expression) = package.copyright.license.expression() {
        value["licenses"] = json!([{"expression": expression}]);
    }
    if detail == Detail::Full && !package.built_using.is_empty() {
        value["pedigree"]["variants"] = package.built_using.iter().map(source).collect();
        value["pedigree"]["notes"] = json!("variants: source packages of which parts are compiled in (Built-Using)");
    }
    value
}

/// One image may have several names.
fn image_reference(image: &StoredImage) -> String {
    format!("{}#{}", oci::purl(image), image.name)
}

fn of_image(image: &StoredImage) -> Value {
    let purl = oci::purl(image);
    json!({
        "type": "container",
        "bom-ref": image_reference(image),
        "name": image.name,
        "version": format!("sha256:{}", image.manifest),
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": image.manifest}],
    })
}

fn of_crate(found: &Crate) -> Value {
    let purl = purl::cargo(found.name, found.version);
    let is_program = found.programs.contains(found.name);
    let mut value = json!({
        "type": if is_program { "application" } else { "library" },
        "bom-ref": purl,
        "name": found.name,
        "version": found.version,
        "purl": purl,
    });
    if !found.license.is_empty() {
        value["licenses"] = json!([{"expression": found.license}]);
    }
    if !found.sha256.is_empty() {
        value["hashes"] = json!([{"alg": "SHA-256", "content": found.sha256}]);
    }
    value
}

/// A crate may be in the guest and in the builder; references must be unique.
fn without_reference(mut component: Value) -> Value {
    if let Some(fields) = component.as_object_mut() {
        fields.remove("bom-ref");
    }
    component
}

/// Files as components, by the reference of what they belong to.
fn files_by_component(inventory: &Inventory, image: &str) -> BTreeMap<String, Vec<Box<RawValue>>> {
    let mut files: BTreeMap<String, Vec<Box<RawValue>>> = BTreeMap::new();
    for (place, file) in located(inventory) {
        let reference = owner(inventory, &file.origin, image);
        let mut properties = vec![json!({"name": "mkdistro:reason", "value": file.reason})];
        if place != "root" {
            properties.push(json!({"name": "mkdistro:place", "value": place}));
        }
        if let Origin::Project(by) = &file.origin {
            properties.push(json!({"name": "mkdistro:made-by", "value": by}));
        }
        let component = json!({
            "type": "file",
            "name": file.path,
            "hashes": [{"alg": "SHA-256", "content": file.sha256}],
            "properties": properties,
        });
        files.entry(reference).or_default().push(text(&component));
    }
    files
}

fn located(inventory: &Inventory) -> impl Iterator<Item = (&'static str, &FileEntry)> {
    let root = inventory.root.iter().map(|file| ("root", file));
    root.chain(inventory.medium.iter().map(|file| ("medium", file)))
}

/// The reference of the component that a file belongs to.
fn owner(inventory: &Inventory, origin: &Origin, image: &str) -> String {
    let known = match origin {
        Origin::Package(name) => {
            inventory.packages.iter().find(|package| package.locked.name == *name).map(debian_purl)
        }
        Origin::Program(name) => {
            let found = inventory.crates.iter().find(|found| found.name == *name);
            found.map(|found| purl::cargo(found.name, found.version))
        }
        Origin::Project(_) => None,
    };
    known.unwrap_or_else(|| format!("{image}#project"))
}

/// Between packages by the libraries that were taken, between crates as cargo says; the image needs everything.
fn dependencies(inventory: &Inventory, image: &str) -> Vec<Value> {
    let mut needs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let project = format!("{image}#project");
    let mut direct = BTreeSet::from([project.clone()]);
    needs.entry(project).or_default();
    for package in &inventory.packages {
        direct.insert(debian_purl(package));
        needs.entry(debian_purl(package)).or_default();
    }
    for found in inventory.crates.iter().filter(|found| found.is_in_guest()) {
        let reference = purl::cargo(found.name, found.version);
        if found.programs.contains(found.name) {
            direct.insert(reference.clone());
        }
        needs
            .entry(reference)
            .or_default()
            .extend(found.needs.iter().map(|(name, version)| purl::cargo(name, version)));
    }
    direct.extend(inventory.images.iter().map(image_reference));
    let by_path: BTreeMap<&str, &FileEntry> = inventory.root.iter().map(|file| (file.path.as_str(), file)).collect();
    for file in &inventory.root {
        let Some(user) = file.wanted_by.as_deref().and_then(|path| by_path.get(path)) else { continue };
        let (user, used) = (owner(inventory, &user.origin, image), owner(inventory, &file.origin, image));
        if user != used {
            needs.entry(user).or_default().insert(used);
        }
    }
    needs.insert(image.to_owned(), direct);
    needs.into_iter().map(|(reference, needs)| json!({"ref": reference, "dependsOn": needs})).collect()
}
