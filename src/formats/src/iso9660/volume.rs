//! Volume descriptors, to write: the primary one (8.4) and the terminator (8.3). Numbers "in both orders" are
//! little-endian, then big-endian.

use anyhow::{Result, ensure};

use super::fields::{NO_VOLUME_DATE, both_u16, both_u32, volume_date};
use super::{Lba, Options, SECTOR_BYTES};

/// What the primary volume descriptor says about places.
pub(super) struct Places {
    pub(super) sectors: u32,
    pub(super) path_table_bytes: u32,
    pub(super) path_table_l: Lba,
    pub(super) path_table_m: Lba,
    /// Directory record of the root, 34 bytes.
    pub(super) root_record: Vec<u8>,
}

/// Primary volume descriptor. Offset, size in bytes, field:
///
/// | at  | size | field                                 | at  | size | field                                  |
/// |-----|------|---------------------------------------|-----|------|----------------------------------------|
/// | 0   | 7    | type 1, `CD001`, version 1            | 156 | 34   | directory record of the root           |
/// | 8   | 32   | system identifier, empty              | 190 | 128  | volume set identifier                  |
/// | 40  | 32   | volume identifier                     | 318 | 128  | publisher                              |
/// | 80  | 8    | sectors of the volume, both orders    | 446 | 128  | data preparer, empty                   |
/// | 120 | 4    | volumes in the set, both orders       | 574 | 128  | application                            |
/// | 124 | 4    | number in the set, both orders        | 702 | 111  | three file identifiers, empty          |
/// | 128 | 4    | block size in bytes, both orders      | 813 | 17   | time of creation                       |
/// | 132 | 8    | path table size, bytes, both orders   | 830 | 17   | time of modification                   |
/// | 140 | 4    | path table L, sector, little-endian   | 847 | 17   | time of expiry, none                   |
/// | 148 | 4    | path table M, sector, big-endian      | 864 | 17   | effective from, none                   |
/// | 144, 152 | 4 | second copies, none                 | 881 | 1    | file structure version 1               |
pub(super) fn primary(options: &Options, places: &Places) -> Vec<u8> {
    let mut sector = vec![0; SECTOR_BYTES];
    let mut put = |at: usize, bytes: &[u8]| sector[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"\x01CD001\x01");
    put(8, &padded::<32>(""));
    put(40, &padded::<32>(&options.volume_id));
    put(80, &both_u32(places.sectors));
    put(120, &both_u16(1));
    put(124, &both_u16(1));
    put(128, &both_u16(SECTOR_BYTES as u16));
    put(132, &both_u32(places.path_table_bytes));
    put(140, &places.path_table_l.0.to_le_bytes());
    put(148, &places.path_table_m.0.to_be_bytes());
    put(156, &places.root_record);
    put(190, &padded::<128>(&options.volume_set_id));
    put(318, &padded::<128>(&options.publisher));
    put(446, &padded::<128>(""));
    put(574, &padded::<128>(&options.application_id));
    put(702, &padded::<111>(""));
    put(813, &volume_date(options.mtime));
    put(830, &volume_date(options.mtime));
    put(847, &NO_VOLUME_DATE);
    put(864, &NO_VOLUME_DATE);
    put(881, &[1]);
    sector
}

/// Volume descriptor set terminator.
pub(super) fn terminator() -> Vec<u8> {
    let mut sector = vec![0; SECTOR_BYTES];
    sector[..7].copy_from_slice(b"\xffCD001\x01");
    sector
}

/// Refuses texts that do not fit their fields. Small letters are let through, as by all writers: Linux shows a volume
/// identifier as it is.
pub(super) fn check_texts(options: &Options) -> Result<()> {
    let texts = [
        ("volume id", &options.volume_id, 32),
        ("volume set id", &options.volume_set_id, 128),
        ("publisher", &options.publisher, 128),
        ("application id", &options.application_id, 128),
    ];
    for (what, text, max) in texts {
        ensure!(text.len() <= max, "{what} {text:?} of an ISO image has {} bytes, at most {max} fit", text.len());
        ensure!(
            text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()),
            "{what} {text:?} of an ISO image: expected printable ASCII"
        );
    }
    ensure!(!options.volume_id.is_empty(), "volume id of an ISO image is empty");
    Ok(())
}

fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut field = [b' '; N];
    for (to, from) in field.iter_mut().zip(text.bytes()) {
        *to = from;
    }
    field
}
