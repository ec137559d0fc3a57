//! Text as keys of a keyboard with the US layout, which kernel and firmware begin with. Names: `QKeyCode` of QEMU's `qapi/ui.json`.

/// A key that is pressed, and whether shift is held meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stroke {
    pub(crate) key: String,
    pub(crate) shift: bool,
}

/// The key of a character; `None`: the keyboard has none for it.
pub(crate) fn stroke(c: char) -> Option<Stroke> {
    /// Characters and, in the same place, what shift makes of them, and the keys.
    const PLAIN: &str = "1234567890-=[]\\;'`,./";
    const SHIFTED: &str = "!@#$%^&*()_+{}|:\"~<>?";
    const KEYS: [&str; 21] = [
        "1",
        "2",
        "3",
        "4",
        "5",
        "6",
        "7",
        "8",
        "9",
        "0",
        "minus",
        "equal",
        "bracket_left",
        "bracket_right",
        "backslash",
        "semicolon",
        "apostrophe",
        "grave_accent",
        "comma",
        "dot",
        "slash",
    ];
    let of = |key: &str, shift| Some(Stroke { key: key.into(), shift });
    match c {
        'a'..='z' => return of(&c.to_string(), false),
        'A'..='Z' => return of(&c.to_ascii_lowercase().to_string(), true),
        ' ' => return of("spc", false),
        '\n' => return of("ret", false),
        _ => {}
    }
    [(PLAIN, false), (SHIFTED, true)]
        .into_iter()
        .find_map(|(characters, shift)| of(KEYS.get(characters.find(c)?)?, shift))
}

#[cfg(test)]
mod tests {
    use super::stroke;

    #[test]
    fn characters_have_keys() {
        for (c, key, shift) in [('a', "a", false), ('Z', "z", true), ('\n', "ret", false), ('5', "5", false)] {
            assert_eq!(stroke(c).map(|stroke| (stroke.key, stroke.shift)), Some((key.into(), shift)), "{c}");
        }
        for (c, key) in [('!', "1"), ('_', "minus"), ('|', "backslash"), ('"', "apostrophe"), ('?', "slash")] {
            assert_eq!(stroke(c).map(|stroke| (stroke.key, stroke.shift)), Some((key.into(), true)), "{c}");
        }
        assert!((' '..='~').all(|c| stroke(c).is_some()));
        assert_eq!(stroke('\u{e4}'), None);
    }
}
