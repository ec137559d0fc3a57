//! All sources of the document, in rising order of weight, put together.

use contract::{cmdline, paths};
use document::{DOCUMENT, Node, Problem, Table, check, ignition, merge, network_config, parse, user_data};

use super::media::Media;
use super::{Root, firmware, fw_cfg, media};
use crate::container;
use crate::guest::Guest;

/// An OEM string of SMBIOS that is a document begins so…
const OEM_STRING: &str = "org.mkdistro.config=";
/// … and so, if it is base64: not every tool passes line breaks.
const OEM_STRING_BASE64: &str = "org.mkdistro.config.base64=";

/// The sources put together.
#[derive(Debug, Default)]
pub(super) struct Collected {
    /// The checked document, without the run-commands that are [`Self::once`].
    pub(super) table: Table,
    /// What is wrong in all sources.
    pub(super) problems: Vec<Problem>,
    /// Commands and script of the NoCloud media, which run once for each instance.
    pub(super) once: Once,
}

/// What runs once for each instance.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Once {
    /// `instance-id` of the media; empty if they have none.
    pub(super) instance: String,
    pub(super) commands: Vec<String>,
    /// `user-data` that is a script.
    pub(super) script: Option<Vec<u8>>,
}

impl Collected {
    fn add(&mut self, source: &str, mut table: Table, problems: Vec<Problem>) {
        self.problems.extend(problems.into_iter().map(|problem| problem.within(source)));
        let wrong = check(&mut table, DOCUMENT);
        self.problems.extend(wrong.into_iter().map(|problem| problem.within(source)));
        merge(&mut self.table, table, DOCUMENT);
    }

    fn add_toml(&mut self, source: &str, bytes: &[u8]) {
        match std::str::from_utf8(bytes) {
            Ok(text) => {
                let (table, problems) = parse(text.trim_end_matches('\0'));
                self.add(source, table, problems);
            }
            Err(_) => self.problems.push(Problem::at("", 0, "not UTF-8 text").within(source)),
        }
    }
}

/// Reads all sources. `wait`: for hardware that is still looked for.
pub(super) fn collect(root: &Root, guest: &Guest, wait: bool) -> Collected {
    let is_alone = !root.is_system() || container::is_one();
    let media =
        if is_alone || guest.option(cmdline::PROVISION) == Some("none") { Media::default() } else { media::find(wait) };
    if guest.option(cmdline::PROVISION) == Some("none") {
        return Collected::default();
    }
    put_together(root, &guest.command_line, media)
}

pub(super) fn put_together(root: &Root, command_line: &str, media: Media) -> Collected {
    let mut collected = Collected::default();
    if let Some(bytes) = root.read(paths::IMAGE_CONFIG) {
        collected.add_toml(paths::IMAGE_CONFIG, &bytes);
    }
    for text in firmware::oem_strings(root) {
        oem_string(&mut collected, &text);
    }
    let ignition_path = fw_cfg(root, contract::fw_cfg::IGNITION);
    if let Some(text) = read_text(&mut collected, &ignition_path, "fw_cfg opt/com.coreos/config") {
        let (table, problems) = ignition::read(&text);
        collected.add("fw_cfg opt/com.coreos/config", table, problems);
    }
    if let Ok(bytes) = std::fs::read(fw_cfg(root, contract::fw_cfg::CONFIG)) {
        collected.add_toml("fw_cfg opt/org.mkdistro/config", &bytes);
    }
    if let Some(text) = container::variable(contract::container::CONFIG).filter(|_| root.is_system()) {
        collected.add_toml(contract::container::CONFIG, text.as_bytes());
    }
    collected.problems.extend(media.problems.into_iter().map(|problem| Problem::at("", 0, problem)));
    if let Some((device, files)) = media.no_cloud {
        no_cloud(&mut collected, &device, &files);
    }
    if let Some((device, content)) = media.document {
        collected.add_toml(&format!("{device} mkdistro.toml"), &content);
    }
    if let Some(bytes) = root.read(paths::DATA_CONFIG) {
        collected.add_toml(paths::DATA_CONFIG, &bytes);
    }
    let (table, problems) = document::from_options(cmdline::pairs(command_line).filter_map(|(key, value)| {
        // Keys of other programs have no more than one dot, or are none of the document's.
        Some((key.strip_prefix("distro.")?, value))
    }));
    collected.add("kernel command line", table, problems);
    collected
}

fn read_text(collected: &mut Collected, path: &std::path::Path, source: &str) -> Option<String> {
    let bytes = std::fs::read(path).ok()?;
    let text = String::from_utf8(bytes).ok();
    if text.is_none() {
        collected.problems.push(Problem::at("", 0, "not UTF-8 text").within(source));
    }
    text
}

fn oem_string(collected: &mut Collected, text: &str) {
    const SOURCE: &str = "SMBIOS OEM string";
    if let Some(toml) = text.strip_prefix(OEM_STRING) {
        collected.add_toml(SOURCE, toml.as_bytes());
    } else if let Some(encoded) = text.strip_prefix(OEM_STRING_BASE64) {
        match document::base64::decode(encoded) {
            Some(bytes) => collected.add_toml(SOURCE, &bytes),
            None => collected.problems.push(Problem::at("", 0, "not base64").within(SOURCE)),
        }
    }
}

/// `meta-data` is lighter than `user-data`, as in cloud-init.
fn no_cloud(collected: &mut Collected, device: &str, files: &[(String, Vec<u8>)]) {
    let content = |name: &str| files.iter().find(|(file, _)| file == name).map(|(_, content)| content.as_slice());
    let text = |name: &str| content(name).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    if let Some(text) = text("meta-data") {
        let (meta, problems) = user_data::read_meta_data(&text);
        collected.once.instance = meta.instance_id.unwrap_or_default();
        let mut table = Table::default();
        if let Some(name) = meta.hostname {
            table.set("hostname", Node::new(name, 0));
        }
        for key in meta.public_keys {
            table.table_mut("user", 0).push("authorized-keys", Node::new(key, 0));
        }
        collected.add(&format!("{device} meta-data"), table, problems);
    }
    if let Some(bytes) = content("user-data") {
        let mut data = user_data::read(bytes);
        data.table.0.retain(|(key, node)| {
            if key == "run-commands"
                && let document::Value::List(list) = &node.value
            {
                collected.once.commands = list.iter().filter_map(|node| node.text().map(str::to_string)).collect();
                return false;
            }
            true
        });
        if data.script {
            collected.once.script = Some(bytes.to_vec());
        }
        collected.add(&format!("{device} user-data"), data.table, data.problems);
    }
    if let Some(text) = text("network-config") {
        let (table, problems) = network_config::read(&text);
        collected.add(&format!("{device} network-config"), table, problems);
    }
}
