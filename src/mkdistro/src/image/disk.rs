//! `disk`, `qcow2`, `vmdk`, `vhd`, `ova`: a disk that boots, with a partition for data, in the formats of virtual machines.
//!
//! It begins with the very bytes of the ISO, which boots from disks by BIOS and UEFI anyhow: so there is no second boot loader,
//! and the ISO's menu, kernel and initramfs are the disk's. Only the partition table is made anew: that of the ISO, and from
//! the next MiB on to the disk's last one the data partition, empty ([`contract::data_partition`]). ISO 9660 knows its own
//! size, so it does not mind what follows.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use bytes::Bytes;
use contract::data_partition::{ALIGNMENT_BYTES, TYPE};
use formats::disk::{Disk, ova, qcow2, raw, vhd, vmdk};
use formats::gpt::{self, BLOCK_BYTES, Guid, Partition, TABLE_BLOCKS, Table};

use super::compose::{Composed, Finished};
use super::format::Writer;
use super::iso;
use crate::problem::{Class, Problem};

/// The least that is worth being a data partition.
const LEAST_DATA_BYTES: u64 = 64 << 20;
/// Memory of the machine that an OVA describes.
const OVA_MEMORY_MIB: u32 = 512;

pub(super) const DISK: Writer =
    Writer { name: "disk", suffix: "img", title: "the disk", rest: REST, folders: &[], write: write_raw };
pub(super) const QCOW2: Writer =
    Writer { name: "qcow2", suffix: "qcow2", title: "the QEMU disk", rest: REST, folders: &[], write: write_qcow2 };
pub(super) const VMDK: Writer =
    Writer { name: "vmdk", suffix: "vmdk", title: "the VMware disk", rest: REST, folders: &[], write: write_vmdk };
pub(super) const VHD: Writer =
    Writer { name: "vhd", suffix: "vhd", title: "the Hyper-V disk", rest: REST, folders: &[], write: write_vhd };
pub(super) const OVA: Writer =
    Writer { name: "ova", suffix: "ova", title: "the appliance", rest: REST, folders: &[], write: write_ova };
const REST: &str = "boot loader and data partition";

/// Whether an image that begins as an ISO does is a disk with a data partition.
pub fn is_disk(bytes: &[u8]) -> bool {
    let table = gpt::read(bytes).ok().flatten();
    table.is_some_and(|table| table.partitions.iter().any(|partition| partition.kind == Guid(TYPE)))
}

/// A disk and bytes that differ when its content does.
#[derive(Debug)]
pub(super) struct BootDisk {
    disk: Disk,
    id: [u8; 16],
}

impl BootDisk {
    /// From the project's ISO, which is written to an unnamed file.
    pub(super) fn make(composed: &Composed<'_>) -> Result<Self> {
        let plan = iso::plan(composed)?;
        let image = composed.unnamed(|out| plan.write(out))?;
        let distro = &composed.checked.distro;
        Self::lay_out(&image, distro.output.disk_size.bytes(), &distro.data.label)
    }

    /// The boot image, and behind it the data partition with this name.
    fn lay_out(boot: &Bytes, size_bytes: u64, label: &str) -> Result<Self> {
        let head = boot.get(..BLOCK_BYTES as usize).context("the ISO has no MBR")?;
        let (code, signature) = head.split_at(440);
        let signature: [u8; 4] = signature.first_chunk().copied().unwrap_or_default();
        let Table { disk: seed, mut partitions, .. } =
            gpt::read(boot)?.context("the ISO has no GUID partition table")?;
        let first = (boot.len() as u64).next_multiple_of(ALIGNMENT_BYTES);
        let end = size_bytes.saturating_sub(TABLE_BLOCKS * BLOCK_BYTES) / ALIGNMENT_BYTES * ALIGNMENT_BYTES;
        if end < first + LEAST_DATA_BYTES {
            return Err(Problem::error(
                Class::Config,
                format!("a disk of {} MiB is too small: {} MiB boot", size_bytes >> 20, first >> 20),
                format!("set output.disk-size to {}MiB or more", (first + LEAST_DATA_BYTES + ALIGNMENT_BYTES) >> 20),
            ));
        }
        partitions.push(Partition {
            kind: Guid(TYPE),
            id: Guid::derived(&seed.0, "data partition"),
            first: first / BLOCK_BYTES,
            blocks: (end - first) / BLOCK_BYTES,
            attributes: 0,
            name: label.into(),
        });
        let disk = Guid::derived(&seed.0, &format!("disk of {size_bytes} bytes"));
        let table = Table { disk, blocks: size_bytes / BLOCK_BYTES, partitions };
        let mut start = gpt::protective_mbr(code, signature, table.blocks, true)?.to_vec();
        start.extend(table.primary()?);
        let backup = table.backup()?;

        let mut disk = Disk::new(size_bytes)?;
        // The ISO's own tables, at its start and end, are left out.
        let content = start.len()..boot.len() - backup.len();
        disk.put(content.start as u64, boot.slice(content))?;
        disk.put(0, start.into())?;
        disk.put(size_bytes - backup.len() as u64, backup.into())?;
        Ok(Self { disk, id: table.disk.0 })
    }
}

fn one(path: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> Result<()>) -> Result<Vec<Finished>> {
    let file = Finished::new(path, |file| {
        let mut out = BufWriter::with_capacity(1 << 20, file);
        write(&mut out)?;
        Ok(out.flush()?)
    })?;
    Ok(vec![file])
}

