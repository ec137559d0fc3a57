//! `[flavour.NAME]` of distro.toml: variants of the distribution that override its keys.
//!
//! A flavour is laid over the document before that is checked: tables key by key, everything else as a whole. `add-` and
//! `remove-` before the name of a list change it instead. Values keep their places, so problems have the flavour's lines.
//! All flavours share the lock, so what it is made for belongs to the document alone: see [`SHARED`].

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::document::{quote, show};
use super::{Kernel, rules};
use crate::nearest::did_you_mean;

/// A flavour of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flavour {
    /// Its name.
    pub name: String,
    /// One line about it; may be empty.
    pub summary: String,
    /// Whether it is built if none is named.
    pub is_default: bool,
}

/// Lists that `add-KEY` and `remove-KEY` change.
const LISTS: [(&str, &str); 3] = [("root", "recipes"), ("kernel", "config"), ("kernel", "modules")];

/// Keys that a flavour cannot have: table and key, or the whole table.
const SHARED: [(&str, &str); 6] = [
    ("flavour", ""),
    ("kernel", "package"),
    ("kernel", "source"),
    ("kernel", "source-package"),
    ("schema", ""),
    ("sources", ""),
];

/// Something wrong with a flavour.
#[derive(Debug)]
pub(super) struct Fault {
    /// Where, in bytes from the start of the text.
    pub(super) offset: usize,
    /// Dotted key.
    pub(super) key: String,
    /// What.
    pub(super) message: String,
    /// What to write instead.
    pub(super) hint: String,
}

/// The flavours of a document.
#[derive(Debug, Default)]
pub(super) struct Flavours {
    /// Whether the document has `[flavour]`.
    pub(super) is_given: bool,
    /// By name.
    pub(super) list: Vec<Flavour>,
    /// What is wrong with them.
    pub(super) faults: Vec<Fault>,
    /// Keys and elements that came from the chosen flavour: offset of each and the key to show.
    pub(super) moved: BTreeMap<usize, String>,
}

/// Takes the flavours out of a document, and lays the chosen one over what is left.
pub(super) fn take<'t>(root: &mut DeTable<'t>, choice: Option<&str>) -> Flavours {
    let mut found = Flavours::default();
    let Some((key, value)) = root.remove_entry("flavour") else { return found };
    found.is_given = true;
    let DeValue::Table(tables) = value.into_inner() else {
        found.fault(key.span(), "flavour", "wrong type, expected a table of tables".into(), "write [flavour.NAME]");
        return found;
    };
    for (name, value) in tables {
        let (span, name) = (name.span(), name.into_inner());
        let shown = format!("flavour.{name}");
        if !(rules::NAME.valid)(&name) {
            let message = format!("bad key, expected {}, found {}", rules::NAME.expected, quote(&name));
            found.fault(span.clone(), &shown, message, (rules::NAME.hint)(&name));
        }
        let mut table = match value.into_inner() {
            DeValue::Table(table) => table,
            other => {
                let message = format!("wrong type, expected a table, found {}", show(&other));
                found.fault(span, &shown, message, "");
                continue;
            }
        };
        let flavour = found.head(&mut table, &name, &shown);
        if flavour.is_default
            && let Some(first) = found.list.iter().find(|other| other.is_default)
        {
            let message = format!("a second default, {} is one already", first.name);
            found.fault(span, &format!("{shown}.default"), message, "remove one");
        }
        found.list.push(flavour);
        found.refuse_shared(&mut table, &shown);
        if choice == Some(&name) {
            found.lay_over(root, table, &shown);
        }
    }
    found
}

impl Flavours {
    fn fault(&mut self, span: Range<usize>, key: &str, message: String, hint: impl Into<String>) {
        self.faults.push(Fault { offset: span.start, key: key.into(), message, hint: hint.into() });
    }

    /// Takes `summary` and `default` out of a flavour.
    fn head(&mut self, table: &mut DeTable<'_>, name: &str, shown: &str) -> Flavour {
        let mut flavour = Flavour { name: name.into(), summary: String::new(), is_default: false };
        if let Some((key, value)) = table.remove_entry("summary") {
            match value.into_inner() {
                DeValue::String(text) if (rules::SUMMARY.valid)(&text) => flavour.summary = text.into_owned(),
                other => {
                    let message = format!("bad value, expected {}, found {}", rules::SUMMARY.expected, show(&other));
                    self.fault(key.span(), &format!("{shown}.summary"), message, "");
                }
            }
        }
        if let Some((key, value)) = table.remove_entry("default") {
            match value.into_inner() {
                DeValue::Boolean(is_default) => flavour.is_default = is_default,
                other => {
                    let message = format!("wrong type, expected true or false, found {}", show(&other));
                    self.fault(key.span(), &format!("{shown}.default"), message, "");
                }
            }
        }
        flavour
    }

