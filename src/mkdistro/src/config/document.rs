//! Reads a TOML file against a [`super::schema`]: every unknown key, wrong type, missing key and bad value at once, each
//! with its line. What is wrong is replaced by an empty value, so that the rest can still be checked.

use std::collections::{BTreeMap, BTreeSet};

use document::nesting;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeArray, DeInteger, DeTable, DeValue};

use super::flavour::{self, Flavour};
use super::problems::ConfigProblem;
use super::rules::Rule;
use super::schema::{self, Key, Kind};
use crate::nearest::did_you_mean;

/// A file that was read: its value, the places of its keys and its problems.
#[derive(Debug, Clone, Default)]
pub(super) struct Document {
    /// File, relative to the project.
    pub(super) file: String,
    /// What is wrong with it.
    pub(super) problems: Vec<ConfigProblem>,
    /// Whether no key was lost, so that what the file does not say is really not there.
    pub(super) complete: bool,
    /// Its flavours, by name.
    pub(super) flavours: Vec<Flavour>,
    /// What it says with the chosen flavour, and without the others; if it has any.
    pub(super) flattened: Option<toml::Table>,
    /// Line and shown key of each path ("service[0].name").
    places: BTreeMap<String, (usize, String)>,
    /// Paths whose value was replaced.
    broken: BTreeSet<String>,
}

/// Reads `text`; no value comes back if it is no TOML or of another schema version.
pub(super) fn read<T: DeserializeOwned>(file: &str, text: &str, keys: &'static [Key]) -> (Document, Option<T>) {
    read_flavour(file, text, keys, None)
}

/// The same with a flavour laid over it.
pub(super) fn read_flavour<T: DeserializeOwned>(
    file: &str,
    text: &str,
    keys: &'static [Key],
    flavour: Option<&str>,
) -> (Document, Option<T>) {
    let line_ends = text.match_indices('\n').map(|(offset, _)| offset).collect();
    let document = Document { complete: true, ..Document::unread(file) };
    let mut reader = Reader { text, line_ends, keys, document, moved: BTreeMap::new() };
    let value = reader.read(flavour);
    let mut document = reader.document;
    document.complete &= value.is_some();
    (document, value)
}

impl Document {
    /// A file that could not be read.
    pub(super) fn unread(file: &str) -> Self {
        Self { file: file.into(), ..Self::default() }
    }

    /// Notes a problem of the value at `path`, unless that value has one already.
    pub(super) fn report(&mut self, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        if self.is_broken(path) {
            return;
        }
        let (line, key) = self.place(path);
        self.push(line, key, message.into(), hint.into());
    }

    /// `file:line` of the value at `path`, or of the table around it.
    pub(super) fn at(&self, path: &str) -> String {
        format!("{}:{}", self.file, self.place(path).0)
    }

    /// Whether the value at `path` was replaced.
    pub(super) fn is_broken(&self, path: &str) -> bool {
        parents(path).any(|path| self.broken.contains(path))
    }

    /// Line and shown key; a value that is not in the file is placed at the table around it.
    fn place(&self, path: &str) -> (usize, String) {
        parents(path)
            .find_map(|parent| {
                self.places.get(parent).map(|(line, key)| (*line, format!("{key}{}", &path[parent.len()..])))
            })
            .unwrap_or((1, path.into()))
    }

    fn push(&mut self, line: usize, key: String, message: String, hint: String) {
        self.problems.push(ConfigProblem { file: self.file.clone(), line, key, message, hint });
    }
}

/// A path and those of the tables and arrays around it, from the inside.
fn parents(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| path.rfind(['.', '[']).map(|end| &path[..end]))
}

/// The path of an entry of a [`Kind::Map`]. A dot in the name would look like a table.
pub(super) fn entry(path: &str, name: &str) -> String {
    format!("{path}.{}", name.replace(['.', '['], "\0"))
}

/// Where a value stands.
#[derive(Clone)]
struct At {
    path: String,
    shown: String,
    line: usize,
}

impl At {
    fn key(&self, name: &str, line: usize) -> Self {
        let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        let shown = if bare { name.to_string() } else { format!("{name:?}") };
        if self.path.is_empty() {
            return Self { path: entry("", name)[1..].into(), shown, line };
        }
        Self { path: entry(&self.path, name), shown: format!("{}.{shown}", self.shown), line }
    }

