//! The Rust crates that the guest's programs and the builder are made of, listed by `build_crates.rs` when this program
//! was compiled.

use std::collections::BTreeSet;
use std::sync::LazyLock;

const LIST: &str = include_str!(concat!(env!("OUT_DIR"), "/crates.txt"));

/// The package of the builder itself.
pub const BUILDER: &str = "mkdistro";

/// One version of a crate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Crate {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// SPDX licence expression; empty if it names none.
    pub license: String,
    /// sha256 of its archive in the registry, hex; empty for the crates of this workspace.
    pub sha256: &'static str,
    /// The programs it is linked into: `init`, `distroctl`, `mkdistro`.
    pub programs: BTreeSet<&'static str>,
    /// Name and version of the crates it uses itself.
    pub needs: BTreeSet<(&'static str, &'static str)>,
}

impl Crate {
    /// Whether it is in the image, not only in the builder.
    pub fn is_in_guest(&self) -> bool {
        self.programs.iter().any(|program| *program != BUILDER)
    }
}

/// All of them, by name and version.
pub fn all() -> &'static [Crate] {
    static ALL: LazyLock<Vec<Crate>> = LazyLock::new(|| parse(LIST));
    &ALL
}

/// Reads lines `DEPTH|NAME|VERSION|LICENSE|SHA256`; a line's parent is the last one above it with a lower depth, and one of
/// depth 0 is a program.
fn parse(list: &'static str) -> Vec<Crate> {
    let mut crates: Vec<Crate> = Vec::new();
    let mut above: Vec<usize> = Vec::new();
    for line in list.lines() {
        let mut parts = line.split('|');
        let mut next = || parts.next().unwrap_or_default();
        let (depth, name, version, license, sha256) = (next(), next(), next(), next(), next());
        let depth: usize = depth.parse().unwrap_or(0);
        let at = crates.iter().position(|known| (known.name, known.version) == (name, version)).unwrap_or_else(|| {
            // Older crates write a slash for OR.
            let license = license.split('/').map(str::trim).collect::<Vec<_>>().join(" OR ");
            let (programs, needs) = (BTreeSet::new(), BTreeSet::new());
            crates.push(Crate { name, version, license, sha256, programs, needs });
            crates.len() - 1
        });
        above.truncate(depth);
        if let Some(parent) = above.last() {
            crates[*parent].needs.insert((name, version));
        }
        above.push(at);
        let program = crates[above[0]].name;
        crates[at].programs.insert(program);
    }
    crates.sort();
    crates
}

#[cfg(test)]
mod tests {
    use super::{all, parse};

    #[test]
    fn reads_the_tree() {
        let list = "0|init|0.1.0|MIT|\n1|a|1.0|MIT/Apache-2.0|aa\n2|b|2.0|ISC|bb\n1|b|2.0|ISC|bb\n0|mkdistro|0.1.0|MIT|\n\
                    1|b|2.0|ISC|bb\n1|c|1.0||cc\n2|b|1.0|ISC|b1\n";
        let crates = parse(list);
        let shown: Vec<String> = crates
            .iter()
            .map(|found| {
                format!("{} {} {:?} {:?} {:?}", found.name, found.version, found.license, found.programs, found.needs)
            })
            .collect();
        assert_eq!(
            shown,
            [
                "a 1.0 \"MIT OR Apache-2.0\" {\"init\"} {(\"b\", \"2.0\")}",
                "b 1.0 \"ISC\" {\"mkdistro\"} {}",
                "b 2.0 \"ISC\" {\"init\", \"mkdistro\"} {}",
                "c 1.0 \"\" {\"mkdistro\"} {(\"b\", \"1.0\")}",
                "init 0.1.0 \"MIT\" {\"init\"} {(\"a\", \"1.0\"), (\"b\", \"2.0\")}",
                "mkdistro 0.1.0 \"MIT\" {\"mkdistro\"} {(\"b\", \"2.0\"), (\"c\", \"1.0\")}",
            ]
        );
        assert!(crates[2].is_in_guest() && !crates[3].is_in_guest());
    }

    #[test]
    fn the_list_of_this_program_is_complete() {
        let find = |name: &str| all().iter().find(|found| found.name == name).unwrap();
        assert!(find("init").programs.contains("init") && find("init").sha256.is_empty());
        assert!(find("contract").is_in_guest());
        assert!(!find("clap").is_in_guest() && find("clap").programs.contains("mkdistro"));
        for found in all() {
            assert!(!found.license.is_empty(), "{} {} names no licence", found.name, found.version);
            let local = found.programs.iter().any(|program| *program == found.name);
            let of_workspace =
                local || ["contract", "document", "formats", "guest", "quadlet", "vm"].contains(&found.name);
            assert_eq!(found.sha256.len(), if of_workspace { 0 } else { 64 }, "{}", found.name);
        }
    }
}
