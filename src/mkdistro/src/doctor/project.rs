//! The project: configuration, lock, key ring.

use std::path::Path;

use super::{BUILD, Finding, Known, State};
use crate::archive::keyring::Keyring;
use crate::config::{self, Checked, KernelSource};
use crate::image;
use crate::lock::{self, Lock, Locked};

pub(super) fn check(folder: &Path) -> (Known, Vec<Finding>) {
    if !folder.join("distro.toml").exists() {
        let fix = "change to a project's folder, or name it with --project";
        let finding = Finding::bad("project", "a project", State::Missing, "no distro.toml here", fix);
        return (Known::default(), vec![finding]);
    }
    let checked = match config::load(folder) {
        Ok(checked) => checked,
        Err(error) => {
            let finding = Finding::bad("project", BUILD, State::Broken, first_line(&error), "mkdistro build");
            return (Known::default(), vec![finding]);
        }
    };
    let identity = &checked.distro.distro;
    let found = format!("{} {}, {} recipes", identity.name, identity.version, checked.recipes.len());
    let (locked, lock_finding) = lock(folder, &checked);
    let findings = vec![Finding::ok("project", BUILD, found), lock_finding, key_ring(folder, &checked)];
    let sources = checked.distro.sources.clone();
    let kernel_from_source = checked.distro.kernel.source == KernelSource::Source;
    (Known { kernel_from_source, locked, sources }, findings)
}

fn lock(folder: &Path, checked: &Checked) -> (Option<Locked>, Finding) {
    let bad = |state, error| Finding::bad("lock", BUILD, state, first_line(&error), "mkdistro lock");
    match Lock::read(folder) {
        // A build makes it, if mirrors answer.
        Err(error) if !folder.join(lock::PATH).exists() => {
            (None, Finding { needed_by: "builds that stay the same", ..bad(State::Missing, error) })
        }
        Err(error) => (None, bad(State::Broken, error)),
        Ok(lock) => match lock::check(checked.clone(), lock, image::BOOT_PACKAGES) {
            Ok(locked) => {
                let finding = Finding::ok("lock", BUILD, format!("{} packages", locked.lock.packages.len()));
                (Some(locked), finding)
            }
            Err(error) => (None, bad(State::Broken, error)),
        },
    }
}

/// Only `mkdistro lock` reads it.
fn key_ring(folder: &Path, checked: &Checked) -> Finding {
    let name = &checked.distro.sources.keyring;
    let fix = "extract it from the package debian-archive-keyring, or name another with [sources] keyring";
    match std::fs::read(folder.join(name)) {
        Err(error) => Finding::bad("key ring", "lock", State::Missing, format!("{name}: {error}"), fix),
        Ok(bytes) => match Keyring::parse(&bytes) {
            Ok(_) => Finding::ok("key ring", "lock", name),
            Err(error) => Finding::bad("key ring", "lock", State::Broken, format!("{name}: {error:#}"), fix),
        },
    }
}

fn first_line(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    let mut lines = text.lines();
    match (lines.next(), lines.next()) {
        (Some(first), Some(second)) => format!("{first}: {second}"),
        (first, _) => first.unwrap_or_default().to_owned(),
    }
}
