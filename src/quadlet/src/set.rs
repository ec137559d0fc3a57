//! All files together: drop-ins belong to units, units name each other.

use std::collections::BTreeMap;

use crate::convert::{Unit, World, convert};
use crate::keys;
use crate::names::{Kind, Names, known, stem, template};
use crate::problem::Problem;
use crate::unit_file::UnitFile;

/// A file as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its path.
    pub path: String,
    /// Its place below the folder that was searched: `web.container`, `web.container.d/10-x.conf`. Of sub-folders only that
    /// of a drop-in counts.
    pub name: String,
    /// What stands in it.
    pub text: String,
}

/// What has been made of them.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The units, by file name.
    pub units: Vec<Unit>,
    /// What is wrong, in the order of files and lines.
    pub problems: Vec<Problem>,
}

/// Reads the files. Of two with the same name the first one counts.
pub fn load(sources: &[Source], world: World<'_>) -> Loaded {
    let mut problems = Vec::new();
    let mut files: BTreeMap<String, (Kind, UnitFile)> = BTreeMap::new();
    for source in sources {
        let Some(kind) = Kind::of(&source.name).filter(|_| !files.contains_key(&source.name)) else { continue };
        match UnitFile::parse(&source.path, &source.text) {
            Ok(file) => drop(files.insert(source.name.clone(), (kind, file))),
            Err(problem) => problems.push(problem),
        }
    }
    instances(&mut files);
    for (name, (_, file)) in &mut files {
        merge_drop_ins(name, file, sources, &mut problems);
    }
    let names: Names = files.iter().map(|(name, (kind, file))| (name.clone(), known(*kind, name, file))).collect();
    let mut units = Vec::new();
    for (name, (kind, file)) in &files {
        problems.extend(unknown_keys(*kind, file));
        let starts = if *kind == Kind::Pod { started_with(name, &files, &names) } else { Vec::new() };
        match convert(*kind, name, file, &names, &starts, world) {
            Ok(unit) => units.push(unit),
            Err(problem) => problems.push(problem),
        }
    }
    problems.sort_by(|a, b| (&a.place.file, a.place.line).cmp(&(&b.place.file, b.place.line)));
    Loaded { units, problems }
}

/// Folders of drop-ins for a file, the most specific first (systemd.unit(5)).
fn drop_in_folders(file_name: &str) -> Vec<String> {
    let Some((stem, extension)) = file_name.rsplit_once('.') else { return Vec::new() };
    let mut folders = vec![format!("{file_name}.d")];
    let instance = template(stem);
    if let Some((prefix, _)) = instance.filter(|(_, instance)| !instance.is_empty()) {
        folders.push(format!("{prefix}@.{extension}.d"));
    }
    let prefix = instance.map_or(stem, |(prefix, _)| prefix);
    for (at, _) in prefix.rmatch_indices('-') {
        let shorter = prefix.get(..=at).unwrap_or_default();
        if instance.is_some() {
            folders.push(format!("{shorter}@.{extension}.d"));
        }
        folders.push(format!("{shorter}.{extension}.d"));
    }
    folders.push(format!("{extension}.d"));
    folders
}

fn merge_drop_ins(file_name: &str, file: &mut UnitFile, sources: &[Source], problems: &mut Vec<Problem>) {
    let folders = drop_in_folders(file_name);
    let mut found: BTreeMap<&str, (usize, &Source)> = BTreeMap::new();
    for source in sources {
        let Some((folder, name)) = source.name.rsplit_once('/').filter(|(_, name)| name.ends_with(".conf")) else {
            continue;
        };
        let Some(rank) = folders.iter().position(|wanted| wanted == folder) else { continue };
        if found.get(name).is_none_or(|(other, _)| rank < *other) {
            found.insert(name, (rank, source));
        }
    }
    for (_, source) in found.into_values() {
        match UnitFile::parse(&source.path, &source.text) {
            Ok(drop_in) => file.merge(drop_in),
            Err(problem) => problems.push(problem),
        }
    }
}

/// A template with `DefaultInstance=` is that instance, too.
fn instances(files: &mut BTreeMap<String, (Kind, UnitFile)>) {
    let mut more = Vec::new();
    for (name, (kind, file)) in files.iter() {
        let Some((prefix, "")) = template(stem(name)) else { continue };
        let Some(instance) = file.filled("Install", "DefaultInstance") else { continue };
        more.push((format!("{prefix}@{instance}.{}", kind.extension()), (*kind, file.clone())));
    }
    for (name, entry) in more {
        files.entry(name).or_insert(entry);
    }
}

/// Services of containers that start with this pod.
fn started_with(pod: &str, files: &BTreeMap<String, (Kind, UnitFile)>, names: &Names) -> Vec<String> {
    let is_in_pod = |(name, (kind, file)): (&String, &(Kind, UnitFile))| {
        let named = *kind == Kind::Container && file.value("Container", "Pod") == Some(pod);
        let starts = named && file.boolean("Container", "StartWithPod").unwrap_or(true);
        let is_template = template(stem(name)).is_some_and(|(_, instance)| instance.is_empty());
        (starts && !is_template).then(|| names.get(name).map(|known| known.service.clone()))?
    };
    files.iter().filter_map(is_in_pod).collect()
}

/// Warnings of keys and sections that mean nothing here.
fn unknown_keys(kind: Kind, file: &UnitFile) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut sections: Vec<&str> = Vec::new();
    for entry in file.entries() {
        if entry.group.starts_with("X-") || entry.key.starts_with("X-") {
            continue;
        }
        let Some(keys) = keys::of_section(kind, &entry.group) else {
            if !sections.contains(&&*entry.group) {
                sections.push(&entry.group);
                let text = format!("section [{}] means nothing in a .{} file", entry.group, kind.extension());
                problems.push(Problem::warning(&entry.place, text));
            }
            continue;
        };
        if keys.split_whitespace().any(|key| key == entry.key) {
            continue;
        }
        let mut text = format!("unsupported key {} in section [{}]", entry.key, entry.group);
        if let Some(near) = keys::nearest(keys, &entry.key) {
            text.push_str(&format!("; did you mean {near}?"));
        }
        problems.push(Problem::warning(&entry.place, text));
    }
    problems
}
