//! Number, text and date fields of ECMA-119, to write and to read.

use anyhow::{Result, ensure};

use crate::civil::{Civil, civil};
use crate::view::View;

/// A 16-bit number in both byte orders, 4 bytes (7.2.3).
pub(super) fn both_u16(number: u16) -> [u8; 4] {
    let (little, big) = (number.to_le_bytes(), number.to_be_bytes());
    [little[0], little[1], big[0], big[1]]
}

/// A 32-bit number in both byte orders, 8 bytes (7.3.3).
pub(super) fn both_u32(number: u32) -> [u8; 8] {
    let mut field = [0; 8];
    field[..4].copy_from_slice(&number.to_le_bytes());
    field[4..].copy_from_slice(&number.to_be_bytes());
    field
}

/// Reads a 32-bit number in both byte orders.
pub(super) fn read_both_u32(view: &View, at: usize, what: &str) -> Result<u32> {
    let little = view.u32_le(at, what)?;
    let big = u32::from_be_bytes(view.array(at + 4, what)?);
    ensure!(
        little == big,
        "reading {what} at byte {}: {little} in little-endian order but {big} in big-endian order",
        view.offset(at)
    );
    Ok(little)
}

/// Reads text without its padding; bytes that are not UTF-8 become U+FFFD.
pub(super) fn read_text(view: &View, at: usize, len: usize, what: &str) -> Result<String> {
    let text = String::from_utf8_lossy(view.take(at, len, what)?);
    Ok(text.trim_end_matches([' ', '\0']).to_string())
}

/// Date of a directory record, 7 bytes (9.1.5): years since 1900, month, day, hour, minute, second, offset from UTC.
pub(super) fn record_date(unix_secs: u32) -> [u8; 7] {
    let date = civil(unix_secs);
    [date.year - 1900, date.month, date.day, date.hour, date.minute, date.second, 0].map(|number| number as u8)
}

/// Date of a volume descriptor, 17 bytes (8.4.26.1): 16 digits down to hundredths of a second, offset from UTC.
pub(super) fn volume_date(unix_secs: u32) -> [u8; 17] {
    let Civil { year, month, day, hour, minute, second } = civil(unix_secs);
    let digits = format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}00");
    let mut field = [0; 17];
    field[..16].copy_from_slice(digits.as_bytes());
    field
}

/// A volume date that says "not specified" (8.4.26.1).
pub(super) const NO_VOLUME_DATE: [u8; 17] = *b"0000000000000000\0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_utc() {
        let cases = [
            (0, "1970010100000000"),
            (951_782_399, "2000022823595900"),
            (951_782_400, "2000022900000000"),
            (951_868_800, "2000030100000000"),
            (1_700_000_000, "2023111422132000"),
            (1_735_689_599, "2024123123595900"),
            (1_735_689_600, "2025010100000000"),
            (4_107_542_400, "2100030100000000"),
            (u32::MAX, "2106020706281500"),
        ];
        for (unix_secs, expected) in cases {
            let field = volume_date(unix_secs);
            assert_eq!((std::str::from_utf8(&field[..16]).unwrap(), field[16]), (expected, 0), "{unix_secs}");
        }
        assert_eq!(record_date(1_700_000_000), [123, 11, 14, 22, 13, 20, 0]);
    }

    #[test]
    fn both_orders() {
        assert_eq!(both_u16(0x1234), [0x34, 0x12, 0x12, 0x34]);
        assert_eq!(both_u32(0x1234_5678), [0x78, 0x56, 0x34, 0x12, 0x12, 0x34, 0x56, 0x78]);
        let mut field = both_u32(7);
        assert_eq!(read_both_u32(&View::new(&field), 0, "size").unwrap(), 7);
        field[7] = 8;
        let error = read_both_u32(&View::new(&field), 0, "size").unwrap_err().to_string();
        assert_eq!(error, "reading size at byte 0: 7 in little-endian order but 8 in big-endian order");
    }
}
