//! The planner and the one-pass writer.
//!
//! Order of an image: system area, volume descriptors, path tables, folders, continuation areas, boot catalog, files, boot
//! images for UEFI, backup of the partition table. Files that are inside a boot image too are stored only there.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;

use super::boot::{self, BootEntry};
use super::directory::{Hierarchy, Places};
use super::hybrid::{self, Hybrid};
use super::{Lba, Platform, SECTOR_BYTES, SYSTEM_AREA_SECTORS, volume};
use crate::tree::{Kind, Tree, show};

/// What an image says about itself.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Volume identifier, up to 32 bytes of printable ASCII.
    pub volume_id: String,
    /// Volume set identifier, up to 128 bytes of printable ASCII: what this image has in common with no other.
    pub volume_set_id: String,
    /// Publisher, up to 128 bytes of printable ASCII.
    pub publisher: String,
    /// Application identifier, up to 128 bytes of printable ASCII.
    pub application_id: String,
    /// The one time of everything, in seconds since 1970.
    pub mtime: u32,
    /// Boot images; the first is the default entry of the catalog.
    pub boot: Vec<BootEntry>,
    /// Files that are stored inside another one.
    pub inside: Vec<Inside>,
    /// What makes the image boot from a disk too.
    pub hybrid: Option<Hybrid>,
}

/// A file whose content is a part of another one's, and is not stored again: a program inside an ESP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inside {
    /// The file.
    pub path: Vec<u8>,
    /// The other one.
    pub container: Vec<u8>,
    /// Where it is in that, in bytes; a multiple of a sector.
    pub byte_offset: u64,
}

/// Content with its place.
#[derive(Debug, Clone)]
struct Extent {
    lba: Lba,
    content: Bytes,
}

/// An image whose every byte is decided.
///
/// Behind its last file there is nothing but the backup of a partition table. Other tools append 150 sectors, so that a drive's read-ahead at the end of a
/// burnt CD (track-at-once) does not fail; here nothing is read after the boot loader has the initramfs, and that is
/// read sector by sector through firmware.
#[derive(Debug, Clone)]
pub struct Plan {
    system_area: Vec<u8>,
    /// In ascending order, without overlap.
    extents: Vec<Extent>,
    files: BTreeMap<Vec<u8>, Lba>,
    sectors: u32,
}

/// Sectors between which a boot image for UEFI begins: those of a disk with blocks of 4 KiB.
const ESP_ALIGNMENT: u32 = 2;

/// Decides where everything lies.
///
/// # Errors
/// If the format cannot hold an entry or a text, or a boot image is no file with content.
pub fn plan(tree: &Tree, options: &Options) -> Result<Plan> {
    volume::check_texts(options)?;
    let hierarchy = Hierarchy::build(tree, options.mtime)?;
    let boot_files = boot_files(tree, &hierarchy, options)?;

    let mut cursor = Cursor { next: SYSTEM_AREA_SECTORS };
    let primary = cursor.reserve(SECTOR_BYTES)?;
    let boot_record = if options.boot.is_empty() { None } else { Some(cursor.reserve(SECTOR_BYTES)?) };
    let terminator = cursor.reserve(SECTOR_BYTES)?;
    let path_table_bytes = hierarchy.path_table_bytes();
    let path_table_l = cursor.reserve(path_table_bytes as usize)?;
    let path_table_m = cursor.reserve(path_table_bytes as usize)?;
    let folders: Vec<Lba> =
        hierarchy.folders.iter().map(|folder| cursor.reserve(folder.size as usize)).collect::<Result<_>>()?;
    let continuations = cursor.reserve(hierarchy.continuations.len())?;
    let catalog = cursor.reserve(if options.boot.is_empty() { 0 } else { SECTOR_BYTES })?;
    let file_lbas = place_files(&mut cursor, &hierarchy.files, &boot_files, options)?;
    let esp = options.boot.iter().zip(&boot_files).find(|(entry, _)| entry.platform == Platform::Uefi);
    let end = Lba(cursor.next);
    if options.hybrid.is_some() {
        cursor.reserve(hybrid::TAIL_BYTES)?;
    }
    let sectors = cursor.next;

    let places = Places { folders: &folders, files: &file_lbas, continuations, mtime: options.mtime };
    let volume_places = volume::Places {
        sectors,
        path_table_bytes,
        path_table_l,
        path_table_m,
        root_record: hierarchy.encode_root_record(&places),
    };
    let mut extents = Vec::new();
    let mut put = |lba: Lba, content: Bytes| extents.push(Extent { lba, content });
    put(primary, volume::primary(options, &volume_places).into());
    if let Some(boot_record) = boot_record {
        put(boot_record, boot::descriptor(catalog).into());
    }
    put(terminator, volume::terminator().into());
    put(path_table_l, hierarchy.encode_path_table(&places, false).into());
    put(path_table_m, hierarchy.encode_path_table(&places, true).into());
    for (index, &lba) in folders.iter().enumerate() {
        put(lba, hierarchy.encode_folder(index, &places).into());
    }
    put(continuations, hierarchy.continuations.clone().into());
    let images: Vec<Lba> = boot_files.iter().map(|&index| file_lbas[index]).collect();
    put(catalog, boot::catalog(&options.boot, &images).into());
    for (index, ((path, content), &lba)) in hierarchy.files.iter().zip(&file_lbas).enumerate() {
        if options.inside.iter().any(|inside| inside.path == *path) {
            continue;
        }
        let mut entries = options.boot.iter().zip(&boot_files);
        let has_table = entries.any(|(entry, &file)| file == index && entry.boot_info_table);
        put(lba, if has_table { boot::with_info_table(content, lba, path)?.into() } else { content.clone() });
    }
    extents.sort_by_key(|extent| extent.lba);
    let esp = esp.map(|(_, &index)| file_lbas[index]);
    let files = hierarchy.files.into_iter().map(|(path, _)| path).zip(file_lbas).collect();
    let mut plan = Plan { system_area: Vec::new(), extents, files, sectors };
    if let Some(hybrid) = &options.hybrid {
        let made = hybrid::make(hybrid, &plan, esp, end)?;
        plan.system_area = made.system_area;
        plan.extents.push(Extent { lba: end, content: made.tail.into() });
    }
    Ok(plan)
}

