//! What an image says about its distribution: name, builder, lock, kernel.

use anyhow::{Context, Result};
use contract::paths;
use sha2::{Digest, Sha256};

use super::{Format, Layer, Parts, kernel, lock};
use crate::fetch::hex;
use crate::kernel::bzimage;
use crate::lock::{Lock, PATH as LOCK_PATH};
use crate::root::embedded::BuildSettings;

/// What is known; nothing of it must be there.
#[derive(Debug, Default)]
pub struct Distribution {
    /// `ID` of os-release.
    pub name: Option<String>,
    /// `VERSION_ID` of os-release.
    pub version: Option<String>,
    /// `BUILD_ID` of os-release.
    pub build_id: Option<String>,
    /// How it was built.
    pub build: Option<BuildSettings>,
    /// The lock it was built from, and the sha256 of its text.
    pub lock: Option<(Lock, String)>,
    /// `uname -r`.
    pub kernel_release: Option<String>,
    /// The kernel's configuration.
    pub kernel_config: Option<String>,
}

impl Distribution {
    /// Looks for it in the parts of an image. A lock file by itself is one with nothing but a lock.
    ///
    /// # Errors
    /// If a file of it is there but damaged.
    pub fn of(parts: &Parts) -> Result<Self> {
        let outer = parts.outer();
        if outer.layer.format == Format::Lock {
            return Ok(Self { lock: Some((lock::parse(&outer.bytes)?, sha256(&outer.bytes))), ..Self::default() });
        }
        let mut found = Self::default();
        if let Some(kernel) = parts.get("kernel") {
            found.kernel_release = bzimage::release(&kernel.bytes);
        }
        if let Some(root) = parts.get("root") {
            found.add_root(&root.layer).context("in the root")?;
        }
        found.kernel_config = found.find_config(parts)?;
        Ok(found)
    }

    fn add_root(&mut self, root: &Layer) -> Result<()> {
        let os_release = root.text("etc/os-release")?.unwrap_or_default();
        let value = |key: &str| {
            let value = os_release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
            Some(value.trim_matches('"').to_string())
        };
        (self.name, self.version, self.build_id) = (value("ID"), value("VERSION_ID"), value("BUILD_ID"));
        self.build = root.text(paths::BUILD_SETTINGS)?.map(|text| BuildSettings::parse(&text)).transpose()?;
        if let Some(text) = root.text(&format!("{}/{LOCK_PATH}", paths::RECIPE_DIR))? {
            self.lock = Some((Lock::parse(&text)?, sha256(text.as_bytes())));
        }
        Ok(())
    }

    /// The configuration beside the modules, beside the kernel, or in it.
    fn find_config(&self, parts: &Parts) -> Result<Option<String>> {
        if let Some(release) = &self.kernel_release {
            let places = [format!("usr/lib/modules/{release}/config"), format!("boot/config-{release}")];
            for part in &parts.0 {
                for place in &places {
                    if let Some(text) = part.layer.text(place)? {
                        return Ok(Some(text));
                    }
                }
            }
        }
        let config = parts.get("kernel").and_then(|kernel| kernel::configuration(&kernel.bytes));
        config.map(|config| String::from_utf8(config.into()).context("reading the kernel's configuration")).transpose()
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(Sha256::new().chain_update(bytes))
}
