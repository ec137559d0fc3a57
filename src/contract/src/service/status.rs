//! Where a service is in its life: PID 1 writes it, everybody reads it.

use crate::fields::{lines, push};

/// Where a service is in its life, as written into [`crate::paths::SERVICE_STATE_DIR`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waits for others.
    Waiting,
    /// Its process runs, it is not ready yet.
    Starting,
    /// Ready (a one-shot: done).
    Ready,
    /// It is being stopped by hand.
    Stopping,
    /// Ended and waits for its back-off before it starts again.
    Backoff,
    /// Ended for good after a failure, or could not be started.
    Failed,
    /// Ended for good as it should.
    Stopped,
}

impl State {
    /// The word in the state file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Stopping => "stopping",
            Self::Backoff => "backoff",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }

    /// The state of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    const ALL: [Self; 7] =
        [Self::Waiting, Self::Starting, Self::Ready, Self::Stopping, Self::Backoff, Self::Failed, Self::Stopped];
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Exit status.
    Code(i32),
    /// Signal number that ended it.
    Signal(i32),
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "status {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// Content of a service's file in [`crate::paths::SERVICE_STATE_DIR`], as `key value` lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// `state WORD`.
    pub state: State,
    /// `pid NUMBER`, while its process runs.
    pub pid: Option<i32>,
    /// `restarts NUMBER`: how often it was started again.
    pub restarts: u32,
    /// `exit status NUMBER` or `exit signal NUMBER`: how its process ended last.
    pub exit: Option<Exit>,
}

impl Status {
    /// The text of the file.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        push(&mut out, "state", self.state.as_str());
        if let Some(pid) = self.pid {
            push(&mut out, "pid", pid);
        }
        push(&mut out, "restarts", self.restarts);
        if let Some(exit) = self.exit {
            push(&mut out, "exit", exit);
        }
        out
    }

    /// Reads the text of the file; keys it does not know are passed over. `None` if it names no state.
    pub fn decode(text: &str) -> Option<Self> {
        let mut state = None;
        let (mut pid, mut restarts, mut exit) = (None, 0, None);
        for (_, key, value) in lines(text) {
            match key {
                "state" => state = State::from_word(value),
                "pid" => pid = value.parse().ok(),
                "restarts" => restarts = value.parse().unwrap_or(0),
                "exit" => {
                    exit = match value.split_once(' ') {
                        Some(("status", code)) => code.parse().ok().map(Exit::Code),
                        Some(("signal", signal)) => signal.parse().ok().map(Exit::Signal),
                        _ => None,
                    };
                }
                _ => {}
            }
        }
        Some(Self { state: state?, pid, restarts, exit })
    }
}

#[cfg(test)]
mod tests {
    use super::{Exit, State, Status};

    #[test]
    fn status_reads_what_it_writes() {
        let status = Status { state: State::Backoff, pid: None, restarts: 3, exit: Some(Exit::Signal(9)) };
        assert_eq!(status.encode(), "state backoff\nrestarts 3\nexit signal 9\n");
        assert_eq!(Status::decode(&status.encode()), Some(status));
        let running = Status { state: State::Ready, pid: Some(7), restarts: 0, exit: None };
        assert_eq!(Status::decode(&running.encode()), Some(running));
        assert_eq!(Status::decode("pid 1\n"), None);
    }
}
