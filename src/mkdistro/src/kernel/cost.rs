//! What kernel modules cost an image, by subject: the fragment, recipe or distro.toml that brought them in first.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use formats::tree::Tree;
use rayon::prelude::*;
use serde::Serialize;

use super::{Module, select};
use crate::config::{Checked, Fragment};

/// As the default root is compressed.
const ZSTD_LEVEL: i32 = 19;

/// One module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ModuleCost {
    /// Its name.
    pub name: String,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Size in bytes when compressed by itself: about what it adds to the image.
    pub compressed_bytes: u64,
    /// A fragment's line or another module.
    pub asked_by: String,
}

/// The modules of one subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SubjectCost {
    /// Its name.
    pub subject: String,
    /// Whether the image has them; otherwise naming the fragment in distro.toml would add them.
    pub in_image: bool,
    /// The modules, the largest first.
    pub modules: Vec<ModuleCost>,
}

impl SubjectCost {
    /// Size of the files in bytes.
    pub fn bytes(&self) -> u64 {
        self.modules.iter().map(|module| module.bytes).sum()
    }

    /// About what they add to the image, in bytes.
    pub fn compressed_bytes(&self) -> u64 {
        self.modules.iter().map(|module| module.compressed_bytes).sum()
    }
}

/// The subjects of an image, and what each of the `others`, fragments that distro.toml does not name, would add by itself.
/// With `only` one subject's modules are weighed, the rest has none.
///
/// # Errors
/// As [`select`].
pub fn by_subject(
    checked: &Checked,
    others: &[Fragment],
    package: &Tree,
    only: Option<&str>,
) -> Result<Vec<SubjectCost>> {
    let is_wanted = |subject: &str| only.is_none_or(|only| only == subject);
    let present = select(checked, package)?.modules;
    let names: BTreeSet<&str> = present.iter().map(|module| module.name.as_str()).collect();
    let mut subjects: Vec<String> = present.iter().map(|module| module.subject.clone()).collect();
    subjects.sort();
    subjects.dedup();
    let mut all = Vec::new();
    for subject in subjects {
        let of_subject = |module: &&Module| module.subject == subject && is_wanted(&subject);
        let modules: Vec<&Module> = present.iter().filter(of_subject).collect();
        all.push(SubjectCost { modules: costs(&modules)?, subject, in_image: true });
    }
    for fragment in others {
        if !is_wanted(&fragment.name) {
            all.push(SubjectCost { subject: fragment.name.clone(), in_image: false, modules: Vec::new() });
            continue;
        }
        let mut with = checked.clone();
        with.fragments.push(fragment.clone());
        let modules = select(&with, package).with_context(|| format!("adding the fragment {}", fragment.name))?.modules;
        let added: Vec<&Module> = modules.iter().filter(|module| !names.contains(module.name.as_str())).collect();
        all.push(SubjectCost { subject: fragment.name.clone(), in_image: false, modules: costs(&added)? });
    }
    Ok(all)
}

fn costs(modules: &[&Module]) -> Result<Vec<ModuleCost>> {
    let cost = |module: &&Module| -> Result<ModuleCost> {
        let compressed = zstd::bulk::compress(&module.content, ZSTD_LEVEL)
            .with_context(|| format!("compressing the module {}", module.name))?;
        Ok(ModuleCost {
            name: module.name.clone(),
            bytes: module.content.len() as u64,
            compressed_bytes: compressed.len() as u64,
            asked_by: module.asked_by.clone(),
        })
    };
    let mut costs = modules.par_iter().map(cost).collect::<Result<Vec<_>>>()?;
    costs.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
    Ok(costs)
}

#[cfg(test)]
mod tests {
    use super::by_subject;
    use crate::kernel::tests::{checked_fragments, package};

    #[test]
    fn adds_up_what_a_subject_brings() {
        let checked = checked_fragments(&[("net", "# modules: middle\nCONFIG_NAT=m\n")]);
        let others = checked_fragments(&[("more", "# modules: nat-mod\nCONFIG_NAT=m\n")]).fragments;
        let costs = by_subject(&checked, &others, &package(), None).unwrap();
        let told: Vec<_> = costs
            .iter()
            .map(|cost| {
                let names: Vec<&str> = cost.modules.iter().map(|module| module.name.as_str()).collect();
                (cost.subject.as_str(), cost.in_image, names.join(" "))
            })
            .collect();
        let expected = [
            ("boot", true, "loop base_one overlay squashfs".to_owned()),
            ("net", true, "middle".to_owned()),
            ("more", false, "nat_mod helper".to_owned()),
        ];
        assert_eq!(told, expected);
        let net = &costs[1];
        assert_eq!(net.bytes(), net.modules.iter().map(|module| module.bytes).sum::<u64>());
        let one = by_subject(&checked, &others, &package(), Some("net")).unwrap();
        assert_eq!(one.iter().map(|cost| cost.modules.len()).collect::<Vec<_>>(), [0, 1, 0]);
        assert!(net.compressed_bytes() > 0 && net.modules[0].asked_by == "kernel-config/net.config:2");
    }
}
