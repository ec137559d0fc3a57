//! Kernel fragments: the syntax of Kconfig's own fragments (kernel `Documentation/kbuild/kconfig.rst`), so that the same
//! file can be merged into a kernel build. The comment lines above an option, up to a blank line, are its reason; a line
//! `# modules: a b` among them names what must be shipped for the next option; `# only: package` and `# only: source` say
//! which kernel it is meant for, Debian's own or one built from source.

use std::path::Path;

use super::problems::ConfigProblem;
use super::{Fragment, KernelOption, KernelSource, OptionValue};
use crate::nearest::did_you_mean;

const MODULES: &str = "modules:";
const ONLY: &str = "only:";

/// Reads a fragment; `file` is how messages call it.
pub(super) fn parse(name: &str, path: &Path, file: &str, text: &str) -> (Fragment, Vec<ConfigProblem>) {
    let mut problems = Vec::new();
    let mut report = |line: usize, message: String, hint: String| {
        problems.push(ConfigProblem { file: file.into(), line, key: String::new(), message, hint });
    };
    let mut options = Vec::new();
    let mut comment = Comment::default();
    for (index, text) in text.lines().enumerate() {
        let (text, line) = (text.trim_end(), index + 1);
        if let Some((name, value)) = option(text) {
            comment.closed = true;
            let (reason, modules) = (comment.reason.join(" "), std::mem::take(&mut comment.modules));
            let only = comment.only.take();
            comment.directive_line = 0;
            options.push(KernelOption { name: name.into(), value, line, reason, modules, only });
        } else if let Some(words) = text.strip_prefix('#') {
            comment.add(words.trim(), line, &mut report);
        } else if text.is_empty() {
            comment.report_unused(&mut report);
            comment = Comment::default();
        } else {
            let message = format!("bad line, expected CONFIG_NAME=VALUE or a comment, found {text:?}");
            report(line, message, hint(text));
        }
    }
    comment.report_unused(&mut report);
    (Fragment { name: name.into(), path: path.into(), options }, problems)
}

/// The comment lines above an option.
#[derive(Default)]
struct Comment {
    reason: Vec<String>,
    modules: Vec<String>,
    only: Option<KernelSource>,
    /// Where the last `modules:` or `only:` is that no option has followed yet; 0: nowhere.
    directive_line: usize,
    /// An option has followed: the next comment line begins a new comment.
    closed: bool,
}

impl Comment {
    fn add(&mut self, words: &str, line: usize, report: &mut impl FnMut(usize, String, String)) {
        if let Some(names) = words.strip_prefix(MODULES) {
            self.modules.extend(names.split_whitespace().map(String::from));
            self.directive_line = line;
            return;
        }
        if let Some(source) = words.strip_prefix(ONLY) {
            self.only = match source.trim() {
                "package" => Some(KernelSource::Package),
                "source" => Some(KernelSource::Source),
                other => {
                    let message = format!("\"# only:\", expected \"package\" or \"source\", found {other:?}");
                    report(line, message, did_you_mean(other, ["package", "source"]));
                    None
                }
            };
            self.directive_line = line;
            return;
        }
        if self.closed {
            self.reason.clear();
            self.closed = false;
        }
        if !words.is_empty() {
            self.reason.push(words.into());
        }
    }

    fn report_unused(&self, report: &mut impl FnMut(usize, String, String)) {
        if self.directive_line > 0 {
            let hint = "put it right above the option, without a blank line".into();
            let directive = if self.modules.is_empty() { ONLY } else { MODULES };
            let message = format!("\"# {directive}\" with no option below, expected CONFIG_NAME=VALUE");
            report(self.directive_line, message, hint);
        }
    }
}

fn option(line: &str) -> Option<(&str, OptionValue)> {
    if let Some(name) = line.strip_prefix("# ").and_then(|rest| rest.strip_suffix(" is not set")) {
        return is_name(name).then_some((name, OptionValue::Unset));
    }
    let (name, value) = line.split_once('=')?;
    if !is_name(name) {
        return None;
    }
    let value = match value {
        "y" => OptionValue::BuiltIn,
        "m" => OptionValue::Module,
        "n" => OptionValue::Unset,
        other if is_number(other) || is_quoted(other) => OptionValue::Exactly(other.into()),
        _ => return None,
    };
    Some((name, value))
}

fn is_name(name: &str) -> bool {
    let rest = name.strip_prefix("CONFIG_").unwrap_or("");
    !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn is_number(value: &str) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value);
    match digits.strip_prefix("0x") {
        Some(hex) => !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit()),
        None => !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()),
    }
}

fn is_quoted(value: &str) -> bool {
    value.len() >= 2 && value.starts_with('"') && value.ends_with('"')
}

/// The line as it was probably meant.
fn hint(line: &str) -> String {
    let Some((name, value)) = line.split_once('=') else { return String::new() };
    let (name, value) = (name.trim(), value.split('#').next().unwrap_or("").trim());
    let value = match value.to_ascii_lowercase().as_str() {
        "yes" | "\"y\"" => "y".to_string(),
        "module" | "\"m\"" => "m".to_string(),
        "no" => "n".to_string(),
        lower @ ("y" | "m" | "n") => lower.to_string(),
        _ => value.to_string(),
    };
    let name = if name.starts_with("CONFIG_") { name.to_string() } else { format!("CONFIG_{name}") };
    let meant = format!("{name}={value}");
    if option(&meant).is_some() { format!("did you mean {meant:?}?") } else { String::new() }
}
