//! Secrets in texts. What is masked is decided by names (`password`, `token`, …), by the form of private keys and crypt hashes,
//! and by user parts of URLs. It is better to mask too much.

/// Parts of names whose value nobody else should see.
const NAMES: [&str; 12] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "api-key",
    "api_key",
    "credential",
    "private-key",
    "private_key",
    "auth",
];
/// Words with those parts that are no secrets.
const HARMLESS: [&str; 4] = ["authorized", "author", "authentic", "authority"];
const MASK: &str = "***";

/// The text with secrets replaced.
pub(super) fn mask(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_key = false;
    for line in text.split_inclusive('\n') {
        if line.contains("-----BEGIN") && line.contains("PRIVATE KEY") {
            in_key = true;
            out.push_str("*** private key ***\n");
        }
        if !in_key {
            out.push_str(&mask_line(line));
        }
        if in_key && line.contains("-----END") {
            in_key = false;
        }
    }
    out
}

fn mask_line(line: &str) -> String {
    let line = mask_urls(line);
    let line = mask_hashes(&line);
    mask_values(&line)
}

/// `key = value`, `key: value`, `key=value` among others in a line: from the separator to the end of the value. A value ends
/// with its quotes, or where the word ends.
fn mask_values(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(['=', ':']) {
        let (before, after) = (rest.get(..at).unwrap_or_default(), rest.get(at + 1..).unwrap_or_default());
        out.push_str(rest.get(..=at).unwrap_or_default());
        rest = after;
        let name = before.trim_end().trim_end_matches(['"', '\'']);
        let start = name.rfind(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).map_or(0, |at| at + 1);
        if !is_secret(name.get(start..).unwrap_or_default()) {
            continue;
        }
        let space = after.len() - after.trim_start_matches([' ', '\t', '>']).len();
        let value = after.get(space..).unwrap_or_default();
        let end = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                value.get(1..).and_then(|rest| rest.find(quote)).map_or(value.trim_end().len(), |at| at + 2)
            }
            // To the end of the line where the name began it: a value may have spaces there.
            _ if start == 0 || before.trim_start().len() == before.len() - start => value.trim_end().len(),
            _ => value.find(|c: char| c.is_whitespace() || ",;&\"'".contains(c)).unwrap_or(value.trim_end().len()),
        };
        if end > 0 {
            out.push_str(after.get(..space).unwrap_or_default());
            out.push_str(MASK);
            rest = value.get(end..).unwrap_or_default();
        }
    }
    out + rest
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    NAMES.iter().any(|part| name.contains(part)) && !HARMLESS.iter().any(|word| name.contains(word))
}

/// `https://user:password@host` keeps the user only.
fn mask_urls(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after.find(|c: char| c.is_whitespace() || "/\"'<>".contains(c)).unwrap_or(after.len());
        let (authority, more) = after.split_at(end);
        match authority.rsplit_once('@') {
            Some((user, host)) => {
                let name = user.split(':').next().unwrap_or_default();
                out.push_str(&if name.len() < user.len() {
                    format!("{name}:{MASK}@{host}")
                } else {
                    format!("{user}@{host}")
                });
            }
            None => out.push_str(authority),
        }
        rest = more;
    }
    out + rest
}

/// crypt(5): `$6$salt$hash`, `$y$…`.
fn mask_hashes(line: &str) -> String {
    let is_hash = |word: &str| {
        let mut parts = word.splitn(4, '$');
        parts.next() == Some("")
            && parts.next().is_some_and(|id| (1..=3).contains(&id.len()))
            && parts.next().is_some()
            && parts.next().is_some_and(|rest| rest.len() >= 20)
    };
    let ends = |c: char| c.is_whitespace() || ":\"',".contains(c);
    line.split_inclusive(ends)
        .map(|word| {
            let bare = word.trim_end_matches(ends);
            if is_hash(bare) { format!("{MASK}{}", word.get(bare.len()..).unwrap_or_default()) } else { word.into() }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::mask;

    #[test]
    fn hides_secrets_only() {
        for (text, expected) in [
            ("password = \"a b\" # c\n", "password = *** # c\n"),
            ("password: a b\nnext: 1\n", "password: ***\nnext: 1\n"),
            ("{\"auth\": \"Zm9v\", \"b\": 1}", "{\"auth\": ***, \"b\": 1}"),
            ("ro quiet my.token=abc distro.data=x", "ro quiet my.token=*** distro.data=x"),
            ("http_proxy=http://me:pw@proxy:3128/", "http_proxy=http://me:***@proxy:3128/"),
            ("see https://example.org/a?b=c:d", "see https://example.org/a?b=c:d"),
            ("root:$6$abc$0123456789012345678901:1:", "root:***:1:"),
            ("authorized-keys = [\"ssh-ed25519 AAAA\"]", "authorized-keys = [\"ssh-ed25519 AAAA\"]"),
            ("MemTotal: 1 kB\n", "MemTotal: 1 kB\n"),
            (
                "a\n-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\nb\n",
                "a\n*** private key ***\nb\n",
            ),
            ("API_KEY=x", "API_KEY=***"),
            ("", ""),
        ] {
            assert_eq!(mask(text), expected, "{text:?}");
        }
    }

    #[test]
    fn takes_any_text() {
        fuzz::Fuzz::new("mask")
            .seed("password = \"x\"\nhttps://a:b@c/\n$6$a$0123456789012345678901\n")
            .tokens(&["://", "@", "password=", "\"", "-----BEGIN PRIVATE KEY-----", "ä", ": "])
            .run(|input| {
                mask(&String::from_utf8_lossy(input));
            });
    }
}
