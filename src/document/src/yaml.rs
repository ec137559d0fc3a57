//! YAML 1.2 (<https://yaml.org/spec/1.2.2/>) as cloud-config has it, and JSON, which is a part of it, as Ignition has it:
//! read into a tree of texts with lines. What a plain text means (a number, a truth value) the reader of the tree says:
//! `0644` must stay what it is.
//!
//! Limits: [`MAX_DEPTH`], and [`MAX_NODES`] with what aliases repeat, so that a small file cannot become a large tree.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle};

use crate::{MAX_BYTES, Problem};

/// Lists and tables within each other.
const MAX_DEPTH: usize = 64;
/// Values in all.
const MAX_NODES: usize = 100_000;
/// Bytes of texts in all: an alias repeats those of its anchor.
const MAX_TEXT: usize = 2 * MAX_BYTES;

/// A value and its line.
#[derive(Debug, Clone)]
pub(crate) struct Yaml {
    pub(crate) value: Value,
    /// From 1.
    pub(crate) line: usize,
}

#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// A text; `plain`: without quotes, so it may mean a number, a truth value or nothing.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Yaml>),
    Map(Vec<(String, Yaml)>),
}

impl Yaml {
    /// Whether it is nothing: `~`, `null` or no text at all.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The text, whatever it may mean.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } if !self.is_null() => Some(text),
            _ => None,
        }
    }

    /// A truth value, in the spellings of YAML 1.1, which cloud-init reads.
    pub(crate) fn flag(&self) -> Option<bool> {
        match self.text()?.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some(true),
            "false" | "no" | "off" | "0" => Some(false),
            _ => None,
        }
    }

    /// The entries of a list; what is no list counts as a list of one, nothing as an empty one.
    pub(crate) fn entries(&self) -> &[Self] {
        match &self.value {
            Value::List(list) => list,
            _ if self.is_null() => &[],
            _ => std::slice::from_ref(self),
        }
    }

    /// The table's keys; none if it is no table.
    pub(crate) fn pairs(&self) -> &[(String, Self)] {
        match &self.value {
            Value::Map(pairs) => pairs,
            _ => &[],
        }
    }

    pub(crate) fn is_map(&self) -> bool {
        matches!(self.value, Value::Map(_))
    }

    /// The value of a key, unless it is nothing.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.pairs().iter().find(|(name, value)| name == key && !value.is_null()).map(|(_, value)| value)
    }
}

/// A list or table that is being read, with its anchor.
struct Open {
    node: Yaml,
    anchor: usize,
    /// A table's key whose value comes next.
    key: Option<String>,
}

struct Builder {
    open: Vec<Open>,
    root: Option<Yaml>,
    anchors: HashMap<usize, Yaml>,
    nodes: usize,
    text: usize,
}

/// The first YAML document of a text.
pub(crate) fn parse(text: &str) -> Result<Yaml, Problem> {
    if text.len() > MAX_BYTES {
        return Err(Problem::at("", 0, format!("more than {MAX_BYTES} bytes")));
    }
    let mut builder = Builder { open: Vec::new(), root: None, anchors: HashMap::new(), nodes: 0, text: 0 };
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) =
            event.map_err(|error| Problem::at("", error.marker().line(), format!("no YAML: {}", error.info())))?;
        let line = span.start.line();
        let fail = |reason: String| Problem::at("", line, reason);
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                let node = Yaml { value: Value::Scalar { text: text.into_owned(), plain }, line };
                builder.add(node, anchor).map_err(fail)?;
            }
            Event::SequenceStart(anchor, _) => builder.begin(Value::List(Vec::new()), anchor, line).map_err(fail)?,
            Event::MappingStart(anchor, _) => builder.begin(Value::Map(Vec::new()), anchor, line).map_err(fail)?,
            Event::SequenceEnd | Event::MappingEnd => builder.end().map_err(fail)?,
            Event::Alias(anchor) => {
                let Some((nodes, text)) = builder.anchors.get(&anchor).map(size) else {
                    return Err(fail("an alias of what is not complete yet".into()));
                };
                builder.count(nodes.saturating_sub(1), text).map_err(fail)?;
                let Some(node) = builder.anchors.get(&anchor).cloned() else { continue };
                builder.add(node, 0).map_err(fail)?;
            }
            Event::DocumentEnd => break,
            _ => {}
        }
    }
    builder.root.ok_or_else(|| Problem::at("", 0, "nothing in it"))
}

impl Builder {
    fn count(&mut self, nodes: usize, text: usize) -> Result<(), String> {
        self.nodes = self.nodes.saturating_add(nodes);
        self.text = self.text.saturating_add(text);
        if self.nodes > MAX_NODES || self.text > MAX_TEXT {
            return Err(format!("more than {MAX_NODES} values or {MAX_TEXT} bytes of text, aliases counted"));
        }
        Ok(())
    }

    fn begin(&mut self, value: Value, anchor: usize, line: usize) -> Result<(), String> {
        if self.open.len() >= MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} lists and tables within each other"));
        }
        self.open.push(Open { node: Yaml { value, line }, anchor, key: None });
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        match self.open.pop() {
            Some(open) => self.add(open.node, open.anchor),
            None => Ok(()),
        }
    }

    fn add(&mut self, node: Yaml, anchor: usize) -> Result<(), String> {
        let text = if let Value::Scalar { text, .. } = &node.value { text.len() } else { 0 };
        self.count(1, text)?;
        if anchor != 0 {
            let (nodes, text) = size(&node);
            self.count(nodes, text)?;
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root.get_or_insert(node);
            return Ok(());
        };
        match (&mut open.node.value, open.key.take()) {
            (Value::List(list), _) => list.push(node),
            (Value::Map(pairs), Some(key)) => put(pairs, key, node),
            (Value::Map(_), None) => match node.value {
                Value::Scalar { text, .. } => open.key = Some(text),
                _ => return Err("a key that is no text".into()),
            },
            (Value::Scalar { .. }, _) => {}
        }
        Ok(())
    }
}

