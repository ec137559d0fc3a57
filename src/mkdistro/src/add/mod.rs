//! Adds components to a project, and takes them out: a recipe for a Debian package if there is none yet, the name in
//! distro.toml, the lock. Nothing is written before everything is known to fit.

mod cost;
mod files;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use formats::tree::{Tree, show};

use crate::builtin::Builtin;
use crate::config::{self, Checked, Draft, edit};
use crate::deb;
use crate::fetch::{self, Fetched, Fetcher};
use crate::lock::{self, Described, Indices, Lock, Locked, Update};
use crate::oci;
use crate::problem::{Class, Problem};
use crate::progress::Progress;
use crate::root::{self, Packages};

pub use cost::Cost;
use files::Chosen;

const DISTRO: &str = "distro.toml";

/// Debian packages that only maintainer scripts and init systems need.
const PACKAGING: [&str; 9] =
    ["adduser", "base-files", "debconf", "dpkg", "init-system-helpers", "lsb-base", "passwd", "sysvinit-utils", "ucf"];

/// What is needed to look at the archive.
pub struct Archive<'a> {
    /// The project's suites.
    pub indices: &'a Indices,
    /// Fetches packages.
    pub fetcher: &'a Fetcher,
    /// Packages that the builder itself needs.
    pub builder: &'a [&'a str],
}

/// A change that fits the project and is not written yet.
pub struct Plan {
    /// What to write: distro.toml and new recipes.
    pub draft: Draft,
    /// The lock that fits it.
    pub lock: Lock,
    /// What becomes of each name.
    pub components: Vec<Component>,
    /// What they cost together.
    pub cost: Cost,
}

/// Something that is added.
pub struct Component {
    /// Recipe.
    pub name: String,
    /// Its file.
    pub file: String,
    /// The text and what led to it, if the recipe is new.
    pub made: Option<Made>,
}

/// How a recipe was made.
pub struct Made {
    /// How many files of the packages it takes.
    pub files: usize,
    /// How many it leaves out.
    pub left_out: usize,
    /// Packages that Debian's depends on and the project does not have.
    pub depends: Vec<String>,
    /// Units of systemd that would start something.
    pub units: Vec<String>,
}

impl Plan {
    /// Writes the changed files. The lock comes last: without it, `build` says what to do.
    ///
    /// # Errors
    /// Class `Output`: a file cannot be written.
    pub fn write(&self, project: &Path) -> Result<()> {
        write(project, &self.draft)?;
        self.lock.write(project)
    }
}

/// Works out what adding `names` to a project means. `previous`: its lock, whose versions stay.
///
/// # Errors
/// Class `Config`: a name that is no package of the suites, or one without anything to take; a recipe that does not fit
/// the project. What [`lock::resolve`] and [`fetch::fetch`] say.
pub fn plan(
    checked: &Checked,
    names: &[String],
    previous: Option<&Lock>,
    archive: &Archive<'_>,
    progress: &dyn Progress,
) -> Result<Plan> {
    let project = &checked.dir;
    let mut draft = Draft::from([(DISTRO.to_owned(), read_distro(project)?)]);
    let mut described = BTreeMap::new();
    for name in names {
        let file = format!("packages/{name}.toml");
        let distro = edit::add_recipe(&draft[DISTRO], name)?;
        draft.insert(DISTRO.into(), distro);
        if !project.join(&file).exists() && Builtin::ALL.get(&file).is_none() {
            let about = describe(archive.indices, name)?;
            draft.insert(file, recipe(name, &about, &Chosen::default(), "", &[])?);
            described.insert(name.as_str(), about);
        }
    }
    let update = Update::Nothing;
    let previous = previous.map(|lock| (lock, &update));
    let drafted = config::load_draft(project, &draft)?;
    let lock = lock::resolve(&drafted, archive.builder, archive.indices, previous, progress)?;
    let lock = Lock { images: oci::resolve(&drafted, archive.fetcher, previous, progress)?, ..lock };

    // Complete trees of the new packages, to choose from; those of all others, to see what is there already.
    let fetched = fetch_userland(&lock, (checked, &drafted), archive, progress)?;
    let mut made = BTreeMap::new();
    for (name, about) in &described {
        let (text, what) = make(name, about, &fetched)?;
        draft.insert(format!("packages/{name}.toml"), text);
        made.insert(*name, what);
    }
    let after = config::load_draft(project, &draft)?;
    let cost = compare(checked, &after, fetched)?;
    let components = names.iter().map(|name| Component {
        name: name.clone(),
        file: after.recipe_file(name),
        made: made.remove(name.as_str()),
    });
    let components = components.collect();
    Ok(Plan { draft, lock, components, cost })
}

