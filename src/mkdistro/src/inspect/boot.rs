//! How an image starts: El Torito, MBR, GPT, boot menus.

use anyhow::Result;
use formats::gpt::{self, BLOCK_BYTES, Guid};
use formats::iso9660::{Image, Lba};
use serde::Serialize;

use super::Layer;
use crate::image::megabytes;

/// Boot menus that are looked for, with the words that begin an entry, a title, a kernel and its command line.
const MENU: &str = "isolinux/isolinux.cfg";

/// One entry of a boot menu.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "kebab-case")]
pub struct MenuEntry {
    /// What the user types.
    pub label: String,
    /// What the menu shows; may be empty.
    pub title: String,
    /// Path of the kernel.
    pub kernel: String,
    /// Its command line.
    pub command_line: String,
}

/// One line for each entry of the boot catalog.
pub(super) fn el_torito(image: &Image) -> Vec<String> {
    let line = |boot: &formats::iso9660::BootImage| {
        let platform = match boot.platform {
            0 => "BIOS".to_string(),
            0xef => "UEFI".to_string(),
            other => format!("platform {other:#04x}"),
        };
        let file = image.entries.iter().find(|entry| entry.lba == boot.lba && entry.lba != Lba(0) && entry.size > 0);
        let file = file.map_or_else(|| boot.lba.to_string(), |entry| formats::tree::show(&entry.path));
        let state = if boot.is_bootable { "" } else { ", not bootable" };
        format!("{platform} {file}{state}")
    };
    image.boot.iter().map(line).collect()
}

/// The partitions of a master boot record: four rows of 16 bytes at byte 446, each with type at 4, first 512-byte block at
/// 8 and number of blocks at 12, little-endian; 0x55 0xAA at byte 510.
pub(super) fn mbr(bytes: &[u8]) -> Option<String> {
    let sector = bytes.get(..512).filter(|sector| sector.ends_with(&[0x55, 0xaa]))?;
    let rows = sector[446..510].as_chunks::<16>().0.iter().filter(|row| row[4] != 0);
    let number = |row: &[u8; 16], at: usize| u32::from_le_bytes([row[at], row[at + 1], row[at + 2], row[at + 3]]);
    let shown = rows.map(|row| {
        let active = if row[0] == 0x80 { ", active" } else { "" };
        format!("type {:#04x} of {} blocks at {}{active}", row[4], number(row, 12), number(row, 8))
    });
    let shown: Vec<String> = shown.collect();
    Some(if shown.is_empty() { "no partitions".to_string() } else { shown.join("; ") })
}

/// One line for each partition of a GUID partition table.
///
/// # Errors
/// If the table is damaged.
pub(super) fn partitions(bytes: &[u8]) -> Result<Vec<String>> {
    let Some(table) = gpt::read(bytes)? else { return Ok(Vec::new()) };
    let line = |partition: &gpt::Partition| {
        let kind = match partition.kind {
            Guid::ESP => "EFI system".to_owned(),
            Guid::LINUX_DATA => "Linux data".to_owned(),
            Guid(contract::data_partition::TYPE) => "data".to_owned(),
            other => other.to_string(),
        };
        let gpt::Partition { name, first, blocks, id, .. } = partition;
        let size = megabytes(blocks.saturating_mul(BLOCK_BYTES));
        format!("{name:?}, {kind}, {size} at block {first}, {id}")
    };
    Ok(table.partitions.iter().map(line).collect())
}

/// The entries of an image's boot menu; syslinux' `doc/menu.txt` and `doc/syslinux.txt` have the syntax.
pub(super) fn menu(layer: &Layer) -> Vec<MenuEntry> {
    let Ok(Some(text)) = layer.text(MENU) else { return Vec::new() };
    let mut entries: Vec<MenuEntry> = Vec::new();
    for line in text.lines().map(str::trim) {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        let word = word.to_ascii_uppercase();
        if word == "LABEL" {
            entries.push(MenuEntry { label: rest.into(), ..MenuEntry::default() });
        }
        let Some(entry) = entries.last_mut() else { continue };
        match (word.as_str(), rest.split_once(char::is_whitespace)) {
            ("MENU", Some((word, title))) if word.eq_ignore_ascii_case("LABEL") => entry.title = title.trim().into(),
            ("LINUX" | "KERNEL", _) => entry.kernel = rest.into(),
            ("APPEND", _) => entry.command_line = rest.into(),
            _ => {}
        }
    }
    entries
}
