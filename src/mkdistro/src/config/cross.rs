//! What must fit together between files: recipes and what they need, services, paths, kernel options and the overlay.

use std::collections::{BTreeMap, BTreeSet};

use contract::paths::MODULES_SERVICE;

use super::document::{Document, quote};
use super::effective::console_service;
use super::problems::{ConfigProblem, Problems};
use super::single::{Claim, Made, claims};
use super::{Distro, Fragment, KernelSource, OptionValue, OverlayEntry, Recipe};
use crate::nearest::did_you_mean;

/// A recipe that was read; without value if its file cannot be used.
#[derive(Clone)]
pub(super) struct Read {
    /// The file.
    pub(super) document: Document,
    /// Its content.
    pub(super) value: Option<Recipe>,
}

/// Recipes by name.
pub(super) type Recipes = BTreeMap<String, Read>;

/// Checks that every recipe's `needs` exist and lead to no cycle.
pub(super) fn check_needs(recipes: &mut Recipes) {
    let names: Vec<String> = recipes.keys().cloned().collect();
    for read in recipes.values_mut() {
        for (index, name) in read.value.iter().flat_map(|recipe| &recipe.needs).enumerate() {
            if !names.contains(name) {
                unknown_recipe(&mut read.document, &format!("needs[{index}]"), name, &names);
            }
        }
    }
    let graph: BTreeMap<&str, Vec<&str>> =
        recipes.iter().map(|(name, read)| (name.as_str(), needs(read).collect())).collect();
    let reports: Vec<(String, usize, String)> = cycles(&graph)
        .into_iter()
        .map(|cycle| {
            let index = graph[cycle[0]].iter().position(|name| *name == cycle[1]).unwrap_or(0);
            (cycle[0].to_string(), index, format!("recipes need each other: {}", cycle.join(" -> ")))
        })
        .collect();
    for (name, index, message) in reports {
        if let Some(read) = recipes.get_mut(&name) {
            read.document.report(&format!("needs[{index}]"), message, "remove one of these needs");
        }
    }
}

fn needs(read: &Read) -> impl Iterator<Item = &str> {
    read.value.iter().flat_map(|recipe| recipe.needs.iter().map(String::as_str))
}

fn unknown_recipe(document: &mut Document, path: &str, name: &str, names: &[String]) {
    let message = format!("unknown recipe, expected a file of packages/ without .toml, found {}", quote(name));
    document.report(path, message, did_you_mean(name, names.iter().map(String::as_str)));
}

/// One cycle for each set of nodes that reach each other, as a path from its first node back to it.
fn cycles<'a>(graph: &BTreeMap<&'a str, Vec<&'a str>>) -> Vec<Vec<&'a str>> {
    let mut found: Vec<Vec<&str>> = Vec::new();
    for start in graph.keys() {
        if found.iter().any(|cycle| cycle.contains(start)) {
            continue;
        }
        // Breadth first, so that the shortest way back is shown.
        let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
        let mut queue = std::collections::VecDeque::from([*start]);
        while let Some(node) = queue.pop_front() {
            for next in graph.get(node).into_iter().flatten() {
                if !came_from.contains_key(next) {
                    came_from.insert(next, node);
                    queue.push_back(next);
                }
            }
        }
        if came_from.contains_key(start) {
            let mut cycle = vec![*start];
            let mut node = came_from[start];
            while node != *start {
                cycle.push(node);
                node = came_from[node];
            }
            cycle.push(start);
            cycle.reverse();
            found.push(cycle);
        }
    }
    found
}

/// Names of the recipes of `[root]` and of all they need; unknown ones are reported.
pub(super) fn effective(distro: &Distro, document: &mut Document, recipes: &Recipes) -> BTreeSet<String> {
    let names: Vec<String> = recipes.keys().cloned().collect();
    let mut set = BTreeSet::new();
    let mut open = Vec::new();
    for (index, name) in distro.root.recipes.iter().enumerate() {
        if recipes.contains_key(name) {
            open.push(name.as_str());
        } else {
            unknown_recipe(document, &format!("root.recipes[{index}]"), name, &names);
        }
    }
    while let Some(name) = open.pop() {
        if let Some(read) = recipes.get(name)
            && set.insert(name.to_string())
        {
            open.extend(needs(read));
        }
    }
    set
}

