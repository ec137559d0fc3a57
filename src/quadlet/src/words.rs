//! Values that are lists of words: systemd.syntax(7), "Quoting", and systemd.service(5), "Command lines".

/// How a value is taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Quotes hold words together, a backslash is an ordinary character.
    Plain,
    /// Quotes hold words together, a backslash begins an escape sequence of C.
    Escapes,
}

/// The words of a value; at its end an open quote and a single backslash are forgiven.
///
/// # Errors
/// An escape sequence that there is not, and one that makes a zero byte or no UTF-8.
pub fn split(text: &str, rule: Rule) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'\\' if rule == Rule::Escapes => {
                if rest.is_empty() {
                    break;
                }
                rest = escape(rest, word.get_or_insert_default())?;
            }
            _ if quote == Some(byte) => quote = None,
            _ if quote.is_some() => word.get_or_insert_default().push(byte),
            b'"' | b'\'' => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            b' ' | b'\t' | b'\n' | b'\r' => finish(&mut words, &mut word)?,
            _ => word.get_or_insert_default().push(byte),
        }
    }
    finish(&mut words, &mut word)?;
    Ok(words)
}

fn finish(words: &mut Vec<String>, word: &mut Option<Vec<u8>>) -> Result<(), String> {
    if let Some(bytes) = word.take() {
        words.push(String::from_utf8(bytes).map_err(|_| "an escape sequence makes no UTF-8".to_owned())?);
    }
    Ok(())
}

/// Reads what follows a backslash; gives what is left.
fn escape<'a>(text: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], String> {
    let (&kind, after) = text.split_first().ok_or("nothing follows a backslash")?;
    let simple = match kind {
        b'a' => Some(7),
        b'b' => Some(8),
        b'f' => Some(12),
        b'n' => Some(b'\n'),
        b'r' => Some(b'\r'),
        b't' => Some(b'\t'),
        b'v' => Some(11),
        b's' => Some(b' '),
        b'\\' | b'"' | b'\'' => Some(kind),
        _ => None,
    };
    if let Some(byte) = simple {
        word.push(byte);
        return Ok(after);
    }
    let (digits, radix, from) = match kind {
        b'x' => (2, 16, after),
        b'u' => (4, 16, after),
        b'U' => (8, 16, after),
        b'0'..=b'7' => (3, 8, text),
        _ => return Err(format!("unknown escape sequence \\{}", char::from(kind).escape_default())),
    };
    let wrong = || format!("\\{} needs {digits} digits of a character that there is", char::from(kind));
    let (number, left) = from.split_at_checked(digits).ok_or_else(wrong)?;
    let number = std::str::from_utf8(number).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let value = number.and_then(|text| u32::from_str_radix(text, radix).ok()).filter(|value| *value != 0);
    let value = value.ok_or_else(wrong)?;
    match kind {
        b'u' | b'U' => {
            let character = char::from_u32(value).ok_or_else(wrong)?;
            word.extend(character.encode_utf8(&mut [0; 4]).bytes());
        }
        _ => word.push(u8::try_from(value).map_err(|_| wrong())?),
    }
    Ok(left)
}

/// A command line that [`split`] takes apart into these words again, for people to read.
pub fn join(words: &[String]) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@%+,^~[]{}()*!?&;<>|#$".contains(&byte);
    let shown = words.iter().map(|word| {
        if !word.is_empty() && word.bytes().all(is_plain) {
            return word.clone();
        }
        let mut out = String::from("\"");
        for character in word.chars() {
            match character {
                '"' | '\\' => out.extend(['\\', character]),
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                other if u32::from(other) < 32 => out.push_str(&format!("\\x{:02x}", u32::from(other))),
                other => out.push(other),
            }
        }
        out.push('"');
        out
    });
    shown.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{Rule, join, split};

    #[test]
    fn splits_as_systemd_does() {
        let cases: [(&str, &[&str]); 12] = [
            ("", &[]),
            ("  a  b\t", &["a", "b"]),
            (r#"/some/path "an arg" "a;b\nc\td'e""#, &["/some/path", "an arg", "a;b\nc\td'e"]),
            (r#"a;b\nc 'a"b' '\110ello \127orld'"#, &["a;b\nc", "a\"b", "Hello World"]),
            (r#"a"b c"d e"#, &["ab cd", "e"]),
            (r#""" x"#, &["", "x"]),
            (r"\x41\u00e4\U0001F600 \s", &["A\u{e4}\u{1f600}", " "]),
            (r"\303\244", &["\u{e4}"]),
            (r#""open"#, &["open"]),
            (r"a\", &["a"]),
            ("\u{e4} \"\u{e4}\"", &["\u{e4}", "\u{e4}"]),
            ("''", &[""]),
        ];
        for (text, expected) in cases {
            let words = split(text, Rule::Escapes).unwrap();
            assert_eq!(words, expected, "{text}");
            assert_eq!(split(&join(&words), Rule::Escapes).unwrap(), words, "{}", join(&words));
        }
        assert_eq!(split(r"a\nb '\'", Rule::Plain).unwrap(), [r"a\nb", r"\"]);
    }

    #[test]
    fn refuses_escapes_that_there_are_not() {
        for text in
            [r"\z", r"\x4", r"\xzz", r"\x00", r"\000", r"\400", r"\ud800", r"\U99999999", r"\377", r"\u+041", r"\ "]
        {
            assert!(split(text, Rule::Escapes).is_err(), "{text}");
        }
    }
}
