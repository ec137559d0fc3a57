//! Reads a project's files, and the built-in ones it does not replace, and checks them together.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::cross::{Read, Recipes, check_needs, check_options, check_paths, check_services, effective};
use super::document::{self, Document};
use super::problems::{ConfigProblem, Problems};
use super::single::{check_distro, check_recipe};
use super::{Checked, Distro, Flavour, Fragment, OverlayEntry, Recipe, fragment, overlay, rules, schema};
use crate::builtin::{self, Builtin};
use crate::lock;
use crate::nearest::did_you_mean;
use crate::problem::Problem;

const DISTRO: &str = "distro.toml";
const PACKAGES: &str = "packages";
const FRAGMENTS: &str = "kernel-config";
const FLATTENED: &str = "# distro.toml with its flavour laid over it, as `mkdistro build` has read it.\n\n";

/// Reads and checks the project in `dir`, all its flavours. The error lists every problem of every file.
pub fn load(dir: &Path) -> anyhow::Result<Checked> {
    load_flavour(dir, None)
}

/// The same; gives the named flavour back instead of the default one.
pub fn load_flavour(dir: &Path, flavour: Option<&str>) -> anyhow::Result<Checked> {
    check_files(&Files { dir, builtin: Builtin::ALL, draft: &Draft::new() }, flavour)
        .map_err(|problems| anyhow::Error::new(Problem::from(problems)))
}

/// The same with the problems as values, sorted by file and line.
pub fn check(dir: &Path) -> Result<Checked, Problems> {
    check_with(dir, Builtin::ALL)
}

/// The same with other built-in files than this program's.
pub fn check_with(dir: &Path, builtin: Builtin) -> Result<Checked, Problems> {
    check_files(&Files { dir, builtin, draft: &Draft::new() }, None)
}

/// Texts that are to be written into a project, by path.
pub type Draft = BTreeMap<String, String>;

/// Reads and checks the project in `dir` as if `draft` had been written already.
pub fn load_draft(dir: &Path, draft: &Draft) -> anyhow::Result<Checked> {
    check_files(&Files { dir, builtin: Builtin::ALL, draft }, None)
        .map_err(|problems| anyhow::Error::new(Problem::from(problems)))
}

/// Where a project's files come from.
struct Files<'a> {
    dir: &'a Path,
    builtin: Builtin,
    draft: &'a Draft,
}

fn check_files(files: &Files<'_>, flavour: Option<&str>) -> Result<Checked, Problems> {
    let mut problems = Problems::default();
    let overlay = overlay::walk(&files.dir.join("overlay"), &mut problems);
    let mut recipes = recipes(files, &mut problems);
    check_needs(&mut recipes);
    let text = text(files, DISTRO, &mut problems);
    let flavours = text.as_deref().map(|text| flavours(text, flavour, &mut problems)).unwrap_or_default();
    let default = flavours.iter().find(|flavour| flavour.is_default).map(|flavour| flavour.name.as_str());
    let mut variants: Vec<Option<&str>> = flavours.iter().map(|flavour| Some(flavour.name.as_str())).collect();
    if default.is_none() {
        variants.push(None);
    }
    let project = Parts { files, text: text.as_deref(), overlay: &overlay, recipes: &recipes };
    let (mut chosen, mut others) = (None, Vec::new());
    for variant in variants {
        let checked = check_variant(&project, variant, &mut problems).map(|checked| Checked {
            flavour: variant.map(String::from),
            flavours: flavours.clone(),
            ..checked
        });
        if variant == flavour.or(default) {
            chosen = checked;
        } else {
            others.extend(checked);
        }
    }
    problems.sort();
    match chosen {
        Some(checked) if problems.0.is_empty() => Ok(Checked { others, ..checked }),
        _ => Err(problems),
    }
}

/// The flavours of a distro.toml. One that is asked for and not there is reported.
fn flavours(text: &str, asked: Option<&str>, problems: &mut Problems) -> Vec<Flavour> {
    let (document, distro) = read_distro(text, None);
    if let Some(name) = asked.filter(|_| distro.is_some())
        && !document.flavours.iter().any(|flavour| flavour.name == name)
    {
        let names: Vec<&str> = document.flavours.iter().map(|flavour| flavour.name.as_str()).collect();
        let mut hint = did_you_mean(name, names.iter().copied());
        if hint.is_empty() && !names.is_empty() {
            hint = format!("it has {}", names.join(", "));
        }
        problems.file(DISTRO, format!("no flavour {name:?}"), hint);
    }
    document.flavours
}

