//! Lists the crates that the programs are made of, for the bill of materials: `cargo tree` knows what is linked in for the
//! features and target in use, and the licences; Cargo.lock has the checksums.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The packages whose crates are listed: the guest's programs, then the builder.
const ROOTS: [&str; 3] = ["init", "distroctl", "mkdistro"];

/// Writes lines `DEPTH|NAME|VERSION|LICENSE|SHA256` (an empty hash: a crate of the workspace) in the order of `cargo tree`,
/// so that a line's parent is the last one above it with a lower depth. `target` is the guest's, for the builder too, so that
/// the list does not depend on the machine that compiles it.
pub(crate) fn write(workspace: &Path, target: &str, path: &Path) {
    let lock = fs::read_to_string(workspace.join("Cargo.lock")).expect("Cargo.lock can be read");
    let checksums = checksums(&lock);
    let mut text = String::new();
    for root in ROOTS {
        let output = Command::new(env::var_os("CARGO").expect("cargo sets CARGO"))
            .current_dir(workspace)
            .args(["tree", "--quiet", "--locked", "--package", root, "--target", target])
            .args(["--edges", "normal", "--prefix", "depth", "--charset", "ascii", "--format", "|{p}|{l}|"])
            .env_remove("CARGO_TARGET_DIR")
            .output()
            .expect("cargo runs");
        assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
        for line in String::from_utf8(output.stdout).expect("cargo writes UTF-8").lines() {
            let mut parts = line.split('|');
            let (depth, package, license) = (parts.next(), parts.next(), parts.next());
            let mut words = package.expect("the format has three fields").split(' ');
            let name = words.next().expect("a package has a name");
            let version = words.next().expect("a package has a version").trim_start_matches('v');
            let sha256 = checksums.get(&(name, version)).copied().unwrap_or_default();
            let (depth, license) = (depth.unwrap_or_default(), license.unwrap_or_default());
            text.push_str(&format!("{depth}|{name}|{version}|{license}|{sha256}\n"));
        }
    }
    // Unchanged, it keeps its time, so that nothing is compiled again.
    if fs::read_to_string(path).ok().as_deref() != Some(&text) {
        fs::write(path, text).expect("OUT_DIR can be written");
    }
}

/// Name and version → sha256 of the crate's archive.
fn checksums(lock: &str) -> BTreeMap<(&str, &str), &str> {
    let value = |package: &'_ str, key: &str| -> Option<(usize, usize)> {
        let begin = package.find(&format!("\n{key} = \""))? + key.len() + 5;
        Some((begin, begin + package[begin..].find('"')?))
    };
    let entry = |package| {
        let [name, version, checksum] = ["name", "version", "checksum"].map(|key| value(package, key));
        let text = |place: Option<(usize, usize)>| place.and_then(|(begin, end)| package.get(begin..end));
        Some(((text(name)?, text(version)?), text(checksum)?))
    };
    lock.split("[[package]]").skip(1).filter_map(entry).collect()
}
