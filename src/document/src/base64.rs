//! Base64 of RFC 4648 section 4 and 5 (both alphabets), as foreign documents carry it: white space is passed over, padding
//! may be missing. [`decode_strict`] is for text that other programs will read, too.

/// The bytes; `None` if it is not base64.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count, mut ended) = (0_u32, 0_u32, false);
    for byte in text.bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'=' => {
                ended = true;
                continue;
            }
            b' ' | b'\t' | b'\r' | b'\n' => continue,
            _ => return None,
        };
        if ended {
            return None;
        }
        bits = bits << 6 | u32::from(value);
        count += 1;
        if count.is_multiple_of(4) {
            out.extend(bits.to_be_bytes().get(1..)?);
            bits = 0;
        }
    }
    match count % 4 {
        0 => {}
        2 => out.push(u8::try_from(bits >> 4 & 0xff).ok()?),
        3 => out.extend((bits >> 2).to_be_bytes().get(2..)?),
        _ => return None,
    }
    Some(out)
}

/// The bytes of text that is base64 in the one way that every reader takes: the alphabet of section 4, padded, no white space,
/// no bits to spare, not empty.
pub fn decode_strict(text: &str) -> Option<Vec<u8>> {
    decode(text).filter(|bytes| !bytes.is_empty() && encode(bytes) == text)
}

/// The text, padded.
pub fn encode(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for index in 0..4_u32 {
            let sextet = usize::try_from(bits >> (18 - 6 * index) & 63).unwrap_or(0);
            let used = usize::try_from(index).is_ok_and(|index| index <= chunk.len());
            out.push(if used { char::from(ALPHABET[sextet]) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{decode, decode_strict, encode};

    #[test]
    fn rfc_4648_section_10() {
        for (plain, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(plain.as_bytes()), text);
            assert_eq!(decode(text).as_deref(), Some(plain.as_bytes()));
            assert_eq!(decode_strict(text).as_deref(), Some(plain.as_bytes()).filter(|bytes| !bytes.is_empty()));
            assert_eq!(decode(text.trim_end_matches('=')).as_deref(), Some(plain.as_bytes()));
        }
        assert_eq!(decode("-_\n+/"), Some(vec![0xfb, 0xff, 0xbf]));
        for bad in ["A", "Zg==Zg==", "a!bc", "é"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
        for bad in ["Zg", "Zg=", "Z===", "====", "Zh==", "Zm9 ", "Zm\n9", "Z=9v", "Zä==", "-_-_"] {
            assert_eq!(decode_strict(bad), None, "{bad}");
        }
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(&encode(&all)), Some(all));
    }
}
