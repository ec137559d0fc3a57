//! `matrix.toml`: suites, each with what it changes of distro.toml's `[sources]`, and flavours.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};
use document::nesting;
use serde::Deserialize;

use super::{NO_FLAVOUR, Pair};
use crate::config::Checked;
use crate::nearest::did_you_mean;
use crate::problem::{Class, Problem};

const SCHEMA: u32 = 1;

/// The file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Manifest {
    /// Version of this file's format; 1.
    schema: u32,
    /// Flavours of distro.toml; all of them if none is named.
    #[serde(default)]
    flavours: Vec<String>,
    /// RAM of the machines that are booted, in MiB.
    #[serde(default = "default_memory_mib")]
    pub memory_mib: u32,
    /// The suites.
    #[serde(rename = "suite", default)]
    pub suites: Vec<Suite>,
}

fn default_memory_mib() -> u32 {
    1024
}

/// `[[suite]]`. What is not given is distro.toml's.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Suite {
    /// What the table calls it.
    pub name: String,
    /// `sources.suites`.
    suites: Vec<String>,
    /// `sources.components`.
    components: Option<Vec<String>>,
    /// `sources.mirrors`.
    mirrors: Option<Vec<String>>,
    /// `sources.security-mirrors`.
    security_mirrors: Option<Vec<String>>,
    /// `sources.keyring`.
    keyring: Option<String>,
    /// `kernel.package`.
    kernel: Option<String>,
}

impl Suite {
    /// Lays it over a project, whose other flavours are no part of the pair.
    pub fn apply(&self, checked: &mut Checked) {
        let sources = &mut checked.distro.sources;
        sources.suites.clone_from(&self.suites);
        let lists = [
            (&mut sources.components, &self.components),
            (&mut sources.mirrors, &self.mirrors),
            (&mut sources.security_mirrors, &self.security_mirrors),
        ];
        for (list, given) in lists {
            given.iter().for_each(|given| list.clone_from(given));
        }
        self.keyring.iter().for_each(|keyring| sources.keyring.clone_from(keyring));
        self.kernel.iter().for_each(|package| checked.distro.kernel.package.clone_from(package));
        checked.others.clear();
    }
}

impl Manifest {
    /// Reads the file.
    ///
    /// # Errors
    /// Class `Config`: it cannot be read, or [`Self::parse`] refuses it.
    pub fn load(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            let hint = "a [[suite]] with name and suites is the least it has; README.md, \"Versions\"";
            Problem::error(Class::Config, format!("reading {name}: {error}"), hint)
        })?;
        Self::parse(&text, &name)
    }

    /// Reads and checks a text; `name` is the file's, for messages.
    ///
    /// # Errors
    /// Class `Config`: not TOML, unknown keys, another schema, values that cannot be.
    pub fn parse(text: &str, name: &str) -> Result<Self> {
        let refused = |reason: String, hint: &str| Problem::error(Class::Config, format!("{name}: {reason}"), hint);
        if let Some(line) = nesting::too_deep(text) {
            return Err(refused(format!("line {line}: nested too deeply"), ""));
        }
        let manifest: Self =
            toml::from_str(text).map_err(|error| refused(error.to_string().trim_end().to_owned(), ""))?;
        let problems = manifest.problems();
        if problems.is_empty() { Ok(manifest) } else { Err(refused(problems.join(&format!("\n{name}: ")), "")) }
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.schema != SCHEMA {
            problems.push(format!("schema: made for another mkdistro, expected {SCHEMA}, found {}", self.schema));
        }
        if self.suites.is_empty() {
            problems.push("suite: expected at least one [[suite]], found none".into());
        }
        if !(64..=1 << 20).contains(&self.memory_mib) {
            problems.push(format!("memory-mib: expected 64 to 1048576, found {}", self.memory_mib));
        }
        let mut names = BTreeSet::new();
        for (index, suite) in self.suites.iter().enumerate() {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
            if suite.name.is_empty() || !suite.name.chars().all(is_plain) {
                let expected = "letters, digits and any of \"-._\"";
                problems.push(format!("suite[{index}].name: expected {expected}, found {:?}", suite.name));
            } else if !names.insert(&suite.name) {
                problems.push(format!("suite[{index}].name: {:?} a second time", suite.name));
            }
            if suite.suites.is_empty() {
                problems.push(format!("suite[{index}].suites: expected the archive's suites, found none"));
            }
        }
        problems
    }

    /// All pairs, or those that are asked for as `SUITE/FLAVOUR`.
    ///
    /// # Errors
    /// Class `Config`: a flavour that distro.toml does not have, a pair that the manifest does not.
    pub fn pairs(&self, project: &Checked, only: &[String]) -> Result<Vec<Pair>> {
        let mut known: Vec<&str> = project.flavours.iter().map(|flavour| flavour.name.as_str()).collect();
        if known.is_empty() {
            known.push(NO_FLAVOUR);
        }
        let wanted: Vec<&str> =
            if self.flavours.is_empty() { known.clone() } else { self.flavours.iter().map(String::as_str).collect() };
        if let Some(name) = wanted.iter().find(|name| !known.contains(name)) {
            let message = format!("flavours: distro.toml has no flavour {name:?}, it has {}", known.join(", "));
            return Err(Problem::error(Class::Config, message, did_you_mean(name, known.iter().copied())));
        }
        let of_suite = |suite: &Suite| -> Vec<Pair> {
            let pair = |flavour: &&str| Pair { suite: suite.name.clone(), flavour: (*flavour).to_owned() };
            wanted.iter().map(pair).collect()
        };
        let all: Vec<Pair> = self.suites.iter().flat_map(of_suite).collect();
        if only.is_empty() {
            return Ok(all);
        }
        let named = |name: &String| {
            let names: Vec<String> = all.iter().map(ToString::to_string).collect();
            all.iter().find(|pair| pair.to_string() == *name).cloned().with_context(|| {
                let hint = did_you_mean(name, names.iter().map(String::as_str));
                format!("--only {name}: no such pair, there are {}\nhint: {hint}", names.join(", "))
            })
        };
        only.iter().map(named).collect()
    }

    /// The suite of a pair.
    pub fn suite(&self, pair: &Pair) -> Option<&Suite> {
        self.suites.iter().find(|suite| suite.name == pair.suite)
    }
}

