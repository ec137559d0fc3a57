//! Checks a file of any of the formats that a guest understands.

use crate::{DOCUMENT, Problem, Table, check, ignition, network_config, parse, user_data};

/// What format it is, by its name and beginning, and all that is wrong with it, in the order of lines.
pub fn validate(name: Option<&str>, bytes: &[u8]) -> (&'static str, Vec<Problem>) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return ("unknown", vec![Problem::at("", 0, "not UTF-8 text")]);
    };
    let (format, (mut table, mut problems)): (_, (Table, Vec<Problem>)) = match () {
        () if text.starts_with("#cloud-config") => {
            let data = user_data::read(bytes);
            ("cloud-config", (data.table, data.problems))
        }
        () if text.starts_with("#!") => ("script", (Table::default(), Vec::new())),
        () if text.trim_start().starts_with('{') => ("Ignition", ignition::read(text)),
        () if name.is_some_and(|name| name.starts_with("network-config")) => {
            ("network-config", network_config::read(text))
        }
        () => ("document", parse(text)),
    };
    problems.extend(check(&mut table, DOCUMENT));
    problems.sort_by_key(|problem| problem.line);
    (format, problems)
}

#[cfg(test)]
mod tests {
    use super::validate;

    #[test]
    fn knows_formats() {
        let format = |name, text: &str| {
            let (format, problems) = validate(Some(name), text.as_bytes());
            (format, problems.len())
        };
        assert_eq!(format("x.toml", include_str!("../testdata/full.toml")), ("document", 0));
        assert_eq!(format("x", "hostname = 5\nfoo = 1\n"), ("document", 2));
        assert_eq!(format("user-data", "#cloud-config\nhostname: a_b\nfoo: 1\n"), ("cloud-config", 2));
        assert_eq!(format("network-config", include_str!("../testdata/network-config-v2")), ("network-config", 1));
        assert_eq!(format("c.ign", include_str!("../testdata/ignition.json")).0, "Ignition");
        assert_eq!(format("s", "#!/bin/sh\n"), ("script", 0));
    }
}
