//! The document's JSON schema (draft 2020-12), from the table of keys. It says types, names and what must be there; what a
//! text must look like only `validate` checks.

use std::fmt::Write;

use crate::json::quote;
use crate::key::{Key, Kind};

/// The schema as JSON text.
pub fn schema() -> String {
    let mut out = String::from("{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n");
    out.push_str("  \"title\": \"mkdistro configuration document\",\n");
    object(&mut out, crate::DOCUMENT, 1);
    out.push_str("\n}\n");
    out
}

/// The inside of an object's schema.
fn object(out: &mut String, keys: &[Key], depth: usize) {
    let pad = "  ".repeat(depth);
    let _ = write!(out, "{pad}\"type\": \"object\",\n{pad}\"additionalProperties\": false,\n");
    let required: Vec<String> = keys.iter().filter(|key| key.required).map(|key| quote(key.name)).collect();
    if !required.is_empty() {
        let _ = writeln!(out, "{pad}\"required\": [{}],", required.join(", "));
    }
    let _ = writeln!(out, "{pad}\"properties\": {{");
    for (index, key) in keys.iter().enumerate() {
        let _ = writeln!(out, "{pad}  {}: {{", quote(key.name));
        let _ = writeln!(out, "{pad}    \"description\": {},", quote(key.meaning));
        kind(out, &key.kind, depth + 2);
        let _ = writeln!(out, "\n{pad}  }}{}", if index + 1 < keys.len() { "," } else { "" });
    }
    let _ = write!(out, "{pad}}}");
}

fn kind(out: &mut String, kind: &Kind, depth: usize) {
    let pad = "  ".repeat(depth);
    let text = |expected: &str| format!("{{ \"type\": \"string\", \"description\": {} }}", quote(expected));
    let _ = match kind {
        Kind::Text(rule) => write!(out, "{pad}\"type\": \"string\",\n{pad}\"$comment\": {}", quote(rule.expected)),
        Kind::Integer(from, to) => {
            write!(out, "{pad}\"type\": \"integer\",\n{pad}\"minimum\": {from},\n{pad}\"maximum\": {to}")
        }
        Kind::Flag => write!(out, "{pad}\"type\": \"boolean\""),
        Kind::List(rule) | Kind::Sum(rule) => {
            write!(out, "{pad}\"type\": \"array\",\n{pad}\"items\": {}", text(rule.expected))
        }
        Kind::Map(_, rule) => {
            write!(out, "{pad}\"type\": \"object\",\n{pad}\"additionalProperties\": {}", text(rule.expected))
        }
        Kind::Table(keys) => return object(out, keys, depth),
        Kind::Tables(_, keys) => {
            let _ = writeln!(out, "{pad}\"type\": \"array\",\n{pad}\"items\": {{");
            object(out, keys, depth + 1);
            write!(out, "\n{pad}}}")
        }
    };
}

/// Each key with its path, `[[users]] name`, and its meaning, for references: name, meaning, whether it must be there.
pub fn reference() -> Vec<(String, &'static str, bool)> {
    fn walk(keys: &'static [Key], path: &str, out: &mut Vec<(String, &'static str, bool)>) {
        for key in keys {
            let path = if path.is_empty() { key.name.to_string() } else { format!("{path}.{}", key.name) };
            match key.kind {
                Kind::Table(keys) | Kind::Tables(_, keys) => walk(keys, &path, out),
                _ => out.push((path, key.meaning, key.required)),
            }
        }
    }
    let mut out = Vec::new();
    walk(crate::DOCUMENT, "", &mut out);
    out
}