#[cfg(test)]
mod tests {
    use super::{Manifest, Pair};
    use crate::config;
    use crate::problem::exit_code;
    use crate::root::testing::whole_project;

    const GOOD: &str = "schema = 1\n[[suite]]\nname = \"stable\"\nsuites = [\"trixie\", \"trixie-security\"]\n\
                        [[suite]]\nname = \"ubuntu\"\nsuites = [\"noble\"]\ncomponents = [\"main\", \"universe\"]\n\
                        mirrors = [\"http://mirror.test/ubuntu\"]\nkeyring = \"packages/ubuntu.asc\"\n\
                        kernel = \"linux-image-generic\"\n";

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            ("schema = 1\n", "m.toml: suite: expected at least one [[suite]], found none"),
            (
                "schema = 2\nmemory-mib = 7\n[[suite]]\nname = \"a b\"\nsuites = []\n[[suite]]\nname = \"c\"\n\
                 suites = [\"c\"]\n[[suite]]\nname = \"c\"\nsuites = [\"c\"]\n",
                "m.toml: schema: made for another mkdistro, expected 1, found 2\n\
                 m.toml: memory-mib: expected 64 to 1048576, found 7\n\
                 m.toml: suite[0].name: expected letters, digits and any of \"-._\", found \"a b\"\n\
                 m.toml: suite[0].suites: expected the archive's suites, found none\n\
                 m.toml: suite[2].name: \"c\" a second time",
            ),
        ] {
            let error = Manifest::parse(text, "m.toml").unwrap_err();
            assert_eq!((error.to_string().as_str(), exit_code(&error)), (expected, contract::exit::CONFIG));
        }
        for (text, expected) in [
            ("schema = 1\nsuits = []\n", "unknown field `suits`"),
            ("[[suite]]\nname = \"a\"\nsuites = [\"a\"]\n", "missing field `schema`"),
            ("schema = 1\n[[suite]]\nname = \"a\"\n", "missing field `suites`"),
            ("schema = \"1\"", "line 1"),
        ] {
            let error = Manifest::parse(text, "m.toml").unwrap_err().to_string();
            assert!(error.starts_with("m.toml: ") && error.contains(expected), "{error}");
        }
        let error = Manifest::load("/nonexistent/m.toml".as_ref()).unwrap_err();
        assert_eq!(exit_code(&error), contract::exit::CONFIG);
    }

    #[test]
    fn a_suite_changes_the_sources() {
        let dir = whole_project();
        let mut checked = config::load(dir.path()).unwrap();
        let before = checked.distro.clone();
        let manifest = Manifest::parse(GOOD, "m.toml").unwrap();
        manifest.suites[0].apply(&mut checked);
        assert_eq!(checked.distro.sources.suites, ["trixie", "trixie-security"]);
        assert_eq!(checked.distro.sources.keyring, before.sources.keyring);
        assert_eq!(checked.distro.kernel, before.kernel);
        manifest.suites[1].apply(&mut checked);
        let sources = &checked.distro.sources;
        assert_eq!(
            (&sources.suites[..], &sources.components[..]),
            (&["noble".to_owned()][..], &["main".to_owned(), "universe".to_owned()][..])
        );
        assert_eq!((sources.keyring.as_str(), sources.mirrors.len()), ("packages/ubuntu.asc", 1));
        assert_eq!(checked.distro.kernel.package, "linux-image-generic");
    }

    #[test]
    fn pairs_are_every_suite_with_every_flavour() {
        let dir = whole_project();
        let path = dir.path().join("distro.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let pairs = |text: &str, only: &[&str]| {
            let checked = config::load(dir.path()).unwrap();
            let only: Vec<String> = only.iter().map(ToString::to_string).collect();
            let pairs = Manifest::parse(text, "m.toml").unwrap().pairs(&checked, &only);
            pairs
                .map(|pairs| pairs.iter().map(Pair::to_string).collect::<Vec<_>>())
                .map_err(|error| format!("{error:#}"))
        };
        assert_eq!(pairs(GOOD, &[]).unwrap(), ["stable/-", "ubuntu/-"]);
        std::fs::write(&path, format!("{text}\n[flavour.big]\n[flavour.small]\n")).unwrap();
        assert_eq!(pairs(GOOD, &[]).unwrap(), ["stable/big", "stable/small", "ubuntu/big", "ubuntu/small"]);
        assert_eq!(pairs(GOOD, &["ubuntu/small"]).unwrap(), ["ubuntu/small"]);
        let one = GOOD.replace("schema = 1\n", "schema = 1\nflavours = [\"small\"]\n");
        assert_eq!(pairs(&one, &[]).unwrap(), ["stable/small", "ubuntu/small"]);
        let error = pairs(&one, &["stable/smal"]).unwrap_err();
        assert!(error.starts_with("--only stable/smal: no such pair, there are stable/small, ubuntu/small"), "{error}");
        let error = pairs(&one.replace("[\"small\"]", "[\"smal\"]"), &[]).unwrap_err();
        assert_eq!(error, "flavours: distro.toml has no flavour \"smal\", it has big, small");
    }
}
