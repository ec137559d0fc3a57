//! Reads a project's files and checks them together.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::cross::{Read, Recipes, check_needs, check_options, check_paths, check_services, effective};
use super::document::{self, Document};
use super::problems::{ConfigProblem, Problems};
use super::single::{check_distro, check_recipe};
use super::{Checked, Distro, Fragment, Recipe, fragment, overlay, rules, schema};
use crate::nearest::did_you_mean;
use crate::problem::Problem;

const DISTRO: &str = "distro.toml";
const PACKAGES: &str = "packages";
const FRAGMENTS: &str = "kernel-config";
/// In packages/ but no recipe.
const LOCK: &str = "lock.toml";

/// Reads and checks the project in `dir`. The error lists every problem of every file.
pub fn load(dir: &Path) -> anyhow::Result<Checked> {
    check(dir).map_err(|problems| anyhow::Error::new(Problem::from(problems)))
}

/// The same with the problems as values, sorted by file and line.
pub fn check(dir: &Path) -> Result<Checked, Problems> {
    let mut problems = Problems::default();
    let overlay = overlay::walk(&dir.join("overlay"), &mut problems);
    let mut recipes = recipes(dir, &mut problems);
    check_needs(&mut recipes);

    let text = text(dir, DISTRO, &mut problems);
    let (mut document, distro) = match &text {
        Some(text) => read_distro(text),
        None => (Document::unread(DISTRO), None),
    };
    let mut fragments = Vec::new();
    let mut used = std::collections::BTreeSet::new();
    if let Some(distro) = &distro {
        used = effective(distro, &mut document, &recipes);
        check_services(distro, &mut recipes, &used);
        check_paths(&mut recipes, &used, &overlay, &mut problems);
        fragments = read_fragments(dir, distro, &mut document, &mut problems);
        check_options(&fragments, &mut problems);
        check_keyring(dir, distro, &mut document);
    }
    problems.0.append(&mut document.problems);
    problems.0.extend(recipes.values_mut().flat_map(|read| std::mem::take(&mut read.document.problems)));
    problems.sort();
    match distro {
        Some(distro) if problems.0.is_empty() => {
            let recipes = recipes
                .into_iter()
                .filter(|(name, _)| used.contains(name))
                .filter_map(|(name, read)| Some((name, read.value?)))
                .collect();
            Ok(Checked { dir: dir.into(), distro, recipes, fragments, overlay })
        }
        _ => Err(problems),
    }
}

/// Reads the text of a distro.toml by itself: what it names in other files is not looked at.
pub fn parse_distro(text: &str) -> Result<Distro, Problems> {
    finish(read_distro(text))
}

/// Reads the text of a recipe by itself; `file` is how problems call it.
pub fn parse_recipe(file: &str, text: &str) -> Result<Recipe, Problems> {
    finish(read_recipe(file, text))
}

/// Reads the text of a fragment by itself.
pub fn parse_fragment(name: &str, path: &Path, text: &str) -> Result<Fragment, Problems> {
    let (fragment, problems) = fragment::parse(name, path, &fragment_file(name), text);
    if problems.is_empty() { Ok(fragment) } else { Err(Problems(problems)) }
}

fn finish<T>((document, value): (Document, Option<T>)) -> Result<T, Problems> {
    let mut problems = Problems(document.problems);
    problems.sort();
    value.filter(|_| problems.0.is_empty()).ok_or(problems)
}

fn read_distro(text: &str) -> (Document, Option<Distro>) {
    let (mut document, distro) = document::read(DISTRO, text, schema::DISTRO);
    if let Some(distro) = &distro {
        check_distro(distro, &mut document);
    }
    (document, distro)
}

fn read_recipe(file: &str, text: &str) -> (Document, Option<Recipe>) {
    let (mut document, recipe) = document::read(file, text, schema::RECIPE);
    if let Some(recipe) = &recipe {
        check_recipe(recipe, &mut document);
    }
    (document, recipe)
}

