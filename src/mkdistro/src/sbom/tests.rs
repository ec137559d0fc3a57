use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::*;
use crate::progress::Silent;
use crate::root;
use crate::root::testing::{whole_fetched, whole_project};

/// The toy project's root with an inventory of it.
fn stock() -> (RootTree, Inventory) {
    let dir = whole_project();
    let fetched = whole_fetched(&dir);
    let root = root::assemble(&fetched, &Silent).unwrap();
    let medium = image::medium(&fetched.locked.checked, &root).unwrap();
    let inventory = Inventory::take(&fetched, &root, &medium, 1_735_689_600).unwrap();
    (root, inventory)
}

#[test]
fn every_file_has_an_origin_and_a_reason() {
    let (root, inventory) = stock();
    let line = |file: &FileEntry| match &file.origin {
        Origin::Package(name) => format!("{} package {name}; {}", file.path, file.reason),
        Origin::Program(name) => format!("{} program {name}; {}", file.path, file.reason),
        Origin::Project(by) => format!("{} project {by}; {}", file.path, file.reason),
    };
    let lines: Vec<String> = inventory.root.iter().map(line).collect();
    for expected in [
        "/etc/group project accounts; every image",
        "/etc/motd project overlay; overlay",
        "/etc/os-release project distro.toml; every image",
        "/usr/bin/ash project overlay; overlay",
        "/usr/bin/busybox package busybox-static; recipe busybox",
        "/usr/bin/distroctl program distroctl; every image",
        "/usr/bin/init program init; every image",
        "/usr/bin/mount package tool; recipe tool",
        "/usr/share/tool/data package tool; recipe tool",
    ] {
        assert!(lines.iter().any(|line| line == expected), "no {expected:?} in {lines:#?}");
    }
    let module = lines.iter().find(|line| line.contains("/helper.ko ")).unwrap();
    assert!(module.ends_with(" package linux-image-toy; kernel module for tool"), "{module}");
    let medium: Vec<String> = inventory.medium.iter().map(line).collect();
    for expected in [
        "/EFI/BOOT/BOOTX64.EFI package isolinux; boot medium",
        "/boot/grub/grub.cfg project boot menu; boot medium",
        "/boot/vmlinuz package linux-image-toy; boot medium",
        "/isolinux/isolinux.bin package isolinux; boot medium",
        "/isolinux/isolinux.cfg project boot menu; boot medium",
    ] {
        assert!(medium.iter().any(|line| line == expected), "no {expected:?} in {medium:#?}");
    }

    let files = root.tree.iter().filter(|(_, node)| node.content().is_some()).count();
    assert_eq!(inventory.root.len(), files);
    let data = inventory.root.iter().find(|file| file.path == "/usr/share/tool/data").unwrap();
    assert_eq!((data.size, data.sha1.as_str()), (4, "a17c9aaa61e80a1bf71d0d850af4e5baa9800bbd"));
    assert_eq!(data.sha256, "3a6eb0790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb23adc8b7");
}

#[test]
fn packages_know_their_source_and_licence() {
    let (_, inventory) = stock();
    let shown: Vec<String> = inventory
        .packages
        .iter()
        .map(|package| {
            let license = package.copyright.license.expression();
            format!("{} {} {:?} {license:?}", package.locked.name, package.architecture, package.source)
        })
        .collect();
    let license = "Some(\"GPL-2.0-or-later OR LicenseRef-busybox-static-odd\")";
    let source = |name: &str| format!("Source {{ name: {name:?}, version: \"1.2-3\" }}");
    assert_eq!(
        shown,
        [
            format!("busybox-static amd64 {} {license}", source("busybox-static")),
            format!("isolinux amd64 {} None", source("isolinux")),
            format!("linux-image-toy amd64 {} None", source("linux-image-toy")),
            format!("tool amd64 {} {}", source("tool"), license.replace("busybox-static", "tool")),
        ]
    );
}

#[test]
fn documents_follow_from_the_content_alone() {
    let (_, first) = stock();
    let (_, second) = stock();
    for format in Format::ALL {
        assert_eq!(format.write(&first), format.write(&second));
    }
    let spdx: Value = serde_json::from_str(&Format::Spdx.write(&first)).unwrap();
    let later: Value = serde_json::from_str(&Format::Spdx.write(&Inventory { created: 0, ..second })).unwrap();
    assert_eq!(spdx["creationInfo"]["created"], "2025-01-01T00:00:00Z");
    let namespace = spdx["documentNamespace"].as_str().unwrap();
    assert!(namespace.starts_with("https://spdx.org/spdxdocs/toy-1.2-"), "{namespace}");
    assert_ne!(later["documentNamespace"], spdx["documentNamespace"]);
}

