//! Signals of PID 1, read from a descriptor instead of handlers.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use contract::container::STOP_SIGNAL;
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::shutdown::Leave;
use crate::{container, sys};

/// All that PID 1 hears. SIGHUP and SIGQUIT mean nothing here and are taken so that they are not left pending.
const HEARD: [i32; 9] = [
    libc::SIGCHLD,
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGPWR,
    libc::SIGHUP,
    libc::SIGQUIT,
    STOP_SIGNAL,
];

/// The descriptor.
#[derive(Debug)]
pub(crate) struct Signals {
    fd: OwnedFd,
}

impl Signals {
    /// Blocks the signals; they wait in the descriptor from now on.
    pub(crate) fn block() -> io::Result<Self> {
        Ok(Self { fd: sys::signal_fd(&HEARD)? })
    }

    /// Takes what waits: the last wish to leave among it, if any.
    pub(crate) fn take(&self) -> Option<Leave> {
        let mut wish = None;
        while let Some(signal) = sys::next_signal(self.fd.as_fd()) {
            wish = Leave::from_signal(signal, container::is_one()).or(wish);
        }
        wish
    }

    /// Waits for a signal or until the time is over.
    pub(crate) fn wait(&self, timeout_ms: Option<u64>) {
        self.wait_or(std::iter::empty(), timeout_ms);
    }

    /// The same, or until one of the descriptors has something to read.
    pub(crate) fn wait_or<'a>(&'a self, others: impl Iterator<Item = BorrowedFd<'a>>, timeout_ms: Option<u64>) {
        let fds = [self.fd.as_fd()].into_iter().chain(others);
        let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        let _ = rustix::event::poll(&mut fds, timeout(timeout_ms).as_ref());
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Milliseconds as the kernel's type, a day at most.
pub(crate) fn timeout(timeout_ms: Option<u64>) -> Option<Timespec> {
    let ms = i64::try_from(timeout_ms?.min(86_400_000)).unwrap_or(0);
    Some(Timespec { tv_sec: ms / 1000, tv_nsec: (ms % 1000) * 1_000_000 })
}
