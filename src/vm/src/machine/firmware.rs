//! Firmware: QEMU's own BIOS, or OVMF (UEFI) of the distribution this runs on.
//!
//! OVMF is two flash images: code, and a store of variables that the firmware writes to. Distributions put them in different
//! places; where keys are enrolled in the store, its code has SMM, without which a guest could change the store
//! (edk2 `OvmfPkg/README`).

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// What a machine starts with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Firmware {
    /// SeaBIOS, or on a microVM the little that stands in for it.
    #[default]
    Bios,
    /// OVMF.
    Uefi(Uefi),
}

/// OVMF's two parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uefi {
    /// The code.
    pub code: PathBuf,
    /// The variables.
    pub variables: Variables,
    /// Whether the code has Secure Boot and needs [`super::MachineType::Q35`] with SMM.
    pub secure_boot: bool,
}

/// A variable store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variables {
    /// Begins as this file, which stays as it is; what is written is gone with the machine.
    Forgotten(PathBuf),
    /// This file, which the machine writes.
    Kept(PathBuf),
}

/// Code and an empty store.
const PLAIN: &[(&str, &str)] = &[
    // Debian, Ubuntu
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    // Arch
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    // Fedora
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    // openSUSE
    ("/usr/share/qemu/ovmf-x86_64-code.bin", "/usr/share/qemu/ovmf-x86_64-vars.bin"),
    // QEMU's own
    ("/usr/share/qemu/edk2-x86_64-code.fd", "/usr/share/qemu/edk2-i386-vars.fd"),
];

/// Code with SMM and a store with Microsoft's keys. Arch has no such store.
const SECURE_BOOT: &[(&str, &str)] = &[
    ("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd", "/usr/share/edk2/ovmf/OVMF_VARS.secboot.fd"),
    ("/usr/share/qemu/ovmf-x86_64-smm-ms-code.bin", "/usr/share/qemu/ovmf-x86_64-smm-ms-vars.bin"),
];

impl Firmware {
    /// UEFI without Secure Boot.
    pub fn uefi() -> Result<Self> {
        find(PLAIN, false, Path::exists).context("looking for UEFI firmware")
    }

    /// UEFI that trusts Microsoft's keys and refuses what they have not signed.
    pub fn uefi_secure_boot() -> Result<Self> {
        find(SECURE_BOOT, true, Path::exists).context("looking for UEFI firmware with Secure Boot and Microsoft's keys")
    }

    /// Keeps UEFI's variables in the file `path`, which is made if it is not there.
    pub fn keeping(mut self, path: &Path) -> Result<Self> {
        if let Self::Uefi(Uefi { variables, .. }) = &mut self {
            if let Variables::Forgotten(template) = variables
                && !path.exists()
            {
                std::fs::copy(&template, path)
                    .with_context(|| format!("copying {} to {}", template.display(), path.display()))?;
            }
            *variables = Variables::Kept(path.to_path_buf());
        }
        Ok(self)
    }

    pub(super) fn has_secure_boot(&self) -> bool {
        matches!(self, Self::Uefi(Uefi { secure_boot: true, .. }))
    }
}

fn find(places: &[(&str, &str)], secure_boot: bool, exists: impl Fn(&Path) -> bool) -> Result<Firmware> {
    let found = places.iter().map(|(code, variables)| (Path::new(code), Path::new(variables)));
    match found.into_iter().find(|(code, variables)| exists(code) && exists(variables)) {
        Some((code, variables)) => Ok(Firmware::Uefi(Uefi {
            code: code.into(),
            variables: Variables::Forgotten(variables.into()),
            secure_boot,
        })),
        None => {
            let places: Vec<String> =
                places.iter().map(|(code, variables)| format!("{code} and {variables}")).collect();
            bail!(
                "none of these is there: {}\nhint: install the package ovmf (Debian, Ubuntu), edk2-ovmf (Fedora, Arch) or \
                 qemu-ovmf-x86_64 (openSUSE)",
                places.join(", ")
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_first_complete_pair() {
        let exists = |path: &Path| path.starts_with("/usr/share/edk2") || path.ends_with("OVMF_CODE_4M.fd");
        let uefi = |code: &str, variables: &str, secure_boot| {
            Firmware::Uefi(Uefi { code: code.into(), variables: Variables::Forgotten(variables.into()), secure_boot })
        };
        assert_eq!(
            find(PLAIN, false, exists).unwrap(),
            uefi("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd", false)
        );
        let secure = find(SECURE_BOOT, true, exists).unwrap();
        assert_eq!(
            secure,
            uefi("/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd", "/usr/share/edk2/ovmf/OVMF_VARS.secboot.fd", true)
        );
        assert!(secure.has_secure_boot() && !Firmware::Bios.has_secure_boot());
    }

    #[test]
    fn says_what_to_install() {
        let error = format!("{:#}", find(&[("/a", "/b"), ("/c", "/d")], true, |_| false).unwrap_err());
        assert_eq!(
            error,
            "none of these is there: /a and /b, /c and /d\nhint: install the package ovmf (Debian, Ubuntu), edk2-ovmf \
             (Fedora, Arch) or qemu-ovmf-x86_64 (openSUSE)"
        );
    }

    #[test]
    fn keeps_variables_where_told() {
        let folder = tempfile::tempdir().unwrap();
        let (template, store) = (folder.path().join("template"), folder.path().join("store"));
        std::fs::write(&template, "keys").unwrap();
        let firmware = Firmware::Uefi(Uefi {
            code: "code".into(),
            variables: Variables::Forgotten(template.clone()),
            secure_boot: false,
        });
        let kept = firmware.clone().keeping(&store).unwrap();
        let Firmware::Uefi(uefi) = &kept else { panic!("{kept:?}") };
        assert_eq!(uefi.variables, Variables::Kept(store.clone()));
        assert_eq!(std::fs::read(&store).unwrap(), b"keys");
        std::fs::write(&store, "changed").unwrap();
        firmware.keeping(&store).unwrap();
        assert_eq!(std::fs::read(&store).unwrap(), b"changed");
        std::fs::remove_file(&template).unwrap();
        assert!(Firmware::Bios.keeping(&template).unwrap() == Firmware::Bios && !template.exists());
    }
}
