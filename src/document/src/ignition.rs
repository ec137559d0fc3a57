//! Ignition (its documentation, "Configuration Specification v3") as a document: the users' SSH keys, files, directories and
//! the host name. Everything else in it is named as not supported.

use crate::base64;
use crate::node::{Node, Table};
use crate::reader::Translation;
use crate::yaml::{self, Yaml};
use crate::{Problem, Table as Document};

/// Translates a configuration; the document is not checked.
pub fn read(text: &str) -> (Document, Vec<Problem>) {
    let mut out = Translation::default();
    match yaml::parse(&yaml::from_json(text)) {
        Err(mut problem) => {
            problem.reason = problem.reason.replace("no YAML", "no JSON");
            out.problems.push(problem);
        }
        Ok(config) => config_of(&mut out, &config),
    }
    out.problems.sort_by_key(|problem| problem.line);
    (out.table, out.problems)
}

fn config_of(out: &mut Translation, config: &Yaml) {
    let version = config.get("ignition").and_then(|ignition| ignition.get("version")).and_then(Yaml::text);
    if !version.is_some_and(|version| version.starts_with("3.")) {
        let found = version.unwrap_or("none");
        let problem = Problem::at("ignition.version", config.line, format!("expected 3.x, found {found}"));
        return out.problems.push(problem);
    }
    for (section, value) in config.pairs().iter().filter(|(_, value)| !value.is_null()) {
        match section.as_str() {
            "ignition" => others(out, "ignition", value, &["version"]),
            "passwd" => {
                others(out, "passwd", value, &["users"]);
                for (index, entry) in value.get("users").map_or(&[][..], Yaml::entries).iter().enumerate() {
                    user(out, &format!("passwd.users[{index}]"), entry);
                }
            }
            "storage" => {
                others(out, "storage", value, &["files", "directories"]);
                for (key, directory) in [("directories", true), ("files", false)] {
                    for (index, entry) in value.get(key).map_or(&[][..], Yaml::entries).iter().enumerate() {
                        file(out, &format!("storage.{key}[{index}]"), entry, directory);
                    }
                }
            }
            _ => others(out, section, value, &[]),
        }
    }
}

/// Names what nobody takes; an entry that says nothing is nothing.
fn others(out: &mut Translation, path: &str, value: &Yaml, taken: &[&str]) {
    if !value.is_map() && says(value) {
        return out.unsupported(path, value.line, "");
    }
    for (key, entry) in value.pairs().iter().filter(|(key, value)| !taken.contains(&key.as_str()) && says(value)) {
        out.unsupported(format!("{path}.{key}"), entry.line, "");
    }
}

/// Whether there is anything in it: tools write all keys, with nothing as their values.
fn says(value: &Yaml) -> bool {
    match value.text() {
        Some(text) => !text.is_empty(),
        None if value.is_map() => value.pairs().iter().any(|(_, value)| says(value)),
        None => value.entries().iter().any(says),
    }
}

/// `core` is the login user of the systems that Ignition is made for, so its keys are the login user's here.
fn user(out: &mut Translation, path: &str, entry: &Yaml) {
    others(out, path, entry, &["name", "sshAuthorizedKeys", "uid", "groups", "shell", "passwordHash"]);
    let Some(name) = entry.get("name").and_then(|name| out.text(&format!("{path}.name"), name)) else {
        return out.wrong(format!("{path}.name"), entry, "a name");
    };
    let keys = entry.get("sshAuthorizedKeys").map(|keys| out.texts(&format!("{path}.sshAuthorizedKeys"), keys));
    if name.text() == Some("core") {
        for key in ["uid", "groups", "shell"] {
            if let Some(value) = entry.get(key) {
                out.unsupported(
                    format!("{path}.{key}"),
                    value.line,
                    "this is the login user; mkdistro's distro.toml sets it",
                );
            }
        }
        let hash = entry.get("passwordHash").and_then(|hash| out.text(path, hash));
        out.set("user", "password-hash", hash);
        return out.set("user", "authorized-keys", keys);
    }
    let mut user = Table::default();
    user.set("name", name);
    let uid = entry.get("uid").and_then(|uid| out.integer(&format!("{path}.uid"), uid));
    let groups = entry.get("groups").map(|groups| out.texts(&format!("{path}.groups"), groups));
    let shell = entry.get("shell").and_then(|shell| out.text(path, shell));
    let hash = entry.get("passwordHash").and_then(|hash| out.text(path, hash));
    for (key, node) in
        [("uid", uid), ("groups", groups), ("shell", shell), ("password-hash", hash), ("authorized-keys", keys)]
    {
        if let Some(node) = node {
            user.set(key, node);
        }
    }
    out.table.push("users", Node::new(user, entry.line));
}

