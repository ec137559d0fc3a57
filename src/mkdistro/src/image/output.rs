//! Output files: written without a name where the file system can (O_TMPFILE of open(2)), under a temporary name beside the
//! target otherwise; they appear under their own name when complete.
//!
//! So an end at any moment, SIGKILL included, leaves nothing half written. Where a temporary name is needed, signals that
//! can be caught remove it (`interrupt`), and the next build removes what SIGKILL left: a file that nobody has locked.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Error, Result};
use bytes::Bytes;

use super::format::Target;
use crate::cache::Mapped;
use crate::interrupt::Registered;
use crate::problem::{Class, Problem};

const PREFIX: &str = ".mkdistro-";
const SUFFIX: &str = ".part";

/// A file that does not have its name yet. Dropped without [`Part::publish`] it is removed.
pub(super) struct Part {
    file: File,
    /// None while it has no name at all.
    temporary: Option<Temporary>,
    target: PathBuf,
}

/// A temporary name; the file is removed with it.
struct Temporary(Registered);

impl Drop for Temporary {
    fn drop(&mut self) {
        // Gone already if it was published.
        let _ = fs::remove_file(self.0.path());
    }
}

impl Part {
    /// Makes a file in the folder of `target`.
    pub(super) fn create(target: &Path) -> Result<Self> {
        let without_name = nameless(&folder_of(target)).map_err(|error| explain(error.into(), target))?;
        match without_name {
            Some(file) => Ok(Self { file, temporary: None, target: target.to_path_buf() }),
            None => Self::create_named(target).map_err(|error| explain(error.into(), target)),
        }
    }

    /// With a temporary name, locked for as long as it is open.
    fn create_named(target: &Path) -> io::Result<Self> {
        loop {
            let temporary = Registered::new(&temporary_name(&folder_of(target)));
            let file = match OpenOptions::new().read(true).write(true).create_new(true).open(temporary.path()) {
                Ok(file) => file,
                // The process id was somebody else's before.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            };
            let temporary = Temporary(temporary);
            // Not every file system has locks; then nothing is taken for left behind either.
            let _ = file.lock();
            // Before the lock it looked left behind: another build may have removed it.
            if temporary.0.path().exists() {
                return Ok(Self { file, temporary: Some(temporary), target: target.to_path_buf() });
            }
        }
    }

    /// The file.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Gives it its name and the mode the umask allows; its size in bytes.
    pub(super) fn publish(self) -> Result<u64> {
        let size = self.file.metadata().context("asking for the output's size")?.len();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666 & !umask());
        self.file.set_permissions(mode).context("setting the output's mode")?;
        self.file.sync_all().and_then(|()| self.name()).map_err(|error| explain(error.into(), &self.target))?;
        Ok(size)
    }

    fn name(&self) -> io::Result<()> {
        if let Some(temporary) = &self.temporary {
            return fs::rename(temporary.0.path(), &self.target);
        }
        match link(&self.file, &self.target) {
            // linkat(2) replaces nothing: a name beside it for a moment, by then of a complete file.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let temporary = Temporary(Registered::new(&temporary_name(&folder_of(&self.target))));
                link(&self.file, temporary.0.path())?;
                fs::rename(temporary.0.path(), &self.target)
            }
            result => result,
        }
    }
}

