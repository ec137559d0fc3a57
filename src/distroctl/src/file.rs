//! Files that appear whole or not at all: written under another name, synced, renamed. A power cut leaves the old file
//! or the new one.

use std::fs::{File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Replaces the content of `path`; `owner` is uid and gid.
pub(crate) fn replace(path: &Path, content: &[u8], mode: u32, owner: Option<u32>) -> Result<()> {
    let temporary = temporary_name(path);
    let _ = std::fs::remove_file(&temporary);
    let write = || -> std::io::Result<()> {
        let mut file = File::options().write(true).create_new(true).mode(mode).open(&temporary)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        if let Some(id) = owner {
            fchown(&file, Some(id), Some(id))?;
        }
        file.write_all(content)
    };
    write()
        .inspect_err(|_| drop(std::fs::remove_file(&temporary)))
        .with_context(|| format!("writing {}", temporary.display()))?;
    publish(&temporary, path)
}

/// Syncs `temporary` and gives it its name.
pub(crate) fn publish(temporary: &Path, path: &Path) -> Result<()> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let rename = || -> std::io::Result<()> {
        File::open(temporary)?.sync_all()?;
        std::fs::rename(temporary, path)?;
        File::open(parent)?.sync_all()
    };
    rename()
        .inspect_err(|_| drop(std::fs::remove_file(temporary)))
        .with_context(|| format!("writing {}", path.display()))
}

/// A name beside `path` that no other process uses.
pub(crate) fn temporary_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}", std::process::id()))
}

/// Removes what an earlier process left at its [`temporary_name`] of this path, and what stands beside that (`.pub`). What
/// cannot be removed is left. Only for files that one process at a time writes.
pub(crate) fn remove_leftovers(path: &Path) {
    let prefix = format!(".{}.", path.file_name().unwrap_or_default().to_string_lossy());
    for entry in path.parent().and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let rest = name.to_str().and_then(|name| name.strip_prefix(&prefix));
        if rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Content of a file, at most `limit` bytes of it; `None` if there is no such file.
pub(crate) fn read_limited(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.with_context(|| format!("opening {}", path.display()))?,
    };
    let mut content = Vec::new();
    file.take(limit).read_to_end(&mut content).with_context(|| format!("reading {}", path.display()))?;
    Ok(Some(content))
}

/// First line of a small file of the kernel's, without the line break; empty if it cannot be read.
pub(crate) fn first_line(path: impl AsRef<Path>) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_string()
}

#[cfg(test)]
mod tests {
    use super::{read_limited, remove_leftovers, replace, temporary_name};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn replaces_whole_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        replace(&path, b"one", 0o600, None).unwrap();
        replace(&path, b"two", 0o640, None).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o640);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(read_limited(&path, 2).unwrap(), Some(b"tw".to_vec()));
        assert_eq!(read_limited(&folder.path().join("none"), 2).unwrap(), None);
    }

    #[test]
    fn names_the_file_that_cannot_be_written() {
        let error = replace("/nonexistent/folder/f".as_ref(), b"", 0o600, None).unwrap_err();
        assert!(error.to_string().starts_with("writing /nonexistent/folder/.f."), "{error:#}");
    }

    #[test]
    fn removes_what_interrupted_processes_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let names = [".key.1", ".key.22.pub", ".key.bak", ".key2.1", "key.1", "key"];
        names.iter().for_each(|name| std::fs::write(folder.path().join(name), "").unwrap());
        std::fs::write(temporary_name(&path), "").unwrap();
        remove_leftovers(&path);
        let mut left: Vec<String> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, [".key.bak", ".key2.1", "key", "key.1"]);
        remove_leftovers("/nonexistent/folder/f".as_ref());
    }
}
