//! `authorized_keys` lines (sshd(8), "AUTHORIZED_KEYS FILE FORMAT"): `[options] type base64 [comment]`. The base64 part is
//! the key's blob of RFC 4253 section 6.6, which begins with the type once more as a string.

use contract::SSH_KEY_TYPES;
use document::base64;

/// Longer lines are passed over in silence by dropbear (`MAX_AUTHKEYS_LINE`).
const LINE_LIMIT_BYTES: usize = 4200;

/// Sources put together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Merged {
    /// The new file.
    pub(super) text: String,
    /// Number of keys in it.
    pub(super) keys: usize,
    /// Lines that are no keys: source, line number and reason.
    pub(super) problems: Vec<String>,
}

/// Merges `(name, text)` sources: each key once, where it came first, in the order of the sources.
pub(super) fn merge<'a>(sources: impl IntoIterator<Item = (&'a str, &'a str)>) -> Merged {
    let mut merged = Merged::default();
    let mut seen: Vec<&str> = Vec::new();
    for (source, text) in sources {
        for (index, line) in text.lines().enumerate() {
            let line = line.trim_matches(|c: char| c.is_whitespace() || c == '\0');
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match blob(line) {
                Ok(blob) if seen.contains(&blob) => {}
                Ok(blob) => {
                    seen.push(blob);
                    merged.keys += 1;
                    merged.text.push_str(line);
                    merged.text.push('\n');
                }
                Err(reason) => merged.problems.push(format!("{source}: line {}: {reason}", index + 1)),
            }
        }
    }
    merged
}

/// The base64 part of a line whose key is well-formed.
fn blob(line: &str) -> Result<&str, String> {
    if line.len() > LINE_LIMIT_BYTES {
        return Err(format!("{} bytes, at most {LINE_LIMIT_BYTES} are allowed", line.len()));
    }
    if line.contains(|c: char| c.is_control() && c != '\t') {
        return Err("has a control character".into());
    }
    if line.contains("PRIVATE KEY") {
        return Err("is a private key; the public one belongs here".into());
    }
    let (first, rest) = split_word(line);
    let (kind, rest) = if SSH_KEY_TYPES.contains(&first) { (first, rest) } else { split_word(rest) };
    if !SSH_KEY_TYPES.contains(&kind) {
        return Err(format!("{first:?} is no key type (such as ssh-ed25519) and no option before one"));
    }
    let (text, _comment) = split_word(rest);
    let key = base64::decode_strict(text).ok_or_else(|| format!("{kind}: the key is not base64, or cut off"))?;
    let length = key.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes) as usize);
    let inner = length.and_then(|length| key.get(4..length.checked_add(4)?));
    match inner {
        Some(inner) if inner == kind.as_bytes() && key.len() > inner.len() + 4 => Ok(text),
        Some(inner) if inner != kind.as_bytes() => {
            Err(format!("says {kind}, but the key is of type {:?}", String::from_utf8_lossy(inner)))
        }
        _ => Err(format!("{kind}: the key is cut off")),
    }
}

/// The first word and what follows; white space in double quotes does not end it (options may have some).
fn split_word(text: &str) -> (&str, &str) {
    let (mut quoted, mut escaped) = (false, false);
    let end = text.find(|c: char| {
        if c == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = c == '\\' && !escaped;
        c.is_ascii_whitespace() && !quoted
    });
    let (word, rest) = text.split_at(end.unwrap_or(text.len()));
    (word, rest.trim_start())
}

#[cfg(test)]
mod tests {
    use super::merge;

    const ED: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
    const ED_2: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIP8BAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

    #[test]
    fn merges_sources_and_drops_duplicates() {
        let one = format!("# mine\n\nssh-ed25519 {ED} me@here\r\n");
        let two = format!("ssh-ed25519 {ED} the same\n  from=\"10.0.0.0/8, x \\\" y\",no-pty ssh-ed25519 {ED_2}\n\0");
        let merged = merge([("a", one.as_str()), ("b", two.as_str())]);
        assert_eq!(merged.problems, Vec::<String>::new());
        assert_eq!(merged.keys, 2);
        assert_eq!(
            merged.text,
            format!("ssh-ed25519 {ED} me@here\nfrom=\"10.0.0.0/8, x \\\" y\",no-pty ssh-ed25519 {ED_2}\n")
        );
    }

    #[test]
    fn names_each_bad_line_and_keeps_the_good_one() {
        let cut = &ED[..ED.len() - 4];
        let text = format!(
            "ssh-ed25519\nssh-ed25519 {}\nssh-rsa {ED}\nssh-dss {ED}\n-----BEGIN OPENSSH PRIVATE KEY-----\nssh-ed25519 \
             {ED} \x1b[2J\n{}\nssh-ed25519 {ED} ok\nssh-ed25519 AAAAC3NzaC1lZDI1NTE5\n",
            &cut[..cut.len() - 1],
            "x".repeat(5000)
        );
        let merged = merge([("keys", text.as_str())]);
        assert_eq!(merged.text, format!("ssh-ed25519 {ED} ok\n"));
        assert_eq!(
            merged.problems,
            [
                "keys: line 1: ssh-ed25519: the key is not base64, or cut off",
                "keys: line 2: ssh-ed25519: the key is not base64, or cut off",
                "keys: line 3: says ssh-rsa, but the key is of type \"ssh-ed25519\"",
                "keys: line 4: \"ssh-dss\" is no key type (such as ssh-ed25519) and no option before one",
                "keys: line 5: is a private key; the public one belongs here",
                "keys: line 6: has a control character",
                "keys: line 7: 5000 bytes, at most 4200 are allowed",
                "keys: line 9: ssh-ed25519: the key is cut off",
            ]
        );
    }

    #[test]
    fn no_source_gives_an_empty_file() {
        assert_eq!(merge([]), super::Merged::default());
        assert_eq!(merge([("a", "\n#x\n")]).text, "");
    }
}