/// A file without a name that can get one later; None if the file system or the system has no such files.
#[cfg(target_os = "linux")]
fn nameless(folder: &Path) -> io::Result<Option<File>> {
    use rustix::fs::{Mode, OFlags};
    use rustix::io::Errno;

    // Its name will be given through there.
    if !Path::new("/proc/self/fd").exists() {
        return Ok(None);
    }
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match rustix::fs::open(folder, flags, Mode::from_raw_mode(0o600)) {
        Ok(descriptor) => Ok(Some(descriptor.into())),
        // Kernels without it take it for an attempt to write to a folder.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn nameless(_folder: &Path) -> io::Result<Option<File>> {
    Ok(None)
}

/// Gives a file without a name its first one, as open(2) says under O_TMPFILE.
#[cfg(target_os = "linux")]
fn link(file: &File, path: &Path) -> io::Result<()> {
    use std::os::fd::AsRawFd;

    use rustix::fs::{AtFlags, CWD};

    let descriptor = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(rustix::fs::linkat(CWD, descriptor, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

#[cfg(not(target_os = "linux"))]
fn link(_file: &File, _path: &Path) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// A name in `folder` that no other file of this process has.
fn temporary_name(folder: &Path) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    folder.join(format!("{PREFIX}{}-{number}{SUFFIX}", std::process::id()))
}

/// Removes temporary files that nobody writes to any more.
fn remove_left_behind(folder: &Path) {
    let is_ours = |name: &OsStr| name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if is_ours(&entry.file_name()) && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok()) {
            // It stays if it cannot be removed: it is in nobody's way.
            let _ = fs::remove_file(entry.path());
        }
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
    remove_left_behind(&folder_of(target));
    unnamed(target).map(drop)
}

/// The same for an output, which may be a folder, there already or not.
///
/// # Errors
/// Class `Output`.
pub fn check_target(target: &Target) -> Result<()> {
    let path = &target.path;
    match fs::metadata(path) {
        _ if !target.format.is_folder() => check(path),
        Ok(found) if found.is_dir() => check(&path.join("x")),
        Ok(_) => {
            let message = format!("writing {}: expected a folder, found a file", path.display());
            Err(Problem::error(Class::Output, message, "name another with --output"))
        }
        Err(_) => check(path),
    }
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

/// The whole content of an unnamed file. It stays on the disk: an image is not held in memory.
pub(super) fn mapped(file: &File) -> Result<Bytes> {
    Ok(Bytes::from_owner(Mapped::new(file).context("mapping a temporary file")?))
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

/// The folder that a file is in, or will be.
pub fn folder_of(target: &Path) -> PathBuf {
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

    type Way = (fn(&Path) -> Part, usize);

    /// Both ways to make a part, and how many names it has while it is written.
    fn ways() -> [Way; 2] {
        [(|target| Part::create(target).unwrap(), 0), (|target| Part::create_named(target).unwrap(), 1)]
    }

    #[test]
    fn a_dropped_part_leaves_nothing() {
        for (create, count) in ways() {
            let dir = tempfile::tempdir().unwrap();
            let target = dir.path().join("out.iso");
            fs::write(&target, "old").unwrap();
            let part = create(&target);
            io::Write::write_all(&mut part.file(), b"half").unwrap();
            assert_eq!(names(dir.path()).len(), 1 + count);
            drop(part);
            assert_eq!((names(dir.path()), fs::read(&target).unwrap()), (vec!["out.iso".into()], b"old".to_vec()));
        }
    }

    #[test]
    fn a_published_part_has_its_name_and_the_umask_s_mode() {
        let umask = std::process::Command::new("sh").args(["-c", "umask"]).output().unwrap().stdout;
        let umask = u32::from_str_radix(String::from_utf8(umask).unwrap().trim(), 8).unwrap();
        for ((create, _), old) in ways().into_iter().flat_map(|way| [(way, None), (way, Some("old and longer"))]) {
            let dir = tempfile::tempdir().unwrap();
            let target = dir.path().join("out.iso");
            if let Some(old) = old {
                fs::write(&target, old).unwrap();
            }
            let part = create(&target);
            io::Write::write_all(&mut part.file(), b"whole").unwrap();
            assert_eq!(fs::read_to_string(&target).ok().as_deref(), old);
            assert_eq!(part.publish().unwrap(), 5);
            assert_eq!((names(dir.path()), fs::read(&target).unwrap()), (vec!["out.iso".into()], b"whole".to_vec()));
            assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o7777, 0o666 & !umask);
        }
    }

    #[test]
    fn what_a_killed_build_left_goes_with_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out.iso");
        for name in [".mkdistro-1-0.part", "out.iso.part", ".mkdistro-notes"] {
            fs::write(dir.path().join(name), "half").unwrap();
        }
        let running = Part::create_named(&target).unwrap();
        check(&target).unwrap();
        let mut left = names(dir.path());
        left.sort();
        let ours = running.temporary.as_ref().unwrap().0.path().file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(left, [ours.as_str(), ".mkdistro-notes", "out.iso.part"]);
        assert_eq!(running.publish().unwrap(), 0);
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
