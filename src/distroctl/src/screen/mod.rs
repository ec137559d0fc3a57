//! `distroctl console`: what a terminal shows before anybody logs in. A screen shows the machine's state and keeps it current;
//! a serial line (`--once`) gets it once, when the machine is ready. Enter opens a login shell, which takes this program's
//! place; when its user leaves, PID 1 starts this one again.

mod text;

use std::io::{IsTerminal, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use contract::paths;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcgetwinsize, tcsetattr};

use crate::status::{self, Report};
use text::Page;

/// How often it is looked whether something has changed that nobody tells of: addresses, memory.
const LOOK: Duration = Duration::from_secs(10);
/// Drawn again though nothing has changed: messages of the kernel may stand on it.
const REDRAW: Duration = Duration::from_secs(60);
/// A machine that is not ready by then shows what there is.
const READY_LIMIT: Duration = Duration::from_secs(120);
/// Changes come in bursts, and after READY some follow.
const SETTLE: Duration = Duration::from_millis(400);
/// Of a PC's text mode; what a serial line does not say is taken for a terminal.
const SIZE: (usize, usize) = (80, 25);

/// Shows the state until somebody wants a shell.
pub(crate) fn run(is_once: bool) -> Result<ExitCode> {
    let changes = watch();
    if is_once {
        once(changes.as_ref())
    } else {
        keep(changes.as_ref())
    }
    let error = Command::new("/bin/sh").arg("-l").exec();
    Err(error).context("starting /bin/sh")
}

/// Hears of services, READY and the data disk. Without it the clock is enough.
fn watch() -> Option<OwnedFd> {
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK).ok()?;
    let events = inotify::WatchFlags::MOVED_TO
        | inotify::WatchFlags::CREATE
        | inotify::WatchFlags::MODIFY
        | inotify::WatchFlags::DELETE;
    for folder in [paths::RUN_DIR, paths::SERVICE_STATE_DIR] {
        let _ = inotify::add_watch(&watch, folder, events);
    }
    Some(watch)
}

/// What ended a wait.
#[derive(Debug, PartialEq, Eq)]
enum Woken {
    Enter,
    Changed,
    Time,
}

/// Whether another program asks for something on the terminals.
fn is_asked() -> bool {
    Path::new(paths::ASKING).exists()
}

/// A terminal that is hung up, or none, is not asked for keys.
struct Keys {
    is_there: bool,
}

impl Keys {
    fn wait(&mut self, changes: Option<&OwnedFd>, timeout: Duration) -> Woken {
        let stdin = std::io::stdin();
        let mut fds = Vec::new();
        let is_mine = self.is_there && !is_asked();
        if is_mine {
            fds.push(PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN));
        }
        fds.extend(changes.map(|changes| PollFd::from_borrowed_fd(changes.as_fd(), PollFlags::IN)));
        let _ = poll(&mut fds, Timespec::try_from(timeout).ok().as_ref());
        let has_key = is_mine && fds.first().is_some_and(|fd| !fd.revents().is_empty());
        drop(fds);
        if has_key {
            match stdin.lock().read(&mut [0u8; 256]) {
                Ok(count) if count > 0 => return Woken::Enter,
                _ => self.is_there = false,
            }
        }
        let mut buffer = [0u8; 4096];
        let mut has_news = false;
        while changes.is_some_and(|changes| rustix::io::read(changes, &mut buffer).is_ok_and(|count| count > 0)) {
            has_news = true;
        }
        if has_news { Woken::Changed } else { Woken::Time }
    }
}

/// Prints the state when the machine is ready; at once when somebody presses Enter.
fn once(changes: Option<&OwnedFd>) {
    let limit = Instant::now() + READY_LIMIT;
    let mut keys = Keys { is_there: true };
    while !Path::new(paths::READY).exists() && Instant::now() < limit {
        if keys.wait(changes, Duration::from_secs(1)) == Woken::Enter {
            break;
        }
    }
    // The READY line is written to this terminal by another program, after its file.
    std::thread::sleep(SETTLE);
    let text = text::plain(&status::lines(&Report::gather()));
    let _ = std::io::stdout().lock().write_all(format!("\n{text}\n").as_bytes());
}

/// Keeps the state on the screen until Enter is pressed.
fn keep(changes: Option<&OwnedFd>) {
    let is_dumb =
        matches!(std::env::var("TERM").as_deref(), Err(_) | Ok("" | "dumb")) || !std::io::stdout().is_terminal();
    let echo = Echo::off();
    let mut keys = Keys { is_there: true };
    let mut shown: Option<Page> = None;
    let mut drawn = Instant::now();
    loop {
        if is_asked() {
            shown = None;
            keys.wait(changes, LOOK);
            continue;
        }
        let (columns, rows) = size();
        let report = Report::gather();
        let page = Page::of(&report, columns, rows);
        let is_new = shown.as_ref().is_none_or(|shown| if is_dumb { shown.differs(&page) } else { *shown != page });
        if is_new || (!is_dumb && drawn.elapsed() >= REDRAW) {
            let text = if is_dumb { page.plain() } else { page.ansi() };
            let _ = std::io::stdout().lock().write_all(text.as_bytes());
            shown = Some(page);
            drawn = Instant::now();
        }
        match keys.wait(changes, LOOK) {
            Woken::Enter => break,
            Woken::Changed => std::thread::sleep(SETTLE),
            Woken::Time => {}
        }
    }
    drop(echo);
    let clear: &[u8] = if is_dumb { b"\n" } else { b"\x1b[H\x1b[J" };
    let _ = std::io::stdout().lock().write_all(clear);
}

fn size() -> (usize, usize) {
    let found = tcgetwinsize(std::io::stdout()).ok().map(|size| (usize::from(size.ws_col), usize::from(size.ws_row)));
    found.filter(|(columns, rows)| *columns >= 20 && *rows >= 5).unwrap_or(SIZE)
}

/// Keys are not shown while the state is; a shell wants them to be.
struct Echo(Option<rustix::termios::Termios>);

impl Echo {
    fn off() -> Self {
        let Ok(before) = tcgetattr(std::io::stdin()) else { return Self(None) };
        let mut modes = before.clone();
        modes.local_modes -= LocalModes::ECHO;
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &modes);
        Self(Some(before))
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, before);
        }
    }
}