/// Checks names of services and what they wait for. `used` are the distribution's recipes.
pub(super) fn check_services(distro: &Distro, recipes: &mut Recipes, used: &BTreeSet<String>) {
    let complete = recipes.values().all(|read| read.document.complete);
    // Name → recipe (empty: a login shell) and place, first of the recipes in use, then of the others.
    let mut known: BTreeMap<String, (String, String)> = distro
        .console
        .autologin
        .iter()
        .map(|tty| (console_service(tty), (String::new(), "distro.toml [console]".to_string())))
        .chain([(MODULES_SERVICE.to_string(), (String::new(), "PID 1".to_string()))])
        .collect();
    let mut others: BTreeMap<String, String> = BTreeMap::new();
    let mut graph: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (recipe, read) in recipes.iter_mut() {
        let services = read.value.iter().flat_map(|recipe| &recipe.services);
        for (index, service) in services.enumerate() {
            let path = format!("service[{index}].name");
            let place = read.document.at(&path);
            if !used.contains(recipe) {
                others.insert(service.name.clone(), recipe.clone());
            } else if let Some((_, first)) = known.get(&service.name) {
                let message = format!("{:?} is also a service of {first}, expected another name", service.name);
                read.document.report(&path, message, "");
            } else {
                known.insert(service.name.clone(), (recipe.clone(), place));
                graph.insert(service.name.clone(), service.needs.iter().chain(&service.after).cloned().collect());
            }
        }
    }
    if !complete {
        return;
    }
    for (recipe, read) in recipes.iter_mut() {
        let Some(value) = &read.value else { continue };
        for (index, service) in value.services.iter().enumerate() {
            for (key, names) in [("needs", &service.needs), ("after", &service.after)] {
                for (item, name) in names.iter().enumerate().filter(|(_, name)| !known.contains_key(*name)) {
                    let (message, hint) = match others.get(name) {
                        Some(_) if key == "after" || !used.contains(recipe) => continue,
                        Some(owner) => (
                            format!("bad value, expected a service of a recipe in use, found {name:?} of {owner}"),
                            format!("add {owner:?} to the needs of the recipe"),
                        ),
                        None => (
                            format!("unknown service, expected the name of a [[service]], found {}", quote(name)),
                            did_you_mean(name, known.keys().chain(others.keys()).map(String::as_str)),
                        ),
                    };
                    read.document.report(&format!("service[{index}].{key}[{item}]"), message, hint);
                }
            }
        }
    }
    check_service_cycles(recipes, &known, &graph);
}

fn check_service_cycles(
    recipes: &mut Recipes,
    known: &BTreeMap<String, (String, String)>,
    graph: &BTreeMap<String, Vec<String>>,
) {
    let graph = graph.iter().map(|(name, next)| (name.as_str(), next.iter().map(String::as_str).collect())).collect();
    for cycle in cycles(&graph) {
        let Some(read) = known.get(cycle[0]).and_then(|(recipe, _)| recipes.get_mut(recipe)) else { continue };
        let services = read.value.iter().flat_map(|recipe| &recipe.services);
        let index = services.map(|service| service.name.as_str()).position(|name| name == cycle[0]).unwrap_or(0);
        let message = format!("services wait for each other: {}", cycle.join(" -> "));
        read.document.report(&format!("service[{index}]"), message, "remove one of these needs or after");
    }
}