    fn item(&self, index: usize, line: usize) -> Self {
        Self { path: format!("{}[{index}]", self.path), shown: self.shown.clone(), line }
    }
}

struct Reader<'t> {
    text: &'t str,
    /// Offsets; a file of nothing but mistakes has as many to place as it has lines.
    line_ends: Vec<usize>,
    keys: &'static [Key],
    document: Document,
    /// Offsets of what came from a flavour, with the keys to show.
    moved: BTreeMap<usize, String>,
}

impl<'t> Reader<'t> {
    fn read<T: DeserializeOwned>(&mut self, flavour: Option<&str>) -> Option<T> {
        if let Some(line) = nesting::too_deep(self.text) {
            self.document.push(line, String::new(), "nested too deeply".into(), String::new());
            return None;
        }
        let (mut root, errors) = DeTable::parse_recoverable(self.text);
        let mut lines = BTreeSet::new();
        for error in &errors {
            let line = error.span().map_or(1, |span| self.line(span.start));
            // What follows the first error of a line mostly comes from it.
            if lines.insert(line) {
                self.document.push(line, String::new(), format!("TOML syntax: {}", error.message()), String::new());
            }
        }
        if !errors.is_empty() {
            return None;
        }
        if let Some(found) = root.get_ref().get("schema").and_then(|value| integer(value.get_ref()))
            && found > schema::VERSION
        {
            let line = root.get_ref().iter().find(|(key, _)| key.get_ref() == "schema");
            let line = line.map_or(1, |(key, _)| self.line(key.span().start));
            let message = format!("made for a newer mkdistro, expected {}, found {found}", schema::VERSION);
            self.document.push(line, "schema".into(), message, "use a newer mkdistro".into());
            return None;
        }
        if std::ptr::eq(self.keys, schema::DISTRO) {
            self.lay_over(&mut root, flavour);
        }
        let at = At { path: String::new(), shown: String::new(), line: 1 };
        self.table(root.get_mut(), self.keys, &at);
        match T::deserialize(toml::de::Deserializer::from(root)) {
            Ok(value) => Some(value),
            Err(error) => {
                let line = error.span().map_or(1, |span| self.line(span.start));
                self.document.push(line, String::new(), error.message().into(), String::new());
                None
            }
        }
    }

    fn lay_over(&mut self, root: &mut Spanned<DeTable<'t>>, flavour: Option<&str>) {
        let flavours = flavour::take(root.get_mut(), flavour);
        for fault in flavours.faults {
            self.document.push(self.line(fault.offset), fault.key, fault.message, fault.hint);
            self.document.complete = false;
        }
        self.moved = flavours.moved;
        self.document.flavours = flavours.list;
        if flavours.is_given {
            self.document.flattened = toml::Table::deserialize(toml::de::Deserializer::from(root.clone())).ok();
        }
    }

    fn line(&self, offset: usize) -> usize {
        1 + self.line_ends.partition_point(|end| *end < offset)
    }

    fn report(&mut self, at: &At, message: String, hint: String) {
        self.document.push(at.line, at.shown.clone(), message, hint);
        self.document.broken.insert(at.path.clone());
    }

    fn table(&mut self, table: &mut DeTable<'t>, keys: &'static [Key], at: &At) {
        let names: BTreeMap<String, usize> =
            table.iter().map(|(key, _)| (key.get_ref().to_string(), key.span().start)).collect();
        for (name, offset) in &names {
            if !keys.iter().any(|key| key.name == name) {
                let hint = self.unknown_hint(name, keys);
                self.report(&self.key_at(at, name, *offset), "unknown key".into(), hint);
                self.document.complete = false;
                table.remove(name.as_str());
            }
        }
        for key in keys {
            match table.get_mut(key.name) {
                Some(value) => {
                    let at = match names.get(key.name) {
                        Some(offset) => self.key_at(at, key.name, *offset),
                        None => at.key(key.name, at.line),
                    };
                    self.value(value, &key.kind, &at);
                }
                None if key.required => {
                    let message = format!("missing, expected {}", describe(&key.kind));
                    self.report(&at.key(key.name, at.line), message, String::new());
                    self.document.complete = false;
                    table.insert(Spanned::new(0..0, key.name.into()), Spanned::new(0..0, empty(&key.kind)));
                }
                None => {}
            }
        }
    }