#[test]
fn spdx_leads_from_every_file_to_a_package() {
    let (_, inventory) = stock();
    let spdx: Value = serde_json::from_str(&Format::Spdx.write(&inventory)).unwrap();
    let array = |key: &str| spdx[key].as_array().unwrap();
    let packages: BTreeMap<&str, &Value> =
        array("packages").iter().map(|package| (package["SPDXID"].as_str().unwrap(), package)).collect();
    assert_eq!(packages.len(), array("packages").len());
    for (id, package) in &packages {
        assert!(!package["versionInfo"].as_str().unwrap().is_empty(), "{id}");
        assert!(package["externalRefs"][0]["referenceLocator"].as_str().unwrap().starts_with("pkg:"), "{id}");
    }
    let mut origins: BTreeMap<&str, &str> = BTreeMap::new();
    let mut ids: BTreeSet<&str> = packages.keys().copied().collect();
    ids.extend(array("files").iter().map(|file| file["SPDXID"].as_str().unwrap()));
    ids.insert("SPDXRef-DOCUMENT");
    for relation in array("relationships") {
        let [from, how, to] =
            ["spdxElementId", "relationshipType", "relatedSpdxElement"].map(|key| relation[key].as_str().unwrap());
        assert!(ids.contains(from) && ids.contains(to), "{from} {how} {to}");
        if how == "EXPANDED_FROM_ARCHIVE" || how == "GENERATED_FROM" {
            origins.insert(from, to);
        }
    }
    for file in array("files") {
        assert!(packages.contains_key(origins[file["SPDXID"].as_str().unwrap()]), "{file}");
    }
    assert_eq!(origins["SPDXRef-root-usr-bin-mount"], "SPDXRef-deb-tool");
    assert_eq!(origins["SPDXRef-deb-tool"], "SPDXRef-source-tool-1.2-3");
    let texts = array("hasExtractedLicensingInfos");
    assert!(texts.iter().all(|text| text["extractedText"] == "Odd text."), "{texts:?}");
}

#[test]
fn the_root_gets_what_is_in_the_image_and_the_medium_everything() {
    let (mut root, inventory) = stock();
    let documents = embed(&inventory, &mut root).unwrap();
    let short = root.tree.lookup(ROOT_PATH.as_bytes()).unwrap().content().unwrap();
    let short: Value = serde_json::from_slice(short).unwrap();
    assert_eq!(short["metadata"]["tools"]["components"][0]["components"], Value::Null);
    let tool = short["components"].as_array().unwrap().iter().find(|component| component["name"] == "tool").unwrap();
    assert_eq!(tool["components"][0]["name"], "/usr/bin/mount");
    let dir = tempfile::tempdir().unwrap();
    let beside = write_beside(&dir.path().join("out.iso"), &documents).unwrap();
    for ((_, document), ((path, sha256), name)) in documents.iter().zip(beside.iter().zip(["spdx", "cdx"])) {
        assert_eq!(path.file_name().unwrap().to_str().unwrap(), format!("out.iso.{name}.json"));
        assert_eq!(std::fs::read(path).unwrap(), document[..]);
        assert_eq!(*sha256, crate::archive::testing::sha256(document));
        let packed = root.beside.get(format!("sbom/sbom.{name}.json.gz").as_bytes()).unwrap().content().unwrap();
        let mut unpacked = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&packed[..]), &mut unpacked).unwrap();
        assert_eq!(unpacked, document[..]);
    }
}

/// The published validators: SPDX's own, and CycloneDX's own of the JSON schema. A list of complaints per file.
const VALIDATE: &str = "
import json, sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document
def complaints(path):
    if path.endswith('.spdx.json'):
        messages = validate_full_spdx_document(parse_file(path), 'SPDX-2.3')
        return [message.validation_message for message in messages]
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(path).read())
    return [str(problem)] if problem else []
print(json.dumps([complaints(path) for path in sys.argv[1:]]))
";

/// What the validators say of each document.
fn complaints(documents: &[(Format, &str)]) -> Vec<Vec<String>> {
    let dir = tempfile::tempdir().unwrap();
    let write = |(index, (format, document)): (usize, &(Format, &str))| {
        let path = dir.path().join(format!("{index}.{}", format.extension()));
        std::fs::write(&path, document).unwrap();
        path
    };
    let paths: Vec<PathBuf> = documents.iter().enumerate().map(write).collect();
    let output = Command::new(python()).args(["-c", VALIDATE]).args(paths).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The Python that `cargo xtask setup` has put the validators into.
fn python() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let python = program.ancestors().map(|folder| folder.join("validators/bin/python")).find(|path| path.exists());
    python.unwrap_or_else(|| panic!("no validators in the target folder; hint: cargo xtask setup"))
}

#[test]
fn the_validators_accept_the_documents() {
    let (mut root, inventory) = stock();
    embed(&inventory, &mut root).unwrap();
    let short = root.tree.lookup(ROOT_PATH.as_bytes()).unwrap().content().unwrap();
    let (spdx, cyclonedx) = (Format::Spdx.write(&inventory), Format::CycloneDx.write(&inventory));
    let found = complaints(&[
        (Format::CycloneDx, std::str::from_utf8(short).unwrap()),
        (Format::CycloneDx, &cyclonedx),
        (Format::Spdx, &spdx),
        // They do see what is wrong.
        (Format::CycloneDx, &cyclonedx.replace("\"operating-system\"", "\"os\"")),
        (Format::Spdx, &spdx.replace("GPL-2.0-or-later", "GPL-two")),
    ]);
    let none: &[String] = &[];
    assert_eq!(found[..3], [none, none, none]);
    assert!(found[3][0].contains("'os'") && found[4][0].contains("GPL-two"), "{found:?}");
}
