//! The machine's state as data: `status` prints it, the console shows it, `--json` writes it.

use std::path::Path;

use contract::paths;

use crate::guest::{Guest, memory_kib, uptime_seconds};
use crate::service::{self, Known};
use crate::{addresses, containers, file, network, provision};

/// Warnings that are shown.
const WARNINGS: usize = 5;

/// Everything that can be found out; what cannot is empty.
pub(crate) struct Report {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) user: String,
    pub(crate) kernel: String,
    pub(crate) host: String,
    pub(crate) up_seconds: u64,
    /// The READY line; empty before.
    pub(crate) ready: String,
    /// Interface and address.
    pub(crate) addresses: Vec<(String, String)>,
    pub(crate) links: Vec<network::Summary>,
    /// What the NTP client says.
    pub(crate) clock: String,
    /// Type and fingerprint.
    pub(crate) host_keys: Vec<(String, String)>,
    pub(crate) memory: Memory,
    pub(crate) data: DataDisk,
    /// The engine's service and its state, if there is one.
    pub(crate) engine: Option<(String, String)>,
    pub(crate) services: Vec<Known>,
    pub(crate) problems: Vec<String>,
}

/// In KiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) total: u64,
    pub(crate) available: u64,
    pub(crate) swap_total: u64,
    pub(crate) swap_free: u64,
}

/// What became of the data disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DataDisk {
    /// Mounted: device, whether it cannot be written, size and free bytes.
    Mounted { device: String, is_read_only: bool, size: u64, free: u64 },
    /// Not there, and why.
    None(String),
}

impl Report {
    /// As of now.
    pub(crate) fn gather() -> Self {
        let guest = Guest::load_quietly();
        let uname = rustix::system::uname();
        let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let services = service::all();
        let data = DataDisk::of(&file::first_line(paths::DATA_STATE));
        let warnings = std::fs::read_to_string(paths::WARNINGS).unwrap_or_default();
        let mut problems = problems(&services, &data, &warnings);
        let told: Vec<String> = provision::problems().into_iter().filter(|line| !problems.contains(line)).collect();
        problems.extend(told);
        problems.extend(containers::problems());
        Self {
            kernel: uname.release().to_string_lossy().into_owned(),
            host: uname.nodename().to_string_lossy().into_owned(),
            up_seconds: uptime_seconds() as u64,
            ready: file::first_line(paths::READY),
            addresses: addresses::list()
                .unwrap_or_default()
                .into_iter()
                .filter(|address| is_of_host(&address.interface))
                .map(|address| (address.interface, address.ip.to_string()))
                .collect(),
            links: network::summaries(),
            clock: file::first_line(paths::NTP_STATE),
            host_keys: host_keys(&std::fs::read_to_string(paths::HOST_KEY_FINGERPRINTS).unwrap_or_default()),
            memory: Memory::of(&meminfo),
            data,
            engine: engine(&services),
            services,
            problems,
            name: guest.settings.name,
            version: guest.settings.version,
            user: guest.settings.user,
        }
    }
}

/// Not a container's: those are bridges and their ends.
fn is_of_host(interface: &str) -> bool {
    let is_bridge = Path::new("/sys/class/net").join(interface).join("bridge").exists();
    !(is_bridge && (interface.starts_with("podman") || interface.starts_with("docker") || interface.starts_with("br-")))
        && !interface.starts_with("veth")
}

fn host_keys(text: &str) -> Vec<(String, String)> {
    text.lines().filter_map(|line| line.split_once(' ')).map(|(kind, print)| (kind.into(), print.into())).collect()
}

fn engine(services: &[Known]) -> Option<(String, String)> {
    let found = services.iter().find(|known| matches!(known.name.as_str(), "podman" | "docker" | "dockerd"))?;
    Some((found.name.clone(), found.describe()))
}

