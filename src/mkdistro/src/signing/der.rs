//! Distinguished Encoding Rules (X.690), as much as signatures and certificates need, and PEM around it (RFC 7468).

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const NULL: [u8; 2] = [0x05, 0];
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// Context-specific, constructed: `[NUMBER]`.
pub(super) const fn context(number: u8) -> u8 {
    0xa0 | number
}

/// Context-specific, primitive: `[NUMBER] IMPLICIT` of something that holds no others.
pub(super) const fn context_primitive(number: u8) -> u8 {
    0x80 | number
}

/// A value of parts that are encoded already.
pub(super) fn value(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = vec![tag];
    let bytes = length.to_be_bytes();
    let significant = &bytes[bytes.iter().take_while(|byte| **byte == 0).count().min(bytes.len() - 1)..];
    if length >= 0x80 {
        // At most 8.
        out.push(0x80 | significant.len() as u8);
    }
    out.extend(significant);
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

/// An object identifier.
pub(super) fn oid(arcs: &[u32]) -> Vec<u8> {
    let mut content = Vec::new();
    let first = arcs.iter().take(2).fold(0, |number, arc| number * 40 + arc);
    for arc in std::iter::once(&first).chain(arcs.iter().skip(2)) {
        let mut digits = vec![(arc & 0x7f) as u8];
        let mut rest = arc >> 7;
        while rest > 0 {
            digits.push(0x80 | (rest & 0x7f) as u8);
            rest >>= 7;
        }
        content.extend(digits.iter().rev());
    }
    value(OID, &[&content])
}

/// Values one after the other, as read.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

/// A value.
pub(super) struct Value<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    /// With tag and length.
    pub(super) whole: &'a [u8],
}

impl<'a> Reader<'a> {
    /// The next value, whatever it is.
    pub(super) fn any(&mut self, what: &str) -> Result<Value<'a>> {
        let next = || -> Option<(usize, usize)> {
            let (tag, first) = (*self.0.first()?, *self.0.get(1)?);
            // Tags of more than one byte occur nowhere here; nor does an indefinite length, which is not DER.
            if tag & 0x1f == 0x1f {
                return None;
            }
            if first < 0x80 {
                return Some((2, first.into()));
            }
            let count = usize::from(first & 0x7f);
            let bytes = self.0.get(2..2 + count).filter(|_| (1..=4).contains(&count))?;
            Some((2 + count, bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte))))
        };
        let (start, length) = next().with_context(|| format!("reading {what}: it is no DER"))?;
        let Some(whole) = self.0.get(..start + length) else { bail!("reading {what}: it is cut off") };
        let value = Value { tag: whole[0], content: &whole[start..], whole };
        self.0 = &self.0[whole.len()..];
        Ok(value)
    }

    /// The next value, which must have this tag.
    pub(super) fn expect(&mut self, tag: u8, what: &str) -> Result<Value<'a>> {
        let value = self.any(what)?;
        ensure!(value.tag == tag, "reading {what}: expected the tag {tag:#04x}, found {:#04x}", value.tag);
        Ok(value)
    }
}

/// What was between `-----BEGIN LABEL-----` and `-----END LABEL-----`.
pub(super) struct Pem {
    pub(super) label: String,
    pub(super) content: Vec<u8>,
}

/// The first text of one of these labels.
pub(super) fn pem(text: &[u8], labels: &[&str]) -> Result<Pem> {
    let expected = || format!("expected PEM with \"-----BEGIN {}-----\"", labels[0]);
    let text = std::str::from_utf8(text).ok().with_context(expected)?;
    let mut lines = text.lines().map(str::trim);
    let begins = |line: &str| labels.iter().find(|label| line == format!("-----BEGIN {label}-----")).copied();
    let label = lines.find_map(begins).with_context(expected)?;
    let end = format!("-----END {label}-----");
    let mut body = String::new();
    loop {
        match lines.next() {
            Some(line) if line == end => break,
            Some(line) => body.push_str(line),
            None => bail!("the PEM has no \"{end}\""),
        }
    }
    let content = STANDARD.decode(&body).with_context(|| format!("reading the PEM of the {label}"))?;
    Ok(Pem { label: label.to_owned(), content })
}
