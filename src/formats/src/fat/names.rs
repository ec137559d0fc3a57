//! Short names (8.3) and long names (VFAT).

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};

/// Bytes that a short name may have besides capital letters and digits.
const SIGNS: &[u8] = b"$%'-_@~`!(){}^#&";
/// Characters that no name may have.
const FORBIDDEN: &str = "\"*/:<>?\\|";
/// UTF-16 units of the longest long name.
const MAX_UNITS: usize = 255;
/// Numbers of short names that are tried in a folder.
const MAX_TAIL: u32 = 999_999;

/// A name in both forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    /// Eight bytes and three, filled with spaces.
    pub(super) short: [u8; 11],
    /// UTF-16; empty if the short name says it all.
    pub(super) long: Vec<u16>,
}

/// The names of a folder's entries, in their order.
///
/// # Errors
/// If a name is not possible, or two differ in case alone.
pub(super) fn names(children: &[&[u8]]) -> Result<Vec<Name>> {
    let mut folded = BTreeSet::new();
    let mut texts = Vec::with_capacity(children.len());
    for child in children {
        let text = std::str::from_utf8(child)
            .ok()
            .with_context(|| format!("{:?}: the name is no UTF-8 text", lossy(child)))?;
        check(text).with_context(|| format!("{text:?}"))?;
        ensure!(folded.insert(text.to_uppercase()), "{text:?}: another name differs from it in case alone");
        texts.push(text);
    }
    // Names that are short ones keep them, whatever the others would like to be called.
    let mut taken: BTreeSet<[u8; 11]> = texts.iter().filter_map(|text| exact(text)).collect();
    texts.iter().map(|text| name(text, &mut taken)).collect()
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn check(text: &str) -> Result<()> {
    let units = text.encode_utf16().count();
    ensure!(units <= MAX_UNITS, "the name has {units} units, at most {MAX_UNITS} are possible");
    let bad = text.chars().find(|letter| letter.is_control() || FORBIDDEN.contains(*letter));
    ensure!(bad.is_none(), "{:?} is not possible in a name", bad.unwrap_or_default());
    ensure!(!text.ends_with(['.', ' ']), "a name cannot end with a dot or a space");
    Ok(())
}

fn is_short_byte(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || SIGNS.contains(&byte)
}

/// The short name that is exactly this text.
fn exact(text: &str) -> Option<[u8; 11]> {
    let (stem, extension) = text.split_once('.').unwrap_or((text, ""));
    let fits = (1..=8).contains(&stem.len()) && extension.len() <= 3 && !text.ends_with('.');
    (fits && stem.bytes().chain(extension.bytes()).all(is_short_byte))
        .then(|| packed(stem.as_bytes(), extension.as_bytes()))
}

fn name(text: &str, taken: &mut BTreeSet<[u8; 11]>) -> Result<Name> {
    if let Some(short) = exact(text) {
        return Ok(Name { short, long: Vec::new() });
    }
    let long = text.encode_utf16().collect();
    // In capital letters it may fit as it is.
    if let Some(short) = exact(&text.to_ascii_uppercase()).filter(|short| taken.insert(*short)) {
        return Ok(Name { short, long });
    }
    // "Generating 8.3 names": leading dots and all spaces go, what is not possible becomes "_".
    let text = text.trim_start_matches(['.', ' ']);
    let (stem, extension) = text.rsplit_once('.').unwrap_or((text, ""));
    let mapped = |part: &str, len: usize| -> Vec<u8> {
        let letters = part.chars().filter(|letter| !matches!(letter, ' ' | '.'));
        let byte = |letter: char| u8::try_from(letter.to_ascii_uppercase()).ok().filter(|byte| is_short_byte(*byte));
        letters.map(|letter| byte(letter).unwrap_or(b'_')).take(len).collect()
    };
    let (stem, extension) = (mapped(stem, 8), mapped(extension, 3));
    for number in 1..=MAX_TAIL {
        let tail = format!("~{number}");
        let stem = [&stem[..stem.len().min(8 - tail.len())], tail.as_bytes()].concat();
        let short = packed(&stem, &extension);
        if taken.insert(short) {
            return Ok(Name { short, long });
        }
    }
    anyhow::bail!("{text:?}: too many names like it")
}

fn packed(stem: &[u8], extension: &[u8]) -> [u8; 11] {
    let mut short = [b' '; 11];
    short[..stem.len()].copy_from_slice(stem);
    short[8..8 + extension.len()].copy_from_slice(extension);
    short
}

/// A volume label in its field.
///
/// # Errors
/// If it is too long or has what is not possible.
pub(super) fn label(text: &str) -> Result<[u8; 11]> {
    let possible = text.len() <= 11 && text.bytes().all(|byte| byte == b' ' || is_short_byte(byte));
    ensure!(possible, "label {text:?} of a FAT file system: expected up to 11 of A-Z, 0-9, space, {}", lossy(SIGNS));
    let mut field = [b' '; 11];
    field[..text.len()].copy_from_slice(text.as_bytes());
    Ok(field)
}

/// What binds a long name to its short one ("Long Directory Entries").
pub(super) fn checksum(short: &[u8; 11]) -> u8 {
    short.iter().fold(0, |sum: u8, byte| sum.rotate_right(1).wrapping_add(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shorts(children: &[&str]) -> Vec<String> {
        let children: Vec<&[u8]> = children.iter().map(|child| child.as_bytes()).collect();
        let shown = |name: Name| format!("{}{}", lossy(&name.short), if name.long.is_empty() { "" } else { "+" });
        names(&children).unwrap().into_iter().map(shown).collect()
    }

    #[test]
    fn short_names_are_as_expected() {
        let cases = [
            ("BOOTX64.EFI", "BOOTX64 EFI"),
            ("EFI", "EFI        "),
            ("grub.cfg", "GRUB    CFG+"),
            ("x86_64-efi", "X86_64~1   +"),
            (".disk", "DISK~1     +"),
            ("a.b.c", "AB~1    C  +"),
            ("read me.text", "README~1TEX+"),
            ("ä", "_~1        +"),
            ("+", "_~2        +"),
            (".~", "~~1        +"),
        ];
        let (children, expected): (Vec<&str>, Vec<&str>) = cases.into_iter().unzip();
        assert_eq!(shorts(&children), expected);
    }

    #[test]
    fn short_names_do_not_collide() {
        let children: Vec<String> = (0..12).map(|number| format!("long name {number}.efi")).collect();
        let mut children: Vec<&str> = children.iter().map(String::as_str).collect();
        children.push("LONGNA~1.EFI");
        let found = shorts(&children);
        assert_eq!((found[0].as_str(), found[8].as_str()), ("LONGNA~2EFI+", "LONGN~10EFI+"));
        assert_eq!(found.last().unwrap(), "LONGNA~1EFI");
        assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), 13);
        assert_eq!(shorts(&["a+b", "a_b~1", "A_B~1.X"]), ["A_B~1      +", "A_B~1~1    +", "A_B~1   X  "]);
    }

    #[test]
    fn impossible_names_are_refused() {
        let error = |children: &[&[u8]]| format!("{:#}", names(children).unwrap_err());
        assert_eq!(error(&[b"a", b"A"]), "\"A\": another name differs from it in case alone");
        assert_eq!(error(&[b"a?"]), "\"a?\": '?' is not possible in a name");
        assert_eq!(error(&[b"a."]), "\"a.\": a name cannot end with a dot or a space");
        assert_eq!(error(&[b"\xff"]), "\"\u{fffd}\": the name is no UTF-8 text");
        assert!(error(&[&[b'n'; 256]]).ends_with("the name has 256 units, at most 255 are possible"));
        assert!(label("esp").is_err() && label("TWELVE BYTES").is_err());
        assert_eq!(&label("ESP 1").unwrap(), b"ESP 1      ");
    }
}
