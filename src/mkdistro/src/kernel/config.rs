//! The kernel's own configuration (`/boot/config-RELEASE`) and the check of a fragment against it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::index::Index;
use super::selection::Request;
use crate::config::{Fragment, KernelOption, KernelSource, OptionValue};

/// Values by option. What is not set is not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelConfig<'a> {
    values: BTreeMap<&'a str, &'a str>,
}

impl<'a> KernelConfig<'a> {
    /// Reads the text: `CONFIG_X=value` counts, all else is a comment (`# CONFIG_X is not set` too).
    pub fn parse(text: &'a str) -> Self {
        let lines = text.lines().filter(|line| line.starts_with("CONFIG_"));
        Self { values: lines.filter_map(|line| line.split_once('=')).collect() }
    }

    /// The value of an option, `CONFIG_…`.
    pub fn get(&self, option: &str) -> Option<&'a str> {
        self.values.get(option).copied()
    }

    /// What differs in `other`, by option: `+CONFIG_A=y`, `-CONFIG_B=m`, ` CONFIG_C=m → y`.
    pub fn difference(&self, other: &KernelConfig<'_>) -> Vec<String> {
        let options: BTreeSet<&str> = self.values.keys().chain(other.values.keys()).copied().collect();
        let lines = options.into_iter().filter_map(|option| match (self.get(option), other.get(option)) {
            (Some(a), Some(b)) if a == b => None,
            (Some(a), Some(b)) => Some(format!(" {option}={a} → {b}")),
            (Some(a), None) => Some(format!("-{option}={a}")),
            (None, Some(b)) => Some(format!("+{option}={b}")),
            (None, None) => None,
        });
        lines.collect()
    }
}

/// Whether a value is what a fragment asks for.
pub fn is_met(wanted: &OptionValue, found: Option<&str>) -> bool {
    match wanted {
        OptionValue::BuiltIn => found == Some("y"),
        OptionValue::Module => matches!(found, Some("y" | "m")),
        OptionValue::Unset => found.is_none(),
        OptionValue::Exactly(value) => found == Some(value),
    }
}

/// Checks every option of a fragment; adds the modules it needs to `requests` and what is wrong to `failures`.
pub(super) fn check(
    fragment: &Fragment,
    project: &Path,
    config: &KernelConfig<'_>,
    index: &Index<'_>,
    requests: &mut Vec<Request>,
    failures: &mut Vec<String>,
) {
    let path = fragment.path.strip_prefix(project).unwrap_or(&fragment.path).display();
    for option in fragment.options.iter().filter(|option| option.applies_to(KernelSource::Package)) {
        let place = format!("{path}:{}", option.line);
        match modules(option, config.get(&option.name), index) {
            Ok(names) => requests.extend(names.iter().map(|name| Request::new(name, &fragment.name, place.clone()))),
            Err(difference) => {
                let reason = if option.reason.is_empty() { String::new() } else { format!(" ({})", option.reason) };
                failures.push(format!("{place}: {}{reason}: {difference}", option.name));
            }
        }
    }
}

/// The modules an option needs with this kernel, or in which way the kernel differs.
fn modules(option: &KernelOption, found: Option<&str>, index: &Index<'_>) -> Result<Vec<String>, String> {
    let shown = found.map_or("it is not set".into(), |value| format!("={value}"));
    match (&option.value, found) {
        (OptionValue::BuiltIn | OptionValue::Module, Some("y")) | (OptionValue::Unset, None) => Ok(Vec::new()),
        (OptionValue::Module, Some("m")) if !option.modules.is_empty() => Ok(option.modules.clone()),
        (OptionValue::Module, Some("m")) => {
            // Many modules are called like their option.
            let name = option.name.trim_start_matches("CONFIG_").to_lowercase();
            match index.contains(&name) {
                true => Ok(vec![name]),
                false => Err(format!(
                    "a module here, but the fragment does not say which: expected a line \"# modules: NAME\" above it, \
                     found no module called {name}"
                )),
            }
        }
        (OptionValue::Exactly(value), Some(found)) if value == found => Ok(Vec::new()),
        (OptionValue::BuiltIn, _) => Err(format!("expected =y, found {shown}")),
        (OptionValue::Module, _) => Err(format!("expected =y or =m, found {shown}")),
        (OptionValue::Unset, _) => Err(format!("expected it not to be set, found {shown}")),
        (OptionValue::Exactly(value), _) => Err(format!("expected ={value}, found {shown}")),
    }
}
