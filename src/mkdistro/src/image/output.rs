//! Output files: written under a temporary name beside the target, renamed when complete.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result};
use bytes::Bytes;
use tempfile::{Builder, NamedTempFile};

use crate::problem::{Class, Problem};

/// A file that does not have its name yet. Dropped without [`Part::publish`] it is removed.
pub(super) struct Part {
    temp: NamedTempFile,
    target: PathBuf,
}

impl Part {
    /// Makes the temporary file beside `target`.
    pub(super) fn create(target: &Path) -> Result<Self> {
        let folder = folder_of(target);
        let temp = Builder::new()
            .prefix(".mkdistro-")
            .suffix(".part")
            .tempfile_in(&folder)
            .map_err(|error| explain(error.into(), target))?;
        Ok(Self { temp, target: target.to_path_buf() })
    }

    /// The file.
    pub(super) fn file(&self) -> &File {
        self.temp.as_file()
    }

    /// Gives it its name and the mode the umask allows; its size in bytes.
    pub(super) fn publish(self) -> Result<u64> {
        let size = self.file().metadata().context("asking for the output's size")?.len();
        self.file().sync_all().map_err(|error| explain(error.into(), &self.target))?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666 & !umask());
        self.file().set_permissions(mode).context("setting the output's mode")?;
        let target = self.target.clone();
        self.temp.persist(&target).map_err(|error| explain(error.error.into(), &target))?;
        Ok(size)
    }
}

/// Fails before the work begins where [`Part`] would fail after it: no folder, no permission, no file.
///
/// # Errors
/// Class `Output`.
pub fn check(target: &Path) -> Result<()> {
    if fs::metadata(target).is_ok_and(|found| !found.is_file()) {
        let message = format!("writing {}: expected a file, found a folder or device", target.display());
        return Err(Problem::error(Class::Output, message, "name a file with --output"));
    }
    fs::metadata(folder_of(target)).map_err(|error| explain(error.into(), target))?;
    unnamed(target).map(drop)
}

/// Writes a small file, which appears only when it is complete.
///
/// # Errors
/// Class `Output`.
pub fn write_file(target: &Path, content: &[u8]) -> Result<()> {
    let part = Part::create(target)?;
    part.file().write_all(content).map_err(|error| explain(error.into(), target))?;
    part.publish().map(drop)
}

/// A file without a name in the folder of `target`.
pub(super) fn unnamed(target: &Path) -> Result<File> {
    tempfile::tempfile_in(folder_of(target)).map_err(|error| explain(error.into(), target))
}

/// The whole content of a file just written.
pub(super) fn read_back(file: &mut File) -> Result<Bytes> {
    let mut content = Vec::new();
    file.rewind().context("rewinding a temporary file")?;
    file.read_to_end(&mut content).context("reading a temporary file back")?;
    Ok(Bytes::from(content))
}

/// Turns an I/O error of the output into one that says what to do. Other errors only learn the output's name.
pub(super) fn explain(error: Error, target: &Path) -> Error {
    let Some(io) = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>()) else {
        return error.context(format!("writing {}", target.display()));
    };
    let hint = match io.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "the disk is full: free room, or write elsewhere with --output"
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => "write elsewhere with --output",
        ErrorKind::NotFound | ErrorKind::NotADirectory => "the folder must exist",
        ErrorKind::FileTooLarge => "a file-size limit (ulimit -f) stopped it",
        _ => "",
    };
    Problem::error(Class::Output, format!("writing {}: {error:#}", target.display()), hint)
}

