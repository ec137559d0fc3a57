//! Debian's `/usr/share/doc/PACKAGE/copyright`: where it is, and the licences it names.
//!
//! Machine-readable ones are stanzas of fields (Debian's "Machine-readable debian/copyright file", version 1.0): `Files`
//! stanzas with a `License`, whose first line is a short name or an expression of them, and stand-alone `License` stanzas
//! with the texts. Older ones are prose. Either describes the source package, not the single file of a binary package.

use std::collections::BTreeMap;

use super::license::{self, License};

/// What a copyright file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copyright {
    /// All licences of the source package.
    pub license: License,
    /// Texts of [`License::references`], by reference.
    pub texts: BTreeMap<String, String>,
    /// Whether it is prose, so that the licences are a guess from what it mentions.
    pub guessed: bool,
}

/// Phrases that tell a licence, in lower case and with single spaces, and its SPDX identifier.
const PHRASES: &[(&str, &str)] = &[
    ("/usr/share/common-licenses/apache-2.0", "Apache-2.0"),
    ("/usr/share/common-licenses/artistic", "Artistic-1.0-Perl"),
    ("/usr/share/common-licenses/cc0-1.0", "CC0-1.0"),
    ("/usr/share/common-licenses/mpl-1.1", "MPL-1.1"),
    ("/usr/share/common-licenses/mpl-2.0", "MPL-2.0"),
    ("permission is hereby granted, free of charge, to any person obtaining a copy", "MIT"),
    ("permission to use, copy, modify, and distribute this software for any purpose with or without fee", "ISC"),
    ("permission to use, copy, modify, and/or distribute this software for any purpose with or without fee", "ISC"),
    ("this software is provided 'as-is', without any express or implied warranty", "Zlib"),
];

/// Names below `/usr/share/common-licenses` (base-files) of licences with versions; without one, any is meant.
const COMMON: &[(&str, &str)] = &[
    ("gpl-1", "GPL-1.0"),
    ("gpl-2", "GPL-2.0"),
    ("gpl-3", "GPL-3.0"),
    ("lgpl-2.1", "LGPL-2.1"),
    ("lgpl-2", "LGPL-2.0"),
    ("lgpl-3", "LGPL-3.0"),
    ("gfdl-1.2", "GFDL-1.2"),
    ("gfdl-1.3", "GFDL-1.3"),
    ("lgpl", "LGPL-2.0"),
    ("gpl", "GPL-1.0"),
];

/// Reads a copyright file of a source package.
pub fn read(text: &str, source: &str) -> Copyright {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().to_ascii_lowercase();
    let machine_readable =
        first.starts_with("format") && (first.contains("copyright-format") || first.contains("dep5"));
    let read = if machine_readable { stanzas(text, source) } else { Copyright::default() };
    if read.license.all_of.is_empty() { prose(text, source) } else { read }
}

/// The `License` fields of the stanzas.
fn stanzas(text: &str, source: &str) -> Copyright {
    let mut license = License::default();
    let mut by_name: BTreeMap<String, String> = BTreeMap::new();
    let mut header = String::new();
    for stanza in text.split("\n\n").map(fields) {
        let Some(value) = stanza.get("license") else { continue };
        let (synopsis, body) = value.split_once('\n').unwrap_or((value, ""));
        if !body.is_empty() {
            by_name.entry(synopsis.to_owned()).or_insert_with(|| body.to_owned());
        }
        if stanza.contains_key("files") {
            license.add(synopsis, source);
        } else if stanza.contains_key("format") {
            header = synopsis.to_owned();
        }
    }
    if license.all_of.is_empty() {
        license.add(&header, source);
    }
    let text_of = |(reference, name): &(String, String)| {
        let body = by_name.get(name).or_else(|| by_name.get(name.split(" with ").next().unwrap_or_default()));
        Some((reference.clone(), body?.clone()))
    };
    let texts = license.references.iter().filter_map(text_of).collect();
    Copyright { license, texts, guessed: false }
}

/// Fields of a stanza by their name in lower case. Further lines lose their first space, and the dot of empty ones.
fn fields(stanza: &str) -> BTreeMap<String, String> {
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    let mut current = String::new();
    for line in stanza.lines().filter(|line| !line.starts_with('#')) {
        match line.strip_prefix([' ', '\t']) {
            Some(more) => {
                let more = if more.trim() == "." { "" } else { more.trim_end() };
                if let Some(value) = fields.get_mut(&current) {
                    value.push('\n');
                    value.push_str(more);
                }
            }
            None => {
                let Some((name, value)) = line.split_once(':') else { continue };
                current = name.trim().to_ascii_lowercase();
                fields.insert(current.clone(), value.trim().to_owned());
            }
        }
    }
    fields
}

