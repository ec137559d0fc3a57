//! Ctrl-C and friends: what is half written goes, then the process dies of the signal as it would have anyway, so that
//! shells see 130 or 143 and stop their loops.
//!
//! A thread waits for the signals, which all others block; so nothing here is bound to what a signal handler may do.
//! `std::process::Command` unblocks them again in the programs it starts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Files that are to vanish with the process.
static PARTIAL: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// The signals that ask a program to end: Ctrl-C, `kill`, a terminal that closes.
#[cfg(unix)]
const SIGNALS: [libc::c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

/// A file that is removed if a signal ends the process before this is dropped.
#[derive(Debug)]
pub(crate) struct Registered(PathBuf);

impl Registered {
    /// Registers a file that may not exist yet: before it is made, so that no moment is left out.
    pub(crate) fn new(path: &Path) -> Self {
        PARTIAL.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
        Self(path.to_owned())
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Registered {
    /// Only after the file has its final name or is gone.
    fn drop(&mut self) {
        PARTIAL.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// Removes what is registered; nobody can register or finish a file while it runs.
fn remove_all(partial: &BTreeSet<PathBuf>) {
    for path in partial {
        // It may not have been made yet, or just have got its name.
        let _ = std::fs::remove_file(path);
    }
}

/// Watches for signals. Called once, before any other thread is started. A signal that the caller ignores (nohup(1))
/// stays ignored. A file-size limit (`ulimit -f`) becomes an error of writing instead of a signal.
pub(crate) fn watch() {
    #[cfg(unix)]
    {
        // SAFETY: no handler is set.
        unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
        let Some(set) = block() else { return };
        let wait = move || {
            let mut signal = 0;
            // SAFETY: both point to values that live through the call.
            while unsafe { libc::sigwait(&set, &mut signal) } != 0 {}
            // Held until the end.
            let partial = PARTIAL.lock().unwrap_or_else(PoisonError::into_inner);
            remove_all(&partial);
            die_of(signal);
        };
        if std::thread::Builder::new().name("signals".into()).spawn(wait).is_err() {
            unblock(&set);
        }
    }
}

/// Blocks the signals in this thread and those it starts, except ignored ones; None if all are.
#[cfg(unix)]
fn block() -> Option<libc::sigset_t> {
    // SAFETY: sigset_t and sigaction are plain data, filled by the calls; all pointers are to locals.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        let mut any = false;
        for signal in SIGNALS {
            let mut action: libc::sigaction = std::mem::zeroed();
            if libc::sigaction(signal, std::ptr::null(), &mut action) == 0 && action.sa_sigaction != libc::SIG_IGN {
                libc::sigaddset(&mut set, signal);
                any = true;
            }
        }
        (any && libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) == 0).then_some(set)
    }
}

#[cfg(unix)]
fn unblock(set: &libc::sigset_t) {
    // SAFETY: the set was filled by `block`.
    unsafe {
        libc::pthread_sigmask(libc::SIG_UNBLOCK, set, std::ptr::null_mut());
    }
}

/// Ends the process by the signal's own action.
#[cfg(unix)]
fn die_of(signal: libc::c_int) -> ! {
    // SAFETY: the set is a local, filled before use; raise(3) ends the process, whose action for the signal is the
    // default one since nothing here sets another.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &set, std::ptr::null_mut());
        libc::raise(signal);
        libc::_exit(128 + signal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registered_files_go() {
        let dir = tempfile::tempdir().unwrap();
        let [half, done, absent] = ["half", "done", "absent"].map(|name| dir.path().join(name));
        for path in [&half, &done] {
            std::fs::write(path, "x").unwrap();
        }
        let kept = [Registered::new(&half), Registered::new(&absent)];
        drop(Registered::new(&done));
        // Not all: other tests of this process write files as well.
        let mine = |path: &PathBuf| path.starts_with(dir.path());
        let mine: BTreeSet<PathBuf> = PARTIAL.lock().unwrap().iter().filter(|path| mine(path)).cloned().collect();
        assert_eq!(mine, BTreeSet::from([half.clone(), absent.clone()]));
        remove_all(&mine);
        assert!(!half.exists() && done.exists());
        drop(kept);
        assert!(!PARTIAL.lock().unwrap().contains(&half));
    }
}
