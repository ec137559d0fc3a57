//! What a lock is made for.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::config::{Checked, ContainerImage, KernelSource};
use crate::fetch::hex;

/// Suites, areas and packages that a project asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Suites in distro.toml's order.
    pub suites: Vec<String>,
    /// Areas.
    pub components: Vec<String>,
    /// Package name → who asks for it, for messages.
    pub packages: BTreeMap<String, String>,
    /// The kernel's (meta) package.
    pub kernel: String,
    /// The key of distro.toml that names it, for messages.
    pub kernel_key: &'static str,
    /// Container images.
    pub images: Vec<String>,
    /// What each flavour asks for, by name, if the project has more than one.
    pub flavours: BTreeMap<String, Request>,
}

impl Request {
    /// What a project asks for, with the packages that the builder itself needs: for all its flavours.
    pub fn of(checked: &Checked, builder: &[&str]) -> Self {
        let mut whole = Self::of_flavour(checked, builder);
        if checked.others.is_empty() {
            return whole;
        }
        for flavour in std::iter::once(checked).chain(&checked.others) {
            let request = Self::of_flavour(flavour, builder);
            whole.packages.extend(request.packages.clone());
            whole.images.extend(request.images.iter().cloned());
            whole.flavours.insert(flavour.flavour_key().to_owned(), request);
        }
        whole.images.sort();
        whole.images.dedup();
        whole
    }

    /// What one flavour asks for.
    pub fn of_flavour(checked: &Checked, builder: &[&str]) -> Self {
        let mut packages: BTreeMap<String, String> =
            builder.iter().map(|name| ((*name).to_owned(), "the builder".to_owned())).collect();
        for (recipe, content) in &checked.recipes {
            for package in &content.packages {
                packages.insert(package.clone(), checked.recipe_file(recipe));
            }
        }
        Self {
            suites: checked.distro.sources.suites.clone(),
            components: checked.distro.sources.components.clone(),
            packages,
            kernel: checked.distro.kernel.chosen_package().to_owned(),
            kernel_key: match checked.distro.kernel.source {
                KernelSource::Package => "[kernel] package",
                KernelSource::Source => "[kernel] source-package",
            },
            images: checked.distro.images.iter().map(ContainerImage::request).collect(),
            flavours: BTreeMap::new(),
        }
    }

    /// sha256 in hex of all but who asks.
    pub fn hash(&self) -> String {
        let mut hasher = Sha256::new();
        let mut line = |key: &str, value: &str| hasher.update(format!("{key} {value}\n"));
        line("schema", "1");
        self.suites.iter().for_each(|suite| line("suite", suite));
        self.components.iter().for_each(|component| line("component", component));
        line("kernel", &self.kernel);
        self.packages.keys().for_each(|package| line("package", package));
        self.images.iter().for_each(|image| line("image", image));
        self.flavours.iter().for_each(|(name, request)| line("flavour", &format!("{name} {}", request.hash())));
        hex(hasher)
    }
}