    fn refuse_shared(&mut self, table: &mut DeTable<'_>, shown: &str) {
        for (name, key) in SHARED {
            let (found, shown) = match (key.is_empty(), table.get_mut(name).map(Spanned::get_mut)) {
                (true, _) => (table.remove_entry(name), format!("{shown}.{name}")),
                (false, Some(DeValue::Table(inner))) => (inner.remove_entry(key), format!("{shown}.{name}.{key}")),
                _ => continue,
            };
            if let Some((found, _)) = found {
                let message = "not a flavour's own: all flavours share packages/lock.toml".into();
                self.fault(found.span(), &shown, message, "move it out of the flavour");
            }
        }
    }

    fn lay_over<'t>(&mut self, root: &mut DeTable<'t>, mut flavour: DeTable<'t>, shown: &str) {
        for (name, key) in LISTS {
            if let Some(DeValue::Table(changes)) = flavour.get_mut(name).map(Spanned::get_mut) {
                self.change_list(root, changes, (name, key), shown);
            }
        }
        self.merge(root, flavour, shown);
    }

    fn merge<'t>(&mut self, base: &mut DeTable<'t>, over: DeTable<'t>, shown: &str) {
        for (key, value) in over {
            let shown = format!("{shown}.{}", key.get_ref());
            let value = match (base.get_mut(key.get_ref().as_ref()).map(Spanned::get_mut), value) {
                (Some(DeValue::Table(below)), value) if matches!(value.get_ref(), DeValue::Table(_)) => {
                    if let DeValue::Table(above) = value.into_inner() {
                        self.merge(below, above, &shown);
                    }
                    continue;
                }
                (_, value) => value,
            };
            self.moved.insert(key.span().start, shown);
            // A key that is there would stay, with its place.
            base.remove(key.get_ref().as_ref());
            base.insert(key, value);
        }
    }

    /// Takes `add-KEY` and `remove-KEY` out of a flavour's table, and puts the changed list into it, whole.
    fn change_list<'t>(
        &mut self,
        root: &DeTable<'t>,
        changes: &mut DeTable<'t>,
        (name, key): (&'static str, &'static str),
        shown: &str,
    ) {
        let removed = self.names(changes, &format!("remove-{key}"), &format!("{shown}.{name}"));
        let added = self.names(changes, &format!("add-{key}"), &format!("{shown}.{name}"));
        let Some(span) = added.as_ref().or(removed.as_ref()).map(|(span, _)| span.clone()) else { return };
        if changes.contains_key(key) {
            let message = format!("also given as a whole, expected either {key} or changes to it");
            self.fault(span, &format!("{shown}.{name}"), message, "remove one");
            return;
        }
        let table = root.get(name).and_then(|table| table.get_ref().as_table());
        let mut items: Vec<Spanned<DeValue<'t>>> = match table.and_then(|table| table.get(key)).map(Spanned::get_ref) {
            Some(DeValue::Array(items)) => items.iter().cloned().collect(),
            None if key == "config" => {
                let text = |name: String| Spanned::new(span.clone(), DeValue::String(name.into()));
                Kernel::default().config.into_iter().map(text).collect()
            }
            _ => Vec::new(),
        };
        for item in removed.into_iter().flat_map(|(_, items)| items) {
            let name_of = |item: &Spanned<DeValue<'t>>| item.get_ref().as_str().unwrap_or_default().to_owned();
            let unwanted = name_of(&item);
            let before = items.len();
            let names: Vec<String> = items.iter().map(name_of).collect();
            items.retain(|item| name_of(item) != unwanted);
            if items.len() == before {
                let message = format!("bad value, expected an element of {name}.{key}, found {}", quote(&unwanted));
                let hint = did_you_mean(&unwanted, names.iter().map(String::as_str));
                self.fault(item.span(), &format!("{shown}.{name}.remove-{key}"), message, hint);
            }
        }
        for item in added.into_iter().flat_map(|(_, items)| items) {
            self.moved.insert(item.span().start, format!("{shown}.{name}.add-{key}"));
            items.push(item);
        }
        let mut list = DeArray::new();
        items.into_iter().for_each(|item| list.push(item));
        changes.insert(Spanned::new(span.clone(), key.into()), Spanned::new(span, DeValue::Array(list)));
    }

    /// Takes a list of strings out of a table: where its key is, and its elements.
    fn names<'t>(&mut self, table: &mut DeTable<'t>, key: &str, shown: &str) -> Option<Taken<'t>> {
        let (found, value) = table.remove_entry(key)?;
        let span = found.span();
        let shown = format!("{shown}.{key}");
        let DeValue::Array(items) = value.get_ref() else {
            let message = format!("wrong type, expected an array of strings, found {}", show(value.get_ref()));
            self.fault(span, &shown, message, "");
            return None;
        };
        if let Some(wrong) = items.iter().find(|item| item.get_ref().as_str().is_none()) {
            let message = format!("wrong type, expected a string, found {}", show(wrong.get_ref()));
            self.fault(wrong.span(), &shown, message, "");
            return None;
        }
        Some((span, items.iter().cloned().collect()))
    }
}

/// Where a list's key is, and its elements.
type Taken<'t> = (Range<usize>, Vec<Spanned<DeValue<'t>>>);