/// Best effort: what prose mentions. If that is nothing known, the whole text is the licence.
fn prose(text: &str, source: &str) -> Copyright {
    let words = text.to_ascii_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
    let mut license = License::default();
    for (phrase, id) in PHRASES {
        if words.contains(phrase) {
            license.add_spdx(id);
        }
    }
    let later = ["any later version", "or later"].iter().any(|phrase| words.contains(phrase));
    for mention in words.split("/usr/share/common-licenses/").skip(1) {
        let Some((name, id)) = COMMON.iter().find(|(name, _)| mention.starts_with(name)) else { continue };
        let any = !name.contains('-');
        license.add_spdx(&format!("{id}-{}", if later || any { "or-later" } else { "only" }));
    }
    if words.contains("redistribution and use in source and binary forms") {
        license.add_spdx(if words.contains("neither the name") { "BSD-3-Clause" } else { "BSD-2-Clause" });
    }
    let mut texts = BTreeMap::new();
    if license.all_of.is_empty() && !words.is_empty() {
        let reference = license::reference(source, "copyright");
        license.add_spdx(&reference);
        license.references.insert((reference.clone(), "copyright".to_owned()));
        texts.insert(reference, text.trim().to_owned());
    }
    Copyright { license, texts, guessed: true }
}

/// Which files of a package lead to its copyright file, for [`crate::deb::open`]: the file, and the folder, which for
/// packages of one source may be a link to another's.
pub fn is_wanted(path: &[u8]) -> bool {
    let Some(below) = path.strip_prefix(b"usr/share/doc/") else { return false };
    let mut parts = below.split(|&byte| byte == b'/').skip(1);
    match (parts.next(), parts.next()) {
        (None, _) => true,
        (Some(name), None) => name == b"copyright",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{is_wanted, read};

    const STANZAS: &str = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
        Upstream-Name: toy\nLicense: ISC\n\nFiles: *\nCopyright: 2020, A\nLicense: GPL-2+\n\n\
        Files: a\n b\nCopyright: B\nLicense: odd or Expat\n\nFiles: c\nLicense: inline\n Do what you like.\n .\n  Truly.\n\n\
        License: odd\n Odd text.\n\nLicense: GPL-2+\n On Debian systems see /usr/share/common-licenses/GPL-2.\n";

    #[test]
    fn stanzas_are_read() {
        let copyright = read(STANZAS, "toy");
        assert_eq!(
            copyright.license.expression().unwrap(),
            "GPL-2.0-or-later AND LicenseRef-toy-inline AND (LicenseRef-toy-odd OR MIT)"
        );
        let texts: Vec<(&str, &str)> =
            copyright.texts.iter().map(|(reference, text)| (reference.as_str(), text.as_str())).collect();
        assert_eq!(
            texts,
            [("LicenseRef-toy-inline", "Do what you like.\n\n Truly."), ("LicenseRef-toy-odd", "Odd text.")]
        );
        assert!(!copyright.guessed);
        let header = &STANZAS[..STANZAS.find("Files").unwrap()];
        assert_eq!(read(header, "toy").license.expression().unwrap(), "ISC");
    }

    #[test]
    fn prose_is_guessed() {
        for (text, expected) in [
            (
                "You can redistribute it under the GNU General\nPublic License, version 2.\n\nSee\n\
                 `/usr/share/common-licenses/GPL-2'.",
                "GPL-2.0-only",
            ),
            ("version 2 or (at your option) any later\nversion: /usr/share/common-licenses/GPL-2", "GPL-2.0-or-later"),
            (
                "see /usr/share/common-licenses/LGPL-2.1, and /usr/share/common-licenses/GPL.",
                "GPL-1.0-or-later AND LGPL-2.1-only",
            ),
            ("Redistribution and use in source\nand binary forms, ... Neither the name of", "BSD-3-Clause"),
            ("All yours.", "LicenseRef-toy-copyright"),
        ] {
            let copyright = read(text, "toy");
            assert_eq!(copyright.license.expression().unwrap(), expected, "{text}");
            assert!(copyright.guessed);
        }
        assert_eq!(read(" \n", "toy").license.expression(), None);
        assert_eq!(read("All\n yours.\n", "toy").texts["LicenseRef-toy-copyright"], "All\n yours.");
    }

    #[test]
    fn only_what_leads_to_the_file_is_kept() {
        for (path, expected) in [
            ("usr/share/doc/podman/copyright", true),
            ("usr/share/doc/podman", true),
            ("usr/share/doc", false),
            ("usr/share/doc/podman/changelog.gz", false),
            ("usr/share/doc/podman/copyright/x", false),
            ("usr/share/doc/podman/examples/copyright", false),
            ("usr/share/docs/podman/copyright", false),
        ] {
            assert_eq!(is_wanted(path.as_bytes()), expected, "{path}");
        }
    }
}
