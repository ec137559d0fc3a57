//! Asking for a passphrase: on all consoles at once, without showing what is typed.
//!
//! Programs that show the machine's state on consoles take keys too; they leave them alone while [`paths::ASKING`] exists.

use std::fs::File;
use std::io::{IsTerminal, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use contract::paths;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::termios::{InputModes, LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::key::{Found, Key};
use crate::console::log;

/// Time for those who show something on the consoles to notice.
const SETTLE: Duration = Duration::from_millis(1200);
/// How often it is looked for another way.
const TICK: Duration = Duration::from_secs(1);
/// A line of a terminal is not longer (termios(3), "Canonical and noncanonical mode").
const LINE_BYTES: usize = 4096;

/// Terminals that are asked. Dropped, they are as before.
pub(super) struct Prompt {
    terminals: Vec<Terminal>,
    until: Instant,
}

struct Terminal {
    name: String,
    file: OwnedFd,
    before: Termios,
}

impl Prompt {
    /// On these consoles, as far as the machine has them.
    pub(super) fn new(consoles: &[String], limit: Duration) -> Self {
        if let Err(error) = std::fs::write(paths::ASKING, "") {
            log(&format!("writing {}: {error}", paths::ASKING));
        }
        std::thread::sleep(SETTLE);
        let terminals = consoles.iter().filter_map(|name| Terminal::open(name)).collect();
        Self { terminals, until: Instant::now() + limit }
    }

    /// Asks; `otherwise` is called every second meanwhile. `None` if the time is over, or there is nobody to ask.
    pub(super) fn ask(
        &mut self,
        text: &str,
        mut otherwise: impl FnMut() -> Result<Option<Found>>,
    ) -> Result<Option<Found>> {
        self.write(&format!("\r\n{text}\r\nPassphrase: "));
        while Instant::now() < self.until {
            if let Some(found) = otherwise()? {
                self.write("\r\n");
                return Ok(Some(found));
            }
            if let Some(found) = self.line(TICK.min(self.until.saturating_duration_since(Instant::now())))? {
                self.write("\r\n");
                return Ok(Some(found));
            }
        }
        self.write("\r\n");
        Ok(None)
    }

    /// The first line that is typed on one of the terminals.
    fn line(&mut self, timeout: Duration) -> Result<Option<Found>> {
        let mut fds: Vec<PollFd> = self
            .terminals
            .iter()
            .map(|terminal| PollFd::from_borrowed_fd(terminal.file.as_fd(), PollFlags::IN))
            .collect();
        let begin = Instant::now();
        let _ = poll(&mut fds, Timespec::try_from(timeout).ok().as_ref());
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(fds);
        let mut ready = ready.into_iter();
        let mut answer = None;
        self.terminals.retain(|terminal| {
            if answer.is_some() || ready.next() != Some(true) {
                return true;
            }
            match terminal.read() {
                Ok(key) => answer = key,
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                // Hung up.
                Err(_) => return false,
            }
            true
        });
        if self.terminals.is_empty() {
            std::thread::sleep(timeout.saturating_sub(begin.elapsed()));
        }
        Ok(answer)
    }

    fn write(&self, text: &str) {
        for terminal in &self.terminals {
            let _ = rustix::io::write(&terminal.file, text.as_bytes());
        }
    }
}

impl Drop for Prompt {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(paths::ASKING);
    }
}

impl Terminal {
    fn open(name: &str) -> Option<Self> {
        let path = Path::new("/dev").join(name);
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(&path, flags, Mode::empty()).ok()?;
        let before = hide(&file)?;
        Some(Self { name: name.into(), file, before })
    }

    /// A line; `None` if it is empty.
    fn read(&self) -> rustix::io::Result<Option<Found>> {
        let mut line = vec![0; LINE_BYTES];
        let length = rustix::io::read(&self.file, &mut line)?;
        if length == 0 {
            return Err(rustix::io::Errno::IO);
        }
        line.truncate(length);
        Ok(typed(line).map(|key| Found { place: format!("the passphrase typed on {}", self.name), key }))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.file, OptionalActions::Flush, &self.before);
    }
}

/// Lines as a whole, not shown. What was typed before is thrown away. Gives the modes as they were; `None`: no terminal.
fn hide(terminal: impl AsFd) -> Option<Termios> {
    let before = tcgetattr(&terminal).ok()?;
    let mut modes = before.clone();
    modes.local_modes -= LocalModes::ECHO | LocalModes::ECHONL;
    modes.local_modes |= LocalModes::ICANON;
    modes.input_modes |= InputModes::ICRNL;
    tcsetattr(&terminal, OptionalActions::Flush, &modes).ok()?;
    Some(before)
}

fn typed(mut line: Vec<u8>) -> Option<Key> {
    while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        line.pop();
    }
    Key::new(line).ok().flatten()
}

/// The key from standard input: a line that is asked for on a terminal, all of it otherwise.
pub(super) fn standard_input(text: &str) -> Result<Option<Found>> {
    let stdin = std::io::stdin();
    let mut bytes = Vec::new();
    if stdin.is_terminal() {
        eprint_text(&format!("{text}\nPassphrase: "));
        let before = hide(&stdin);
        let mut line = vec![0; LINE_BYTES];
        let read = rustix::io::read(&stdin, &mut line);
        if let Some(before) = before {
            let _ = tcsetattr(&stdin, OptionalActions::Now, &before);
        }
        eprint_text("\n");
        line.truncate(read.context("reading the terminal")?);
        return Ok(typed(line).map(|key| Found { place: "that passphrase".into(), key }));
    }
    let file = File::from(stdin.as_fd().try_clone_to_owned().context("reading standard input")?);
    file.take(1 << 20).read_to_end(&mut bytes).context("reading standard input")?;
    Ok(Key::new(bytes)?.map(|key| Found { place: "the key of standard input".into(), key }))
}

fn eprint_text(text: &str) {
    let _ = rustix::io::write(std::io::stderr(), text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::typed;

    #[test]
    fn a_line_is_a_passphrase_without_its_end() {
        assert_eq!(typed(b"a b\r\n".to_vec()).unwrap().bytes(), b"a b");
        assert_eq!(typed(b"a".to_vec()).unwrap().bytes(), b"a");
        assert!(typed(b"\n".to_vec()).is_none() && typed(vec![]).is_none());
    }
}
