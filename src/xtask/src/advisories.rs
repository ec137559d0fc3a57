//! Known vulnerabilities (RustSec). Without a network there is only what the machine has: `cargo audit`, `cargo deny`, or a
//! copy of the database that one of them left in `~/.cargo/advisory-db*`.

use std::path::{Path, PathBuf};

use crate::deps::Locked;
use crate::run::{Result, cargo, shown};

/// Advisories that do not concern us, and why.
const IGNORED: &[(&str, &str)] =
    &[("RUSTSEC-2023-0071", "rsa: timing of private-key operations; we only verify signatures")];

/// The problems; None if nothing here knows of any, which is said.
pub(crate) fn check(locked: &[Locked]) -> Result<Option<Vec<String>>> {
    if let Some(folder) = database() {
        println!("advisories: from {}", folder.display());
        return Ok(Some(from_database(&folder, locked)));
    }
    let ignored = IGNORED.iter().map(|(id, _)| *id);
    let mut audit = cargo(&["audit", "--no-fetch"]);
    audit.args(ignored.flat_map(|id| ["--ignore", id]));
    for mut command in [audit, cargo(&["deny", "--offline", "check", "advisories"])] {
        let installed =
            cargo(&[&command.get_args().next().unwrap_or_default().to_string_lossy(), "--version"]).output();
        if installed.is_ok_and(|output| output.status.success()) {
            let output = command.output().map_err(|error| format!("running {}: {error}", shown(&command)))?;
            let text = [output.stdout, output.stderr].concat();
            let failed = || format!("{}:\n{}", shown(&command), String::from_utf8_lossy(&text));
            return Ok(Some((!output.status.success()).then(failed).into_iter().collect()));
        }
    }
    println!("advisories: not checked; no cargo audit, cargo deny or ~/.cargo/advisory-db on this machine");
    Ok(None)
}

/// `advisory-db` of cargo-audit, `advisory-dbs/NAME` of cargo-deny.
fn database() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))?;
    let several =
        std::fs::read_dir(home.join("advisory-dbs")).into_iter().flatten().flatten().map(|entry| entry.path());
    std::iter::once(home.join("advisory-db")).chain(several).find(|folder| folder.join("crates").is_dir())
}

/// `crates/NAME/RUSTSEC-….md`: Markdown that begins with a block of TOML.
fn from_database(folder: &Path, locked: &[Locked]) -> Vec<String> {
    let mut problems = Vec::new();
    for package in locked {
        let files = std::fs::read_dir(folder.join("crates").join(&package.name)).into_iter().flatten().flatten();
        for path in files.map(|entry| entry.path()) {
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            let id = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if IGNORED.iter().all(|(ignored, _)| *ignored != id) && concerns(&text, &package.version) {
                let title = text.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or_default();
                problems.push(format!("{} {}: {id}: {title}", package.name, package.version));
            }
        }
    }
    problems
}

/// Whether an advisory is about a vulnerability of this version: neither withdrawn nor a mere notice, and the version
/// neither patched nor unaffected.
fn concerns(advisory: &str, version: &str) -> bool {
    let Some(block) = advisory.split("```").nth(1) else { return false };
    if block.lines().any(|line| line.starts_with("withdrawn") || line.starts_with("informational")) {
        return false;
    }
    let fits = |key: &str| requirements(block, key).iter().any(|requirement| is_met(requirement, version));
    !fits("patched") && !fits("unaffected")
}

/// The strings of `key = ["…", "…"]`, on one line or several.
fn requirements(block: &str, key: &str) -> Vec<String> {
    let list = block.split_once(&format!("\n{key} = [")).and_then(|(_, rest)| rest.split_once(']'));
    let list = list.map_or("", |(list, _)| list);
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Cargo's requirements as far as the database uses them: `>= 1.2.3`, `< 2`, `^1.2`, `~1.2`, `= 1.0.0`, several joined by
/// commas. One that is not understood is not met: better one alarm too many.
fn is_met(requirement: &str, version: &str) -> bool {
    let Some(version) = numbers(version) else { return false };
    requirement.split(',').all(|part| {
        let part = part.trim();
        let digits = part.find(|c: char| c.is_ascii_digit()).unwrap_or(part.len());
        let (operator, bound) = part.split_at(digits);
        let Some(bound) = numbers(bound) else { return false };
        match operator.trim() {
            ">=" => version >= bound,
            ">" => version > bound,
            "<=" => version <= bound,
            "<" => version < bound,
            "=" => version == bound,
            "~" => version >= bound && version[..2] == bound[..2],
            "^" | "" => {
                let leading = bound.iter().position(|number| *number != 0).map_or(3, |at| at + 1);
                version >= bound && version[..leading] == bound[..leading]
            }
            _ => false,
        }
    })
}

/// Major, minor, patch; what is not written is 0.
fn numbers(version: &str) -> Option<[u64; 3]> {
    let mut numbers = [0; 3];
    let release = version.split(['-', '+']).next()?;
    for (number, text) in numbers.iter_mut().zip(release.split('.')) {
        *number = text.parse().ok()?;
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADVISORY: &str = "```toml\n[advisory]\nid = \"RUSTSEC-2099-0001\"\n\n[versions]\npatched = [\">= 1.4.2, < 2.0.0\", \
                            \">= 2.0.3\"]\nunaffected = [\n  \"< 1.2.0\",\n]\n```\n\n# Bad\n\nText.\n";

    #[test]
    fn which_versions_an_advisory_concerns() {
        for (version, expected) in
            [("1.1.9", false), ("1.2.0", true), ("1.4.1", true), ("1.4.2", false), ("2.0.0", true), ("2.0.3", false)]
        {
            assert_eq!(concerns(ADVISORY, version), expected, "{version}");
        }
        assert!(concerns(&ADVISORY.replace("patched", "unpatched").replace("unaffected", "x"), "9.0.0"));
        assert!(!concerns(&ADVISORY.replace("[versions]", "withdrawn = \"2099-01-02\"\n[versions]"), "1.2.0"));
        assert!(!concerns(&ADVISORY.replace("[versions]", "informational = \"notice\"\n[versions]"), "1.2.0"));
    }

    #[test]
    fn requirements_of_cargo() {
        for (requirement, version, expected) in [
            ("^1.2", "1.9.0", true),
            ("^1.2", "2.0.0", false),
            ("^0.3.1", "0.3.9", true),
            ("^0.3.1", "0.4.0", false),
            ("~1.2.3", "1.2.9", true),
            ("~1.2.3", "1.3.0", false),
            ("= 1.0.0", "1.0.0", true),
            ("> 1", "1.0.1", true),
            ("<= 1.5", "1.5.1", false),
            ("*", "1.0.0", false),
            ("1.0.0", "1.2.3+build", true),
        ] {
            assert_eq!(is_met(requirement, version), expected, "{requirement} {version}");
        }
    }

    #[test]
    fn a_database_on_disk() {
        let folder = std::env::temp_dir().join(format!("xtask-advisories-{}", std::process::id()));
        let crates = folder.join("crates/b");
        std::fs::create_dir_all(&crates).unwrap();
        std::fs::write(crates.join("RUSTSEC-2099-0001.md"), ADVISORY).unwrap();
        let locked = crate::deps::tests_lock();
        assert_eq!(from_database(&folder, &locked), ["b 2.0.0: RUSTSEC-2099-0001: Bad"]);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