/// The merge key of YAML 1.1 adds what is not there yet; of the same key twice the last counts, as cloud-init's reader has it.
fn put(pairs: &mut Vec<(String, Yaml)>, key: String, node: Yaml) {
    if key == "<<" {
        for source in node.entries() {
            for (key, value) in source.pairs() {
                if !pairs.iter().any(|(name, _)| name == key) {
                    pairs.push((key.clone(), value.clone()));
                }
            }
        }
        return;
    }
    pairs.retain(|(name, _)| *name != key);
    pairs.push((key, node));
}

/// Values and bytes of text.
fn size(node: &Yaml) -> (usize, usize) {
    let sum = |(nodes, text): (usize, usize), (more, bytes): (usize, usize)| (nodes + more, text + bytes);
    match &node.value {
        Value::Scalar { text, .. } => (1, text.len()),
        Value::List(list) => list.iter().map(size).fold((1, 0), sum),
        Value::Map(pairs) => pairs.iter().map(|(key, value)| sum((0, key.len()), size(value))).fold((1, 0), sum),
    }
}

/// Makes JSON (RFC 8259) YAML: tabs between values become spaces, and pairs of surrogates one escape (section 7 there).
pub(crate) fn from_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut quoted = false;
    while let Some(c) = rest.chars().next() {
        let mut taken = c.len_utf8();
        match c {
            '"' => quoted = !quoted,
            '\t' if !quoted => {
                out.push(' ');
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            '\\' if quoted => {
                if let Some(c) = surrogates(rest) {
                    out.push_str(&format!("\\U{:08x}", u32::from(c)));
                    rest = rest.get(12..).unwrap_or_default();
                    continue;
                }
                taken += rest.chars().nth(1).map_or(0, char::len_utf8);
            }
            _ => {}
        }
        let (done, left) = rest.split_at(taken);
        out.push_str(done);
        rest = left;
    }
    out
}

/// The character of `\uD83D\uDE00`.
fn surrogates(text: &str) -> Option<char> {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u32::from_str_radix(digits, 16).ok()
    };
    let (high, low) = (unit(0)?, unit(6)?);
    let pair = (0xd800..0xdc00).contains(&high) && (0xdc00..0xe000).contains(&low);
    if pair { char::from_u32(0x10000 + ((high - 0xd800) << 10 | (low - 0xdc00))) } else { None }
}

#[cfg(test)]
mod tests {
    use super::{Yaml, from_json, parse};

    fn get<'a>(yaml: &'a Yaml, key: &str) -> &'a str {
        yaml.get(key).and_then(Yaml::text).unwrap_or("(none)")
    }

    #[test]
    fn texts_stay_what_they_are() {
        let yaml = parse("#cloud-config\na: 0644\nb: 'no'\nc: |\n  x\n  y\nd: ~\ne: no\nlist: [1, two]\n").unwrap();
        assert_eq!((get(&yaml, "a"), get(&yaml, "c"), get(&yaml, "d")), ("0644", "x\ny\n", "(none)"));
        assert_eq!(yaml.get("e").and_then(Yaml::flag), Some(false));
        assert_eq!(yaml.get("c").map(|c| c.line), Some(5), "where the text begins");
        assert_eq!(yaml.get("list").map(|list| list.entries().len()), Some(2));
        assert_eq!(yaml.get("a").map(|a| a.entries().len()), Some(1));
    }

    #[test]
    fn aliases_and_merge_keys() {
        let yaml = parse("base: &b {x: 1, y: 2}\nother:\n  <<: *b\n  y: 3\nlist: [*b, *b]\n").unwrap();
        let other = yaml.get("other").unwrap();
        assert_eq!((get(other, "x"), get(other, "y")), ("1", "3"));
        assert_eq!(get(&yaml.get("list").unwrap().entries()[1], "y"), "2");
    }

    #[test]
    fn refuses_bombs_and_depth() {
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_string();
        for level in 1..12 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(",");
            bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        assert!(parse(&bomb).unwrap_err().reason.contains("aliases counted"));
        let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
        assert!(parse(&deep).is_err());
        let within = format!("{}{}", "[".repeat(70), "]".repeat(70));
        assert!(parse(&within).unwrap_err().reason.contains("within each other"));
        let block: String = (0..2000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
        assert!(parse(&block).is_err());
        assert!(parse("a: &a [*a]\n").unwrap_err().reason.contains("alias"));
        assert_eq!(parse("a: 1\nb: [\n").unwrap_err().key, "");
        assert!(parse("").is_err());
    }

    #[test]
    fn json_is_yaml() {
        let json =
            "{\n\t\"a\":\"\\ud83d\\ude00 \\\\ \\\" \\/ \\u00e9\",\n\t\"b\":[1,true,null],\"c\":{\"d\":\"x:y, z\"}}";
        let yaml = parse(&from_json(json)).unwrap();
        assert_eq!(get(&yaml, "a"), "😀 \\ \" / é");
        assert_eq!(yaml.get("b").map(|list| list.entries().len()), Some(3));
        assert_eq!(get(yaml.get("c").unwrap(), "d"), "x:y, z");
    }
}
