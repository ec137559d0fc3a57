//! `WWW-Authenticate`: how a server wants to be asked. Reference: RFC 9110, section 11.6.1, and distribution's token
//! authentication specification.

use std::collections::BTreeMap;

/// A way to sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password with each request.
    Basic,
    /// A token, to be had elsewhere.
    Bearer {
        /// URL that gives it.
        realm: String,
        /// Whom it is for.
        service: Option<String>,
        /// What it is for.
        scope: Option<String>,
    },
}

/// The challenges of a field that are known, in their order.
pub(super) fn parse(field: &str) -> Vec<Challenge> {
    let mut found: Vec<(String, BTreeMap<String, String>)> = Vec::new();
    let mut rest = field.trim_start_matches([' ', ',']);
    while !rest.is_empty() {
        let end = rest.find([' ', ',', '=']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let after = after.trim_start_matches(' ');
        rest = match after.strip_prefix('=') {
            Some(value) => {
                let (value, after) = read_value(value.trim_start_matches(' '));
                if let Some((_, parameters)) = found.last_mut() {
                    parameters.insert(word.to_ascii_lowercase(), value);
                }
                after
            }
            None => {
                found.push((word.to_ascii_lowercase(), BTreeMap::new()));
                after
            }
        };
        // Something that is neither a word nor a separator would stay for ever.
        rest = if word.is_empty() { rest.get(1..).unwrap_or_default() } else { rest };
        rest = rest.trim_start_matches([' ', ',']);
    }
    let known = |(scheme, mut parameters): (String, BTreeMap<String, String>)| match scheme.as_str() {
        "basic" => Some(Challenge::Basic),
        "bearer" => Some(Challenge::Bearer {
            realm: parameters.remove("realm")?,
            service: parameters.remove("service"),
            scope: parameters.remove("scope"),
        }),
        _ => None,
    };
    found.into_iter().filter_map(known).collect()
}

/// A token or a quoted string, and what follows it.
fn read_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_at(text.find([' ', ',']).unwrap_or(text.len()));
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return (value, quoted.get(at + 1..).unwrap_or_default()),
            '\\' => value.extend(characters.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

/// Letters, digits and `-._~` stay, everything else becomes `%XX`: RFC 3986, section 2.1.
pub(super) fn encode(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        let (service, scope) = (service.map(str::to_owned), scope.map(str::to_owned));
        Challenge::Bearer { realm: realm.into(), service, scope }
    }

    #[test]
    fn reads_what_registries_send() {
        for (field, expected) in [
            ("Basic realm=\"Registry\"", vec![Challenge::Basic]),
            (
                "Bearer realm=\"https://auth.test/token\",service=\"registry.test\",scope=\"repository:a/b:pull,push\"",
                vec![bearer("https://auth.test/token", Some("registry.test"), Some("repository:a/b:pull,push"))],
            ),
            (
                "bearer Realm = https://a.test , Basic, Digest nonce=\"x, y=z\"",
                vec![bearer("https://a.test", None, None), Challenge::Basic],
            ),
            ("Bearer realm=\"a\\\"b\", basic", vec![bearer("a\"b", None, None), Challenge::Basic]),
            ("Bearer service=\"x\"", vec![]),
            ("", vec![]),
            ("=,=\"", vec![]),
            ("Bearer realm=\"unended", vec![bearer("unended", None, None)]),
        ] {
            assert_eq!(parse(field), expected, "{field}");
        }
        assert_eq!(encode("repository:a/b c~"), "repository%3Aa%2Fb%20c~");
    }

    #[test]
    fn fuzz_challenge() {
        fuzz::Fuzz::new("fuzz_challenge")
            .seed(&b"Bearer realm=\"https://a\\\"\",x=y, Basic z"[..])
            .iterations(2000)
            .run(|bytes| {
                std::hint::black_box(parse(&String::from_utf8_lossy(bytes)));
            });
    }
}
