//! New projects: a folder with a distro.toml and what else a template has. Templates are built in
//! (`src/mkdistro/templates/`); the default one is this project itself.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use toml_edit::DocumentMut;

use crate::builtin::Builtin;
use crate::config;
use crate::problem::{Class, Problem};

/// What a project can start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Template {
    /// Its name.
    pub name: &'static str,
    /// One line about it.
    pub summary: &'static str,
}

/// All templates, the default one first.
pub const TEMPLATES: [Template; 4] = [
    Template { name: "podman", summary: "podman with its API, SSH, sudo: the default distribution" },
    Template { name: "docker", summary: "Debian's docker.io with containerd and runc, SSH, sudo" },
    Template { name: "web", summary: "a web server for the files of overlay/srv/www, no engine" },
    Template { name: "minimal", summary: "busybox, SSH, sudo, no engine: to put your own program in" },
];

const GITIGNORE: &str = "/out*\n*.part\n";

/// Writes a project into `folder`, which is made, or is empty. Gives back the files' paths.
///
/// # Errors
/// Class `Config`: the folder's name cannot be a distribution's. `Output`: the folder has something in it, or cannot be
/// written.
pub fn write(template: Template, folder: &Path) -> Result<Vec<PathBuf>> {
    let name = distro_name(folder)?;
    let refused = |error: std::io::Error| {
        Problem::error(Class::Output, format!("making the project folder {}: {error}", folder.display()), "")
    };
    fs::create_dir_all(folder).map_err(refused)?;
    if fs::read_dir(folder).map_err(refused)?.next().is_some() {
        let message = format!("making the project folder {}: it exists and is not empty", folder.display());
        return Err(Problem::error(Class::Output, message, "choose another name; nothing is ever overwritten"));
    }
    let mut written = Vec::new();
    for (path, content) in files(template, &name)? {
        let target = folder.join(&path);
        create(&target, &content)
            .map_err(|error| Problem::error(Class::Output, format!("writing {}: {error}", target.display()), ""))?;
        written.push(target);
    }
    Ok(written)
}

/// Paths and contents of a project's files, sorted.
fn files(template: Template, name: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files: Vec<(String, Vec<u8>)> = if template == TEMPLATES[0] {
        let overlay =
            Builtin::ALL.below("overlay").map(|(path, content)| (format!("overlay/{path}"), content.to_vec()));
        let distro = Builtin::ALL.get("distro.toml").unwrap_or_default();
        overlay.chain([("distro.toml".to_owned(), distro.to_vec())]).collect()
    } else {
        let folder = format!("templates/{}", template.name);
        Builtin::ALL.below(&folder).map(|(path, content)| (path.to_owned(), content.to_vec())).collect()
    };
    for (path, content) in &mut files {
        if path == "distro.toml" {
            *content = named(content, name).with_context(|| format!("reading the template {}", template.name))?;
        }
    }
    files.push((".gitignore".into(), GITIGNORE.into()));
    files.sort();
    Ok(files)
}

/// A distro.toml with another name; comments stay.
fn named(distro: &[u8], name: &str) -> Result<Vec<u8>> {
    let mut document: DocumentMut = std::str::from_utf8(distro)?.parse()?;
    document["distro"]["name"] = toml_edit::value(name);
    Ok(document.to_string().into_bytes())
}

fn create(target: &Path, content: &[u8]) -> std::io::Result<()> {
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    OpenOptions::new().write(true).create_new(true).open(target)?.write_all(content)
}

/// The distribution's name: that of the folder.
fn distro_name(folder: &Path) -> Result<String> {
    let absolute = std::path::absolute(folder).with_context(|| format!("finding the folder {}", folder.display()))?;
    let name = absolute.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if config::is_name(name) {
        return Ok(name.to_owned());
    }
    let message = format!("naming the distribution after the folder {name:?}: expected {}", config::NAME_EXPECTED);
    Err(Problem::error(Class::Config, message, "choose another folder; [distro] name can be changed later"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{TEMPLATES, write};
    use crate::config;
    use crate::problem::exit_code;

    #[test]
    fn every_template_is_a_sound_project() {
        for template in TEMPLATES {
            let dir = tempfile::tempdir().unwrap();
            let folder = dir.path().join("my-distro");
            let written = write(template, &folder).unwrap();
            assert!(written.is_sorted() && written.contains(&folder.join("distro.toml")), "{written:?}");
            let checked = config::load(&folder).unwrap();
            assert_eq!(checked.distro.distro.name, "my-distro");
            // Something says READY.
            let services = checked.services();
            assert!(services.iter().any(|service| service.name == "ready"), "{}", template.name);
            let text = fs::read_to_string(folder.join("distro.toml")).unwrap();
            assert!(text.starts_with("# "), "{text}");
        }
    }

    #[test]
    fn nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("mine");
        fs::create_dir(&folder).unwrap();
        write(TEMPLATES[0], &folder).unwrap();
        let error = write(TEMPLATES[0], &folder).unwrap_err();
        assert_eq!(exit_code(&error), contract::exit::OUTPUT);
        assert!(error.to_string().ends_with("/mine: it exists and is not empty"), "{error}");
        let file = folder.join("distro.toml");
        assert_eq!(exit_code(&write(TEMPLATES[0], &file).unwrap_err()), contract::exit::CONFIG);
        let below = file.join("x");
        assert_eq!(exit_code(&write(TEMPLATES[0], &below).unwrap_err()), contract::exit::OUTPUT);
    }

    #[test]
    fn the_folder_must_have_a_name_for_a_distribution() {
        let dir = tempfile::tempdir().unwrap();
        let error = write(TEMPLATES[0], &dir.path().join("My Distro")).unwrap_err();
        assert_eq!(exit_code(&error), contract::exit::CONFIG);
        assert_eq!(
            error.to_string(),
            "naming the distribution after the folder \"My Distro\": expected lower-case letters, digits and \"-\", a \
             letter first, at most 63"
        );
        assert!(!dir.path().join("My Distro").exists());
    }
}
