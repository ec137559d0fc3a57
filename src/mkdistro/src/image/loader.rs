//! The boot loaders' files out of the packages.

use anyhow::{Context, Result};
use bytes::Bytes;

use super::{grub, isolinux, pxe, systemd_boot, uki};
use crate::root::Packages;

/// Packages that the boot loaders come from; part of every lock.
pub const BOOT_PACKAGES: &[&str] = &[
    grub::PACKAGES[0],
    isolinux::PACKAGES[0],
    pxe::PACKAGE,
    grub::PACKAGES[1],
    grub::PACKAGES[2],
    isolinux::PACKAGES[1],
    uki::PACKAGE,
];

/// The files of them that are used, as absolute paths.
pub fn boot_files() -> impl Iterator<Item = &'static str> {
    isolinux::FILES.into_iter().chain(grub::FILES.map(|(path, _)| path)).chain([
        pxe::LOADER,
        systemd_boot::PROGRAM,
        uki::STUB,
    ])
}

/// Content of one of [`boot_files`], and the package that has it.
pub(super) fn file(packages: &Packages, path: &str) -> Result<(Bytes, &'static str)> {
    BOOT_PACKAGES
        .iter()
        .find_map(|name| Some((packages.trees.get(*name)?.get(path.as_bytes())?.content().cloned()?, *name)))
        .with_context(|| format!("{path} is in none of {}", BOOT_PACKAGES.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::file;
    use crate::root::testing::{packages, tree};

    #[test]
    fn takes_files_of_its_packages_only() {
        let node = crate::root::testing::file("code", 0o644);
        let path = "/usr/lib/ISOLINUX/isolinux.bin";
        let theirs = packages(&[("other", tree(&[(path, node.clone())]))]);
        assert_eq!(
            file(&theirs, path).unwrap_err().to_string(),
            "/usr/lib/ISOLINUX/isolinux.bin is in none of grub-efi-amd64-signed, isolinux, pxelinux, \
             shim-helpers-amd64-signed, shim-signed, syslinux-common, systemd-boot-efi"
        );
        assert_eq!(file(&packages(&[("isolinux", tree(&[(path, node)]))]), path).unwrap(), ("code".into(), "isolinux"));
    }
}
