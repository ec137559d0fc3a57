//! Quadlet files before the guest sees them, read as the guest does: what is wrong with those of an image, and with files on
//! their way into one.
//!
//! What only the running guest knows (devices, further files on its data disk) counts as being there.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use document::{DOCUMENT, Document};
use formats::tree::Tree;
use quadlet::{Host, Kind, Manager, Problem, Source, World, load, plans, timer};

use crate::config::Checked;

/// Folders of an image (podman-systemd.unit(5)); of two files with the same name the first one counts.
const FOLDERS: [&str; 2] = ["etc/containers/systemd/", "usr/share/containers/systemd/"];
/// The document of the image, whose `[[files]]` may be some.
const DOCUMENT_PATH: &str = "usr/lib/distro/config.toml";

/// What is wrong with the Quadlet files of a root; a place's file is a path of the root.
pub(crate) fn of_root(checked: &Checked, tree: &Tree) -> Vec<Problem> {
    let mut sources = Vec::new();
    let document = tree.get(DOCUMENT_PATH.as_bytes()).and_then(|node| node.content());
    let (mut table, _) = document::parse(&String::from_utf8_lossy(document.map_or(&[][..], |content| content)));
    // What is wrong with the document itself is said elsewhere.
    document::check(&mut table, DOCUMENT);
    let written = Document::of(&table).files;
    for folder in FOLDERS {
        for file in written.iter().filter(|file| !file.directory) {
            let path = file.path.trim_start_matches('/');
            sources.extend(source(folder, path, &file.content));
        }
        for (path, node) in tree.iter() {
            let (Ok(path), Some(content)) = (std::str::from_utf8(path), node.content()) else { continue };
            sources.extend(source(folder, path, content));
        }
    }
    let known: Vec<String> =
        checked.recipes.values().flat_map(|recipe| &recipe.services).map(|service| service.name.clone()).collect();
    problems(&sources, &known)
}

/// What is wrong with one file. Others of its folder, which it may name, are read with it.
///
/// # Errors
/// The folder cannot be read.
pub(crate) fn of_file(path: &Path) -> Result<Vec<Problem>> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut sources = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let other = entry.with_context(|| format!("reading {}", folder.display()))?.path();
        let name = other.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if other.is_dir() && name.ends_with(".d") {
            for drop_in in fs::read_dir(&other).with_context(|| format!("reading {}", other.display()))? {
                let drop_in = drop_in.with_context(|| format!("reading {}", other.display()))?.path();
                let inner = drop_in.file_name().unwrap_or_default().to_string_lossy().into_owned();
                sources.extend(on_disk(&drop_in, &format!("{name}/{inner}"))?);
            }
        } else {
            sources.extend(on_disk(&other, &name)?);
        }
    }
    let own = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let drop_ins: Vec<&str> = sources
        .iter()
        .filter(|source| source.name.starts_with(&format!("{own}.d/")))
        .map(|s| s.path.as_str())
        .collect();
    let shown = folder.join(&own).display().to_string();
    let found = problems(&sources, &[]).into_iter();
    Ok(found.filter(|problem| *problem.place.file == *shown || drop_ins.contains(&&*problem.place.file)).collect())
}

/// A file on disk that is one, or a drop-in.
fn on_disk(path: &Path, name: &str) -> Result<Option<Source>> {
    if place(name).is_none() || !path.is_file() {
        return Ok(None);
    }
    let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(Some(Source { path: path.display().to_string(), name: name.into(), text: lossy(&bytes) }))
}

/// The file at a path of the root, if it is one of `folder`.
fn source(folder: &str, path: &str, content: &[u8]) -> Option<Source> {
    let name = place(path.strip_prefix(folder)?)?;
    Some(Source { path: path.into(), name, text: lossy(content) })
}

/// Bytes that are no UTF-8 are no reason to stop: the reader names the line in which they make no sense.
fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What counts of a path below a folder that is searched: a file's name, with its folder if that is one of drop-ins.
fn place(path: &str) -> Option<String> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let last = folder.rsplit('/').next().unwrap_or_default();
    // Those of users are not the machine's.
    if folder.split('/').next() == Some("users") {
        return None;
    }
    if last.ends_with(".d") {
        return name.ends_with(".conf").then(|| format!("{last}/{name}"));
    }
    Kind::of(name).map(|_| name.into())
}

