//! cloud-config (cloud-init's documentation, "Module reference") as a document: the keys that people use. Those that need a
//! package manager or another init system are named as not supported.

use crate::Problem;
use crate::node::{Node, Table};
use crate::reader::Translation;
use crate::yaml::{self, Value, Yaml};

/// Keys without effect here, because what they ask for is always so.
const ALWAYS_SO: [&str; 8] = [
    "disable_root",
    "growpart",
    "resize_rootfs",
    "manage_etc_hosts",
    "preserve_hostname",
    "ssh_deletekeys",
    "package_reboot_if_required",
    "create_hostname_file",
];

/// Keys that are known and why they cannot be.
const UNSUPPORTED: [(&str, &str); 8] = [
    ("packages", "there is no package manager: add it to the image with mkdistro add"),
    ("package_update", "there is no package manager"),
    ("package_upgrade", "there is no package manager: build a new image"),
    ("apt", "there is no package manager"),
    ("snap", "there is no package manager"),
    ("chpasswd", "give users.passwd a crypt hash, or keys"),
    ("password", "give users.passwd a crypt hash, or keys"),
    ("power_state", "use runcmd"),
];

/// Translates a cloud-config.
pub(super) fn read(text: &str) -> Translation {
    let mut out = Translation::default();
    let yaml = match yaml::parse(text) {
        Ok(yaml) => yaml,
        Err(problem) if problem.reason == "nothing in it" => return out,
        Err(problem) => {
            out.problems.push(problem);
            return out;
        }
    };
    if yaml.is_null() {
        return out;
    }
    if !yaml.is_map() {
        out.wrong("", &yaml, "a table of keys");
    }
    for (key, value) in yaml.pairs() {
        if !value.is_null() {
            top(&mut out, &yaml, key, value);
        }
    }
    out
}

fn top(out: &mut Translation, all: &Yaml, key: &str, value: &Yaml) {
    match key {
        "hostname" => {
            let name = out.text(key, value);
            out.set("", "hostname", name);
        }
        "fqdn" if all.get("hostname").is_none() => {
            let name = out.text(key, value);
            out.set("", "hostname", name);
        }
        "fqdn" | "prefer_fqdn_over_hostname" => {}
        "timezone" => {
            let zone = out.text(key, value);
            out.set("", "timezone", zone);
        }
        "ssh_authorized_keys" | "ssh-authorized-keys" => {
            for entry in value.entries() {
                push_login_key(out, key, entry);
            }
        }
        "ssh_keys" => host_keys(out, value),
        "users" => value.entries().iter().enumerate().for_each(|(index, entry)| user(out, index, entry)),
        "user" => user(out, 0, value),
        "write_files" => value.entries().iter().enumerate().for_each(|(index, entry)| file(out, index, entry)),
        "bootcmd" | "runcmd" => {
            let target = if key == "bootcmd" { "boot-commands" } else { "run-commands" };
            for (index, entry) in value.entries().iter().enumerate() {
                if let Some(command) = command(out, &format!("{key}[{index}]"), entry) {
                    out.table.push(target, command);
                }
            }
        }
        "mounts" => value.entries().iter().enumerate().for_each(|(index, entry)| mount(out, index, entry)),
        "swap" => swap(out, value),
        "ntp" => ntp(out, value),
        "ca_certs" | "ca-certs" => certificates(out, key, value),
        "ssh_pwauth" if value.flag() == Some(false) => {}
        "ssh_pwauth" => out.unsupported(key, value.line, "SSH takes keys only"),
        _ if ALWAYS_SO.contains(&key) => {}
        _ => {
            let reason = UNSUPPORTED.iter().find(|(name, _)| *name == key).map_or("", |(_, reason)| reason);
            out.unsupported(key, value.line, reason);
        }
    }
}

fn push_login_key(out: &mut Translation, key: &str, entry: &Yaml) {
    if let Some(node) = out.text(key, entry) {
        let node = Node::new(node.text().unwrap_or_default().trim(), node.line);
        out.table.table_mut("user", entry.line).push("authorized-keys", node);
    }
}

fn host_keys(out: &mut Translation, value: &Yaml) {
    for (key, entry) in value.pairs() {
        match key.as_str() {
            "ed25519_private" => {
                let key = out.text("ssh_keys.ed25519_private", entry);
                out.set("ssh", "host-key", key);
            }
            // It follows from the private one.
            "ed25519_public" | "ed25519_certificate" => {}
            _ => out.unsupported(format!("ssh_keys.{key}"), entry.line, "the SSH server has an ed25519 key only"),
        }
    }
}

