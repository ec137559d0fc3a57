//! `distroctl status [--json]`: the machine at a glance.

mod json;
mod report;

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::Result;

use crate::{console, service};
pub(crate) use report::Report;

/// Prints it; what cannot be found out is left out.
pub(crate) fn run() -> Result<ExitCode> {
    console::print(&text())
}

/// The same for programs.
pub(crate) fn run_json() -> Result<ExitCode> {
    console::print(&json())
}

pub(crate) fn json() -> String {
    json::of(&Report::gather())
}

pub(crate) fn text() -> String {
    let report = Report::gather();
    let mut text = lines(&report);
    text.push_str("\nservices\n");
    for line in service::list(&report.services).lines() {
        let _ = writeln!(text, "  {line}");
    }
    text
}

/// Everything but the services: what the console shows, too.
pub(crate) fn lines(report: &Report) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(text, "{key:<10} {value}");
    };
    line("system", &format!("{} {}", report.name, report.version));
    line("kernel", &report.kernel);
    line("host", &report.host);
    line("up", &duration(report.up_seconds));
    line("ready", if report.ready.is_empty() { "not yet" } else { &report.ready });
    if report.addresses.is_empty() {
        line("address", "none");
    }
    for (interface, address) in &report.addresses {
        line("address", &format!("{address} ({interface})"));
    }
    for link in &report.links {
        line("link", &format!("{} {}{}", link.name, link.link, link.details));
        link.dns.iter().for_each(|server| line("dns", server));
    }
    if !report.clock.is_empty() {
        line("clock", &report.clock);
    }
    for (kind, fingerprint) in &report.host_keys {
        line("host key", &format!("{fingerprint} ({kind})"));
    }
    line("memory", &report.memory.describe());
    line("data disk", &report.data.describe());
    if let Some((name, state)) = &report.engine {
        line("engine", &format!("{name}: {state}"));
    }
    for problem in &report.problems {
        line("problem", problem);
    }
    text
}

pub(crate) fn duration(seconds: u64) -> String {
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
    use super::{Report, duration, json, lines};

    #[test]
    fn says_durations() {
        let texts: Vec<String> = [7, 67, 3600, 90061].into_iter().map(duration).collect();
        assert_eq!(texts, ["7 s", "1 min 7 s", "1 h 0 min", "1 d 1 h 1 min"]);
    }

    #[test]
    fn works_where_nothing_is_known() {
        let text = lines(&Report::gather());
        assert!(text.starts_with("system     mkdistro 0\n") && text.contains("\nready      not yet\n"), "{text}");
        let json = json();
        assert!(json.starts_with("{\"name\":\"mkdistro\",") && json.ends_with("]}\n"), "{json}");
    }
}