fn write_raw(composed: &Composed<'_>, path: &Path) -> Result<Vec<Finished>> {
    let boot = composed.boot_disk()?;
    one(path, |out| raw::write(&boot.disk, out))
}

fn write_qcow2(composed: &Composed<'_>, path: &Path) -> Result<Vec<Finished>> {
    let boot = composed.boot_disk()?;
    one(path, |out| qcow2::write(&boot.disk, out))
}

fn write_vmdk(composed: &Composed<'_>, path: &Path) -> Result<Vec<Finished>> {
    let boot = composed.boot_disk()?;
    // Not the output's name, so that the content does not depend on it.
    let name = format!("{}.vmdk", composed.checked.distro.distro.name);
    one(path, |out| vmdk::write(&boot.disk, &vmdk::Options { name: &name, id: boot.id }, out))
}

fn write_vhd(composed: &Composed<'_>, path: &Path) -> Result<Vec<Finished>> {
    let boot = composed.boot_disk()?;
    one(path, |out| vhd::write(&boot.disk, boot.id, out))
}

fn write_ova(composed: &Composed<'_>, path: &Path) -> Result<Vec<Finished>> {
    let boot = composed.boot_disk()?;
    let identity = &composed.checked.distro.distro;
    let appliance = ova::Appliance {
        name: &identity.name,
        version: &identity.version,
        memory_mib: OVA_MEMORY_MIB,
        disk_bytes: boot.disk.size_bytes(),
    };
    let options = vmdk::Options { name: &ova::vmdk_name(&appliance), id: boot.id };
    let vmdk = composed.unnamed(|out| vmdk::write(&boot.disk, &options, out))?;
    one(path, |out| ova::write(&appliance, &vmdk, composed.mtime, out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::exit_code;

    /// A boot image of 3 MiB and 2 KiB with an EFI partition, as the ISO is.
    fn boot_image() -> Bytes {
        let size = (3 << 20) + 2048;
        let mut bytes: Vec<u8> = (0..size).map(|at| (at / 512) as u8 | 1).collect();
        let blocks = size as u64 / BLOCK_BYTES;
        let esp = Partition {
            kind: Guid::ESP,
            id: Guid::derived(b"x", "esp"),
            first: 2048,
            blocks: 2048,
            attributes: 0,
            name: "EFI".into(),
        };
        let table = Table { disk: Guid::derived(b"x", "disk"), blocks, partitions: vec![esp] };
        bytes[..512].copy_from_slice(&gpt::protective_mbr(&[0x90; 440], [1, 2, 3, 4], blocks, true).unwrap());
        let (primary, backup) = (table.primary().unwrap(), table.backup().unwrap());
        bytes[512..512 + primary.len()].copy_from_slice(&primary);
        bytes[size - backup.len()..].copy_from_slice(&backup);
        bytes.into()
    }

    fn disk(size_bytes: u64) -> Vec<u8> {
        let boot = BootDisk::lay_out(&boot_image(), size_bytes, "boot2podman-data").unwrap();
        let mut out = std::io::Cursor::new(Vec::new());
        raw::write(&boot.disk, &mut out).unwrap();
        out.into_inner()
    }

    #[test]
    fn the_boot_image_comes_first_and_data_fills_the_rest() {
        let size = 100 << 20;
        let bytes = disk(size);
        assert_eq!(bytes.len() as u64, size);
        let table = gpt::read(&bytes).unwrap().unwrap();
        let image = boot_image();
        let before = gpt::read(&image).unwrap().unwrap();
        assert!(is_disk(&bytes) && !is_disk(&image) && !is_disk(&[]));
        assert_eq!(table.partitions[0], before.partitions[0]);
        assert_ne!(table.disk, before.disk);
        let data = &table.partitions[1];
        assert_eq!((data.kind, data.name.as_str()), (Guid(TYPE), "boot2podman-data"));
        assert_eq!((data.first, data.blocks), (4 * 2048, 95 * 2048));
        assert_eq!(bytes[..444], image[..444], "boot code and signature");
        let content = 34 * 512..image.len() - 33 * 512;
        assert_eq!(bytes[content.clone()], image[content.clone()]);
        assert!(bytes[content.end..bytes.len() - 33 * 512].iter().all(|byte| *byte == 0));
        assert_ne!(gpt::read(&disk(size + (1 << 20))).unwrap().unwrap().disk, table.disk);
    }

    #[test]
    fn partition_tools_find_nothing_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk.img");
        std::fs::write(&path, disk(100 << 20)).unwrap();
        let output = std::process::Command::new("/usr/sbin/sgdisk").arg("-v").arg(&path).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("No problems found"), "{text}");
    }

    #[test]
    fn a_disk_without_room_for_data_is_refused() {
        for size in [1 << 20, 3 << 20, 68 << 20] {
            let error = BootDisk::lay_out(&boot_image(), size, "x").unwrap_err();
            assert_eq!(error.to_string(), format!("a disk of {} MiB is too small: 4 MiB boot", size >> 20));
            assert_eq!(exit_code(&error), contract::exit::CONFIG);
            assert_eq!(error.downcast_ref::<Problem>().unwrap().hint, "set output.disk-size to 69MiB or more");
        }
        BootDisk::lay_out(&boot_image(), 69 << 20, "x").unwrap();
    }
}