/// `default` is the image's login user.
fn user(out: &mut Translation, index: usize, entry: &Yaml) {
    let path = format!("users[{index}]");
    if let Some(name) = entry.text() {
        if name != "default" {
            out.table.push("users", Node::new(table([("name", Node::new(name, entry.line))]), entry.line));
        }
        return;
    }
    let mut user = Table::default();
    let mut keys: Vec<&Yaml> = Vec::new();
    for (key, value) in entry.pairs().iter().filter(|(_, value)| !value.is_null()) {
        let path = format!("{path}.{key}");
        let node = match key.as_str() {
            "name" | "shell" => out.text(&path, value).map(|node| (key.as_str(), node)),
            "uid" => out.integer(&path, value).map(|node| ("uid", node)),
            "ssh_authorized_keys" | "ssh-authorized-keys" => {
                keys.extend(value.entries());
                let list: Vec<Node> = value
                    .entries()
                    .iter()
                    .filter_map(|key| out.text(&path, key))
                    .map(|node| Node::new(node.text().unwrap_or_default().trim(), node.line))
                    .collect();
                Some(("authorized-keys", Node::new(list, value.line)))
            }
            "groups" => {
                let names = value.entries().iter().filter_map(Yaml::text).flat_map(|text| text.split(','));
                let names = names.map(str::trim).filter(|name| !name.is_empty());
                let list: Vec<Node> = names.map(|name| Node::new(name, value.line)).collect();
                Some(("groups", Node::new(list, value.line)))
            }
            "sudo" => sudo(out, &path, value).map(|flag| ("sudo", Node::new(flag, value.line))),
            "passwd" | "hashed_passwd" => out.text(&path, value).map(|node| ("password-hash", node)),
            "plain_text_passwd" => {
                out.unsupported(path, value.line, "give a crypt hash as passwd, or keys");
                None
            }
            "lock_passwd" | "gecos" | "primary_group" | "no_user_group" | "system" | "no_log_init" => None,
            _ => {
                out.unsupported(path, value.line, "");
                None
            }
        };
        if let Some((key, node)) = node {
            user.set(key, node);
        }
    }
    if entry.get("lock_passwd").and_then(Yaml::flag).unwrap_or(true) {
        user.0.retain(|(key, _)| key != "password-hash");
    }
    match user.text("name") {
        Some(name) if name != "default" => out.table.push("users", Node::new(user, entry.line)),
        _ if entry.is_map() => keys.into_iter().for_each(|key| push_login_key(out, &path, key)),
        _ => out.wrong(path, entry, "a name or a table"),
    }
}

/// `false` and `ALL=(ALL) NOPASSWD:ALL` are what people write; nothing in between is offered.
fn sudo(out: &mut Translation, path: &str, value: &Yaml) -> Option<bool> {
    let rules: Vec<&str> = value.entries().iter().filter_map(Yaml::text).collect();
    if value.flag() == Some(false) {
        return Some(false);
    }
    let everything = |rule: &&str| rule.starts_with("ALL=") && rule.replace(' ', "").ends_with("NOPASSWD:ALL");
    if rules.iter().any(everything) {
        return Some(true);
    }
    out.unsupported(
        path,
        value.line,
        "\"ALL=(ALL) NOPASSWD:ALL\" or false; write other rules to /etc/sudoers.d with write_files",
    );
    None
}

fn file(out: &mut Translation, index: usize, entry: &Yaml) {
    let path = format!("write_files[{index}]");
    if !entry.is_map() {
        return out.wrong(path, entry, "a table");
    }
    let mut file = Table::default();
    let mut content = None;
    let mut encoding = "text/plain";
    for (key, value) in entry.pairs().iter().filter(|(_, value)| !value.is_null()) {
        let path = format!("{path}.{key}");
        match key.as_str() {
            "path" | "owner" => out.text(&path, value).into_iter().for_each(|node| file.set(key, node)),
            "content" => content = out.text(&path, value),
            "encoding" => encoding = value.text().unwrap_or_default(),
            "permissions" => match value.text() {
                // An unquoted 0o644 or 0644 is meant in octal, as it stands there.
                Some(text) => {
                    let digits = text.trim_start_matches("0o");
                    file.set("mode", Node::new(if digits.len() == 5 { &digits[1..] } else { digits }, value.line));
                }
                None => out.wrong(path, value, "octal digits"),
            },
            "append" => out.flag(&path, value).into_iter().for_each(|node| file.set("append", node)),
            "defer" => {}
            _ => out.unsupported(path, value.line, ""),
        }
    }
    let key = match encoding.to_ascii_lowercase().as_str() {
        "b64" | "base64" => "base64",
        "text/plain" | "text" | "" => "content",
        other => {
            let hint = "give base64 without gzip";
            let problem = format!("encoding {other:?} is not supported");
            out.problems.push(Problem::at(format!("{path}.encoding"), entry.line, problem).hint(hint));
            return;
        }
    };
    if let Some(content) = content {
        file.set(key, content);
    }
    out.table.push("files", Node::new(file, entry.line));
}