/// What all flavours of a project have in common.
struct Parts<'a> {
    files: &'a Files<'a>,
    text: Option<&'a str>,
    overlay: &'a [OverlayEntry],
    recipes: &'a Recipes,
}

/// Checks a project with one flavour. What is wrong with all of them is reported once.
fn check_variant(project: &Parts<'_>, flavour: Option<&str>, problems: &mut Problems) -> Option<Checked> {
    let files = project.files;
    let mut recipes = project.recipes.clone();
    let (mut document, distro) = match project.text {
        Some(text) => read_distro(text, flavour),
        None => (Document::unread(DISTRO), None),
    };
    let mut found = Problems::default();
    let mut fragments = Vec::new();
    let mut used = std::collections::BTreeSet::new();
    if let Some(distro) = &distro {
        used = effective(distro, &mut document, &recipes);
        check_services(distro, &mut recipes, &used);
        check_paths(&mut recipes, &used, project.overlay, &mut found);
        fragments = read_fragments(files, distro, &mut document, &mut found);
        check_options(&fragments, distro.kernel.source, &mut found);
        check_keyring(files, distro, &mut document);
    }
    let flattened = document.flattened.take().and_then(|table| toml::to_string(&table).ok());
    found.0.append(&mut document.problems);
    found.0.extend(recipes.values_mut().flat_map(|read| std::mem::take(&mut read.document.problems)));
    let new: Vec<ConfigProblem> = found.0.into_iter().filter(|problem| !problems.0.contains(problem)).collect();
    problems.0.extend(new);
    let recipes = recipes
        .into_iter()
        .filter(|(name, _)| used.contains(name))
        .filter_map(|(name, read)| Some((name, read.value?)))
        .collect();
    Some(Checked {
        dir: files.dir.into(),
        distro: distro?,
        recipes,
        fragments,
        overlay: project.overlay.to_vec(),
        flavour: None,
        flavours: Vec::new(),
        flattened: flattened.map(|text| format!("{FLATTENED}{text}")),
        others: Vec::new(),
    })
}

