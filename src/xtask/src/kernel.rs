//! The soak campaign `kernel`: a kernel built from source in two folders, and booted.

use std::fs;
use std::path::{Path, PathBuf};

use crate::run::{Result, cargo, create_folder, root, succeeds, target};

/// Builds the distribution with a kernel from source twice, each with a cache of its own in another folder.
pub(crate) fn twice() -> Result<bool> {
    let folder = target().join("soak/kernel");
    let project = folder.join("project");
    let isos = [folder.join("one.iso"), folder.join("two.iso")];
    copy_project(&project)?;
    let caches = [folder.join("cache"), folder.join("another/place/for/the/cache")];
    for (iso, cache) in isos.iter().zip(&caches) {
        create_folder(cache)?;
        for command in [&["lock"][..], &["build", "--output", &iso.to_string_lossy()]] {
            let project =
                ["--project", &project.to_string_lossy(), "--cache", &cache.to_string_lossy()].map(String::from);
            let mut cargo = cargo(&["run", "--release", "--package", "mkdistro", "--"]);
            // The second build differs in what must not matter.
            cargo.args(command).args(project).env("TZ", if *cache == caches[0] { "UTC" } else { "Asia/Kathmandu" });
            if !succeeds(&mut cargo)? {
                return Ok(false);
            }
        }
    }
    let read = |path: &PathBuf| fs::read(path).map_err(|error| format!("reading {}: {error}", path.display()));
    let same = read(&isos[0])? == read(&isos[1])?;
    println!("{} and {}: {}", isos[0].display(), isos[1].display(), if same { "identical" } else { "different" });
    Ok(same && boots(&isos[0])?)
}

/// The ordinary boot tests of media, containers and data disks on that image.
fn boots(iso: &Path) -> Result<bool> {
    let tests = ["boot_media::", "containers::", "data_disk::", "shutdown::"];
    let mut cargo = cargo(&["test", "--package", "qemu-tests", "--test", "boot", "--"]);
    succeeds(cargo.args(tests).env("MKDISTRO_TEST_ISO", iso))
}

/// The project's files with `source = "source"`.
fn copy_project(project: &Path) -> Result<()> {
    if project.exists() {
        fs::remove_dir_all(project).map_err(|error| format!("removing {}: {error}", project.display()))?;
    }
    create_folder(project)?;
    for name in ["packages", "overlay", "kernel-config"] {
        copy(&root().join(name), &project.join(name))?;
    }
    let text =
        fs::read_to_string(root().join("distro.toml")).map_err(|error| format!("reading distro.toml: {error}"))?;
    let from = "source = \"package\"";
    if !text.contains(from) {
        return Err(format!("distro.toml: expected a line {from}"));
    }
    let path = project.join("distro.toml");
    fs::write(&path, text.replace(from, "source = \"source\""))
        .map_err(|error| format!("writing {}: {error}", path.display()))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let failed = |error: std::io::Error| format!("copying {}: {error}", from.display());
    if !from.is_dir() {
        return fs::copy(from, to).map(drop).map_err(failed);
    }
    create_folder(to)?;
    for entry in fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}