/// Checks that no two recipes in use, nor one and the overlay, make different things at one path.
pub(super) fn check_paths(
    recipes: &mut Recipes,
    used: &BTreeSet<String>,
    overlay: &[OverlayEntry],
    problems: &mut Problems,
) {
    let mut first: BTreeMap<String, (String, Made)> = BTreeMap::new();
    let all: Vec<(String, Claim)> = recipes
        .iter()
        .filter(|(name, _)| used.contains(*name))
        .flat_map(|(name, read)| {
            let claims = read.value.iter().flat_map(claims).filter(|claim| !read.document.is_broken(&claim.key));
            claims.map(move |claim| (name.clone(), claim))
        })
        .collect();
    for (name, claim) in &all {
        let Some(read) = recipes.get_mut(name) else { continue };
        if let Some((place, made)) = first.get(&claim.target) {
            if !fit(made, &claim.what) {
                let message = format!("{:?} is also made by {place}, expected one place that makes it", claim.target);
                read.document.report(&claim.key, message, "remove one");
            }
        } else {
            first.insert(claim.target.clone(), (read.document.at(&claim.key), claim.what.clone()));
        }
    }
    for (name, claim) in &all {
        if let Some((path, (place, _))) = above(&claim.target, &first)
            && let Some(read) = recipes.get_mut(name)
        {
            let message = format!("{:?} is below {path:?}, which {place} makes a file", claim.target);
            read.document.report(&claim.key, message, "");
        }
    }
    check_overlay(overlay, &first, problems);
}

fn fit(one: &Made, other: &Made) -> bool {
    match (one, other) {
        (Made::Packaged, Made::Packaged | Made::Directory(..)) | (Made::Directory(..), Made::Packaged) => true,
        (Made::Directory(..), Made::Directory(..)) => one == other,
        _ => false,
    }
}

/// The file, if any, that a path would have to be below of.
fn above<'a>(path: &str, first: &'a BTreeMap<String, (String, Made)>) -> Option<(&'a String, &'a (String, Made))> {
    path.match_indices('/')
        .filter_map(|(end, _)| first.get_key_value(&path[..end]))
        .find(|(_, (_, made))| *made == Made::File)
}

fn check_overlay(overlay: &[OverlayEntry], first: &BTreeMap<String, (String, Made)>, problems: &mut Problems) {
    for entry in overlay {
        let (file, path) = (format!("overlay/{}", entry.target), format!("/{}", entry.target));
        let is_folder = entry.source.symlink_metadata().is_ok_and(|found| found.is_dir());
        if is_folder {
            if let Some((place, Made::File | Made::Link)) = first.get(&path) {
                problems.file(&file, format!("folder, expected a file: {place} makes {path:?} a file or link"), "");
            }
            continue;
        }
        let below = format!("{path}/");
        let inner = first.range(below.clone()..).next().filter(|(inner, _)| inner.starts_with(&below));
        let same = first.get_key_value(&path).filter(|(_, (_, made))| matches!(made, Made::Directory(..)));
        if let Some((inner, (place, _))) = same.or(inner) {
            problems.file(&file, format!("file, expected a folder: {place} makes {inner:?}"), "");
        }
    }
}

/// Checks that fragments do not contradict each other, for a kernel from `source`.
pub(super) fn check_options(fragments: &[Fragment], source: KernelSource, problems: &mut Problems) {
    let mut first: BTreeMap<&str, (String, &OptionValue)> = BTreeMap::new();
    for fragment in fragments {
        let file = fragment.file();
        for option in fragment.options.iter().filter(|option| option.applies_to(source)) {
            let (place, value) =
                first.entry(&option.name).or_insert_with(|| (format!("{file}:{}", option.line), &option.value));
            if **value != option.value {
                let (expected, found) = (value.line_text(&option.name), option.line_text());
                problems.0.push(ConfigProblem {
                    file: file.clone(),
                    line: option.line,
                    key: option.name.clone(),
                    message: format!("asked for twice, expected {expected:?} as in {place}, found {found:?}"),
                    hint: "remove one of the lines".into(),
                });
            }
        }
    }
}