/// Reads the text of a distro.toml by itself: what it names in other files is not looked at.
pub fn parse_distro(text: &str) -> Result<Distro, Problems> {
    finish(read_distro(text, None))
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

/// The fragments of a project's kernel-config/ and the built-in ones that its distro.toml does not name, by name: what a
/// kernel may have besides.
///
/// # Errors
/// Class `Config`: a file cannot be read, or has a bad line.
pub fn other_fragments(checked: &Checked) -> anyhow::Result<Vec<Fragment>> {
    let files = Files { dir: &checked.dir, builtin: Builtin::ALL, draft: &Draft::new() };
    let mut problems = Problems::default();
    let own = names(&files, FRAGMENTS, ".config", &mut problems);
    let builtin = files.builtin.names(FRAGMENTS, ".config");
    let mut others: Vec<&str> = own.iter().map(String::as_str).chain(builtin).collect();
    others.sort_unstable();
    others.dedup();
    others.retain(|name| !checked.distro.kernel.config.iter().any(|named| named == name));
    let fragments = others.iter().filter_map(|name| read_fragment(&files, &own, name, &mut problems)).collect();
    if problems.0.is_empty() { Ok(fragments) } else { Err(anyhow::Error::new(Problem::from(problems))) }
}

fn finish<T>((document, value): (Document, Option<T>)) -> Result<T, Problems> {
    let mut problems = Problems(document.problems);
    problems.sort();
    value.filter(|_| problems.0.is_empty()).ok_or(problems)
}

fn read_distro(text: &str, flavour: Option<&str>) -> (Document, Option<Distro>) {
    let (mut document, distro) = document::read_flavour(DISTRO, text, schema::DISTRO, flavour);
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

fn recipes(files: &Files<'_>, problems: &mut Problems) -> Recipes {
    let builtin = files.builtin;
    let mut recipes = Recipes::new();
    for name in names(files, PACKAGES, ".toml", problems) {
        let file = format!("{PACKAGES}/{name}.toml");
        if file == lock::PATH {
            continue;
        }
        if !(rules::NAME.valid)(&name) {
            problems.file(&file, format!("bad file name, expected {}", rules::NAME.expected), "rename the file");
        }
        let (document, value) = match text(files, &file, problems) {
            Some(text) => read_recipe(&file, &text),
            None => (Document::unread(&file), None),
        };
        recipes.insert(name, Read { document, value });
    }
    for name in builtin.names(PACKAGES, ".toml") {
        let file = format!("{PACKAGES}/{name}.toml");
        if file == lock::PATH || recipes.contains_key(name) {
            continue;
        }
        let (document, value) = read_recipe(&builtin::shown(&file), builtin.text(&file).unwrap_or_default());
        let value = value.map(|recipe| Recipe { builtin: true, ..recipe });
        recipes.insert(name.into(), Read { document, value });
    }
    recipes
}

fn fragment_file(name: &str) -> String {
    format!("{FRAGMENTS}/{name}.config")
}

fn read_fragments(
    files: &Files<'_>,
    distro: &Distro,
    document: &mut Document,
    problems: &mut Problems,
) -> Vec<Fragment> {
    if distro.kernel.config.is_empty() {
        return Vec::new();
    }
    let own = names(files, FRAGMENTS, ".config", problems);
    let builtin_names = files.builtin.names(FRAGMENTS, ".config");
    let mut fragments = Vec::new();
    for (index, name) in distro.kernel.config.iter().enumerate() {
        if own.contains(name) || builtin_names.contains(&name.as_str()) {
            fragments.extend(read_fragment(files, &own, name, problems));
            continue;
        }
        let message = format!("missing fragment, expected the file {}, found none", fragment_file(name));
        let known = own.iter().map(String::as_str).chain(builtin_names.iter().copied());
        document.report(&format!("kernel.config[{index}]"), message, did_you_mean(name, known));
    }
    fragments
}

/// Reads a fragment of the project (its `own` ones), else the built-in one.
fn read_fragment(files: &Files<'_>, own: &[String], name: &str, problems: &mut Problems) -> Option<Fragment> {
    let file = fragment_file(name);
    let (path, shown, text) = if own.iter().any(|own| own == name) {
        let text = text(files, &file, problems)?;
        (files.dir.join(&file), file, text)
    } else {
        let shown = builtin::shown(&file);
        (shown.clone().into(), shown, files.builtin.text(&file)?.to_string())
    };
    let (fragment, mut found) = fragment::parse(name, &path, &shown, &text);
    problems.0.append(&mut found);
    Some(fragment)
}

fn check_keyring(files: &Files<'_>, distro: &Distro, document: &mut Document) {
    let keyring = &distro.sources.keyring;
    let path = files.dir.join(keyring);
    if path.is_file() || files.builtin.get(keyring).is_some() {
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

/// Names, sorted and without `suffix`, of the files in a folder that end in it; none if the project has no such folder.
fn names(files: &Files<'_>, folder: &str, suffix: &str, problems: &mut Problems) -> Vec<String> {
    let listed = fs::read_dir(files.dir.join(folder)).and_then(|listed| listed.collect::<Result<Vec<_>, _>>());
    let listed = match listed {
        Ok(listed) => listed,
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            problems.file(folder, format!("reading the folder: {error}"), "");
            return Vec::new();
        }
    };
    let drafted = files.draft.keys().filter_map(|path| path.strip_prefix(folder)?.strip_prefix('/'));
    let mut names: Vec<String> = drafted.filter_map(|name| name.strip_suffix(suffix)).map(String::from).collect();
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
    names.dedup();
    names
}

fn text(files: &Files<'_>, file: &str, problems: &mut Problems) -> Option<String> {
    if let Some(text) = files.draft.get(file) {
        return Some(text.clone());
    }
    let bytes = match fs::read(files.dir.join(file)) {
        Ok(bytes) => bytes,
        Err(error) => {
            let hint =
                if file == DISTRO { "run it in a project's folder, or name that folder with --project" } else { "" };
            problems.file(file, unreadable(&error), hint);
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

fn unreadable(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "missing file".into(),
        _ => format!("reading the file: {error}"),
    }
}
