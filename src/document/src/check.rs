//! Checks a table by the table of keys and takes out what is wrong, so that the rest can be applied.

use crate::Problem;
use crate::key::{Key, Kind, Rule};
use crate::nearest::did_you_mean;
use crate::node::{Node, Table, Value};

/// Removes all that `keys` do not allow; what was wrong, in the order of lines.
pub fn check(table: &mut Table, keys: &'static [Key]) -> Vec<Problem> {
    let mut problems = Vec::new();
    check_table(table, keys, "", &mut problems);
    if let Some(network) = table.table("network").filter(|_| std::ptr::eq(keys, crate::DOCUMENT)) {
        crate::network::check(network, &mut problems);
    }
    problems.sort_by_key(|problem| problem.line);
    problems
}

fn check_table(table: &mut Table, keys: &'static [Key], path: &str, problems: &mut Vec<Problem>) {
    table.0.retain_mut(|(name, node)| {
        let path = join(path, name);
        match keys.iter().find(|key| key.name == name) {
            Some(key) => check_value(node, &key.kind, &path, problems),
            None => {
                let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
                let nearest = did_you_mean(name, names.iter().copied());
                let hint = if nearest.is_empty() { format!("known here: {}", names.join(", ")) } else { nearest };
                problems.push(Problem::at(path, node.line, "no such key").hint(hint));
                false
            }
        }
    });
}

/// Whether the value, or what is left of it, may stay.
fn check_value(node: &mut Node, kind: &'static Kind, path: &str, problems: &mut Vec<Problem>) -> bool {
    let found = node.found();
    let line = node.line;
    let mut wrong = |expected: &str, hint: String| {
        let problem = Problem::at(path, line, format!("expected {expected}, found {found}"));
        problems.push(problem.hint(hint));
        false
    };
    match (kind, &mut node.value) {
        (Kind::Text(rule), Value::Text(text)) => (rule.valid)(text) || wrong(rule.expected, (rule.hint)(text)),
        (Kind::Text(_), _) => wrong("a text", String::new()),
        (Kind::Flag, Value::Flag(_)) => true,
        (Kind::Flag, _) => wrong("true or false", String::new()),
        (Kind::Integer(from, to), Value::Integer(integer)) if (*from..=*to).contains(integer) => true,
        (Kind::Integer(from, to), _) => wrong(&format!("a number from {from} to {to}"), String::new()),
        (Kind::List(rule) | Kind::Sum(rule), Value::List(list)) => {
            check_list(list, rule, path, problems);
            true
        }
        (Kind::List(_) | Kind::Sum(_), _) => wrong("an array of texts", String::new()),
        (Kind::Map(name_rule, rule), Value::Table(table)) => {
            check_map(table, name_rule, rule, path, problems);
            true
        }
        (Kind::Table(keys), Value::Table(table)) => {
            let required = missing(table, keys);
            check_table(table, keys, path, problems);
            report_missing(required, path, line, problems)
        }
        (Kind::Map(..) | Kind::Table(_), _) => wrong("a table", String::new()),
        (Kind::Tables(_, keys), Value::List(list)) => {
            check_tables(list, keys, path, problems);
            true
        }
        (Kind::Tables(..), _) => wrong("an array of tables", String::new()),
    }
}

fn check_list(list: &mut Vec<Node>, rule: &Rule, path: &str, problems: &mut Vec<Problem>) {
    let mut index = 0;
    list.retain(|node| {
        index += 1;
        let (expected, hint) = match &node.value {
            Value::Text(text) if (rule.valid)(text) => return true,
            Value::Text(text) => (rule.expected, (rule.hint)(text)),
            _ => ("a text", String::new()),
        };
        let reason = format!("expected {expected}, found {}", node.found());
        problems.push(Problem::at(format!("{path}[{}]", index - 1), node.line, reason).hint(hint));
        false
    });
}

fn check_map(table: &mut Table, name_rule: &Rule, rule: &Rule, path: &str, problems: &mut Vec<Problem>) {
    table.0.retain(|(name, node)| {
        let mut refuse = |rule: &Rule, text: Option<&str>, found: String| {
            let reason = format!("expected {}, found {found}", rule.expected);
            let hint = text.map_or_else(String::new, rule.hint);
            problems.push(Problem::at(join(path, name), node.line, reason).hint(hint));
            false
        };
        match node.text() {
            _ if !(name_rule.valid)(name) => refuse(name_rule, Some(name), format!("{name:?}")),
            Some(text) if (rule.valid)(text) => true,
            text => refuse(rule, text, node.found()),
        }
    });
}

/// An entry whose required key is missing or wrong cannot be applied and goes.
fn check_tables(list: &mut Vec<Node>, keys: &'static [Key], path: &str, problems: &mut Vec<Problem>) {
    let mut index = 0;
    list.retain_mut(|node| {
        let path = format!("{path}[{index}]");
        index += 1;
        let line = node.line;
        let found = node.found();
        let Value::Table(table) = &mut node.value else {
            problems.push(Problem::at(path, line, format!("expected a table, found {found}")));
            return false;
        };
        let required = missing(table, keys);
        check_table(table, keys, &path, problems);
        report_missing(required, &path, line, problems) && missing(table, keys).is_empty()
    });
}

fn missing(table: &Table, keys: &'static [Key]) -> Vec<&'static str> {
    keys.iter().filter(|key| key.required && table.get(key.name).is_none()).map(|key| key.name).collect()
}

fn report_missing(names: Vec<&str>, path: &str, line: usize, problems: &mut Vec<Problem>) -> bool {
    for name in &names {
        problems.push(Problem::at(join(path, name), line, "missing"));
    }
    names.is_empty()
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.into() } else { format!("{path}.{name}") }
}