fn file(out: &mut Translation, path: &str, entry: &Yaml, directory: bool) {
    others(out, path, entry, &["path", "mode", "user", "group", "overwrite", "contents", "append"]);
    let Some(target) = entry.get("path").and_then(|target| out.text(&format!("{path}.path"), target)) else {
        return out.wrong(format!("{path}.path"), entry, "a path");
    };
    let mut file = Table::default();
    if directory {
        file.set("directory", Node::new(true, entry.line));
    }
    // Decimal there, as JSON has no octal numbers.
    if let Some(mode) = entry.get("mode") {
        match mode.text().and_then(|mode| mode.parse::<u32>().ok()).filter(|mode| *mode <= 0o7777) {
            Some(bits) => file.set("mode", Node::new(format!("{bits:04o}"), mode.line)),
            None => out.wrong(format!("{path}.mode"), mode, "a decimal number up to 4095"),
        }
    }
    if let Some(owner) = owner(entry) {
        file.set("owner", owner);
    }
    let mut append = Vec::new();
    if let Some(contents) = entry.get("contents") {
        append.push((contents, false, format!("{path}.contents")));
    }
    for (index, contents) in entry.get("append").map_or(&[][..], Yaml::entries).iter().enumerate() {
        append.push((contents, true, format!("{path}.append[{index}]")));
    }
    let is_hostname = target.text() == Some("/etc/hostname");
    file.set("path", target);
    if directory || append.is_empty() {
        return out.table.push("files", Node::new(file, entry.line));
    }
    // A path can be in the document once, so what is appended goes behind the content.
    let mut bytes = Vec::new();
    let mut only_appends = true;
    for (contents, appends, path) in append {
        let Some(mut more) = content(out, &path, contents) else { return };
        bytes.append(&mut more);
        only_appends &= appends;
    }
    if is_hostname {
        let name = String::from_utf8_lossy(&bytes).trim().to_string();
        return out.set("", "hostname", Some(Node::new(name, entry.line)));
    }
    if only_appends {
        file.set("append", Node::new(true, entry.line));
    }
    match String::from_utf8(bytes) {
        Ok(text) => file.set("content", Node::new(text, entry.line)),
        Err(error) => file.set("base64", Node::new(base64::encode(error.as_bytes()), entry.line)),
    }
    out.table.push("files", Node::new(file, entry.line));
}

/// `user` and `group`, each by `name` or `id`.
fn owner(entry: &Yaml) -> Option<Node> {
    let of = |key: &str| {
        let who = entry.get(key)?;
        who.get("name").or_else(|| who.get("id"))?.text()
    };
    let (user, group) = (of("user"), of("group"));
    let text = match (user, group) {
        (None, None) => return None,
        (Some(user), None) => user.to_string(),
        (user, Some(group)) => format!("{}:{group}", user.unwrap_or("root")),
    };
    Some(Node::new(text, entry.line))
}

/// The bytes of a data URL (RFC 2397); nothing is fetched here.
fn content(out: &mut Translation, path: &str, contents: &Yaml) -> Option<Vec<u8>> {
    others(out, path, contents, &["source", "compression"]);
    if let Some(compression) =
        contents.get("compression").filter(|value| value.text().is_some_and(|text| !text.is_empty()))
    {
        out.unsupported(format!("{path}.compression"), compression.line, "give the content as it is");
        return None;
    }
    let source = contents.get("source").and_then(Yaml::text).unwrap_or("data:,");
    let Some((kind, data)) = source.strip_prefix("data:").and_then(|rest| rest.split_once(',')) else {
        out.unsupported(format!("{path}.source"), contents.line, "nothing is fetched: give the content as a data: URL");
        return None;
    };
    let plain = percent_decoded(data);
    if !kind.ends_with(";base64") {
        return Some(plain);
    }
    let bytes = String::from_utf8(plain).ok().and_then(|text| base64::decode(&text));
    if bytes.is_none() {
        out.problems.push(Problem::at(format!("{path}.source"), contents.line, "the data: URL is not base64"));
    }
    bytes
}

/// RFC 3986 section 2.1.
fn percent_decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, left @ ..] = rest {
        let hex = left.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match hex.filter(|_| *first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = left.get(2..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = left;
            }
        }
    }
    out
}
