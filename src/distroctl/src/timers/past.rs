//! When timers ran last, over boots if there is a data disk: one file for each with `Persistent=`, seconds since 1970.

use std::path::{Path, PathBuf};

use quadlet::timer::Timer;

use crate::{console, file};

fn path(timer: &Timer, folder: &Path) -> PathBuf {
    folder.join(&timer.name)
}

/// The time up to which runs are done with; a persistent timer that has never run begins now.
pub(super) fn load(timer: &Timer, folder: &Path) -> Option<i64> {
    last(timer, folder).filter(|_| timer.persistent)
}

/// When it ran last, if that is known.
pub(super) fn last(timer: &Timer, folder: &Path) -> Option<i64> {
    file::first_line(path(timer, folder)).parse().ok()
}

/// Remembers a run.
pub(super) fn save(timer: &Timer, unix: i64, folder: &Path) {
    if !timer.persistent {
        return;
    }
    let path = path(timer, folder);
    let made = std::fs::create_dir_all(folder).map_err(anyhow::Error::from);
    if let Err(error) = made.and_then(|()| file::replace(&path, format!("{unix}\n").as_bytes(), 0o644, None)) {
        console::log(&format!("remembering a run: {error:#}"));
    }
}

#[cfg(test)]
mod tests {
    use super::{Timer, last, load, save};

    #[test]
    fn remembers_runs_of_persistent_timers() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("timers");
        let timer = |persistent| Timer { name: "job".into(), persistent, ..Timer::default() };
        save(&timer(false), 7, &folder);
        assert_eq!(last(&timer(true), &folder), None);
        save(&timer(true), 1_795_000_000, &folder);
        assert_eq!(load(&timer(true), &folder), Some(1_795_000_000));
        assert_eq!(load(&timer(false), &folder), None);
        std::fs::write(folder.join("job"), "rubbish").unwrap();
        assert_eq!(load(&timer(true), &folder), None);
    }
}
