//! What units say of each other in `[Unit]` and `[Install]`, as names of services.

use std::collections::{BTreeMap, BTreeSet};

use crate::convert::Unit;
use crate::problem::{Place, Problem};
use crate::specifier::{Host, expand};
use crate::words::Rule;

/// Names of services.
pub(crate) type Set = BTreeSet<String>;

/// What one unit says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Relations {
    /// `After=`.
    pub(crate) after: Set,
    /// `Before=`.
    pub(crate) before: Set,
    /// `Requires=`, `Requisite=`, `BindsTo=`, and where they stand.
    pub(crate) requires: BTreeMap<String, Place>,
    /// `Wants=`.
    pub(crate) wants: Set,
    /// `PartOf=`.
    pub(crate) part_of: Set,
    /// `WantedBy=`, `RequiredBy=` of services.
    pub(crate) wanted_by: Set,
    /// Some target or a service of the image wants it.
    pub(crate) at_boot: bool,
}

/// Service that a name of systemd's stands for; `None` of what there is no such thing of (other targets, mounts, slices).
fn service_of(name: &str, units: &[Unit]) -> Option<String> {
    match name {
        "network-online.target" | "network.target" | "network-pre.target" => return Some("network".into()),
        "podman.socket" => return Some("podman".into()),
        "time-sync.target" => return Some("ntp".into()),
        _ => {}
    }
    match name.rsplit_once('.') {
        Some((stem, "service")) => Some(stem.to_owned()),
        Some((
            _,
            "target" | "socket" | "mount" | "automount" | "slice" | "timer" | "path" | "device" | "swap" | "scope",
        )) => None,
        // Files by their names, as later versions of podman have it.
        _ => units.iter().find(|unit| unit.file_name == name).map(|unit| unit.service.clone()),
    }
}

/// Reads what a unit says of others.
pub(crate) fn read(unit: &Unit, units: &[Unit], known: &[String], host: &Host) -> Result<Relations, Problem> {
    let mut relations = Relations::default();
    let words = |section: &str, key: &str| -> Result<Vec<(String, Place)>, Problem> {
        let mut words = Vec::new();
        for entry in unit.file.all(section, key) {
            for word in entry.words(Rule::Plain)? {
                let word = expand(&word, &unit.service, host).map_err(|text| Problem::error(&entry.place, text))?;
                words.push((word, entry.place.clone()));
            }
        }
        Ok(words)
    };
    let services = |key: &str| -> Result<Vec<(String, Place)>, Problem> {
        let named = words("Unit", key)?.into_iter();
        Ok(named.filter_map(|(word, place)| Some((service_of(&word, units)?, place))).collect())
    };
    let names = |key: &str| -> Result<Set, Problem> { Ok(services(key)?.into_iter().map(|(name, _)| name).collect()) };
    relations.after = names("After")?;
    relations.before = names("Before")?;
    relations.wants = names("Wants")?;
    relations.part_of = names("PartOf")?;
    for key in ["Requires", "Requisite", "BindsTo"] {
        relations.requires.extend(services(key)?);
    }
    for key in ["WantedBy", "RequiredBy", "UpheldBy"] {
        for (word, _) in words("Install", key)? {
            match service_of(&word, units).filter(|_| !word.ends_with(".target")) {
                Some(service) if !known.contains(&service) => drop(relations.wanted_by.insert(service)),
                // A service of the image runs from the start.
                _ => relations.at_boot = true,
            }
        }
    }
    Ok(relations)
}