    /// A key of a table, under the name that the flavour it comes from gives it.
    fn key_at(&self, at: &At, name: &str, offset: usize) -> At {
        let key = at.key(name, self.line(offset));
        match self.moved.get(&offset) {
            Some(shown) => At { shown: shown.clone(), ..key },
            None => key,
        }
    }

    fn unknown_hint(&self, name: &str, keys: &'static [Key]) -> String {
        // It is taken out before the rest is checked.
        let flavours = std::ptr::eq(keys, schema::DISTRO).then_some("flavour");
        let near = did_you_mean(name, keys.iter().map(|key| key.name).chain(flavours));
        if !near.is_empty() {
            return near;
        }
        let elsewhere = self.keys.iter().find_map(|key| match key.kind {
            Kind::Table(inner) | Kind::Tables(inner) if inner.iter().any(|key| key.name == name) => {
                Some(if matches!(key.kind, Kind::Table(_)) {
                    format!("it belongs into [{}]", key.name)
                } else {
                    format!("it belongs into [[{}]]", key.name)
                })
            }
            _ => (key.name == name).then(|| "it belongs to the top, before the first [table]".to_string()),
        });
        elsewhere.unwrap_or_else(|| {
            let valid: Vec<&str> = keys.iter().map(|key| key.name).collect();
            format!("valid here: {}", valid.join(", "))
        })
    }

    fn value(&mut self, value: &mut Spanned<DeValue<'t>>, kind: &'static Kind, at: &At) {
        self.enter(at);
        match (kind, value.get_mut()) {
            (Kind::Text(rule), DeValue::String(text)) => self.text(text, rule, at),
            (Kind::Integer(from, to), found @ DeValue::Integer(_)) => {
                if !integer(found).is_some_and(|number| (*from..=*to).contains(&number)) {
                    let message = format!("bad value, expected {}, found {}", describe(kind), show(found));
                    self.report(at, message, String::new());
                    *found = empty(kind);
                }
            }
            (Kind::Flag, DeValue::Boolean(_)) => {}
            (Kind::List(rule, least), DeValue::Array(items)) => self.items(items, rule, *least, at),
            (Kind::Set(rule, least), DeValue::Array(items)) => {
                self.items(items, rule, *least, at);
                self.repetitions(items, at);
            }
            (Kind::Map(name_rule, rule), DeValue::Table(table)) => self.map(table, name_rule, rule, at),
            (Kind::Table(keys), DeValue::Table(table)) => self.table(table, keys, at),
            (Kind::Tables(keys), DeValue::Array(items)) => self.tables(items, keys, at),
            (kind, found) => self.wrong_type(found, kind, at),
        }
    }

    fn wrong_type(&mut self, found: &mut DeValue<'t>, kind: &'static Kind, at: &At) {
        let hint = match (kind, &*found) {
            (Kind::List(..) | Kind::Set(..), DeValue::String(text)) => format!("write [{}]", quote(text)),
            (Kind::Text(_), DeValue::Integer(number)) => format!("write \"{number}\""),
            (Kind::Text(_), DeValue::Float(number)) => format!("write \"{number}\""),
            (Kind::Tables(_), DeValue::Table(_)) => format!("write [[{}]] with two brackets", at.shown),
            _ => String::new(),
        };
        self.report(at, format!("wrong type, expected {}, found {}", describe(kind), show(found)), hint);
        self.document.complete &= !matches!(kind, Kind::Table(_) | Kind::Tables(_));
        *found = empty(kind);
    }

    fn item_at(&self, at: &At, index: usize, offset: usize) -> At {
        let item = at.item(index, self.line(offset));
        match self.moved.get(&offset) {
            Some(shown) => At { shown: shown.clone(), ..item },
            None => item,
        }
    }

    fn items(&mut self, items: &mut DeArray<'t>, rule: &Rule, least: usize, at: &At) {
        if items.len() < least {
            self.report(at, "bad value, expected at least one element, found none".into(), String::new());
        }
        for (index, item) in items.iter_mut().enumerate() {
            let at = self.item_at(at, index, item.span().start);
            self.string(item, rule, &at);
        }
    }

    fn repetitions(&mut self, items: &DeArray<'t>, at: &At) {
        let mut seen = BTreeSet::new();
        for (index, item) in items.iter().enumerate() {
            let Some(text) = item.get_ref().as_str() else { continue };
            let at = self.item_at(at, index, item.span().start);
            if !self.document.is_broken(&at.path) && !seen.insert(text) {
                self.report(&at, format!("{} is given twice", quote(text)), "remove one".into());
            }
        }
    }

