//! Identifiers of interchange level 1 (10.1): up to 8 characters, for files also `.`, up to 3 characters and `;1`, of
//! `A`-`Z`, `0`-`9` and `_`. The true names are Rock Ridge's; these are for firmware and boot loaders, so `ldlinux.c32`
//! must become exactly `LDLINUX.C32;1`.

use std::collections::HashSet;

const STEM_CHARS: usize = 8;
const EXTENSION_CHARS: usize = 3;

/// An identifier in its parts. The order is that of 9.3: the parts are compared as if filled up with spaces, which sort
/// below every character that occurs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(super) struct Identifier {
    stem: String,
    extension: String,
}

impl Identifier {
    /// As a directory record has it, for a file with its version number.
    pub(super) fn bytes(&self, is_folder: bool) -> Vec<u8> {
        if is_folder { self.stem.clone().into() } else { format!("{}.{};1", self.stem, self.extension).into() }
    }

    fn of(name: &[u8], is_folder: bool) -> Self {
        let dot = name.iter().rposition(|&byte| byte == b'.').filter(|&at| at > 0 && !is_folder);
        let (stem, extension) = dot.map_or((name, &name[..0]), |at| (&name[..at], &name[at + 1..]));
        Self { stem: mangled(stem, STEM_CHARS), extension: mangled(extension, EXTENSION_CHARS) }
    }

    /// Whether nothing of the name but its case is lost.
    fn is_exact(&self, name: &[u8]) -> bool {
        let whole =
            if self.extension.is_empty() { self.stem.clone() } else { format!("{}.{}", self.stem, self.extension) };
        name.eq_ignore_ascii_case(whole.as_bytes())
    }

    /// The same with a number in place of the stem's end.
    fn numbered(&self, number: usize) -> Self {
        let number = number.to_string();
        let kept = self.stem.len().min(STEM_CHARS.saturating_sub(number.len()));
        Self { stem: format!("{}{number}", &self.stem[..kept]), extension: self.extension.clone() }
    }
}

fn mangled(part: &[u8], max_chars: usize) -> String {
    let upper = part.iter().map(|&byte| match byte.to_ascii_uppercase() {
        byte @ (b'A'..=b'Z' | b'0'..=b'9') => char::from(byte),
        _ => '_',
    });
    upper.take(max_chars).collect()
}

/// One identifier for each name of a folder (and whether it is a folder itself), all different. Names that fit keep
/// their form, the others get numbers in the order given, which so decides the result alone.
pub(super) fn identifiers(names: &[(&[u8], bool)]) -> Vec<Identifier> {
    let mut taken = HashSet::new();
    let mut identifiers: Vec<Option<Identifier>> = names
        .iter()
        .map(|&(name, is_folder)| {
            let wish = Identifier::of(name, is_folder);
            (wish.is_exact(name) && taken.insert(wish.clone())).then_some(wish)
        })
        .collect();
    let mut next_number = std::collections::HashMap::new();
    for (identifier, &(name, is_folder)) in identifiers.iter_mut().zip(names) {
        identifier.get_or_insert_with(|| {
            let wish = Identifier::of(name, is_folder);
            let mut found = wish.clone();
            while !taken.insert(found.clone()) {
                let number = next_number.entry(wish.clone()).or_insert(0);
                found = wish.numbered(*number);
                *number += 1;
            }
            found
        });
    }
    identifiers.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&str]) -> Vec<String> {
        let names: Vec<(&[u8], bool)> =
            names.iter().map(|name| (name.trim_end_matches('/').as_bytes(), name.ends_with('/'))).collect();
        let identifiers = identifiers(&names);
        let bytes = identifiers.iter().zip(&names).map(|(identifier, &(_, is_folder))| identifier.bytes(is_folder));
        bytes.map(|bytes| String::from_utf8(bytes).unwrap()).collect()
    }

    #[test]
    fn simple_names_are_exact() {
        assert_eq!(
            found(&["isolinux/", "isolinux.bin", "ldlinux.c32", "vmlinuz", "initrd.img", "a_b.1"]),
            ["ISOLINUX", "ISOLINUX.BIN;1", "LDLINUX.C32;1", "VMLINUZ.;1", "INITRD.IMG;1", "A_B.1;1"]
        );
    }

    #[test]
    fn other_names_are_mangled() {
        assert_eq!(
            found(&[".hidden", "a.b.c", "boot.d/", "x.", "kernel-6.12", "index.html", "\u{e9}"]),
            ["_HIDDEN.;1", "A_B.C;1", "BOOT_D", "X.;1", "KERNEL_6.12;1", "INDEX.HTM;1", "__.;1"]
        );
    }

    #[test]
    fn collisions_get_numbers_and_spare_simple_names() {
        assert_eq!(
            found(&["Longname-one", "Longname-two", "a", "A", "longname", "foo/", "foo.", "longname-three"]),
            ["LONGNAM0.;1", "LONGNAM1.;1", "A.;1", "A0.;1", "LONGNAME.;1", "FOO", "FOO0.;1", "LONGNAM2.;1"]
        );
        let many: Vec<String> = (0..1200).map(|number| format!("same-stem-{number}")).collect();
        let found = found(&many.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(found.iter().collect::<HashSet<_>>().len(), 1200);
        assert_eq!((found[0].as_str(), found[1199].as_str()), ("SAME_STE.;1", "SAME1198.;1"));
        assert!(found.iter().all(|name| name.len() <= 14));
    }

    #[test]
    fn shorter_sorts_first() {
        let mut names = [Identifier::of(b"ab", false), Identifier::of(b"a.z", false), Identifier::of(b"a", false)];
        names.sort();
        assert_eq!(names.map(|name| name.bytes(false)), [&b"A.;1"[..], b"A.Z;1", b"AB.;1"]);
    }
}
