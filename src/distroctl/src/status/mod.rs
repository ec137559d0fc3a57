//! `distroctl status`: the machine at a glance.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use contract::{paths, service};

use crate::guest::{Guest, memory_kib, uptime_seconds};
use crate::{addresses, console, file};

/// Prints it; what cannot be found out is left out.
pub(crate) fn run() -> Result<ExitCode> {
    let guest = Guest::load();
    let uname = rustix::system::uname();
    let mut text = String::new();
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(text, "{key:<10} {value}");
    };
    line("system", &format!("{} {}", guest.settings.name, guest.settings.version));
    line("kernel", &uname.release().to_string_lossy());
    line("host", &uname.nodename().to_string_lossy());
    line("up", &duration(uptime_seconds() as u64));
    let ready = file::first_line(paths::READY);
    line("ready", if ready.is_empty() { "not yet" } else { &ready });
    let addresses = addresses::list().unwrap_or_default();
    if addresses.is_empty() {
        line("address", "none");
    }
    for address in &addresses {
        line("address", &format!("{} ({})", address.ip, address.interface));
    }
    line("memory", &memory(&std::fs::read_to_string("/proc/meminfo").unwrap_or_default()));
    line("data disk", &data_disk(&file::first_line(paths::DATA_STATE)));
    text.push('\n');
    text.push_str(&services());
    console::print(&text)
}

fn memory(meminfo: &str) -> String {
    let mib = |key| memory_kib(meminfo, key).unwrap_or(0) / 1024;
    format!("{} MiB available of {} MiB", mib("MemAvailable"), mib("MemTotal"))
}

fn data_disk(state: &str) -> String {
    let Some(device) = state.strip_prefix("device ") else {
        let reason = state.strip_prefix("none").unwrap_or("not looked for yet").trim();
        return format!("none: {reason}; everything is kept in RAM");
    };
    match rustix::fs::statvfs(paths::DATA_MOUNT) {
        Ok(size) => {
            let gib = |blocks: u64| (blocks * size.f_frsize) as f64 / f64::from(1 << 30);
            format!("{device}, {:.1} GiB free of {:.1} GiB", gib(size.f_bavail), gib(size.f_blocks))
        }
        Err(error) => format!("{device} ({error})"),
    }
}

/// The services in the order of their table, then those that only have a state.
fn services() -> String {
    let table = std::fs::read_to_string(paths::SERVICES).unwrap_or_default();
    let mut names: Vec<String> = service::decode(&table).0.into_iter().map(|service| service.name).collect();
    let folder = Path::new(paths::SERVICE_STATE_DIR);
    let mut others: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !names.contains(name))
        .collect();
    others.sort();
    names.extend(others);
    let mut text = String::from("services\n");
    for name in names {
        let state = std::fs::read_to_string(folder.join(&name)).unwrap_or_default();
        let _ = writeln!(text, "  {name:<20} {}", service_line(&state));
    }
    text
}

/// `ready`, `ready (2 restarts, last exit: status 1)`.
fn service_line(state: &str) -> String {
    let Some(status) = service::Status::decode(state) else { return "unknown".into() };
    let mut notes = Vec::new();
    match status.restarts {
        0 => {}
        1 => notes.push("1 restart".to_string()),
        restarts => notes.push(format!("{restarts} restarts")),
    }
    if let Some(exit) = status.exit
        && exit != service::Exit::Code(0)
    {
        notes.push(format!("last exit: {exit}"));
    }
    let state = status.state.as_str();
    if notes.is_empty() { state.into() } else { format!("{state} ({})", notes.join(", ")) }
}

fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::{data_disk, duration, memory, service_line};

    #[test]
    fn says_durations() {
        let texts: Vec<String> = [7, 67, 3600, 90061].into_iter().map(duration).collect();
        assert_eq!(texts, ["7 s", "1 min 7 s", "1 h 0 min", "1 d 1 h 1 min"]);
    }

    #[test]
    fn says_memory_and_disk() {
        assert_eq!(memory("MemTotal: 2048 kB\nMemAvailable: 1024 kB\n"), "1 MiB available of 2 MiB");
        assert_eq!(
            data_disk("none no file system labelled x"),
            "none: no file system labelled x; everything is kept in RAM"
        );
        assert_eq!(data_disk(""), "none: not looked for yet; everything is kept in RAM");
    }

    #[test]
    fn says_states_of_services() {
        assert_eq!(service_line("state ready\npid 7\nrestarts 0\nexit status 0\n"), "ready");
        assert_eq!(
            service_line("state backoff\nrestarts 2\nexit signal 9\n"),
            "backoff (2 restarts, last exit: signal 9)"
        );
        assert_eq!(service_line(""), "unknown");
    }
}