fn folder_of(target: &Path) -> PathBuf {
    match target.parent() {
        Some(parent) if parent != Path::new("") => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// The process's umask. Read from the kernel's own report (proc(5), `/proc/self/status`), since asking by umask(2)
/// would change it for a moment.
fn umask() -> u32 {
    umask_in(&fs::read_to_string("/proc/self/status").unwrap_or_default())
}

/// The umask in such a report; the usual one if there is none.
fn umask_in(status: &str) -> u32 {
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    line.and_then(|text| u32::from_str_radix(text.trim(), 8).ok()).unwrap_or(0o022)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::problem::exit_code;

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    #[test]
    fn a_dropped_part_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out.iso");
        fs::write(&target, "old").unwrap();
        let part = Part::create(&target).unwrap();
        io::Write::write_all(&mut part.file(), b"half").unwrap();
        assert_eq!(names(dir.path()).len(), 2);
        drop(part);
        assert_eq!((names(dir.path()), fs::read(&target).unwrap()), (vec!["out.iso".into()], b"old".to_vec()));
    }

    #[test]
    fn a_published_part_has_its_name_and_the_umask_s_mode() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out.iso");
        fs::write(&target, "old and longer").unwrap();
        let part = Part::create(&target).unwrap();
        io::Write::write_all(&mut part.file(), b"whole").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"old and longer");
        assert_eq!(part.publish().unwrap(), 5);
        assert_eq!((names(dir.path()), fs::read(&target).unwrap()), (vec!["out.iso".into()], b"whole".to_vec()));
        let umask = std::process::Command::new("sh").args(["-c", "umask"]).output().unwrap().stdout;
        let umask = u32::from_str_radix(String::from_utf8(umask).unwrap().trim(), 8).unwrap();
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o7777, 0o666 & !umask);
    }

    #[test]
    fn reads_the_umask() {
        for (status, expected) in [
            ("Name:\tx\nUmask:\t0077\nState:\tR\n", 0o077),
            ("Umask:\t0002\n", 0o002),
            ("Name:\tx\n", 0o022),
            ("Umask:\tx\n", 0o022),
            ("", 0o022),
        ] {
            assert_eq!(umask_in(status), expected, "{status:?}");
        }
    }

    #[test]
    fn hints_fit_the_failure() {
        const FULL: &str = "the disk is full: free room, or write elsewhere with --output";
        let target = Path::new("/x/out.iso");
        for (kind, hint) in [
            (ErrorKind::StorageFull, FULL),
            (ErrorKind::QuotaExceeded, FULL),
            (ErrorKind::PermissionDenied, "write elsewhere with --output"),
            (ErrorKind::ReadOnlyFilesystem, "write elsewhere with --output"),
            (ErrorKind::NotFound, "the folder must exist"),
            (ErrorKind::NotADirectory, "the folder must exist"),
            (ErrorKind::FileTooLarge, "a file-size limit (ulimit -f) stopped it"),
            (ErrorKind::BrokenPipe, ""),
        ] {
            let error = Error::new(io::Error::new(kind, "why")).context("writing byte 7");
            let error = explain(error, target);
            let problem = error.downcast_ref::<Problem>().unwrap();
            assert_eq!((problem.class, problem.hint.as_str()), (Class::Output, hint), "{kind}");
            assert_eq!(problem.message, "writing /x/out.iso: writing byte 7: why");
        }
        // What no other place for the output would change.
        let error = explain(Error::msg("too many files"), target);
        assert_eq!(format!("{error:#}"), "writing /x/out.iso: too many files");
        assert_eq!(exit_code(&error), contract::exit::FAILURE);
    }

    #[test]
    fn checks_the_place_first() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("old.iso"), "").unwrap();
        for good in ["old.iso", "new.iso"] {
            check(&dir.path().join(good)).unwrap();
        }
        assert_eq!(names(dir.path()), ["old.iso"]);
        let shown = dir.path().display();
        for (path, expected) in [
            (dir.path().to_path_buf(), format!("writing {shown}: expected a file, found a folder or device")),
            ("/dev/null".into(), "writing /dev/null: expected a file, found a folder or device".into()),
            (
                dir.path().join("no/out.iso"),
                format!("writing {shown}/no/out.iso: No such file or directory (os error 2)"),
            ),
        ] {
            let error = check(&path).unwrap_err();
            assert_eq!(exit_code(&error), contract::exit::OUTPUT);
            assert_eq!(error.to_string(), expected);
        }
        assert_eq!(folder_of(Path::new("out.iso")), Path::new("."));
    }
}