/// Works out what taking recipes out of distro.toml means: its new text. The recipes' files stay.
///
/// # Errors
/// Class `Config`: a name that is not in `root.recipes`, or what is left does not fit together.
pub fn plan_removal(checked: &Checked, names: &[String]) -> Result<(Draft, Checked)> {
    let mut distro = read_distro(&checked.dir)?;
    for name in names {
        if !checked.distro.root.recipes.contains(name) {
            let message = format!("removing {name}: it is not in root.recipes of distro.toml");
            let needs = |recipe: &&String| checked.recipes[*recipe].needs.contains(name);
            let hint = match checked.recipes.keys().find(needs) {
                Some(recipe) => format!("{} needs it", checked.recipe_file(recipe)),
                None => crate::nearest::did_you_mean(name, checked.distro.root.recipes.iter().map(String::as_str)),
            };
            return Err(Problem::error(Class::Config, message, hint));
        }
        distro = edit::remove_recipe(&distro, name)?;
    }
    let draft = Draft::from([(DISTRO.to_owned(), distro)]);
    let after = config::load_draft(&checked.dir, &draft)?;
    Ok((draft, after))
}

/// Writes files of a project, each by rename.
///
/// # Errors
/// Class `Output`: a file cannot be written.
pub fn write(project: &Path, draft: &Draft) -> Result<()> {
    for (file, text) in draft {
        config::edit::replace(&project.join(file), text)
            .map_err(|error| Problem::error(Class::Output, format!("writing {file}: {error}"), ""))?;
    }
    Ok(())
}

fn read_distro(project: &Path) -> Result<String> {
    fs::read_to_string(project.join(DISTRO)).with_context(|| format!("reading {DISTRO}"))
}

fn describe(indices: &Indices, name: &str) -> Result<Described> {
    indices.describe(name)?.map_err(|nearest| {
        let hint = nearest.map(|nearest| format!("did you mean {nearest:?}?")).unwrap_or_default();
        let message = format!("adding {name}: neither a recipe nor a package of the suites");
        Problem::error(Class::Config, message, hint)
    })
}

/// Fetches all packages but the kernel's, and no images.
fn fetch_userland(
    lock: &Lock,
    (checked, after): (&Checked, &Checked),
    archive: &Archive<'_>,
    progress: &dyn Progress,
) -> Result<Fetched> {
    let mut lock = lock.clone().narrowed(after, archive.builder);
    lock.packages.retain(|package| package.name != lock.kernel);
    lock.images.clear();
    fetch::fetch(Locked { checked: checked.clone(), lock }, archive.fetcher, progress)
}

/// Makes a recipe from the packages it names.
fn make(name: &str, about: &Described, fetched: &Fetched) -> Result<(String, Made)> {
    let mut trees = Vec::new();
    for package in packages(name, about) {
        let file = fetched.files.get(package).with_context(|| format!("{package} is not fetched"))?;
        trees.push(deb::open(file, &Arc::from(package), &|_| true)?.tree);
    }
    let chosen = files::choose(&trees.iter().collect::<Vec<&Tree>>());
    if chosen.count == 0 || (!chosen.has_program && chosen.has_library) {
        let message = format!("adding {name}: the package has no program or data to take");
        let hint = match chosen.has_library {
            true => {
                "libraries come along by themselves where something needs them; one that is opened at run time \
                     goes into libraries of the recipe that opens it"
            }
            false => "it may only lead to other packages: add those",
        };
        return Err(Problem::error(Class::Config, message, hint));
    }
    let version = fetched.locked.lock.package(name).map(|package| package.version.clone()).unwrap_or_default();
    let here =
        |depends: &&String| fetched.locked.lock.package(depends).is_some() || PACKAGING.contains(&depends.as_str());
    let depends: Vec<String> = about.depends.iter().filter(|depends| !here(depends)).cloned().collect();
    let text = recipe(name, about, &chosen, &version, &depends)?;
    let units = chosen.units.iter().map(|(unit, _)| unit.clone()).collect();
    Ok((text, Made { files: chosen.count, left_out: chosen.left_out, depends, units }))
}