fn recipes(dir: &Path, problems: &mut Problems) -> Recipes {
    let mut recipes = Recipes::new();
    for name in names(dir, PACKAGES, ".toml", problems).unwrap_or_default() {
        let file = format!("{PACKAGES}/{name}.toml");
        if format!("{name}.toml") == LOCK {
            continue;
        }
        if !(rules::NAME.valid)(&name) {
            problems.file(&file, format!("bad file name, expected {}", rules::NAME.expected), "rename the file");
        }
        let (document, value) = match text(dir, &file, problems) {
            Some(text) => read_recipe(&file, &text),
            None => (Document::unread(&file), None),
        };
        recipes.insert(name, Read { document, value });
    }
    recipes
}

fn fragment_file(name: &str) -> String {
    format!("{FRAGMENTS}/{name}.config")
}

fn read_fragments(dir: &Path, distro: &Distro, document: &mut Document, problems: &mut Problems) -> Vec<Fragment> {
    if distro.kernel.config.is_empty() {
        return Vec::new();
    }
    let Some(known) = names(dir, FRAGMENTS, ".config", problems) else { return Vec::new() };
    let mut fragments = Vec::new();
    for (index, name) in distro.kernel.config.iter().enumerate() {
        let file = fragment_file(name);
        if !known.contains(name) {
            let message = format!("missing fragment, expected the file {file}, found none");
            let hint = did_you_mean(name, known.iter().map(String::as_str));
            document.report(&format!("kernel.config[{index}]"), message, hint);
        } else if let Some(text) = text(dir, &file, problems) {
            let (fragment, mut found) = fragment::parse(name, &dir.join(&file), &file, &text);
            problems.0.append(&mut found);
            fragments.push(fragment);
        }
    }
    fragments
}

fn check_keyring(dir: &Path, distro: &Distro, document: &mut Document) {
    let keyring = &distro.sources.keyring;
    let path = dir.join(keyring);
    if path.is_file() {
        return;
    }
    let folder = path.parent().and_then(|folder| fs::read_dir(folder).ok());
    let names: Vec<String> =
        folder.into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let mut hint = did_you_mean(name, names.iter().map(String::as_str));
    if hint.is_empty() {
        hint = "the Debian package debian-archive-keyring has the keys".into();
    }
    document.report("sources.keyring", format!("missing file, expected a key ring, found no {keyring:?}"), hint);
}

/// Names, sorted and without `suffix`, of the files in a folder that end in it.
fn names(dir: &Path, folder: &str, suffix: &str, problems: &mut Problems) -> Option<Vec<String>> {
    let listed = fs::read_dir(dir.join(folder)).and_then(|listed| listed.collect::<Result<Vec<_>, _>>());
    let listed = match listed {
        Ok(listed) => listed,
        Err(error) => {
            problems.file(folder, unreadable("folder", &error), "");
            return None;
        }
    };
    let mut names = Vec::new();
    for entry in listed {
        let name = entry.file_name();
        match name.to_str() {
            Some(name) => {
                names.extend(name.strip_suffix(suffix).filter(|name| !name.starts_with('.')).map(String::from))
            }
            None if name.to_string_lossy().ends_with(suffix) => {
                problems.file(
                    &format!("{folder}/{}", name.to_string_lossy()),
                    "bad file name, expected UTF-8",
                    "rename the file",
                );
            }
            None => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names.sort();
    Some(names)
}

fn text(dir: &Path, file: &str, problems: &mut Problems) -> Option<String> {
    let bytes = match fs::read(dir.join(file)) {
        Ok(bytes) => bytes,
        Err(error) => {
            let hint =
                if file == DISTRO { "run it in a project's folder, or name that folder with --project" } else { "" };
            problems.file(file, unreadable("file", &error), hint);
            return None;
        }
    };
    String::from_utf8(bytes)
        .map_err(|error| {
            let start = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + start.iter().filter(|byte| **byte == b'\n').count();
            let (file, key) = (file.to_string(), String::new());
            problems.0.push(ConfigProblem { file, line, key, message: "not UTF-8 text".into(), hint: String::new() });
        })
        .ok()
}

fn unreadable(what: &str, error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => format!("missing {what}"),
        _ => format!("reading the {what}: {error}"),
    }
}
