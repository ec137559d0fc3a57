//! `user-data` of NoCloud media (cloud-init's documentation, "User-data formats"): a script, or cloud-config.

mod cloud_config;

use crate::{Problem, Table};

/// What it holds.
#[derive(Debug, Default)]
pub struct UserData {
    /// As a document; not checked.
    pub table: Table,
    /// What could not be understood.
    pub problems: Vec<Problem>,
    /// The whole is a script to be run.
    pub script: bool,
}

/// Understands `user-data`. Only cloud-config and scripts; of the others the name is told.
pub fn read(bytes: &[u8]) -> UserData {
    let refuse = |reason: &str, hint: &str| UserData {
        problems: vec![Problem::at("", 1, reason).hint(hint)],
        ..UserData::default()
    };
    let Ok(text) = std::str::from_utf8(bytes) else {
        let hint = if bytes.starts_with(&[0x1f, 0x8b]) { "gzip: unpack it" } else { "" };
        return refuse("user-data is not UTF-8 text", hint);
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let first = text.lines().next().unwrap_or_default().trim_end();
    match first {
        _ if text.trim().is_empty() => UserData::default(),
        _ if first.starts_with("#!") => UserData { script: true, ..UserData::default() },
        "#cloud-config" => {
            let translation = cloud_config::read(text);
            UserData { table: translation.table, problems: translation.problems, script: false }
        }
        _ if first.starts_with("Content-Type:") || first.starts_with("MIME-Version:") => {
            refuse("user-data of several parts (MIME) is not supported", "give one cloud-config or script")
        }
        _ => refuse(
            &format!("user-data of this kind is not supported: {:?}", first.chars().take(40).collect::<String>()),
            "the first line must be #cloud-config, or #! of a script",
        ),
    }
}

/// `meta-data` of NoCloud media: YAML or JSON.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct MetaData {
    /// `instance-id`.
    pub instance_id: Option<String>,
    /// `local-hostname` or `hostname`.
    pub hostname: Option<String>,
    /// `public-keys`.
    pub public_keys: Vec<String>,
}

/// Reads `meta-data`.
pub fn read_meta_data(text: &str) -> (MetaData, Vec<Problem>) {
    if text.trim().is_empty() {
        return (MetaData::default(), Vec::new());
    }
    let yaml = match crate::yaml::parse(text) {
        Ok(yaml) => yaml,
        Err(problem) => return (MetaData::default(), vec![problem]),
    };
    let text = |key: &str| yaml.get(key).and_then(|value| value.text()).map(str::to_string);
    let keys = yaml.get("public-keys").map_or(&[][..], |keys| keys.entries());
    let data = MetaData {
        instance_id: text("instance-id"),
        hostname: text("local-hostname").or_else(|| text("hostname")),
        public_keys: keys.iter().filter_map(|key| key.text().map(|key| key.trim().to_string())).collect(),
    };
    (data, Vec::new())
}
