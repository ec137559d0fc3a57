//! The document's own format: TOML 1.0 (<https://toml.io/en/v1.0.0>) read into [`Table`]s and written from them.

use std::fmt::Write;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::node::{Node, Table, Value};
use crate::{MAX_BYTES, Problem, nesting};

/// Reads a text. Lines that are no TOML are problems, the rest is kept; [`crate::check`] says whether it is a document.
pub fn parse(text: &str) -> (Table, Vec<Problem>) {
    if text.len() > MAX_BYTES {
        return (Table::default(), vec![Problem::at("", 0, format!("more than {MAX_BYTES} bytes"))]);
    }
    if let Some(line) = nesting::too_deep(text) {
        return (Table::default(), vec![Problem::at("", line, "nested too deeply")]);
    }
    let lines = Lines::of(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut problems: Vec<Problem> = errors
        .iter()
        .map(|error| {
            let line = error.span().map_or(0, |span| lines.of_byte(span.start));
            Problem::at("", line, error.message().lines().collect::<Vec<_>>().join(", "))
        })
        .collect();
    problems.sort_by_key(|problem| problem.line);
    let mut table = read_table(table.get_ref(), &lines);
    // What the reader made of a line that it did not understand is a guess.
    remove_lines(&mut table, &problems);
    (table, problems)
}

fn remove_lines(table: &mut Table, problems: &[Problem]) {
    table.0.retain_mut(|(_, node)| {
        match &mut node.value {
            Value::Table(table) => remove_lines(table, problems),
            Value::List(list) => list.iter_mut().for_each(|node| {
                if let Value::Table(table) = &mut node.value {
                    remove_lines(table, problems);
                }
            }),
            _ => {}
        }
        problems.iter().all(|problem| problem.line != node.line)
    });
}

fn read_table(table: &DeTable<'_>, lines: &Lines) -> Table {
    let entry = |(key, value): (&Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
        // A table's span may be its whole body: the key's is where a reader looks.
        let mut node = read(value, lines);
        node.line = lines.of_byte(key.span().start);
        (key.get_ref().to_string(), node)
    };
    Table(table.iter().map(entry).collect())
}

fn read(value: &Spanned<DeValue<'_>>, lines: &Lines) -> Node {
    let line = lines.of_byte(value.span().start);
    let inner = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(integer) => Value::Integer(integer),
            Err(_) => Value::Other("integer of more than 64 bits"),
        },
        DeValue::Array(array) => Value::List(array.iter().map(|value| read(value, lines)).collect()),
        DeValue::Table(table) => Value::Table(read_table(table, lines)),
        other => Value::Other(other.type_str()),
    };
    Node::new(inner, line)
}

/// Where lines begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    fn of_byte(&self, byte: usize) -> usize {
        self.0.partition_point(|start| *start <= byte)
    }
}

/// The text of a table: the same table, whatever source it came from, always gives the same text.
pub fn write(table: &Table) -> String {
    let mut out = String::new();
    write_table(&mut out, table, "");
    out
}

fn write_table(out: &mut String, table: &Table, path: &str) {
    let is_section = |node: &Node| match &node.value {
        Value::Table(_) => true,
        Value::List(list) => !list.is_empty() && list.iter().all(|node| node.table().is_some()),
        _ => false,
    };
    for (key, node) in table.0.iter().filter(|(_, node)| !is_section(node)) {
        let _ = writeln!(out, "{} = {}", quoted_key(key), inline(node));
    }
    for (key, node) in table.0.iter().filter(|(_, node)| is_section(node)) {
        let path = if path.is_empty() { quoted_key(key) } else { format!("{path}.{}", quoted_key(key)) };
        match &node.value {
            Value::Table(table) => {
                let _ = writeln!(out, "\n[{path}]");
                write_table(out, table, &path);
            }
            Value::List(list) => {
                for table in list.iter().filter_map(Node::table) {
                    let _ = writeln!(out, "\n[[{path}]]");
                    write_table(out, table, &path);
                }
            }
            _ => {}
        }
    }
}

fn inline(node: &Node) -> String {
    match &node.value {
        Value::Flag(flag) => flag.to_string(),
        Value::Integer(integer) => integer.to_string(),
        Value::Text(text) => quoted(text),
        Value::List(list) => format!("[{}]", list.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Table(table) => {
            let pairs: Vec<String> =
                table.0.iter().map(|(key, node)| format!("{} = {}", quoted_key(key), inline(node))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        // What the check passes has none.
        Value::Other(_) => "\"\"".into(),
    }
}

fn quoted_key(key: &str) -> String {
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if bare { key.into() } else { quoted(key) }
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' || c == '\x7f' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::{parse, write};

    #[test]
    fn reads_what_it_writes() {
        let text = "hostname = \"a\\\"b\\\\ \\n\\u0001é\"\nn = -3\nflags = [true, false]\nmixed = [1, { a = 2 }]\n\n\
                    [proxy]\nhttp = \"x\"\n\n[proxy.\"a b\"]\nc = []\n\n[[files]]\npath = \"/a\"\n\n[[files]]\npath = \"/b\"\n";
        let (table, problems) = parse(text);
        assert_eq!(problems, []);
        let written = write(&table);
        let (again, problems) = parse(&written);
        assert_eq!((again, problems), (table, vec![]), "{written}");
    }

    #[test]
    fn a_bad_line_loses_little() {
        let (table, problems) = parse("hostname = \"a\"\ntimezone = \nn = 5\n[proxy\nhttp = \"b\"\n");
        assert_eq!(table.text("hostname").as_deref(), Some("a"));
        assert_eq!(table.integer("n"), Some(5));
        assert_eq!(problems.first().map(|problem| problem.line), Some(2), "{problems:?}");
        assert!(problems.len() > 1, "{problems:?}");
        assert_eq!((table.get("timezone"), table.get("proxy")), (None, None));
        assert!(!parse(&"[".repeat(100_000)).1.is_empty());
        assert!(parse(&"a".repeat(crate::MAX_BYTES + 1)).1[0].reason.contains("more than"));
    }

    #[test]
    fn keys_know_their_lines() {
        let (table, _) = parse("\n[proxy]\n\nhttp = \"x\"\n[[files]]\npath = \"/a\"\n[[files]]\npath = 3\n");
        assert_eq!(table.table("proxy").and_then(|proxy| proxy.get("http")).map(|node| node.line), Some(4));
        let lines: Vec<usize> =
            table.tables("files").filter_map(|file| file.get("path")).map(|node| node.line).collect();
        assert_eq!(lines, [6, 8]);
    }
}
