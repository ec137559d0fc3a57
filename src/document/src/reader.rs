//! Going through a foreign document key by key: each is taken once, and what nobody took is named as not supported.

use crate::Problem;
use crate::node::{Node, Table};
use crate::yaml::Yaml;

/// Problems and the document in the making.
#[derive(Default)]
pub(crate) struct Translation {
    pub(crate) table: Table,
    pub(crate) problems: Vec<Problem>,
}

impl Translation {
    /// A key that is understood and not supported.
    pub(crate) fn unsupported(&mut self, key: impl Into<String>, line: usize, hint: &str) {
        self.problems.push(Problem::at(key, line, "not supported").hint(hint));
    }

    /// A value of another shape than expected.
    pub(crate) fn wrong(&mut self, key: impl Into<String>, yaml: &Yaml, expected: &str) {
        let found = match yaml.text() {
            Some(text) => Node::new(text, 0).found(),
            None if yaml.is_map() => "a table".into(),
            None if yaml.is_null() => "nothing".into(),
            None => "a list".into(),
        };
        self.problems.push(Problem::at(key, yaml.line, format!("expected {expected}, found {found}")));
    }

    /// The text of a value, or a problem.
    pub(crate) fn text(&mut self, key: &str, yaml: &Yaml) -> Option<Node> {
        match yaml.text() {
            Some(text) => Some(Node::new(text, yaml.line)),
            None => {
                self.wrong(key, yaml, "a text");
                None
            }
        }
    }

    /// The truth value, or a problem.
    pub(crate) fn flag(&mut self, key: &str, yaml: &Yaml) -> Option<Node> {
        match yaml.flag() {
            Some(flag) => Some(Node::new(flag, yaml.line)),
            None => {
                self.wrong(key, yaml, "true or false");
                None
            }
        }
    }

    /// The number, or a problem.
    pub(crate) fn integer(&mut self, key: &str, yaml: &Yaml) -> Option<Node> {
        match yaml.text().and_then(|text| text.parse::<i64>().ok()) {
            Some(integer) => Some(Node::new(integer, yaml.line)),
            None => {
                self.wrong(key, yaml, "a number");
                None
            }
        }
    }

    /// A list of texts; one text counts as a list of one.
    pub(crate) fn texts(&mut self, key: &str, yaml: &Yaml) -> Node {
        let list: Vec<Node> = yaml.entries().iter().filter_map(|entry| self.text(key, entry)).collect();
        Node::new(list, yaml.line)
    }

    /// Sets a key of the document if there is a value.
    pub(crate) fn set(&mut self, section: &str, key: &str, node: Option<Node>) {
        let Some(node) = node else { return };
        if section.is_empty() {
            self.table.set(key, node);
        } else {
            self.table.table_mut(section, node.line).set(key, node);
        }
    }
}