/// What the guest would say of them, whose services are `known`.
fn problems(sources: &[Source], known: &[String]) -> Vec<Problem> {
    let host = Host { name: "host".into(), ..Host::default() };
    let loaded = load(sources, World { manager: Manager::Init, exists: &|_| true });
    let made = plans(&loaded, &host, known);
    let is_service =
        |name: &str| made.plans.iter().any(|plan| plan.service.name == name) || known.iter().any(|known| known == name);
    let (_, more) = timer::timers(&loaded, &host, &is_service);
    let mut problems = made.problems;
    for problem in more {
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::{of_file, of_root, place};
    use crate::root::testing::{checked, file, tree};

    #[test]
    fn files_and_drop_ins_count() {
        for (path, name) in [
            ("a.container", Some("a.container")),
            ("sub/b.volume", Some("b.volume")),
            ("a.container.d/1.conf", Some("a.container.d/1.conf")),
            ("sub/a.container.d/1.conf", Some("a.container.d/1.conf")),
            ("a.container.d/1.txt", None),
            ("users/a.container", None),
            ("users/1000/a.container", None),
            ("readme", None),
        ] {
            assert_eq!(place(path).as_deref(), name, "{path}");
        }
    }

    fn said(problems: Vec<quadlet::Problem>) -> Vec<String> {
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn those_of_a_root_are_read_together() {
        let recipe = "[[service]]\nname = \"podman\"\ncommand = [\"/usr/bin/podman\"]\n";
        let folder = "etc/containers/systemd";
        let document = "[[files]]\npath = \"/etc/containers/systemd/told.container\"\n\
                        content = \"[Container]\\nImage=a\\nNetwork=lan.network\\nVolume=gone.volume:/x\\n\"\n";
        let text = |text: &str| file(text, 0o644);
        let tree = tree(&[
            (&format!("{folder}/lan.network"), text("[Network]\n")),
            (&format!("{folder}/web.container"), text("[Container]\nImage=a\nNetwork=lan.network\nFrobnicate=1\n")),
            (&format!("{folder}/web.container.d/1.conf"), text("[Service]\nRestart=sometimes\n")),
            (&format!("{folder}/podman.service"), text("[Service]\nExecStart=/bin/true\n")),
            (&format!("{folder}/users/1000/x.container"), text("[Container]\n")),
            ("usr/share/containers/systemd/broken.container", text("[Container]\nExec=x\n")),
            ("usr/share/containers/systemd/web.container", text("[Container]\n")),
            ("usr/lib/distro/config.toml", text(document)),
        ]);
        assert_eq!(
            said(of_root(&checked(&[("toy", recipe)]), &tree)),
            [
                "etc/containers/systemd/podman.service: error: the image has a service podman already; choose another ServiceName=",
                "etc/containers/systemd/told.container:4: error: requested Quadlet source gone.volume was not found",
                "etc/containers/systemd/web.container:4: warning: unsupported key Frobnicate in section [Container]",
                "etc/containers/systemd/web.container.d/1.conf:2: warning: Restart=sometimes is not supported, taken as no",
                "usr/share/containers/systemd/broken.container: error: no Image or Rootfs key specified",
            ]
        );
    }

    #[test]
    fn a_file_is_read_beside_its_others() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            path
        };
        let web = write("web.container", "[Container]\nImage=a\nNetwork=lan.network\n");
        write("web.container.d/1.conf", "[Container]\nExce=x\n");
        write("lan.network", "[Network]\n");
        let broken = write("broken.container", "[Container]\n");
        assert_eq!(
            said(of_file(&web).unwrap()),
            [format!(
                "{}.d/1.conf:2: warning: unsupported key Exce in section [Container]; did you mean Exec?",
                web.display()
            )]
        );
        let error = format!("{}: error: no Image or Rootfs key specified", broken.display());
        assert_eq!(said(of_file(&broken).unwrap()), [error]);
        assert!(of_file(&dir.path().join("none/x.container")).is_err());
    }
}