/// A place for each file: small ones first, so that with a medium that was written in part boot loaders and kernel are there
/// to say what is wrong; boot images for UEFI behind all others, so that a partition can hold each; those inside of another
/// one where that has them.
fn place_files(
    cursor: &mut Cursor,
    files: &[(Vec<u8>, Bytes)],
    boot_files: &[usize],
    options: &Options,
) -> Result<Vec<Lba>> {
    let mut lbas = vec![Lba::default(); files.len()];
    let is_esp = |index: usize| {
        let mut entries = options.boot.iter().zip(boot_files);
        entries.any(|(entry, &file)| file == index && entry.platform == Platform::Uefi)
    };
    let inside = |path: &[u8]| options.inside.iter().find(|inside| inside.path == path);
    let mut by_size: Vec<_> = files.iter().enumerate().collect();
    by_size.sort_by_key(|(_, (_, content))| content.len());
    for (index, (path, content)) in by_size {
        if !is_esp(index) && inside(path).is_none() {
            lbas[index] = cursor.reserve(content.len())?;
        }
    }
    for (index, (_, content)) in files.iter().enumerate().filter(|(index, _)| is_esp(*index)) {
        cursor.next = cursor.next.next_multiple_of(ESP_ALIGNMENT);
        lbas[index] = cursor.reserve(content.len())?;
    }
    for inside in &options.inside {
        let find = |path: &[u8]| files.iter().position(|(other, _)| other == path);
        let context = || format!("{} inside {} of an ISO image", show(&inside.path), show(&inside.container));
        let (Some(file), Some(container)) = (find(&inside.path), find(&inside.container)) else {
            bail!("{}: not both of them are files with content", context());
        };
        let content = &files[file].1;
        let at = usize::try_from(inside.byte_offset).with_context(context)?;
        let found = at.checked_add(content.len()).and_then(|end| files[container].1.get(at..end));
        ensure!(found == Some(content), "{}: it is not at byte {at}", context());
        ensure!(at.is_multiple_of(SECTOR_BYTES), "{}: byte {at} is within a sector", context());
        lbas[file] = Lba(lbas[container].0 + (at / SECTOR_BYTES) as u32);
    }
    Ok(lbas)
}

/// The number of each boot entry's file.
fn boot_files(tree: &Tree, hierarchy: &Hierarchy, options: &Options) -> Result<Vec<usize>> {
    let max = boot::MAX_ENTRIES;
    ensure!(options.boot.len() <= max, "{} boot images, at most {max} are possible", options.boot.len());
    let number = |entry: &BootEntry| {
        let found = hierarchy.files.iter().position(|(path, _)| *path == entry.path);
        found.with_context(|| match tree.get(&entry.path).map(|node| &node.kind) {
            None => format!("boot image {} is not in the ISO image", show(&entry.path)),
            Some(Kind::File(_)) => format!("boot image {} is empty", show(&entry.path)),
            Some(_) => format!("boot image {} is no file", show(&entry.path)),
        })
    };
    options.boot.iter().map(number).collect()
}

impl Plan {
    /// Size of the image in sectors.
    pub fn sectors(&self) -> u32 {
        self.sectors
    }

    /// Size of the image in bytes.
    pub fn size_bytes(&self) -> u64 {
        Lba(self.sectors).byte_offset()
    }

    /// Where the content of a file lies; nothing for a file without content.
    pub fn file(&self, path: &[u8]) -> Option<Lba> {
        self.files.get(path).copied()
    }

    /// All content with its offset in bytes, in ascending order, the system area left out.
    pub(super) fn contents(&self) -> impl Iterator<Item = (u64, &Bytes)> {
        self.extents.iter().map(|extent| (extent.lba.byte_offset(), &extent.content))
    }

    /// Writes the image in one pass.
    ///
    /// # Errors
    /// If `out` gives one.
    pub fn write(&self, out: &mut impl Write) -> Result<()> {
        let mut written = self.system_area.len() as u64;
        out.write_all(&self.system_area).context("writing the system area of an ISO image")?;
        let end = (self.size_bytes(), &Bytes::new());
        for (offset, content) in self.contents().chain([end]) {
            let context = || format!("writing an ISO image at byte {written}");
            let Some(gap) = offset.checked_sub(written) else {
                bail!("ISO image: content for byte {offset} comes after byte {written}");
            };
            std::io::copy(&mut std::io::Read::take(std::io::repeat(0), gap), out).with_context(context)?;
            out.write_all(content).with_context(context)?;
            written = offset + content.len() as u64;
        }
        Ok(())
    }
}

/// Gives out sectors in ascending order.
struct Cursor {
    next: u32,
}

impl Cursor {
    fn reserve(&mut self, bytes: usize) -> Result<Lba> {
        let lba = Lba(self.next);
        let sectors = u32::try_from(bytes.div_ceil(SECTOR_BYTES)).ok();
        self.next =
            sectors.and_then(|sectors| self.next.checked_add(sectors)).context("ISO image: more than 2^32 sectors")?;
        Ok(lba)
    }
}
