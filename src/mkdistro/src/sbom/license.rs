//! From Debian's short names of licences to SPDX licence expressions.
//!
//! References: "Machine-readable debian/copyright file" 1.0, "License specification"; SPDX 2.3, annex D (expressions). What
//! SPDX's list has no identifier for becomes `LicenseRef-SOURCE-NAME`: a text of that source package's copyright file.

use std::collections::BTreeSet;

/// Identifiers of SPDX's licence list that Debian uses too, in any case of letters.
const SAME: &[&str] = &[
    "0BSD",
    "Apache-1.0",
    "Apache-1.1",
    "Apache-2.0",
    "Artistic-2.0",
    "Beerware",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSD-4-Clause",
    "BSD-4-Clause-UC",
    "BSL-1.0",
    "bzip2-1.0.6",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "CC-BY-SA-3.0",
    "CC-BY-SA-4.0",
    "CC0-1.0",
    "CDDL-1.0",
    "curl",
    "EPL-1.0",
    "EPL-2.0",
    "FSFAP",
    "FSFUL",
    "FSFULLR",
    "HPND",
    "ICU",
    "IJG",
    "ISC",
    "Latex2e",
    "Libpng",
    "MIT",
    "MIT-0",
    "MPL-1.1",
    "MPL-2.0",
    "NTP",
    "OFL-1.1",
    "OpenSSL",
    "PostgreSQL",
    "PSF-2.0",
    "Python-2.0",
    "QPL-1.0",
    "Ruby",
    "Sleepycat",
    "Unicode-3.0",
    "Unicode-DFS-2015",
    "Unicode-DFS-2016",
    "Unlicense",
    "Vim",
    "W3C",
    "WTFPL",
    "X11",
    "Zlib",
    "ZPL-2.1",
];

/// Debian's other names, in lower case.
const OTHER: &[(&str, &str)] = &[
    ("apache-1", "Apache-1.0"),
    ("apache-2", "Apache-2.0"),
    ("artistic", "Artistic-1.0-Perl"),
    ("artistic-1", "Artistic-1.0-Perl"),
    ("boost-1.0", "BSL-1.0"),
    ("bsd-0-clause", "0BSD"),
    ("cc0", "CC0-1.0"),
    ("expat", "MIT"),
    ("openldap-2.8", "OLDAP-2.8"),
    ("perl", "Artistic-1.0-Perl OR GPL-1.0-or-later"),
    ("psf-2", "PSF-2.0"),
    ("unicode-v3", "Unicode-3.0"),
    ("wtfpl-2", "WTFPL"),
];

/// What follows `with`, in lower case.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("autoconf exception", "Autoconf-exception-generic"),
    ("bison exception", "Bison-exception-2.2"),
    ("classpath exception", "Classpath-exception-2.0"),
    ("gcc exception", "GCC-exception-3.1"),
    ("libtool exception", "Libtool-exception"),
    ("linux-syscall-note exception", "Linux-syscall-note"),
];

/// The family of a versioned name, its versions, and whether it is written with `-only` and `-or-later`.
const FAMILIES: &[(&str, &[&str])] = &[
    ("AGPL", &["1.0", "3.0"]),
    ("GFDL", &["1.1", "1.2", "1.3"]),
    ("GPL", &["1.0", "2.0", "3.0"]),
    ("LGPL", &["2.0", "2.1", "3.0"]),
];

/// A licence expression, and the names in it that only its copyright file explains.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct License {
    /// The SPDX expressions that all apply, sorted.
    pub all_of: BTreeSet<String>,
    /// `LicenseRef-…` → Debian's name, for those that occur.
    pub references: BTreeSet<(String, String)>,
}

impl License {
    /// One expression for all; `None` if nothing is known.
    pub fn expression(&self) -> Option<String> {
        let lone = self.all_of.len() == 1;
        let parts: Vec<String> = self
            .all_of
            .iter()
            .map(|part| if lone || !part.contains(" OR ") { part.clone() } else { format!("({part})") })
            .collect();
        (!parts.is_empty()).then(|| parts.join(" AND "))
    }

