//! Waits for changes of a project's files, by inotify(7).
//!
//! Watched are `packages`, `kernel-config` and `overlay` with all folders in it, and in the project's own folder the names
//! of these and of distro.toml: outputs are written there too.

use std::collections::HashSet;
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

/// What counts in the project's own folder.
const NAMES: [&str; 4] = ["distro.toml", "packages", "kernel-config", "overlay"];
/// An editor's save, a checkout or a copy is over when nothing has happened for this long.
const QUIET: Duration = Duration::from_millis(80);

/// Hears of changes from the moment it is made, also while nobody waits.
pub struct Watcher {
    project: PathBuf,
    events: OwnedFd,
    /// Watches of folders of which every name counts. inotify never gives a number twice.
    whole: HashSet<i32>,
}

impl Watcher {
    /// Watches a project.
    ///
    /// # Errors
    /// There is no such folder, or the user has too many watches.
    pub fn new(project: &Path) -> Result<Self> {
        let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).context("starting to watch files")?;
        let mut watcher = Self { project: project.into(), events, whole: HashSet::new() };
        watcher.refresh()?;
        Ok(watcher)
    }

    /// Waits for a change, and then until it is over.
    ///
    /// # Errors
    /// A folder cannot be watched.
    pub fn wait(&mut self) -> Result<()> {
        while !self.changed(None)? {}
        while self.is_ready(Some(QUIET))? {
            self.changed(Some(Duration::ZERO))?;
        }
        // New folders, before anybody reads what is in them.
        self.refresh()
    }

    fn refresh(&mut self) -> Result<()> {
        self.add(&self.project.clone())?;
        let mut folders: Vec<PathBuf> = NAMES[1..].iter().map(|name| self.project.join(name)).collect();
        while let Some(folder) = folders.pop() {
            // What has vanished meanwhile was an event of its own.
            let Ok(listed) = fs::read_dir(&folder) else { continue };
            if let Some(number) = self.add(&folder)? {
                self.whole.insert(number);
            }
            let is_folder = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
            folders.extend(listed.flatten().filter(is_folder).map(|entry| entry.path()));
        }
        Ok(())
    }

    /// Watches a folder; once more does no harm. None if it is gone.
    fn add(&self, folder: &Path) -> Result<Option<i32>> {
        let flags = WatchFlags::CREATE
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::ATTRIB
            | WatchFlags::ONLYDIR;
        match inotify::add_watch(&self.events, folder, flags) {
            Ok(number) => Ok(Some(number)),
            Err(Errno::NOENT | Errno::NOTDIR) if folder != self.project => Ok(None),
            Err(error) => {
                let hint = if error == Errno::NOSPC { "\nhint: raise fs.inotify.max_user_watches" } else { "" };
                Err(error).with_context(|| format!("watching {}{hint}", folder.display()))
            }
        }
    }

    fn is_ready(&self, limit: Option<Duration>) -> Result<bool> {
        let limit = limit.map(rustix::event::Timespec::try_from).transpose().context("waiting for changes")?;
        loop {
            let mut fds = [PollFd::new(&self.events, PollFlags::IN)];
            match poll(&mut fds, limit.as_ref()) {
                Err(Errno::INTR) => {}
                ready => return Ok(ready.context("waiting for changes")? > 0),
            }
        }
    }

    /// Takes the events there are, waiting for the first; whether one of them counts.
    fn changed(&self, limit: Option<Duration>) -> Result<bool> {
        if !self.is_ready(limit)? {
            return Ok(false);
        }
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.events, &mut buffer);
        let mut changed = false;
        loop {
            match reader.next() {
                Ok(event) => {
                    let name = event.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
                    // Without a name: the folder itself, or an overflow, after which everything may have changed.
                    let overflow = event.events().contains(inotify::ReadFlags::QUEUE_OVERFLOW);
                    changed |= overflow || self.whole.contains(&event.wd()) || NAMES.contains(&&*name);
                }
                Err(Errno::AGAIN) => return Ok(changed),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error).context("reading changes"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn hears_what_counts() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::create_dir_all(path("overlay/etc/a")).unwrap();
        fs::write(path("distro.toml"), "").unwrap();
        let mut watcher = Watcher::new(dir.path()).unwrap();
        fs::write(path("out.iso"), "x").unwrap();
        fs::rename(path("out.iso"), path("two.iso")).unwrap();
        assert!(!watcher.changed(Some(Duration::from_millis(20))).unwrap(), "an output is no input");

        let changes: [(&str, &dyn Fn()); 7] = [
            ("a file in place", &|| fs::write(path("distro.toml"), "y").unwrap()),
            ("an editor's rename", &|| {
                fs::write(path("new"), "z").unwrap();
                fs::rename(path("new"), path("distro.toml")).unwrap();
            }),
            ("a file deep in the overlay", &|| fs::write(path("overlay/etc/a/b"), "").unwrap()),
            ("a mode", &|| {
                let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
                fs::set_permissions(path("overlay/etc/a/b"), mode).unwrap();
            }),
            ("a new folder", &|| fs::create_dir(path("packages")).unwrap()),
            ("a file in it", &|| fs::write(path("packages/jq.toml"), "").unwrap()),
            ("a file that goes", &|| fs::remove_file(path("packages/jq.toml")).unwrap()),
        ];
        for (what, change) in changes {
            change();
            let (done, waited) = mpsc::channel();
            std::thread::scope(|scope| {
                let watcher = &mut watcher;
                scope.spawn(move || done.send(watcher.wait().is_ok()));
                assert_eq!(waited.recv_timeout(Duration::from_secs(20)), Ok(true), "{what}");
            });
        }
    }

    #[test]
    fn a_project_must_exist() {
        let error = Watcher::new(Path::new("no/where")).err().unwrap();
        assert_eq!(format!("{error:#}"), "watching no/where: No such file or directory (os error 2)");
    }
}
