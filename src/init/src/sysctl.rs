//! Kernel parameters from `/etc/sysctl.d/*.conf`, in the form of sysctl.d(5) without globs: `key = value`, `-` before a
//! key whose absence is fine, `#` and `;` comments.

use std::fs;

use crate::console;
use crate::failure::Failure;

const FOLDER: &str = "/etc/sysctl.d";

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parameter {
    /// Its file below `/proc/sys`.
    path: String,
    value: String,
    is_optional: bool,
}

fn parse(text: &str) -> Vec<Parameter> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
    let parameter = |line: &str| {
        let (key, value) = line.split_once('=')?;
        let (key, value) = (key.trim(), value.trim());
        let (key, is_optional) = key.strip_prefix('-').map_or((key, false), |key| (key, true));
        // With a slash as its first separator the key is a path already (an interface's name may have dots).
        let is_path = key.chars().find(|&c| c == '.' || c == '/') == Some('/');
        let key = if is_path { key.to_owned() } else { key.replace('.', "/") };
        Some(Parameter { path: format!("/proc/sys/{key}"), value: value.to_owned(), is_optional })
    };
    lines.filter_map(parameter).collect()
}

fn all() -> Vec<Parameter> {
    let Ok(folder) = fs::read_dir(FOLDER) else { return Vec::new() };
    let mut paths: Vec<_> = folder.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
    paths.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
    paths.iter().filter_map(|path| fs::read_to_string(path).ok()).flat_map(|text| parse(&text)).collect()
}

/// Those whose file is not there: the module that brings it is not loaded yet.
pub(crate) fn missing() -> Vec<Parameter> {
    all().into_iter().filter(|parameter| !fs::exists(&parameter.path).unwrap_or(true)).collect()
}

/// Sets those whose file is there.
pub(crate) fn apply_present() {
    let present = all().into_iter().filter(|parameter| fs::exists(&parameter.path).unwrap_or(true));
    apply(&present.collect::<Vec<_>>());
}

/// Sets them, reporting those that cannot be set.
pub(crate) fn apply(parameters: &[Parameter]) {
    for parameter in parameters {
        // Not fs::write: creating a file in /proc/sys would give EACCES for a missing one.
        let file = fs::OpenOptions::new().write(true).open(&parameter.path);
        let written = file.and_then(|mut file| std::io::Write::write_all(&mut file, parameter.value.as_bytes()));
        match written {
            Err(error) if !parameter.is_optional => {
                console::say(&Failure::new("set", &parameter.path, error).to_string());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Parameter, parse};

    #[test]
    fn reads_lines() {
        let text = "# c\n; d\nnet.ipv4.ip_forward = 1\n-net/ipv4/conf/eth0.5/x=2 3\n\nbad\nkernel.printk=4 4 1 7";
        let parameter = |path: &str, value: &str, is_optional| Parameter {
            path: format!("/proc/sys/{path}"),
            value: value.into(),
            is_optional,
        };
        let expected = [
            parameter("net/ipv4/ip_forward", "1", false),
            parameter("net/ipv4/conf/eth0.5/x", "2 3", true),
            parameter("kernel/printk", "4 4 1 7", false),
        ];
        assert_eq!(parse(text), expected);
    }
}