    /// Adds what a `License` field says. `source` names the source package.
    pub fn add(&mut self, synopsis: &str, source: &str) {
        let words: Vec<&str> = synopsis.split_whitespace().collect();
        if words.is_empty() {
            return;
        }
        let expression = self.any_of(&words, source);
        // An `A and B` adds both, so that "A" beside it says nothing twice.
        if expression.contains(" OR ") {
            self.all_of.insert(expression);
        } else {
            self.all_of.extend(expression.split(" AND ").map(str::to_owned));
        }
    }

    /// An SPDX identifier or expression that is known to be one.
    pub fn add_spdx(&mut self, expression: &str) {
        self.all_of.insert(expression.to_owned());
    }

    /// A comma before `and` or `or` binds less than any of them without; `and` binds more than `or`.
    fn any_of(&mut self, words: &[&str], source: &str) -> String {
        for (operator, after_comma) in [("or", true), ("and", true), ("or", false), ("and", false)] {
            let parts = split_at(words, operator, after_comma);
            if parts.len() > 1 {
                let joined: Vec<String> = parts
                    .into_iter()
                    .map(|part| {
                        let inner = self.any_of(part, source);
                        if operator == "and" && inner.contains(" OR ") { format!("({inner})") } else { inner }
                    })
                    .collect();
                return joined.join(&format!(" {} ", operator.to_uppercase()));
            }
        }
        self.one(words, source)
    }

    /// A name, possibly `with` an exception.
    fn one(&mut self, words: &[&str], source: &str) -> String {
        let text = words.join(" ");
        let text = text.trim_end_matches(',');
        let found = match text.split_once(" with ") {
            None => identifier(text),
            Some((name, exception)) => {
                identifier(name).zip(excepted(exception)).map(|(name, exception)| format!("{name} WITH {exception}"))
            }
        };
        found.unwrap_or_else(|| {
            let reference = reference(source, text);
            self.references.insert((reference.clone(), text.to_owned()));
            reference
        })
    }
}

/// `LicenseRef-SOURCE-NAME` of the characters that SPDX allows (letters, digits, `.`, `-`).
pub(super) fn reference(source: &str, name: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    format!("LicenseRef-{source}-{name}").chars().map(allowed).collect()
}

/// What stands for a text that the copyright file does not have.
pub(super) fn where_to_look(source: &str, name: &str) -> String {
    format!("See \"{name}\" in the copyright file of Debian's source package {source}.")
}

fn split_at<'a, 'b>(words: &'a [&'b str], operator: &str, after_comma: bool) -> Vec<&'a [&'b str]> {
    let mut parts = Vec::new();
    let mut begin = 0;
    for (at, word) in words.iter().enumerate().skip(1) {
        let comma = words.get(at - 1).is_some_and(|before| before.ends_with(','));
        if word.eq_ignore_ascii_case(operator) && comma == after_comma && at > begin && at + 1 < words.len() {
            parts.push(&words[begin..at]);
            begin = at + 1;
        }
    }
    parts.push(&words[begin..]);
    parts
}

fn excepted(text: &str) -> Option<&'static str> {
    let text = text.to_ascii_lowercase();
    EXCEPTIONS.iter().find(|(name, _)| *name == text).map(|(_, id)| *id)
}

/// The SPDX expression of one of Debian's short names.
fn identifier(name: &str) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    if let Some(same) = SAME.iter().find(|same| same.eq_ignore_ascii_case(&lower)) {
        return Some((*same).to_owned());
    }
    if let Some((_, id)) = OTHER.iter().find(|(other, _)| *other == lower) {
        return Some((*id).to_owned());
    }
    versioned(&lower)
}

