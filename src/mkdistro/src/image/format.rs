//! The formats of outputs. A new one is a variant here and a file with its [`Writer`]: all else follows from these two.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Error, Result};
use serde::{Deserialize, Serialize};

use super::compose::{Composed, Finished};
use super::{disk, iso, kernel, oci, pxe, uki};
use crate::config::{Checked, Place};
use crate::problem::{Class, Problem};

/// What an image is for: how a machine gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// CD and USB stick.
    Iso,
    /// Kernel, initramfs and command line, for what starts these without a boot loader.
    Kernel,
    /// What a network boot server serves.
    Pxe,
    /// One EFI program.
    Uki,
    /// A raw disk with a partition for data.
    Disk,
    /// The same for QEMU.
    Qcow2,
    /// The same for VMware and VirtualBox.
    Vmdk,
    /// The same for Hyper-V and Azure.
    Vhd,
    /// The same as a machine that VirtualBox and VMware import.
    Ova,
    /// The userland without a kernel, as a container image.
    Oci,
}

/// What there is to know of a format.
pub(super) struct Writer {
    /// Its name in distro.toml and on the command line.
    pub(super) name: &'static str,
    /// Ends the name of its file or folder, after a dot.
    pub(super) suffix: &'static str,
    /// What messages call it.
    pub(super) title: &'static str,
    /// What it holds besides kernel and initramfs, in words.
    pub(super) rest: &'static str,
    /// The folders that its files go into, relative to its own, that one first (`""`); none if it is a file.
    pub(super) folders: &'static [&'static str],
    /// Writes it to a file, or files into its folders, which are there.
    pub(super) write: fn(&Composed<'_>, &Path) -> Result<Vec<Finished>>,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Iso,
        Self::Kernel,
        Self::Pxe,
        Self::Uki,
        Self::Disk,
        Self::Qcow2,
        Self::Vmdk,
        Self::Vhd,
        Self::Ova,
        Self::Oci,
    ];

    pub(super) fn writer(self) -> &'static Writer {
        match self {
            Self::Iso => &iso::WRITER,
            Self::Kernel => &kernel::WRITER,
            Self::Pxe => &pxe::WRITER,
            Self::Uki => &uki::WRITER,
            Self::Disk => &disk::DISK,
            Self::Qcow2 => &disk::QCOW2,
            Self::Vmdk => &disk::VMDK,
            Self::Vhd => &disk::VHD,
            Self::Ova => &disk::OVA,
            Self::Oci => &oci::WRITER,
        }
    }

    /// Its name in distro.toml and on the command line.
    pub fn name(self) -> &'static str {
        self.writer().name
    }

    /// What ends the name of its file or folder, after a dot.
    pub fn suffix(self) -> &'static str {
        self.writer().suffix
    }

    /// Whether the guest finds what is beside the root on it.
    pub fn is_medium(self) -> bool {
        matches!(self, Self::Iso | Self::Disk | Self::Qcow2 | Self::Vmdk | Self::Vhd | Self::Ova)
    }

    /// Whether a machine boots it.
    pub fn boots(self) -> bool {
        self != Self::Oci
    }

    /// Whether it is a folder of files.
    pub fn is_folder(self) -> bool {
        !self.writer().folders.is_empty()
    }
}

impl fmt::Display for Format {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|format| format.name()).collect();
            let message = format!("expected one of {}, found {name:?}", names.join(", "));
            Problem::error(Class::Config, message, crate::nearest::did_you_mean(name, names))
        })
    }
}

/// Refuses formats that have no room for the container images that a project wants. In a layer the store of the root would
/// be taken for whiteouts.
///
/// # Errors
/// Class `Config`: there is one.
pub fn check_images(checked: &Checked, targets: &[Target]) -> Result<()> {
    let container = targets.iter().find(|target| !target.format.boots());
    if container.is_some() && (checked.distro.has_images(Place::Medium) || checked.distro.has_images(Place::Root)) {
        let message = format!("distro.toml: images: \"{}\" has no container images of its own", Format::Oci);
        return Err(Problem::error(Class::Config, message, "build another format, or a flavour without [[images]]"));
    }
    let other = targets.iter().find(|target| !target.format.is_medium());
    let Some(target) = other.filter(|_| checked.distro.has_images(Place::Medium)) else { return Ok(()) };
    let message = format!("distro.toml: images: where = \"medium\" needs a medium, which \"{}\" is not", target.format);
    Err(Problem::error(Class::Config, message, "write where = \"root\", or build an ISO or a disk"))
}

/// A format and where it goes: a file, or a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The format.
    pub format: Format,
    /// The place.
    pub path: PathBuf,
}

impl Target {
    /// Where the formats of a build go whose output was named `output`: each to that name with its own suffix in place of
    /// a format's suffix. A single one goes to the very name, unless that ends in another format's suffix.
    pub fn all(formats: &[Format], output: &Path) -> Vec<Self> {
        let name = output.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let base = Format::ALL.iter().find_map(|format| name.strip_suffix(format.suffix())?.strip_suffix('.'));
        let base = base.filter(|base| !base.is_empty());
        let mut targets: Vec<Self> = Vec::new();
        for &format in formats {
            if targets.iter().any(|target| target.format == format) {
                continue;
            }
            let path = match base {
                None if formats.len() == 1 => output.to_path_buf(),
                _ => output.with_file_name(format!("{}.{}", base.unwrap_or(name), format.suffix())),
            };
            targets.push(Self { format, path });
        }
        targets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_differ() {
        for format in Format::ALL {
            assert_eq!(format.name().parse::<Format>().unwrap(), format);
            let text = serde_json::to_string(&format).unwrap();
            assert_eq!(text, format!("\"{format}\""), "distro.toml and the command line spell it alike");
            let alike = |other: &&Format| other.suffix() == format.suffix() || other.name() == format.name();
            assert_eq!(Format::ALL.iter().filter(alike).count(), 1, "{format}");
        }
        let error = "kernal".parse::<Format>().unwrap_err();
        assert!(error.to_string().starts_with("expected one of iso, kernel"), "{error}");
        assert_eq!(error.downcast_ref::<Problem>().unwrap().hint, "did you mean \"kernel\"?");
    }

    #[test]
    fn outputs_are_named_alike() {
        use Format::{Iso, Kernel};
        for (formats, output, expected) in [
            (&[Iso][..], "out.iso", &["out.iso"][..]),
            (&[Iso], "/x/box", &["/x/box"]),
            (&[Iso], "box-1.2", &["box-1.2"]),
            (&[Iso], "box.kernel", &["box.iso"]),
            (&[Kernel], "out.iso", &["out.kernel"]),
            (&[Kernel], "folder", &["folder"]),
            (&[Iso, Kernel], "out.iso", &["out.iso", "out.kernel"]),
            (&[Kernel, Iso, Kernel], "a/out.iso", &["a/out.kernel", "a/out.iso"]),
            (&[Iso, Kernel], "box-1.2", &["box-1.2.iso", "box-1.2.kernel"]),
            (&[Iso, Kernel], ".iso", &[".iso.iso", ".iso.kernel"]),
        ] {
            let targets = Target::all(formats, Path::new(output));
            let paths: Vec<&str> = targets.iter().map(|target| target.path.to_str().unwrap()).collect();
            assert_eq!(paths, expected, "{formats:?} {output}");
        }
    }
}
