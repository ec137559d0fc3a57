//! The text of `SHA256SUMS`: `HASH  NAME` a line, as sha256sum(1) writes and reads it. A name with a backslash, line feed
//! or carriage return has these escaped, and the line begins with a backslash.

use std::collections::BTreeMap;

/// The entries by name. Lines that are no entry (comments, another format) are kept as they are, first.
#[derive(Debug, Default, PartialEq)]
pub(super) struct List {
    others: Vec<Vec<u8>>,
    entries: BTreeMap<Vec<u8>, String>,
}

impl List {
    pub(super) fn parse(text: &[u8]) -> Self {
        let mut list = Self::default();
        for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            match entry(line) {
                Some((name, hash)) => drop(list.entries.insert(name, hash)),
                None => list.others.push(line.to_vec()),
            }
        }
        list
    }

    pub(super) fn set(&mut self, name: &[u8], hash: &str) {
        self.entries.insert(name.to_vec(), hash.to_owned());
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&[u8]) -> bool) {
        self.entries.retain(|name, _| keep(name));
    }

    pub(super) fn render(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for line in &self.others {
            text.extend_from_slice(line);
            text.push(b'\n');
        }
        for (name, hash) in &self.entries {
            let escaped = escape(name);
            if escaped != *name {
                text.push(b'\\');
            }
            text.extend_from_slice(hash.as_bytes());
            text.extend_from_slice(b"  ");
            text.extend_from_slice(&escaped);
            text.push(b'\n');
        }
        text
    }
}

/// Name and hash of a line. A `*` before the name (binary mode) means the same as a space.
fn entry(line: &[u8]) -> Option<(Vec<u8>, String)> {
    let (escaped, line) = match line.strip_prefix(b"\\") {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let (hash, rest) = line.split_at_checked(64)?;
    let name = rest.strip_prefix(b"  ").or_else(|| rest.strip_prefix(b" *"))?;
    if name.is_empty() || !hash.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let name = if escaped { unescape(name)? } else { name.to_vec() };
    Some((name, String::from_utf8_lossy(hash).to_ascii_lowercase()))
}

const ESCAPES: [(u8, u8); 3] = [(b'\\', b'\\'), (b'\n', b'n'), (b'\r', b'r')];

fn escape(name: &[u8]) -> Vec<u8> {
    let escape = |byte: &u8| match ESCAPES.iter().find(|(raw, _)| raw == byte) {
        Some((_, letter)) => vec![b'\\', *letter],
        None => vec![*byte],
    };
    name.iter().flat_map(escape).collect()
}

fn unescape(name: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = name.iter();
    let mut raw = Vec::new();
    while let Some(&byte) = bytes.next() {
        raw.push(match byte {
            b'\\' => {
                let letter = bytes.next()?;
                ESCAPES.iter().find(|(_, other)| other == letter)?.0
            }
            _ => byte,
        });
    }
    Some(raw)
}
