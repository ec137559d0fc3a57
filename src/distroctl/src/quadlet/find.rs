//! Finding Quadlet files: all of a folder and its sub-folders, and drop-ins in folders that end in `.d`.

use std::path::{Path, PathBuf};

use quadlet::{FILE_MAX, Kind, Place, Problem, Source};

/// More are not read.
const FILES_MAX: usize = 1000;
/// Sub-folders go no deeper.
const DEPTH_MAX: usize = 8;

/// All files of the folders, those of the first folder first, each folder's by name.
pub(super) fn all(folders: &[PathBuf]) -> (Vec<Source>, Vec<Problem>) {
    let mut found = Found::default();
    for folder in folders {
        found.folder(folder, None, 0);
    }
    (found.sources, found.problems)
}

#[derive(Default)]
struct Found {
    sources: Vec<Source>,
    problems: Vec<Problem>,
}

impl Found {
    /// `drop_ins`: the folder's name, if it holds drop-ins.
    fn folder(&mut self, folder: &Path, drop_ins: Option<&str>, depth: usize) {
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // `users` holds files for services of ordinary users.
            let is_ours = depth > 0 || name != "users";
            if path.is_dir() {
                if drop_ins.is_none() && is_ours && depth < DEPTH_MAX {
                    self.folder(&path, name.ends_with(".d").then_some(&name), depth + 1);
                }
                continue;
            }
            match drop_ins {
                Some(folder) if name.ends_with(".conf") => self.file(&path, format!("{folder}/{name}")),
                None if Kind::of(&name).is_some() => self.file(&path, name),
                _ => {}
            }
        }
    }

    fn file(&mut self, path: &Path, name: String) {
        let shown = path.display().to_string();
        let mut wrong = |text: String| self.problems.push(Problem::error(&Place::file(&shown), text));
        if self.sources.len() >= FILES_MAX {
            return wrong(format!("is not read: there are more than {FILES_MAX} files"));
        }
        // One byte more, so that a file that is too long is noticed.
        match crate::file::read_limited(path, FILE_MAX as u64 + 1) {
            Err(error) => wrong(format!("{error:#}")),
            Ok(None) => wrong("is a link to nowhere".into()),
            Ok(Some(bytes)) => match String::from_utf8(bytes) {
                Ok(text) => self.sources.push(Source { path: shown, name, text }),
                Err(_) => wrong("is no UTF-8".into()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::all;

    #[test]
    fn finds_files_and_drop_ins() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &[u8]| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        for name in [
            "one/a.container",
            "one/sub/b.volume",
            "one/a.container.d/1.conf",
            "one/a.container.d/x.txt",
            "one/users/u.container",
            "one/readme",
            "one/sub/b.volume.d/deep/2.conf",
            "two/a.container",
        ] {
            write(name, b"[A]\n");
        }
        write("two/bad.pod", b"\xff");
        std::os::unix::fs::symlink("/nonexistent/x", folder.path().join("two/gone.network")).unwrap();
        let (sources, problems) = all(&["one", "none", "two"].map(|name| folder.path().join(name)));
        let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
        assert_eq!(names, ["a.container", "a.container.d/1.conf", "b.volume", "a.container"]);
        assert!(sources[3].path.ends_with("/two/a.container"));
        let said: Vec<&str> = problems.iter().map(|problem| problem.text.as_str()).collect();
        assert_eq!(said, ["is no UTF-8", "is a link to nowhere"]);
    }
}