/// A text is the shell's; a list is a program and its arguments.
fn command(out: &mut Translation, path: &str, entry: &Yaml) -> Option<Node> {
    match &entry.value {
        Value::Scalar { text, .. } if !entry.is_null() => Some(Node::new(text.as_str(), entry.line)),
        Value::List(words) => {
            let words: Option<Vec<String>> = words.iter().map(|word| word.text().map(quoted)).collect();
            match words {
                Some(words) if !words.is_empty() => Some(Node::new(words.join(" "), entry.line)),
                _ => {
                    out.wrong(path, entry, "a list of texts");
                    None
                }
            }
        }
        Value::Scalar { .. } => None,
        Value::Map(_) => {
            out.wrong(path, entry, "a text or a list");
            None
        }
    }
}

fn quoted(word: &str) -> String {
    let plain = !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c));
    if plain { word.into() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

/// `[source, path, type, options, dump, pass]`, as in fstab(5).
fn mount(out: &mut Translation, index: usize, entry: &Yaml) {
    let path = format!("mounts[{index}]");
    let Value::List(fields) = &entry.value else { return out.wrong(path, entry, "a list") };
    let field = |at: usize| fields.get(at).and_then(Yaml::text);
    let (Some(source), Some(target)) = (field(0), field(1)) else {
        return out.unsupported(path, entry.line, "source and path are needed");
    };
    if target == "none" || field(2) == Some("swap") {
        return out.unsupported(path, entry.line, "use swap");
    }
    // A short name is a device.
    let device = ["sd", "vd", "xvd", "nvme", "mmcblk", "hd"].iter().any(|prefix| source.starts_with(prefix));
    let source = if device { format!("/dev/{source}") } else { source.into() };
    let mut mount = table([("path", Node::new(target, entry.line)), ("source", Node::new(source, entry.line))]);
    if let Some(kind) = field(2).filter(|kind| *kind != "auto") {
        mount.set("type", Node::new(kind, entry.line));
    }
    let options: Vec<&str> = field(3).unwrap_or_default().split(',').filter(|option| !option.is_empty()).collect();
    if options.contains(&"nofail") {
        mount.set("required", Node::new(false, entry.line));
    }
    let meaningful = |option: &&&str| !matches!(**option, "defaults" | "nofail" | "auto") && !option.starts_with("x-");
    let list: Vec<Node> = options.iter().filter(meaningful).map(|option| Node::new(*option, entry.line)).collect();
    if !list.is_empty() {
        mount.set("options", Node::new(list, entry.line));
    }
    out.table.push("mounts", Node::new(mount, entry.line));
}

fn swap(out: &mut Translation, value: &Yaml) {
    for (key, entry) in value.pairs().iter().filter(|(_, entry)| !entry.is_null()) {
        match key.as_str() {
            "size" if entry.text() == Some("auto") => {
                out.unsupported("swap.size", entry.line, "give a size, such as 1G");
            }
            "size" => {
                let size = out.text("swap.size", entry);
                out.set("swap", "size", size);
            }
            // Where it is, is ours to say: the root is RAM.
            "filename" => {}
            _ => out.unsupported(format!("swap.{key}"), entry.line, ""),
        }
    }
}

fn ntp(out: &mut Translation, value: &Yaml) {
    let mut servers = Vec::new();
    for (key, entry) in value.pairs().iter().filter(|(_, entry)| !entry.is_null()) {
        match key.as_str() {
            "enabled" => {
                let flag = out.flag("ntp.enabled", entry);
                out.set("ntp", "enabled", flag);
            }
            "servers" | "pools" => servers.extend(entry.entries().iter().filter_map(|entry| out.text("ntp", entry))),
            _ => out.unsupported(format!("ntp.{key}"), entry.line, ""),
        }
    }
    if !servers.is_empty() {
        out.set("ntp", "servers", Some(Node::new(servers, value.line)));
    }
}

fn certificates(out: &mut Translation, name: &str, value: &Yaml) {
    for (key, entry) in value.pairs().iter().filter(|(_, entry)| !entry.is_null()) {
        match key.as_str() {
            "trusted" => {
                let list = out.texts(&format!("{name}.trusted"), entry);
                out.set("", "ca-certificates", Some(list));
            }
            "remove_defaults" | "remove-defaults" if entry.flag() == Some(false) => {}
            _ => out.unsupported(format!("{name}.{key}"), entry.line, ""),
        }
    }
}

fn table<const N: usize>(pairs: [(&str, Node); N]) -> Table {
    Table(pairs.into_iter().map(|(key, node)| (key.to_string(), node)).collect())
}
