//! JSON (RFC 8259) as values: what the engine's API and its log of events say. Read as the part of YAML that it is, with the
//! limits of [`crate::yaml`], so that no second reader of outside bytes is in the guest. Written only a string at a time.

use std::fmt::Write;

use crate::Problem;
use crate::node::{Node, Table, Value};
use crate::yaml::{self, Yaml};

/// Reads one value. Nulls are left out of tables; numbers that are no integers are [`Value::Other`].
pub fn parse(text: &str) -> Result<Node, Problem> {
    match yaml::parse(&yaml::from_json(text)) {
        Ok(yaml) => Ok(node(&yaml)),
        Err(mut problem) => {
            problem.reason = problem.reason.replace("no YAML", "no JSON");
            Err(problem)
        }
    }
}

/// A string with its quotes (section 7).
pub fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn node(yaml: &Yaml) -> Node {
    let value = match &yaml.value {
        yaml::Value::Scalar { text, plain: false } => Value::Text(text.clone()),
        yaml::Value::Scalar { text, plain: true } => match text.as_str() {
            "true" => Value::Flag(true),
            "false" => Value::Flag(false),
            "null" | "" => Value::Other("null"),
            text => text.parse().map_or(Value::Other("number"), Value::Integer),
        },
        yaml::Value::List(list) => Value::List(list.iter().map(node).collect()),
        yaml::Value::Map(pairs) => {
            let says = |pair: &&(String, Yaml)| !pair.1.is_null();
            Value::Table(Table(pairs.iter().filter(says).map(|(key, value)| (key.clone(), node(value))).collect()))
        }
    };
    Node { value, line: yaml.line }
}

#[cfg(test)]
mod tests {
    use super::{parse, quote};
    use crate::node::Value;

    #[test]
    fn reads_values() {
        let text = r#"{"Id":"a\u003cb","n":-12,"big":30000000000,"f":1.5,"t":true,"none":null,"empty":{},"list":["x","1",2],"o":{"null":"null","yes":"no"}}"#;
        let node = parse(text).unwrap();
        let table = node.table().unwrap();
        assert_eq!(table.text("Id").as_deref(), Some("a<b"));
        assert_eq!((table.integer("n"), table.integer("big")), (Some(-12), Some(30_000_000_000)));
        assert_eq!(table.get("f").unwrap().value, Value::Other("number"));
        assert_eq!((table.flag("t"), table.get("none"), table.integer("list")), (Some(true), None, None));
        assert!(table.table("empty").unwrap().0.is_empty());
        assert_eq!(table.texts("list"), ["x", "1"]);
        assert_eq!(table.pairs("o"), [("null".into(), "null".into()), ("yes".into(), "no".into())]);
        assert_eq!(parse("[]").unwrap().value, Value::List(Vec::new()));
        assert_eq!(parse("null").unwrap().value, Value::Other("null"));
    }

    #[test]
    fn texts_of_any_kind_and_length() {
        for text in ["", "# no comment", "--- |", "a: b, {c}", "% &a *a !t", "\u{e9}\u{1f600}", "  x  "] {
            let node = parse(&format!("{{\"{text}\":\"{text}\"}}")).unwrap();
            assert_eq!(node.table().unwrap().text(text).as_deref(), Some(text));
        }
        let long = "x".repeat(5000);
        let node = parse(&format!("[{{\"{}\":\"{long}\"}},\"{long}\"]", "k".repeat(900))).unwrap();
        let Value::List(list) = node.value else { panic!("no list") };
        assert_eq!(list[1].text(), Some(long.as_str()));
        let escapes = parse(r#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00""#).unwrap();
        assert_eq!(escapes.text(), Some("\"\\/\u{8}\u{c}\n\r\t\u{e9}\u{1f600}"));
    }

    #[test]
    fn quotes_what_it_reads_again() {
        assert_eq!(quote("a\"\\\n\u{1b}ä"), "\"a\\\"\\\\\\n\\u001bä\"");
        for text in ["", "\t\r\0\u{7f}\u{85}", "\u{1f600}"] {
            assert_eq!(parse(&quote(text)).unwrap().text(), Some(text));
        }
    }

    #[test]
    fn refuses_what_is_cut() {
        for text in ["", "{", "{\"a\":", "[1,", "\"a", "{\"a\":\"b"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
