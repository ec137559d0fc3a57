//! Single keys of the document as `PATH=VALUE` words, as on the kernel command line: `proxy.http=http://…`. A list is
//! separated by commas. Tables of the user's choice and arrays of tables cannot be given so.

use crate::key::{Key, Kind};
use crate::nearest::did_you_mean;
use crate::node::{Node, Table};
use crate::{DOCUMENT, Problem};

/// A table of such words; not checked. A word without a dot that names no key is somebody else's.
pub fn from_options<'a>(words: impl IntoIterator<Item = (&'a str, &'a str)>) -> (Table, Vec<Problem>) {
    let mut table = Table::default();
    let mut problems = Vec::new();
    for (path, value) in words {
        let (section, name) = path.split_once('.').unwrap_or(("", path));
        let keys = if section.is_empty() { Some(DOCUMENT) } else { keys_of(section) };
        let kind = keys.and_then(|keys| keys.iter().find(|key| key.name == name)).map(|key| &key.kind);
        let texts =
            || value.split(',').filter(|text| !text.is_empty()).map(|text| Node::new(text, 0)).collect::<Vec<_>>();
        let node = match kind {
            Some(Kind::Text(_)) => Node::new(value, 0),
            Some(Kind::List(_) | Kind::Sum(_)) => Node::new(texts(), 0),
            Some(Kind::Flag) => match value {
                "" | "true" | "yes" | "on" | "1" => Node::new(true, 0),
                "false" | "no" | "off" | "0" => Node::new(false, 0),
                _ => Node::new(value, 0),
            },
            Some(Kind::Integer(..)) => {
                value.parse::<i64>().map_or_else(|_| Node::new(value, 0), |number| Node::new(number, 0))
            }
            // `distro.data=LABEL` is another program's key.
            _ if section.is_empty() => continue,
            _ => {
                let names = keys.unwrap_or_default().iter().map(|key| key.name);
                problems.push(Problem::at(path, 0, "no such key").hint(did_you_mean(name, names)));
                continue;
            }
        };
        if section.is_empty() {
            table.set(name, node);
        } else {
            table.table_mut(section, 0).set(name, node);
        }
    }
    (table, problems)
}

fn keys_of(section: &str) -> Option<&'static [Key]> {
    match DOCUMENT.iter().find(|key| key.name == section)?.kind {
        Kind::Table(keys) => Some(keys),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::from_options;
    use crate::{DOCUMENT, Document, check};

    #[test]
    fn reads_words() {
        let words = [
            ("hostname", "a"),
            ("data", "none"),
            ("verbose", ""),
            ("proxy.http", "http://p:1"),
            ("proxy.no", "a,.b"),
            ("ntp.enabled", "off"),
            ("proxy.htp", "x"),
        ];
        let (mut table, problems) = from_options(words);
        assert_eq!(problems[0].to_string(), "proxy.htp: no such key\nhint: did you mean \"http\"?");
        assert!(check(&mut table, DOCUMENT).is_empty());
        let document = Document::of(&table);
        assert_eq!((document.hostname.as_deref(), document.ntp.enabled), (Some("a"), false));
        assert_eq!((document.proxy.http.as_deref(), document.proxy.no.join(" ")), (Some("http://p:1"), "a .b".into()));
    }
}
