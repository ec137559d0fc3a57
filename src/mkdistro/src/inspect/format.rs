//! The formats: how each is recognised and read.

use anyhow::{Context, Result};
use bytes::Bytes;
use formats::cpio;
use serde::Serialize;

use super::{Layer, container, elf, kernel, lock, oci, uki};
use crate::kernel::bzimage;

/// A format that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// ISO 9660 with El Torito.
    Iso,
    /// One or more cpio archives.
    Initramfs,
    /// A SquashFS.
    Squashfs,
    /// A Debian package.
    Deb,
    /// A Linux kernel for x86.
    Kernel,
    /// A unified kernel image: an EFI program with kernel and initramfs.
    Uki,
    /// A program, library or kernel module.
    Elf,
    /// packages/lock.toml.
    Lock,
    /// A container image: an OCI layout in a tar.
    Oci,
    /// The layer of one: a tar, compressed by gzip.
    OciLayer,
}

/// How a format is recognised and read.
struct Reader {
    format: Format,
    is: fn(&[u8]) -> bool,
    read: fn(&Bytes) -> Result<Layer>,
}

/// The most particular marks first.
const READERS: [Reader; 10] = [
    Reader { format: Format::Iso, is: |bytes| at(bytes, 32769, b"CD001"), read: container::iso },
    Reader { format: Format::Squashfs, is: |bytes| at(bytes, 0, b"hsqs"), read: container::squashfs },
    Reader { format: Format::Deb, is: |bytes| at(bytes, 0, b"!<arch>\ndebian-binary"), read: container::deb },
    Reader { format: Format::Kernel, is: bzimage::is_kernel, read: kernel::read },
    Reader { format: Format::Uki, is: uki::is_uki, read: uki::read },
    Reader { format: Format::Elf, is: |bytes| at(bytes, 0, b"\x7fELF"), read: elf::read },
    Reader { format: Format::Initramfs, is: cpio::is_initramfs, read: container::initramfs },
    Reader { format: Format::Oci, is: oci::is_image, read: oci::image },
    Reader { format: Format::OciLayer, is: oci::is_layer, read: oci::layer },
    Reader { format: Format::Lock, is: lock::is_lock, read: lock::read },
];

fn at(bytes: &[u8], offset: usize, magic: &[u8]) -> bool {
    bytes.get(offset..).is_some_and(|rest| rest.starts_with(magic))
}

impl Format {
    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Iso => "ISO 9660 image",
            Self::Initramfs => "initramfs",
            Self::Squashfs => "SquashFS",
            Self::Deb => "Debian package",
            Self::Kernel => "Linux kernel",
            Self::Uki => "unified kernel image",
            Self::Elf => "ELF file",
            Self::Lock => "lock",
            Self::Oci => "container image",
            Self::OciLayer => "layer of a container image",
        }
    }

    /// The name of a [`super::Part`] of this format, for those that an image is made of.
    pub(super) fn part(self) -> Option<&'static str> {
        match self {
            Self::Iso => Some("iso"),
            Self::Initramfs => Some("initramfs"),
            Self::Squashfs | Self::OciLayer => Some("root"),
            Self::Oci => Some("oci"),
            Self::Kernel => Some("kernel"),
            Self::Uki => Some("uki"),
            Self::Deb | Self::Elf | Self::Lock => None,
        }
    }
}

/// The format of a file, by its first bytes.
pub fn recognise(bytes: &[u8]) -> Option<Format> {
    READERS.iter().find(|reader| (reader.is)(bytes)).map(|reader| reader.format)
}

/// Reads a file of a known format.
///
/// # Errors
/// If it is damaged; None if the format is not known.
pub fn open(bytes: &Bytes) -> Result<Option<Layer>> {
    let Some(reader) = READERS.iter().find(|reader| (reader.is)(bytes)) else { return Ok(None) };
    (reader.read)(bytes).map(Some).with_context(|| format!("reading the {}", reader.format.name()))
}