    fn tables(&mut self, items: &mut DeArray<'t>, keys: &'static [Key], at: &At) {
        for (index, item) in items.iter_mut().enumerate() {
            let at = at.item(index, self.line(item.span().start));
            self.enter(&at);
            if let DeValue::Table(table) = item.get_mut() {
                self.table(table, keys, &at);
            } else {
                let message = format!("wrong type, expected a table, found {}", show(item.get_ref()));
                self.report(&at, message, String::new());
                self.document.complete = false;
                *item.get_mut() = DeValue::Table(empty_table(keys));
            }
        }
    }

    fn map(&mut self, table: &mut DeTable<'t>, name_rule: &Rule, rule: &Rule, at: &At) {
        for (name, value) in table.iter_mut() {
            let name = name.clone();
            let at = at.key(name.get_ref(), self.line(name.span().start));
            self.string(value, rule, &at);
            if !(name_rule.valid)(name.get_ref()) {
                let message = format!("bad key, expected {}, found {}", name_rule.expected, quote(name.get_ref()));
                self.report(&at, message, (name_rule.hint)(name.get_ref()));
            }
        }
    }

    fn string(&mut self, value: &mut Spanned<DeValue<'t>>, rule: &Rule, at: &At) {
        self.enter(at);
        if let DeValue::String(text) = value.get_ref() {
            self.text(text, rule, at);
        } else {
            let message = format!("wrong type, expected a string, found {}", show(value.get_ref()));
            self.report(at, message, String::new());
            *value.get_mut() = DeValue::String("".into());
        }
    }

    fn text(&mut self, text: &str, rule: &Rule, at: &At) {
        if !(rule.valid)(text) {
            let message = format!("bad value, expected {}, found {}", rule.expected, quote(text));
            self.report(at, message, (rule.hint)(text));
        }
    }

    fn enter(&mut self, at: &At) {
        self.document.places.insert(at.path.clone(), (at.line, at.shown.clone()));
    }
}

fn integer(value: &DeValue<'_>) -> Option<i64> {
    value.as_integer().and_then(|number| i64::from_str_radix(number.as_str(), number.radix()).ok())
}

/// What stands for a value that is missing or wrong.
fn empty<'t>(kind: &'static Kind) -> DeValue<'t> {
    match kind {
        Kind::Text(_) => DeValue::String("".into()),
        Kind::List(..) | Kind::Set(..) | Kind::Tables(_) => DeValue::Array(DeArray::new()),
        Kind::Integer(..) => DeValue::Integer(DeInteger::default()),
        Kind::Flag => DeValue::Boolean(false),
        Kind::Map(..) => DeValue::Table(DeTable::new()),
        Kind::Table(keys) => DeValue::Table(empty_table(keys)),
    }
}

fn empty_table<'t>(keys: &'static [Key]) -> DeTable<'t> {
    let required = keys.iter().filter(|key| key.required);
    required.map(|key| (Spanned::new(0..0, key.name.into()), Spanned::new(0..0, empty(&key.kind)))).collect()
}

fn describe(kind: &Kind) -> String {
    match kind {
        Kind::Text(_) => "a string".into(),
        Kind::List(..) | Kind::Set(..) => "an array of strings".into(),
        Kind::Integer(from, to) if from == to => from.to_string(),
        Kind::Integer(from, to) => format!("an integer from {from} to {to}"),
        Kind::Flag => "true or false".into(),
        Kind::Map(..) => "a table of strings".into(),
        Kind::Table(_) => "a table".into(),
        Kind::Tables(_) => "an array of tables".into(),
    }
}

/// A value with its type, for messages.
pub(super) fn show(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the string {}", quote(text)),
        DeValue::Integer(number) => format!("the integer {number}"),
        DeValue::Float(number) => format!("the number {number}"),
        DeValue::Boolean(flag) => format!("the boolean {flag}"),
        DeValue::Datetime(date) => format!("the date {date}"),
        DeValue::Array(_) => "an array".into(),
        DeValue::Table(_) => "a table".into(),
    }
}

/// A value in quotes, cut if it is long.
pub(super) fn quote(text: &str) -> String {
    const SHOWN: usize = 60;
    let start: String = text.chars().take(SHOWN).collect();
    if start.len() < text.len() { format!("{start:?}..") } else { format!("{start:?}") }
}
