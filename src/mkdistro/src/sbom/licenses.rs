//! Which licence is in force where: for people and lawyers.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::inventory::Inventory;

/// A package or crate and its licence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Licensed {
    /// `deb` or `crate`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SPDX expression; none if it is not known.
    pub license: Option<String>,
    /// Whether it is a guess from prose.
    pub guessed: bool,
}

/// Everything that is in the image: Debian packages, then the crates of the guest's programs; by name.
pub fn list(inventory: &Inventory) -> Vec<Licensed> {
    let packages = inventory.packages.iter().map(|package| Licensed {
        kind: "deb",
        name: package.locked.name.clone(),
        version: package.locked.version.clone(),
        license: package.copyright.license.expression(),
        guessed: package.copyright.guessed,
    });
    let crates = inventory.crates.iter().filter(|found| found.is_in_guest()).map(|found| Licensed {
        kind: "crate",
        name: found.name.to_owned(),
        version: found.version.to_owned(),
        license: Some(found.license.clone()).filter(|license| !license.is_empty()),
        guessed: false,
    });
    packages.chain(crates).collect()
}

/// Licence → names of what is under it, possibly among others.
pub fn by_license(list: &[Licensed]) -> BTreeMap<String, BTreeSet<String>> {
    let mut by_license: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for licensed in list {
        for license in identifiers(licensed.license.as_deref().unwrap_or("unknown")) {
            by_license.entry(license).or_default().insert(licensed.name.clone());
        }
    }
    by_license
}

/// The licences of an expression, each with its exception.
fn identifiers(expression: &str) -> BTreeSet<String> {
    let plain = expression.replace(['(', ')'], " ");
    let mut found: BTreeSet<String> = BTreeSet::new();
    let mut current: Vec<&str> = Vec::new();
    for word in plain.split_whitespace().chain(["AND"]) {
        if matches!(word, "AND" | "OR") {
            found.insert(std::mem::take(&mut current).join(" "));
        } else {
            current.push(word);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{Licensed, by_license};

    #[test]
    fn licences_have_their_packages() {
        let licensed = |name: &str, license: Option<&str>| Licensed {
            kind: "deb",
            name: name.into(),
            version: "1".into(),
            license: license.map(str::to_owned),
            guessed: false,
        };
        let list = [
            licensed("b", Some("(MIT OR Apache-2.0) AND GPL-3.0-or-later WITH Bison-exception-2.2")),
            licensed("a", Some("MIT")),
            licensed("c", None),
        ];
        let shown: Vec<String> =
            by_license(&list).into_iter().map(|(license, names)| format!("{license}: {names:?}")).collect();
        assert_eq!(
            shown,
            [
                "Apache-2.0: {\"b\"}",
                "GPL-3.0-or-later WITH Bison-exception-2.2: {\"b\"}",
                "MIT: {\"a\", \"b\"}",
                "unknown: {\"c\"}",
            ]
        );
    }
}
