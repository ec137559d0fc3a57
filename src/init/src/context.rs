//! What all steps know: the settings and the kernel command line.

use std::fs;

use contract::cmdline;
use contract::paths::SETTINGS;
use contract::settings::Settings;

use crate::{console, container};

/// Settings and command line.
#[derive(Debug)]
pub(crate) struct Context {
    /// From the image; defaults if they cannot be read.
    pub(crate) settings: Settings,
    /// `/proc/cmdline`; in a container PID 1's arguments.
    pub(crate) command_line: String,
}

impl Context {
    /// Reads both and sets up the messages. Needs `/proc`.
    pub(crate) fn read() -> Self {
        let command_line = match container::is_one() {
            true => container::options(),
            false => fs::read_to_string("/proc/cmdline").unwrap_or_default(),
        };
        let text = fs::read_to_string(SETTINGS);
        let decoded = text
            .map_err(|error| error.to_string())
            .and_then(|text| Settings::decode(&text).map_err(|problem| problem.to_string()));
        let (settings, problem) = match decoded {
            Ok(settings) => (settings, None),
            Err(problem) => (Settings::default(), Some(problem)),
        };
        console::set_up(&settings.consoles, cmdline::value(&command_line, cmdline::VERBOSE).is_some());
        if let Some(problem) = problem {
            console::say(&format!("read {SETTINGS}: {problem}; going on with the defaults"));
        }
        Self { settings, command_line }
    }

    /// Whether a key stands on the command line.
    pub(crate) fn has(&self, key: &str) -> bool {
        cmdline::value(&self.command_line, key).is_some()
    }

    /// Name for a uid.
    pub(crate) fn user_name(&self, uid: u32) -> &str {
        if uid == self.settings.uid { &self.settings.user } else { "root" }
    }
}
