//! What lets the image boot from a disk or USB stick as well ("isohybrid"): the boot code of an MBR for BIOS, and a GPT
//! with the ESP for UEFI. `dd` of the image is all that it takes.
//!
//! The code is syslinux' `isohdpfx.bin` (432 bytes); the 8 bytes behind it say which 512-byte block `isolinux.bin` begins at.
//! The partitions are: the image from its volume descriptors up to the ESP, so that nothing takes that for free space, and
//! the ESP. The first is of type "Linux data": Windows offers to format "basic data" partitions that it cannot read. It
//! cannot be mounted; the whole disk can, and boot loaders and Linux look for a file system there first.
//!
//! The MBR is a protective one, with an additional unused but active row ([`gpt::protective_mbr`]). A second MBR partition
//! that repeats the ESP, as isohybrid makes it, would keep Linux and partition tools from reading the GPT as intended.
//!
//! On a CD, whose blocks have 2048 bytes, nobody finds the GPT, and firmware goes by El Torito.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{Lba, Plan, SECTOR_BYTES, SYSTEM_AREA_SECTORS};
use crate::gpt::{self, Guid, Partition, Table};
use crate::tree::show;

const CODE_BYTES: usize = 432;
/// Where isolinux has the mark that it can be started by this MBR, and the mark (syslinux `core/isolinux.asm`).
const MARK_AT: usize = 64;
const MARK: [u8; 4] = 0x7078_c0fb_u32.to_le_bytes();
/// Bytes that the backup of the partition table takes at the end of an image: it has to be the last of the disk.
pub(super) const TAIL_BYTES: usize = (gpt::TABLE_BLOCKS * gpt::BLOCK_BYTES) as usize;

/// What makes an image boot from a disk.
#[derive(Debug, Clone)]
pub struct Hybrid {
    /// Boot code for BIOS: `isohdpfx.bin`.
    pub code: Bytes,
    /// File of the tree that it starts: `isolinux.bin`.
    pub boot_path: Vec<u8>,
}

/// The bytes that depend on all others.
pub(super) struct Made {
    /// MBR and primary partition table.
    pub(super) system_area: Vec<u8>,
    /// Everything behind the last file: the backup, up to the end.
    pub(super) tail: Vec<u8>,
}

/// Makes them for a plan whose files end at `end`. GUIDs and signature come from the content.
pub(super) fn make(hybrid: &Hybrid, plan: &Plan, esp: Option<Lba>, end: Lba) -> Result<Made> {
    let Hybrid { code, boot_path } = hybrid;
    ensure!(code.len() <= CODE_BYTES, "MBR code has {} bytes, at most {CODE_BYTES} fit", code.len());
    let lba = plan.file(boot_path).with_context(|| format!("{} is not in the ISO image", show(boot_path)))?;
    let image = plan.contents().find(|&(offset, content)| offset == lba.byte_offset() && !content.is_empty());
    ensure!(
        image.and_then(|(_, content)| content.get(MARK_AT..MARK_AT + 4)) == Some(&MARK),
        "{} cannot be started from an MBR: it lacks the mark {MARK:02x?} at byte {MARK_AT}",
        show(boot_path)
    );
    let mut code = code.to_vec();
    code.resize(CODE_BYTES, 0);
    code.extend(lba.block_512().to_le_bytes());

    let digest = digest(plan);
    let table = table(&digest, Lba(plan.sectors()), esp, end);
    // Never zero, which would mean "none".
    let signature = [digest[0] | 1, digest[1], digest[2], digest[3]];
    let mut system_area = gpt::protective_mbr(&code, signature, table.blocks, true)?.to_vec();
    system_area.extend(table.primary()?);
    let backup = table.backup()?;
    let mut tail = vec![0; TAIL_BYTES.next_multiple_of(SECTOR_BYTES) - backup.len()];
    tail.extend(backup);
    Ok(Made { system_area, tail })
}

fn table(digest: &[u8], size: Lba, esp: Option<Lba>, end: Lba) -> Table {
    let partition = |name: &str, kind: Guid, first: Lba, end: Lba, attributes: u64| Partition {
        kind,
        id: Guid::derived(digest, name),
        first: first.block_512(),
        blocks: end.block_512() - first.block_512(),
        attributes,
        name: name.to_owned(),
    };
    let only_here = Partition::READ_ONLY | Partition::NO_AUTOMOUNT;
    let data = partition("ISO 9660", Guid::LINUX_DATA, Lba(SYSTEM_AREA_SECTORS), esp.unwrap_or(end), only_here);
    let mut partitions = vec![data];
    partitions.extend(esp.map(|esp| partition("ESP", Guid::ESP, esp, end, 0)));
    Table { disk: Guid::derived(digest, "disk"), blocks: size.block_512(), partitions }
}

/// Differs when the content does.
fn digest(plan: &Plan) -> Vec<u8> {
    let mut hash = Sha256::new();
    for (offset, content) in plan.contents() {
        hash.update(offset.to_le_bytes());
        hash.update(content);
    }
    hash.finalize().to_vec()
}