/// `gpl-2+` → `GPL-2.0-or-later`. Without a number any version is meant, so the first or a later one.
fn versioned(lower: &str) -> Option<String> {
    let (family, versions) = FAMILIES.iter().find(|(family, _)| {
        let rest = lower.strip_prefix(&family.to_ascii_lowercase());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '+']))
    })?;
    let rest = lower.get(family.len()..)?;
    let (rest, invariants) = match rest.strip_prefix("-niv") {
        Some(rest) if *family == "GFDL" => (rest, "-no-invariants"),
        _ => (rest, ""),
    };
    let later = rest.strip_suffix('+').or_else(|| rest.strip_suffix("-or-later"));
    let number = later.or_else(|| rest.strip_suffix("-only")).unwrap_or(rest);
    let (number, later) = match number.strip_prefix('-') {
        Some(number) => (number, later.is_some()),
        None if number.is_empty() => (*versions.first()?, true),
        None => return None,
    };
    let version = versions.iter().find(|version| **version == number || version.strip_suffix(".0") == Some(number))?;
    Some(format!("{family}-{version}{invariants}-{}", if later { "or-later" } else { "only" }))
}

#[cfg(test)]
mod tests {
    use super::License;

    fn expression(synopses: &[&str]) -> String {
        let mut license = License::default();
        synopses.iter().for_each(|synopsis| license.add(synopsis, "src"));
        license.expression().unwrap_or_default()
    }

    #[test]
    fn names_become_identifiers() {
        for (name, expected) in [
            ("Expat", "MIT"),
            ("GPL-2", "GPL-2.0-only"),
            ("GPL-2+", "GPL-2.0-or-later"),
            ("GPL-2.0-or-later", "GPL-2.0-or-later"),
            ("gpl-3.0-only", "GPL-3.0-only"),
            ("GPL", "GPL-1.0-or-later"),
            ("LGPL-2.1+", "LGPL-2.1-or-later"),
            ("LGPL-2", "LGPL-2.0-only"),
            ("GFDL-1.3+", "GFDL-1.3-or-later"),
            ("GFDL-NIV-1.3+", "GFDL-1.3-no-invariants-or-later"),
            ("GFDL-1.3-NIV", "LicenseRef-src-GFDL-1.3-NIV"),
            ("GPL-4", "LicenseRef-src-GPL-4"),
            ("GPLX", "LicenseRef-src-GPLX"),
            ("BSD-3-clause", "BSD-3-Clause"),
            ("BSD-3-clause-lwip", "LicenseRef-src-BSD-3-clause-lwip"),
            ("public-domain", "LicenseRef-src-public-domain"),
            ("other (see below)", "LicenseRef-src-other--see-below-"),
            ("", ""),
        ] {
            assert_eq!(expression(&[name]), expected, "{name}");
        }
    }

    #[test]
    fn operators_bind_as_debian_says() {
        for (name, expected) in [
            ("Apache-2.0 or MIT", "Apache-2.0 OR MIT"),
            ("GPL-2+ and BSD-3-Clause", "BSD-3-Clause AND GPL-2.0-or-later"),
            ("GPL-1+ or Artistic and BSD-3-clause", "GPL-1.0-or-later OR Artistic-1.0-Perl AND BSD-3-Clause"),
            ("GPL-1+ or Artistic, and BSD-3-clause", "(GPL-1.0-or-later OR Artistic-1.0-Perl) AND BSD-3-Clause"),
            ("GPL-3+ with Bison exception", "GPL-3.0-or-later WITH Bison-exception-2.2"),
            ("GPL-3+ with libocispec exception", "LicenseRef-src-GPL-3--with-libocispec-exception"),
            ("or", "LicenseRef-src-or"),
            ("MIT or", "LicenseRef-src-MIT-or"),
        ] {
            assert_eq!(expression(&[name]), expected, "{name}");
        }
    }

    #[test]
    fn stanzas_add_up() {
        assert_eq!(
            expression(&["GPL-2+", "Expat", "GPL-2+ and ISC", "Apache-2.0 or Expat"]),
            "(Apache-2.0 OR MIT) AND GPL-2.0-or-later AND ISC AND MIT"
        );
        let mut license = License::default();
        license.add("GPL-2+ with weird exception", "glibc");
        let references: Vec<_> = license.references.into_iter().collect();
        assert_eq!(
            references,
            [("LicenseRef-glibc-GPL-2--with-weird-exception".to_owned(), "GPL-2+ with weird exception".to_owned())]
        );
    }
}
