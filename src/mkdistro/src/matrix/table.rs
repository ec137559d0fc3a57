//! The table, as Markdown for people and JSON for programs.

use std::collections::BTreeSet;
use std::fmt::Write;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::Pair;
use super::versions::Versions;

const SCHEMA: u32 = 1;
const ABSENT: &str = "–";

/// What became of a pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It runs.
    Runs {
        /// The distribution's name and version, as it says itself.
        distribution: String,
        /// Of its components.
        versions: Versions,
    },
    /// It does not, and why.
    Failed(String),
}

/// A pair and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The pair.
    pub pair: Pair,
    /// What became of it.
    pub outcome: Outcome,
}

/// All pairs.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Table {
    /// In the order of the manifest.
    pub rows: Vec<Row>,
}

impl Table {
    /// Names of the pairs that failed.
    pub fn failed(&self) -> Vec<String> {
        let failed = self.rows.iter().filter(|row| matches!(row.outcome, Outcome::Failed(_)));
        failed.map(|row| row.pair.to_string()).collect()
    }

    /// One line for each component, one column for each pair that runs; then those that do not, with their reasons.
    pub fn markdown(&self) -> String {
        let mut text = String::from("# Versions\n\nAs the running systems say.\n");
        let running: Vec<(&Pair, &String, &Versions)> = self.rows.iter().filter_map(running).collect();
        if !running.is_empty() {
            let pairs: Vec<String> = running.iter().map(|(pair, ..)| escape(&pair.to_string())).collect();
            let _ = write!(text, "\n| | {} |\n|---|{}\n", pairs.join(" | "), "---|".repeat(pairs.len()));
            let distributions: Vec<String> = running.iter().map(|(_, distribution, _)| escape(distribution)).collect();
            let _ = writeln!(text, "| distribution | {} |", distributions.join(" | "));
            let components: BTreeSet<&String> = running.iter().flat_map(|(.., versions)| versions.keys()).collect();
            for component in components {
                let version = |(.., versions): &(&Pair, &String, &Versions)| {
                    versions.get(component).map_or(ABSENT.to_owned(), |version| escape(version))
                };
                let versions: Vec<String> = running.iter().map(version).collect();
                let _ = writeln!(text, "| {} | {} |", escape(component), versions.join(" | "));
            }
        }
        let failed = self.rows.iter().filter_map(|row| match &row.outcome {
            Outcome::Failed(reason) => Some(format!("- {}: {}\n", escape(&row.pair.to_string()), escape(reason))),
            Outcome::Runs { .. } => None,
        });
        let failed: String = failed.collect();
        if !failed.is_empty() {
            let _ = write!(text, "\nFailed:\n\n{failed}");
        }
        text
    }

    /// `{"schema": 1, "pairs": [{"suite", "flavour", "distribution", "versions"} or {"suite", "flavour", "failed"}]}`.
    ///
    /// # Errors
    /// None that is known.
    pub fn json(&self) -> Result<String> {
        let pair = |row: &Row| {
            let mut object = Map::new();
            object.insert("suite".into(), row.pair.suite.clone().into());
            object.insert("flavour".into(), row.pair.flavour.clone().into());
            match &row.outcome {
                Outcome::Runs { distribution, versions } => {
                    object.insert("distribution".into(), distribution.clone().into());
                    object.insert("versions".into(), json!(versions));
                }
                Outcome::Failed(reason) => drop(object.insert("failed".into(), reason.clone().into())),
            }
            Value::Object(object)
        };
        let pairs: Vec<Value> = self.rows.iter().map(pair).collect();
        let text = serde_json::to_string_pretty(&json!({"schema": SCHEMA, "pairs": pairs}));
        Ok(text.context("encoding the table")? + "\n")
    }
}

fn running(row: &Row) -> Option<(&Pair, &String, &Versions)> {
    match &row.outcome {
        Outcome::Runs { distribution, versions } => Some((&row.pair, distribution, versions)),
        Outcome::Failed(_) => None,
    }
}

/// What would end a cell or begin something of Markdown's.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '\\' | '`' | '*' | '_' | '<' | '>' | '[' | ']' => out.extend(['\\', c]),
            '\n' | '\r' | '\t' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Outcome, Pair, Row, Table};

    fn row(pair: &str, outcome: Outcome) -> Row {
        let (suite, flavour) = pair.split_once('/').unwrap();
        Row { pair: Pair { suite: suite.into(), flavour: flavour.into() }, outcome }
    }

    fn runs(versions: &[(&str, &str)]) -> Outcome {
        let versions = versions.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect();
        Outcome::Runs { distribution: "box_1 2".into(), versions }
    }

    fn table() -> Table {
        let rows = vec![
            row("trixie/podman", runs(&[("podman", "5.4.2"), ("linux", "6.12.1-amd64")])),
            row("sid/podman", Outcome::Failed("expired | on *Friday*\nnot read".into())),
            row("trixie/docker", runs(&[("linux", "6.12.1-amd64"), ("runc", "1.1~1")])),
        ];
        Table { rows }
    }

    #[test]
    fn markdown() {
        assert_eq!(
            table().markdown(),
            "# Versions\n\
             \n\
             As the running systems say.\n\
             \n\
             | | trixie/podman | trixie/docker |\n\
             |---|---|---|\n\
             | distribution | box\\_1 2 | box\\_1 2 |\n\
             | linux | 6.12.1-amd64 | 6.12.1-amd64 |\n\
             | podman | 5.4.2 | – |\n\
             | runc | – | 1.1~1 |\n\
             \n\
             Failed:\n\
             \n\
             - sid/podman: expired \\| on \\*Friday\\* not read\n"
        );
        assert_eq!(table().failed(), ["sid/podman"]);
        let none = Table { rows: vec![table().rows.remove(1)] };
        assert!(!none.markdown().contains("|---|"), "{}", none.markdown());
    }

    #[test]
    fn json() {
        let text = table().json().unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["schema"], 1);
        assert_eq!(value["pairs"][0]["versions"]["podman"], "5.4.2");
        assert_eq!(value["pairs"][1]["failed"], "expired | on *Friday*\nnot read");
        assert_eq!(
            (&value["pairs"][1]["versions"], &value["pairs"][2]["flavour"]),
            (&serde_json::Value::Null, &"docker".into())
        );
        assert!(text.ends_with("}\n"));
    }
}
