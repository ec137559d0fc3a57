//! What a file is, at a glance.

use anyhow::Result;
use bytes::Bytes;
use serde::Serialize;

use super::boot::{self, MenuEntry};
use super::distribution::sha256;
use super::{Distribution, Fact, Format, Parts};

/// A file at a glance.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Summary {
    /// Format of the file.
    pub format: Format,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Its sha256, hex.
    pub sha256: String,
    /// Name and version of the distribution, builder, lock and kernel.
    pub distribution: Vec<Fact>,
    /// Entries of the boot menu.
    pub menu: Vec<MenuEntry>,
    /// The parts, the file itself first.
    pub parts: Vec<PartSummary>,
}

/// One part.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PartSummary {
    /// Its name, to begin a path with.
    pub name: String,
    /// Its path over all layers, empty for the file itself.
    pub path: String,
    /// Its format.
    pub format: Format,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Files, folders and links in it, its root not counted.
    pub entries: usize,
    /// What is known about it.
    pub facts: Vec<Fact>,
}

/// Sums up a file; None if its format is not known.
///
/// # Errors
/// If a layer is damaged.
pub fn summarize(bytes: &Bytes) -> Result<Option<Summary>> {
    let Some(parts) = Parts::of(bytes)? else { return Ok(None) };
    let outer = parts.outer();
    Ok(Some(Summary {
        format: outer.layer.format,
        size_bytes: bytes.len() as u64,
        sha256: sha256(bytes),
        distribution: distribution(&Distribution::of(&parts)?),
        menu: boot::menu(&outer.layer),
        parts: parts
            .0
            .iter()
            .map(|part| PartSummary {
                name: part.name.clone(),
                path: part.path.clone(),
                format: part.layer.format,
                size_bytes: part.bytes.len() as u64,
                entries: part.layer.entries().count().saturating_sub(1),
                facts: part.layer.facts.clone(),
            })
            .collect(),
    }))
}

fn distribution(found: &Distribution) -> Vec<Fact> {
    let lock = found.lock.as_ref();
    let facts = [
        ("name", found.name.clone()),
        ("version", found.version.clone()),
        ("build-id", found.build_id.clone()),
        ("builder", found.build.as_ref().map(|build| format!("mkdistro {}", build.builder))),
        ("compression", found.build.as_ref().map(|build| build.compression.clone())),
        ("lock-sha256", lock.map(|(_, sha256)| sha256.clone())),
        ("packages", lock.map(|(lock, _)| lock.packages.len().to_string())),
        ("kernel", found.kernel_release.clone()),
        ("kernel-config", found.kernel_config.as_ref().map(|text| format!("{} options", options(text)))),
    ];
    facts.into_iter().filter_map(|(name, value)| Some(Fact { name, value: value? })).collect()
}

fn options(config: &str) -> usize {
    config.lines().filter(|line| line.starts_with("CONFIG_")).count()
}
