//! What must fit together within one recipe or within distro.toml.

use contract::service::Restart;

use super::document::{Document, entry};
use super::recipe::default_listen_mode;
use super::rules::is_literal;
use super::{Distro, Recipe, images};
use crate::pattern::Pattern;

/// Checks distro.toml.
pub(super) fn check_distro(distro: &Distro, document: &mut Document) {
    let security = distro.sources.suites.iter().find(|suite| suite.ends_with("-security"));
    if let Some(suite) = security.filter(|_| distro.sources.security_mirrors.is_empty()) {
        let message = format!("bad value, expected a mirror for the suite {suite:?}, found none");
        document.report("sources.security-mirrors", message, "write [\"system\"]");
    }
    images::check(distro, document);
}

/// Checks a recipe.
pub(super) fn check_recipe(recipe: &Recipe, document: &mut Document) {
    if recipe.packages.is_empty() {
        for path in ["files", "rename", "concat"] {
            let used = match path {
                "files" => !recipe.files.is_empty(),
                "rename" => !recipe.rename.is_empty(),
                _ => !recipe.concat.is_empty(),
            };
            if used && !document.is_broken("packages") {
                document.report(path, "no package to take files from, expected packages = [\"NAME\"]", "");
            }
        }
    }
    if let Some(applets) = &recipe.applets
        && !is_taken(recipe, &applets.program)
    {
        let message = format!("bad value, expected one of the recipe's files, found {:?}", applets.program);
        document.report("applets.program", message, "add it to files");
    }
    for (index, directory) in recipe.directories.iter().enumerate() {
        if recipe.directories[..index].iter().any(|other| other.path == directory.path) {
            let message = format!("{:?} is given twice", directory.path);
            document.report(&format!("directory[{index}].path"), message, "remove one");
        }
    }
    for (index, service) in recipe.services.iter().enumerate() {
        let path = format!("service[{index}]");
        for (key, command) in [("command", &service.command), ("stop-command", &service.stop_command)] {
            if let Some(program) = command.first().filter(|program| !program.starts_with('/')) {
                let message = format!("bad value, expected the absolute path of a program first, found {program:?}");
                document.report(
                    &format!("{path}.{key}[0]"),
                    message,
                    "write where it is in the image, as /usr/bin/NAME",
                );
            }
        }
        if service.listen.is_none() {
            for (key, is_given) in
                [("listen-mode", service.listen_mode != default_listen_mode()), ("listen-user", service.listen_user)]
            {
                if is_given {
                    let key = format!("{path}.{key}");
                    document.report(&key, "no socket it could be for, expected listen = \"/PATH\"", "");
                }
            }
        }
        if service.ready == "exit" && service.restart == Restart::Always.as_str() {
            let message =
                "bad value, expected \"no\" or \"on-failure\" for a service with ready = \"exit\", found \"always\"";
            document.report(&format!("{path}.restart"), message, "write restart = \"no\"");
        }
    }
}

fn is_taken(recipe: &Recipe, path: &str) -> bool {
    recipe.rename.contains_key(path)
        || recipe.files.iter().any(|pattern| {
            pattern == path
                || !is_literal(pattern) && Pattern::parse(pattern).is_ok_and(|pattern| pattern.is_match(path))
        })
}

/// A path that a recipe makes in the image.
pub(super) struct Claim {
    /// The path.
    pub(super) target: String,
    /// Where the recipe says so.
    pub(super) key: String,
    /// What is made there.
    pub(super) what: Made,
}

/// What a recipe makes at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Made {
    /// A file of its own making.
    File,
    /// A symbolic link.
    Link,
    /// A folder with its mode and whether it is the user's.
    Directory(String, bool),
    /// A file, or whatever it is, of a package.
    Packaged,
}

/// The paths that a recipe makes, as far as they can be known without the packages.
pub(super) fn claims(recipe: &Recipe) -> Vec<Claim> {
    let claim = |target: &String, key: String, what: Made| Claim { target: target.clone(), key, what };
    let mut claims = Vec::new();
    for (index, path) in recipe.files.iter().enumerate().filter(|(_, path)| is_literal(path)) {
        claims.push(claim(path, format!("files[{index}]"), Made::Packaged));
    }
    claims.extend(recipe.rename.keys().map(|path| claim(path, entry("rename", path), Made::File)));
    claims.extend(recipe.concat.keys().map(|path| claim(path, entry("concat", path), Made::File)));
    claims.extend(recipe.links.keys().map(|path| claim(path, entry("links", path), Made::Link)));
    for (index, write) in recipe.writes.iter().enumerate() {
        claims.push(claim(&write.path, format!("write[{index}].path"), Made::File));
    }
    for (index, directory) in recipe.directories.iter().enumerate() {
        let what = Made::Directory(directory.mode.clone(), directory.user);
        claims.push(claim(&directory.path, format!("directory[{index}].path"), what));
    }
    claims
}
