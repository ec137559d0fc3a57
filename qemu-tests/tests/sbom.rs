//! The bills of materials of the default distribution: complete, valid, and the same everywhere. No guest is started.
#![expect(clippy::unwrap_used, reason = "in a test's own functions too, a panic is the verdict")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// stdout of a program that must succeed.
fn output(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn mkdistro(arguments: &[&str]) -> String {
    let mut command = Command::new(crate::builder::program());
    String::from_utf8(output(command.args(arguments).current_dir(repository()))).unwrap()
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn every_file_leads_to_a_package_with_version_licence_and_purl() {
    let spdx = parsed(&mkdistro(&["sbom", "--offline"]));
    let text = |value: &'_ Value| value.as_str().unwrap_or_default().to_owned();
    let packages: BTreeMap<String, &Value> =
        spdx["packages"].as_array().unwrap().iter().map(|package| (text(&package["SPDXID"]), package)).collect();
    for (id, package) in packages.iter().filter(|(id, _)| id.contains("-deb-") || id.contains("-crate-")) {
        assert!(!text(&package["versionInfo"]).is_empty(), "{id}");
        assert!(text(&package["externalRefs"][0]["referenceLocator"]).starts_with("pkg:"), "{id}");
        assert!(!["", "NOASSERTION"].contains(&text(&package["licenseDeclared"]).as_str()), "{id} has no licence");
    }
    let mut origins: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut linked = BTreeSet::new();
    for relation in spdx["relationships"].as_array().unwrap() {
        let (from, to) = (text(&relation["spdxElementId"]), text(&relation["relatedSpdxElement"]));
        match text(&relation["relationshipType"]).as_str() {
            "EXPANDED_FROM_ARCHIVE" | "GENERATED_FROM" => origins.entry(from).or_default().push(to),
            "DYNAMIC_LINK" => drop(linked.insert((from, to))),
            _ => {}
        }
    }
    let files = spdx["files"].as_array().unwrap();
    assert!(files.len() > 300, "{} files", files.len());
    for file in files {
        let origin = origins.get(&text(&file["SPDXID"])).unwrap_or_else(|| panic!("{file} has no origin"));
        assert!(packages.contains_key(&origin[0]), "{file}");
    }
    assert!(origins["SPDXRef-deb-podman"].iter().any(|source| source.starts_with("SPDXRef-source-podman-")));
    // A library hangs on what asked for it first: one that conmon has brought in is not podman's.
    let mut of_podman = linked.iter().filter(|(program, _)| program == "SPDXRef-root-usr-bin-podman");
    assert!(of_podman.any(|(_, library)| library.contains("libgpgme.so")), "{linked:?}");
    assert!(linked.len() > 30, "{linked:?}");
}

#[test]
fn the_medium_has_what_the_command_prints() {
    let iso = std::env::var_os("MKDISTRO_TEST_ISO").unwrap();
    for (format, name) in [("spdx", "spdx"), ("cyclonedx", "cdx")] {
        let read = mkdistro(&["sbom", iso.to_str().unwrap(), "--format", format]);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.gz");
        let source = format!("/sbom/sbom.{name}.json.gz");
        output(
            Command::new("xorriso").args(["-osirrox", "on", "-indev"]).arg(&iso).args(["-extract", &source]).arg(&file),
        );
        let on_medium = String::from_utf8(output(Command::new("gzip").arg("-dc").arg(&file))).unwrap();
        assert!(on_medium == mkdistro(&["sbom", "--offline", "--format", format]).trim_end(), "{format} differs");
        let beside = std::fs::read_to_string(format!("{}.{name}.json", Path::new(&iso).display())).unwrap();
        assert!(on_medium == beside, "{format} beside the ISO differs");
        assert!(on_medium == read.trim_end(), "{format} of the image differs");
    }
}

#[test]
fn every_package_has_a_licence() {
    let licenses = parsed(&mkdistro(&["licenses", "--json", "--offline"]));
    let packages = licenses["packages"].as_array().unwrap();
    let unknown: Vec<&Value> = packages.iter().filter(|package| package["license"].is_null()).collect();
    assert!(unknown.is_empty() && packages.len() > 50, "{unknown:?}");
    assert!(licenses["licenses"]["Apache-2.0"].as_array().unwrap().iter().any(|name| name == "podman"));
}