fn packages<'a>(name: &'a str, about: &'a Described) -> impl Iterator<Item = &'a str> {
    let is_manual = |part: &&str| part.ends_with("-man") || part.ends_with("-doc");
    std::iter::once(name).chain(about.parts.iter().map(String::as_str).filter(move |part| !is_manual(part)))
}

/// The text of a recipe.
fn recipe(name: &str, about: &Described, chosen: &Chosen, version: &str, depends: &[String]) -> Result<String> {
    let list = |items: Vec<&str>| -> Result<String> {
        let quoted: Vec<String> = items.iter().map(|item| toml_edit::Value::from(*item).to_string()).collect();
        let line = format!("[{}]", quoted.join(", "));
        if line.len() <= 100 {
            return Ok(line);
        }
        Ok(format!("[\n    {},\n]", quoted.join(",\n    ")))
    };
    let mut text = format!("# Made by \"mkdistro add {name}\" from {name} {version}: yours to change.\nschema = 1\n");
    let summary = if about.summary.trim().is_empty() { name } else { about.summary.trim() };
    text.push_str(&format!("summary = {}\n", toml_edit::Value::from(summary)));
    if !depends.is_empty() {
        text.push_str(&format!("# Debian's package also depends on {}.\n", depends.join(", ")));
    }
    text.push_str(&format!("packages = {}\n", list(packages(name, about).collect())?));
    if chosen.count > 0 {
        text.push_str(&format!("files = {}\n", list(chosen.patterns.iter().map(String::as_str).collect())?));
    }
    for (unit, command) in &chosen.units {
        let unit_name = unit.trim_end_matches(".service");
        text.push_str(&format!(
            "\n# Debian's {unit} runs: {command}\n# A service must stay in the foreground.\n# [[service]]\n# name = \
             \"{unit_name}\"\n# command = [\"/…\"]\n# after = [\"network\"]\n"
        ));
    }
    Ok(text)
}

/// What the project gains, with what is missing for it to run.
fn compare(before: &Checked, after: &Checked, mut fetched: Fetched) -> Result<Cost> {
    fetched.locked.checked = after.clone();
    let packages = Packages::open_userland(&fetched)?;
    let old = root::assemble_recipes(before, &packages)?;
    let new = root::assemble_recipes(after, &packages)?;
    let own: Vec<&str> = after
        .recipes
        .iter()
        .filter(|(name, _)| !before.recipes.contains_key(*name))
        .flat_map(|(_, recipe)| recipe.packages.iter().map(String::as_str))
        .collect();
    Cost::of(&old, &new, &own)
}

/// Scripts among the new files whose interpreter is not in the root: script, interpreter.
fn missing_interpreters(old: &Tree, new: &Tree) -> Vec<(String, String)> {
    let added = new.iter().filter(|(path, _)| old.get(path).is_none());
    let scripts = added.filter(|(_, node)| node.mode & 0o111 != 0).filter_map(|(path, node)| {
        let line = node.content()?.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
        let line = String::from_utf8_lossy(line).into_owned();
        let mut words = line.split_whitespace();
        let interpreter = match words.next()? {
            "/usr/bin/env" => format!("/usr/bin/{}", words.find(|word| !word.starts_with('-'))?),
            path => path.to_owned(),
        };
        Some((show(path), interpreter))
    });
    // A shell every root has, as an applet.
    let is_here = |path: &str| path.ends_with("/sh") || new.lookup(path.as_bytes()).is_some();
    scripts.filter(|(_, interpreter)| !is_here(interpreter)).collect()
}
