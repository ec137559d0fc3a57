//! `modules.alias`: which module drives a device. A device's `modalias` (`pci:v00008086d0000100Esv...`) is matched
//! against patterns with `*`, `?` and `[..]`, as fnmatch(3) does.

use std::collections::HashMap;

/// Patterns by their bus: what stands before the first `:` or wildcard. A few hundred devices are looked up among
/// thousands of patterns, so only those of the device's bus are tried.
#[derive(Debug, Default)]
pub(crate) struct Aliases<'a> {
    by_bus: HashMap<&'a str, Vec<(&'a str, &'a str)>>,
}

impl<'a> Aliases<'a> {
    /// Reads the file's text: lines `alias PATTERN MODULE`; others are passed over.
    pub(crate) fn parse(text: &'a str) -> Self {
        let mut by_bus: HashMap<&str, Vec<(&str, &str)>> = HashMap::new();
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            if let (Some("alias"), Some(pattern), Some(module)) = (words.next(), words.next(), words.next()) {
                by_bus.entry(bus(pattern)).or_default().push((pattern, module));
            }
        }
        Self { by_bus }
    }

    /// Modules whose pattern fits.
    pub(crate) fn modules(&self, modalias: &str) -> impl Iterator<Item = &'a str> {
        let of_bus = self.by_bus.get(bus(modalias)).map(Vec::as_slice).unwrap_or_default();
        of_bus.iter().filter(move |(pattern, _)| fits(pattern, modalias)).map(|(_, module)| *module)
    }
}

fn bus(text: &str) -> &str {
    text.split([':', '*', '?', '[']).next().unwrap_or_default()
}

/// Whether `text` fits the pattern. `-` and `_` are the same, as in module names (depmod writes `_`).
pub(crate) fn fits(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.as_bytes(), text.as_bytes());
    // Where to go on when what follows the last `*` does not fit: the star takes one byte more.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        let next = match (pattern.split_first(), text.split_first()) {
            (Some((b'*', rest)), _) => {
                retry = Some((rest, text));
                Some((rest, text))
            }
            (None, None) => return true,
            (Some((b'?', rest)), Some((_, tail))) => Some((rest, tail)),
            (Some((b'[', set)), Some((&byte, tail))) => bracket(set, byte).map(|rest| (rest, tail)),
            (Some((&wanted, rest)), Some((&byte, tail))) => same(wanted, byte).then_some((rest, tail)),
            _ => None,
        };
        (pattern, text) = match (next, retry) {
            (Some(next), _) => next,
            (None, Some((after_star, from))) => {
                let Some((_, tail)) = from.split_first() else { return false };
                retry = Some((after_star, tail));
                (after_star, tail)
            }
            (None, None) => return false,
        };
    }
}

fn same(a: u8, b: u8) -> bool {
    let dash = |byte| if byte == b'-' { b'_' } else { byte };
    dash(a) == dash(b)
}

/// The pattern after `[set]` if the set has the byte (or, with `!` or `^` first, has not).
fn bracket(set: &[u8], byte: u8) -> Option<&[u8]> {
    let (negated, mut set) = match set.split_first() {
        Some((b'!' | b'^', rest)) => (true, rest),
        _ => (false, set),
    };
    let mut found = false;
    let mut is_first = true;
    loop {
        set = match set {
            [b']', rest @ ..] if !is_first => return (found != negated).then_some(rest),
            [low, b'-', high, rest @ ..] if *high != b']' => {
                found |= (*low..=*high).contains(&byte);
                rest
            }
            [one, rest @ ..] => {
                found |= *one == byte;
                rest
            }
            [] => return None,
        };
        is_first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::{Aliases, fits};

    #[test]
    fn patterns() {
        let cases = [
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("a*", "a", true),
            ("*", "", true),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abcdef", false),
            ("a*bc", "abbbc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("v[0-9A-F]x", "vCx", true),
            ("v[0-9A-F]x", "vcx", false),
            ("v[!0-9]x", "vax", true),
            ("v[!0-9]x", "v1x", false),
            ("v[]a]x", "v]x", true),
            ("v[ab", "va", false),
            ("platform:foo_bar", "platform:foo-bar", true),
            ("pci:v00008086d0000100Esv*sd*bc*sc*i*", "pci:v00008086d0000100Esv00001AF4sd00001100bc02sc00i00", true),
            ("pci:v00008086d0000100Fsv*sd*bc*sc*i*", "pci:v00008086d0000100Esv00001AF4sd00001100bc02sc00i00", false),
            ("usb:v*p*d*dc*dsc*dp*ic08isc06ip50in*", "usb:v0951p1666d0110dc00dsc00dp00ic08isc06ip50in00", true),
            ("input:b*v*p*e*-e*1,*k*r*", "input:b0019v0000p0001e0000-e0,1,k74,ramlsfw", true),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn finds_modules_of_a_bus() {
        let aliases = Aliases::parse(
            "# comment\nalias acpi*:PNP0C0C:* button\nalias pci:v00001AF4d*sv*sd*bc*sc*i* virtio_pci\nalias x\n\
             alias pci:v*d*sv*sd*bc01sc06i01* ahci\nalias pci:v*d*sv*sd*bc01* other\n",
        );
        let find = |modalias: &str| aliases.modules(modalias).collect::<Vec<_>>();
        assert_eq!(find("acpi:PNP0C0C:"), ["button"]);
        assert_eq!(find("pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01"), ["ahci", "other"]);
        assert_eq!(find("usb:v1"), Vec::<&str>::new());
    }
}
