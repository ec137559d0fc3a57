//! Labels of volumes that may hold a document: ISO 9660 and FAT.

use std::io::{Read, Seek};

use crate::iso9660::{Descriptor, read_at};

/// A file system and its label, upper case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Volume {
    /// The kernel's driver.
    pub(crate) driver: &'static str,
    pub(crate) label: String,
}

/// What volume this is; `None` if it is none of these, or without a label.
pub(crate) fn recognize(device: &mut (impl Read + Seek)) -> std::io::Result<Option<Volume>> {
    let iso = Descriptor::read(device)?.and_then(|descriptor| label(descriptor.volume()));
    Ok(match iso {
        Some(label) => Some(Volume { driver: "iso9660", label }),
        None => fat(device)?.map(|label| Volume { driver: "vfat", label }),
    })
}

/// Microsoft's "FAT File System Specification", section 3.1 to 3.3, little endian: bytes per sector at 11 (2), sectors per
/// cluster at 13 (1), reserved sectors at 14 (2), FATs at 16 (1), root entries at 17 (2; 0: FAT32), sectors of a FAT at 22 (2)
/// or, of FAT32, at 36 (4), root cluster at 44 (4); 0x55 0xaa at 510. The label is the root folder's entry with attribute 8
/// (section 7.3), else what the boot sector has at 43 or, of FAT32, at 71.
fn fat(device: &mut (impl Read + Seek)) -> std::io::Result<Option<String>> {
    let sector = read_at(device, 0, 512)?;
    let u16_at = |at: usize| sector.get(at..at + 2).map_or(0, |b| u64::from(b[0]) | u64::from(b[1]) << 8);
    let u32_at = |at: usize| u16_at(at) | u16_at(at + 2) << 16;
    let byte = |at: usize| sector.get(at).map_or(0, |byte| u64::from(*byte));
    let (sector_bytes, fats) = (u16_at(11), byte(16));
    let jump = matches!(sector.first(), Some(0xeb | 0xe9));
    let known =
        [512, 1024, 2048, 4096].contains(&sector_bytes) && byte(13).is_power_of_two() && (1..=2).contains(&fats);
    if !jump || !known || sector.get(510..) != Some(&[0x55, 0xaa]) || u16_at(14) == 0 {
        return Ok(None);
    }
    let wide = u16_at(17) == 0;
    let fat_sectors = if wide { u32_at(36) } else { u16_at(22) };
    let after_fats = u16_at(14) + fats * fat_sectors;
    let root = if wide { after_fats + u32_at(44).saturating_sub(2) * byte(13) } else { after_fats };
    let entries = read_at(device, root.saturating_mul(sector_bytes), 4096)?;
    // Attribute 8 alone: 15 is a piece of a long name.
    let entry = entries
        .chunks_exact(32)
        .take_while(|entry| entry[0] != 0)
        .find(|entry| entry[11] & 0x3f == 8 && entry[0] != 0xe5);
    if let Some(entry) = entry {
        return Ok(label(&entry[..11]));
    }
    let at = if wide { 71 } else { 43 };
    Ok(label(sector.get(at..at + 11).unwrap_or_default()).filter(|label| label != "NO NAME"))
}

fn label(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes).trim_matches([' ', '\0']).to_ascii_uppercase();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::{Volume, recognize};
    use std::io::Cursor;
    use std::process::Command;

    #[test]
    fn reads_labels() {
        let mut iso = vec![0; 20 * 2048];
        iso[16 * 2048..16 * 2048 + 6].copy_from_slice(b"\x01CD001");
        iso[16 * 2048 + 40..16 * 2048 + 72].copy_from_slice(format!("{:<32}", "cidata").as_bytes());
        let found = recognize(&mut Cursor::new(&iso)).unwrap();
        assert_eq!(found, Some(Volume { driver: "iso9660", label: "CIDATA".into() }));
        for bytes in [&b""[..], &[0; 512], &iso[..16 * 2048 + 30]] {
            assert_eq!(recognize(&mut Cursor::new(bytes)).unwrap(), None);
        }
    }

    #[test]
    fn reads_labels_of_foreign_tools() {
        let folder = tempfile::tempdir().unwrap();
        for (bits, kib) in [("12", "1440"), ("16", "20000"), ("32", "40000")] {
            let path = folder.path().join(bits);
            let made = Command::new("mkfs.vfat").args(["-C", "-F", bits, "-n", "CIDATA"]).arg(&path).arg(kib).output();
            let Ok(made) = made else { return };
            assert!(made.status.success(), "{made:?}");
            let found = recognize(&mut std::fs::File::open(&path).unwrap()).unwrap();
            assert_eq!(found, Some(Volume { driver: "vfat", label: "CIDATA".into() }), "FAT{bits}");
        }
    }

    #[test]
    fn fuzz_volume() {
        let mut sector = vec![0; 8192];
        sector[..3].copy_from_slice(&[0xeb, 0x3c, 0x90]);
        sector[11..24].copy_from_slice(&[0, 2, 1, 1, 0, 1, 16, 0, 0, 0, 0, 2, 0]);
        sector[510..512].copy_from_slice(&[0x55, 0xaa]);
        sector[1536..1548].copy_from_slice(b"MKDISTRO   \x08");
        assert_eq!(recognize(&mut Cursor::new(&sector)).unwrap().map(|volume| volume.label), Some("MKDISTRO".into()));
        fuzz::Fuzz::new("fuzz_volume").seed(sector).iterations(600).run(|bytes| {
            let _ = std::hint::black_box(recognize(&mut Cursor::new(bytes)));
        });
    }
}
