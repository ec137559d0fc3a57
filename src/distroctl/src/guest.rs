//! What the guest was told: the builder's settings and the kernel command line.

use contract::settings::Settings;
use contract::{cmdline, paths};

use crate::console;

/// Settings and kernel command line.
pub(crate) struct Guest {
    pub(crate) settings: Settings,
    /// Or, in a container, what stands for it.
    pub(crate) command_line: String,
}

impl Guest {
    /// Reads both. Settings that cannot be read are replaced by the defaults, with a warning: the guest goes on.
    pub(crate) fn load() -> Self {
        let (guest, problem) = Self::read();
        if let Some(problem) = problem {
            guest.warn(&problem);
        }
        guest
    }

    /// The same without a warning, for what is done again and again.
    pub(crate) fn load_quietly() -> Self {
        Self::read().0
    }

    fn read() -> (Self, Option<String>) {
        let mut problem = None;
        let mut settings = std::fs::read_to_string(paths::SETTINGS)
            .map_err(|error| error.to_string())
            .and_then(|text| Settings::decode(&text).map_err(|error| error.to_string()))
            .unwrap_or_else(|error| {
                problem = Some(format!("reading {}: {error}; using defaults", paths::SETTINGS));
                Settings::default()
            });
        if let Ok(text) = std::fs::read_to_string(paths::PROVISIONED_SETTINGS)
            && let Err(error) = settings.set_all(&text)
        {
            problem.get_or_insert(format!("reading {}: {error}", paths::PROVISIONED_SETTINGS));
        }
        // A container's own options; the kernel's are the host's.
        let own = std::fs::read_to_string(paths::CONTAINER);
        let command_line = own.or_else(|_| std::fs::read_to_string("/proc/cmdline")).unwrap_or_default();
        (Self { settings, command_line }, problem)
    }

    /// Value of a key on the kernel command line.
    pub(crate) fn option(&self, key: &str) -> Option<&str> {
        cmdline::value(&self.command_line, key)
    }

    /// A warning on this guest's consoles.
    pub(crate) fn warn(&self, message: &str) {
        console::warn(&self.settings.consoles, message);
    }
}

/// Seconds since the kernel's start.
pub(crate) fn uptime_seconds() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// A value of `/proc/meminfo` in KiB.
pub(crate) fn memory_kib(meminfo: &str, key: &str) -> Option<u64> {
    meminfo.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name == key).then(|| value.trim().trim_end_matches("kB").trim_end().parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn reads_meminfo() {
        let text =
            "MemTotal:         495616 kB\nMemFree:  1 kB\nMemAvailable:     436048 kB\nHugePages_Total:       0\n";
        assert_eq!(super::memory_kib(text, "MemAvailable"), Some(436_048));
        assert_eq!(super::memory_kib(text, "HugePages_Total"), Some(0));
        assert_eq!(super::memory_kib(text, "Mem"), None);
        assert_eq!(super::memory_kib("", "MemTotal"), None);
    }
}
