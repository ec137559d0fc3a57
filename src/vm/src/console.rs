//! The serial console: every byte into the log file, complete lines into memory, a kernel panic noticed at once.

use anyhow::{Context, Result};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What has come from the serial port.
#[derive(Default)]
pub(crate) struct Console {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    lines: Vec<String>,
    partial: Vec<u8>,
    /// Lines before this one belong to an earlier boot.
    boot: usize,
    panic: Option<String>,
    closed: bool,
}

impl Console {
    /// Reads `port` to its end.
    pub(crate) fn follow(&self, mut port: impl Read, log: &Path) -> Result<()> {
        let mut log_file = File::create(log).with_context(|| format!("creating {}", log.display()))?;
        let mut buffer = [0; 4096];
        loop {
            let length = match port.read(&mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(_) => 0,
            };
            let bytes = &buffer[..length];
            let written = log_file.write_all(bytes);
            let mut state = self.state();
            state.closed = length == 0;
            state.add(bytes);
            drop(state);
            self.changed.notify_all();
            written.with_context(|| format!("writing {}", log.display()))?;
            if length == 0 {
                return Ok(());
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What comes from now on belongs to a new boot.
    pub(crate) fn begin_boot(&self) {
        let mut state = self.state();
        state.boot = state.lines.len();
        state.panic = None;
    }

    /// The line with "Kernel panic", if there was one in this boot.
    pub(crate) fn panic(&self) -> Option<String> {
        self.state().panic.clone()
    }

    /// The first value `find` gives for a complete line of this boot, waited for until `until`. None at the deadline, at a
    /// panic, or at the end of the console.
    pub(crate) fn wait<T>(&self, until: Instant, mut find: impl FnMut(&str) -> Option<T>) -> Option<T> {
        let mut state = self.state();
        let mut next = state.boot;
        loop {
            while next < state.lines.len() {
                if let Some(value) = find(&state.lines[next]) {
                    return Some(value);
                }
                next += 1;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left == Duration::ZERO || state.closed || state.panic.is_some() {
                return None;
            }
            (state, _) = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The last `count` lines, the unfinished one included.
    pub(crate) fn tail(&self, count: usize) -> Vec<String> {
        let state = self.state();
        let mut lines = state.lines[state.lines.len().saturating_sub(count)..].to_vec();
        if !state.partial.is_empty() {
            lines.push(String::from_utf8_lossy(&state.partial).into_owned());
        }
        lines
    }
}

impl State {
    fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte != b'\n' {
                self.partial.push(byte);
                continue;
            }
            let line = String::from_utf8_lossy(&self.partial).trim_end_matches('\r').to_string();
            self.partial.clear();
            if line.contains("Kernel panic") {
                self.panic.get_or_insert(line.clone());
            }
            self.lines.push(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Console;
    use std::time::{Duration, Instant};

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    fn followed(text: &str) -> Console {
        let console = Console::default();
        let log = tempfile::NamedTempFile::new().unwrap();
        console.follow(text.as_bytes(), log.path()).unwrap();
        assert_eq!(std::fs::read_to_string(log.path()).unwrap(), text);
        console
    }

    #[test]
    fn finds_complete_lines_only() {
        let console = followed("one\r\ntwo\nREADY par");
        assert_eq!(console.wait(soon(), |line| (line == "two").then_some(2)), Some(2));
        assert_eq!(console.wait(soon(), |line| line.contains("READY").then_some(())), None);
        assert_eq!(console.tail(1), ["two", "READY par"]);
        console.begin_boot();
        assert_eq!(console.wait(soon(), |line| (line == "two").then_some(2)), None);
    }

    #[test]
    fn notices_a_panic() {
        let console = followed("[    1.0] Kernel panic - not syncing: x\n");
        assert_eq!(console.panic().as_deref(), Some("[    1.0] Kernel panic - not syncing: x"));
        assert_eq!(console.wait(soon(), |_| None::<()>), None);
    }
}