fn problems(services: &[Known], data: &DataDisk, warnings: &str) -> Vec<String> {
    let mut problems: Vec<String> = services
        .iter()
        .filter(|known| known.is_problem())
        .map(|known| format!("{}: {}", known.name, known.describe()))
        .collect();
    if let DataDisk::Mounted { device, is_read_only: true, .. } = data {
        problems.push(format!("data disk {device} is read-only: see \"distroctl disk repair\""));
    }
    let mut last: Vec<&str> = Vec::new();
    for line in warnings.lines().rev() {
        if last.len() < WARNINGS && !last.contains(&line) {
            last.push(line);
        }
    }
    problems.extend(last.into_iter().rev().map(String::from));
    problems
}

impl Memory {
    fn of(meminfo: &str) -> Self {
        let kib = |key| memory_kib(meminfo, key).unwrap_or(0);
        Self {
            total: kib("MemTotal"),
            available: kib("MemAvailable"),
            swap_total: kib("SwapTotal"),
            swap_free: kib("SwapFree"),
        }
    }

    pub(crate) fn describe(&self) -> String {
        let mut text = format!("{} MiB available of {} MiB", self.available / 1024, self.total / 1024);
        if self.swap_total > 0 {
            let used = self.swap_total.saturating_sub(self.swap_free);
            text.push_str(&format!(", swap {} MiB used of {} MiB", used / 1024, self.swap_total / 1024));
        }
        text
    }
}

impl DataDisk {
    /// Of the line in [`paths::DATA_STATE`].
    fn of(state: &str) -> Self {
        let Some(device) = state.strip_prefix("device ") else {
            let reason = state.strip_prefix("none").unwrap_or("not looked for yet").trim();
            return Self::None(reason.into());
        };
        let (device, is_read_only) = device.strip_suffix(" read-only").map_or((device, false), |device| (device, true));
        let found = rustix::fs::statvfs(paths::DATA_MOUNT);
        let bytes = |blocks: u64, size: u64| blocks.saturating_mul(size);
        let (size, free) = found
            .map_or((0, 0), |found| (bytes(found.f_blocks, found.f_frsize), bytes(found.f_bavail, found.f_frsize)));
        Self::Mounted { device: device.into(), is_read_only, size, free }
    }

    pub(crate) fn describe(&self) -> String {
        match self {
            Self::None(reason) => format!("none: {reason}; everything is kept in RAM"),
            Self::Mounted { device, is_read_only, size, free } => {
                let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
                let access = if *is_read_only { " (read-only)" } else { "" };
                format!("{device}{access}, {:.1} GiB free of {:.1} GiB", gib(*free), gib(*size))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use contract::service::Status;

    use super::{DataDisk, Known, Memory, host_keys, problems};

    #[test]
    fn says_memory_and_disk() {
        let memory = Memory::of("MemTotal: 2048 kB\nMemAvailable: 1024 kB\n");
        assert_eq!(memory.describe(), "1 MiB available of 2 MiB");
        let memory = Memory { swap_total: 4096, swap_free: 1024, ..memory };
        assert_eq!(memory.describe(), "1 MiB available of 2 MiB, swap 3 MiB used of 4 MiB");
        let none = DataDisk::of("none no file system labelled x").describe();
        assert_eq!(none, "none: no file system labelled x; everything is kept in RAM");
        assert_eq!(DataDisk::of("").describe(), "none: not looked for yet; everything is kept in RAM");
        let disk = DataDisk::Mounted { device: "/dev/vda".into(), is_read_only: true, size: 2 << 30, free: 1 << 30 };
        assert_eq!(disk.describe(), "/dev/vda (read-only), 1.0 GiB free of 2.0 GiB");
        assert!(matches!(DataDisk::of("device /dev/vda read-only"), DataDisk::Mounted { is_read_only: true, .. }));
    }

    #[test]
    fn names_problems_once() {
        let known = |name: &str, text: &str| Known { name: name.into(), service: None, status: Status::decode(text) };
        let services = [known("a", "state ready"), known("b", "state failed\nexit status 1")];
        let found = problems(&services, &DataDisk::None(String::new()), "w1\nw2\nw1\n");
        assert_eq!(found, ["b: failed (last exit: status 1)", "w2", "w1"]);
        assert_eq!(host_keys("ssh-ed25519 SHA256:x\nbad\n"), [("ssh-ed25519".into(), "SHA256:x".into())]);
    }
}
