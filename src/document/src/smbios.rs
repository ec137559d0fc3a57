//! Strings that a hypervisor passes in SMBIOS structures of type 11, "OEM Strings" (DMTF DSP0134 7.12): QEMU's
//! `-smbios type=11,value=…`. The structure table is what the kernel shows as `/sys/firmware/dmi/tables/DMI`.

/// Type of the structures with strings for whoever cares.
const OEM_STRINGS: u8 = 11;
/// Type of the last structure, 7.45 there.
const END_OF_TABLE: u8 = 127;

/// The strings of all structures of type 11, in their order. A table that is cut off gives those before the cut.
///
/// A structure (6.1.2 there) is: type (1 byte), length of the formatted part with this header (1 byte), handle (2 bytes), the
/// rest of the formatted part, then strings that end with NUL each and with one more NUL after the last; two NULs if there
/// are none.
pub fn oem_strings(table: &[u8]) -> Vec<String> {
    let mut out = Vec::new();
    let mut rest = table;
    while let [kind, length, ..] = *rest {
        let Some(area) = rest.get(usize::from(length)..).filter(|_| length >= 4) else { break };
        let Some(end) = area.windows(2).position(|pair| pair == [0, 0]) else { break };
        if kind == OEM_STRINGS {
            let strings = area.get(..end).unwrap_or_default().split(|byte| *byte == 0);
            out.extend(strings.filter(|text| !text.is_empty()).map(|text| String::from_utf8_lossy(text).into_owned()));
        }
        if kind == END_OF_TABLE {
            break;
        }
        rest = area.get(end + 2..).unwrap_or_default();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::oem_strings;

    #[test]
    fn finds_the_strings() {
        let mut table = vec![1, 6, 0, 1, 9, 9, b'a', 0, 0];
        table.extend([11, 5, 0, 2, 2]);
        table.extend(b"org.mkdistro.config=hostname = \"x\"\0two\0\0");
        table.extend([4, 4, 0, 3, 0, 0, 127, 4, 0, 4, 0, 0, 11, 5, 0, 5, 1, b'n', 0, 0]);
        assert_eq!(oem_strings(&table), ["org.mkdistro.config=hostname = \"x\"", "two"]);
        for end in 0..table.len() {
            assert!(oem_strings(&table[..end]).len() <= 2);
        }
        assert!(oem_strings(&[11, 0, 0, 0, 0, 0]).is_empty());
    }
}
