//! The service table: written by the builder from the recipes' `[[service]]` entries, read by PID 1.
//!
//! One service is a `service NAME` line and the lines up to the next one. Multi-valued keys (`arg`, `env`, `need`, …)
//! repeat. Example:
//!
//! ```text
//! service podman
//! arg /usr/bin/podman
//! arg system
//! after data-disk
//! listen 0660 1000 /run/podman/podman.sock
//! restart always
//! ```

mod status;

use crate::fields::{Malformed, lines, number, push};
pub use status::{Exit, State, Status};

/// When a service counts as ready, so that those after it may start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Readiness {
    /// As soon as its process runs.
    #[default]
    Started,
    /// When its process has ended with status 0 (a one-shot step).
    Exit,
    /// When this path exists as a Unix socket that accepts a connection.
    Socket(String),
    /// When this path exists.
    File(String),
    /// When it says `READY=1` on the socket of its environment's `NOTIFY_SOCKET` (sd_notify(3)).
    Notify,
}

/// What happens when the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Restart {
    /// Nothing.
    No,
    /// Started again after a failure: status not 0, or a signal.
    OnFailure,
    /// Always started again.
    #[default]
    Always,
}

impl Restart {
    /// The word in the table and in recipes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::OnFailure => "on-failure",
            Self::Always => "always",
        }
    }

    /// The policy of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::No, Self::OnFailure, Self::Always].into_iter().find(|policy| policy.as_str() == word)
    }
}

/// A Unix stream socket that PID 1 makes before any service starts and hands to the service as descriptor 3, by the
/// protocol of sd_listen_fds(3): `LISTEN_FDS=1` and `LISTEN_PID`. It stays open when the service ends, so clients wait for
/// the next start instead of being refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Absolute path, in a folder that nobody but root writes to.
    pub path: String,
    /// Mode bits of the socket; who may write may connect.
    pub mode: u16,
    /// Its group; the owner is root.
    pub gid: u32,
}

/// What a service may take at most; `None`: no limit of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Open files of each of its processes (`RLIMIT_NOFILE`).
    pub nofile: Option<u64>,
    /// Memory of all its processes together, in MiB (`memory.max` of its cgroup).
    pub memory_mib: Option<u64>,
    /// Processes and threads (`pids.max` of its cgroup).
    pub pids: Option<u64>,
    /// Processor time of all its processes together, in percent of one processor (`cpu.max` of its cgroup).
    pub cpu_percent: Option<u64>,
}

/// Where PID 1 runs, for services that make sense only in one of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On a kernel of its own: what does the kernel's work there.
    Machine,
    /// In a container, whose kernel is somebody else's.
    Container,
}

impl Place {
    /// The word in the table and in recipes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Machine => "machine",
            Self::Container => "container",
        }
    }

    /// The place of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Machine, Self::Container].into_iter().find(|place| place.as_str() == word)
    }
}

/// One service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Name: lower-case letters, digits, `-`.
    pub name: String,
    /// Program (absolute path) and its arguments.
    pub command: Vec<String>,
    /// Additional environment.
    pub env: Vec<(String, String)>,
    /// Uid and gid it runs as; 0 is root.
    pub uid: u32,
    /// Home folder, also its working directory.
    pub home: String,
    /// Services that must be ready first. It is not started when one of them has failed for good.
    pub needs: Vec<String>,
    /// Services that must be ready, or have failed for good, first.
    pub after: Vec<String>,
    /// When it counts as ready. The socket of `listen` always accepts connections, so waiting for that one is the same as
    /// [`Readiness::Started`].
    pub ready: Readiness,
    /// Socket that it is handed.
    pub listen: Option<Listen>,
    /// Where it runs; `None`: everywhere. Where it does not, it counts as ready for those that wait for it.
    pub place: Option<Place>,
    /// What happens when its process ends.
    pub restart: Restart,
    /// At least so long passes between its end and the next start.
    pub restart_delay_ms: u64,
    /// It starts only when it is asked to.
    pub manual: bool,
    /// What it may take.
    pub limits: Limits,
    /// Terminal (without `/dev/`) it owns as controlling terminal; skipped if the machine has none such.
    pub tty: Option<String>,
    /// Run before the stop signal at shutdown.
    pub stop_command: Vec<String>,
    /// Signal number that asks it to end.
    pub stop_signal: i32,
    /// Seconds from the stop command or signal to SIGKILL.
    pub stop_timeout_secs: u32,
    /// Whether a failure for good opens the rescue shell; in a container it ends PID 1.
    pub required: bool,
}

impl Service {
    /// A service with the defaults of a recipe.
    pub fn new(name: impl Into<String>, command: Vec<String>) -> Self {
        Self {
            name: name.into(),
            command,
            env: Vec::new(),
            uid: 0,
            home: "/".into(),
            needs: Vec::new(),
            after: Vec::new(),
            ready: Readiness::default(),
            listen: None,
            place: None,
            restart: Restart::default(),
            restart_delay_ms: 0,
            manual: false,
            limits: Limits::default(),
            tty: None,
            stop_command: Vec::new(),
            stop_signal: SIGTERM,
            stop_timeout_secs: 10,
            required: false,
        }
    }
}

/// `SIGTERM` of the kernel's `asm/signal.h`.
pub const SIGTERM: i32 = 15;

/// The text of a table.
pub fn encode(services: &[Service]) -> String {
    let mut out = String::new();
    for service in services {
        push(&mut out, "service", &service.name);
        let repeat = |out: &mut String, key: &str, values: &[String]| {
            for value in values {
                push(out, key, value);
            }
        };
        repeat(&mut out, "arg", &service.command);
        for (key, value) in &service.env {
            push(&mut out, "env", format_args!("{key}={value}"));
        }
        push(&mut out, "uid", service.uid);
        push(&mut out, "home", &service.home);
        repeat(&mut out, "need", &service.needs);
        repeat(&mut out, "after", &service.after);
        match &service.ready {
            Readiness::Started => push(&mut out, "ready", "started"),
            Readiness::Exit => push(&mut out, "ready", "exit"),
            Readiness::Socket(path) => push(&mut out, "ready", format_args!("socket {path}")),
            Readiness::File(path) => push(&mut out, "ready", format_args!("file {path}")),
            Readiness::Notify => push(&mut out, "ready", "notify"),
        }
        if let Some(Listen { path, mode, gid }) = &service.listen {
            push(&mut out, "listen", format_args!("{mode:04o} {gid} {path}"));
        }
        if let Some(place) = service.place {
            push(&mut out, "where", place.as_str());
        }
        push(&mut out, "restart", service.restart.as_str());
        if service.restart_delay_ms != 0 {
            push(&mut out, "restart-delay-ms", service.restart_delay_ms);
        }
        if service.manual {
            push(&mut out, "manual", "");
        }
        let Limits { nofile, memory_mib, pids, cpu_percent } = service.limits;
        for (key, limit) in [
            ("limit-nofile", nofile),
            ("limit-memory-mib", memory_mib),
            ("limit-pids", pids),
            ("limit-cpu-percent", cpu_percent),
        ] {
            limit.into_iter().for_each(|limit| push(&mut out, key, limit));
        }
        if let Some(tty) = &service.tty {
            push(&mut out, "tty", tty);
        }
        repeat(&mut out, "stop-arg", &service.stop_command);
        push(&mut out, "stop-signal", service.stop_signal);
        push(&mut out, "stop-timeout-secs", service.stop_timeout_secs);
        if service.required {
            push(&mut out, "required", "");
        }
        out.push('\n');
    }
    out
}

/// Reads a table. Bad lines do not lose the rest: they come back beside what could be read.
pub fn decode(text: &str) -> (Vec<Service>, Vec<Malformed>) {
    let mut services: Vec<Service> = Vec::new();
    let mut problems = Vec::new();
    for (line, key, value) in lines(text) {
        if key == "service" {
            services.push(Service::new(value, Vec::new()));
            continue;
        }
        let Some(service) = services.last_mut() else {
            problems.push(Malformed { line, reason: format!("{key:?} before the first service") });
            continue;
        };
        if let Err(problem) = set(service, line, key, value) {
            problems.push(problem);
        }
    }
    (services, problems)
}

fn set(service: &mut Service, line: usize, key: &str, value: &str) -> Result<(), Malformed> {
    let malformed = |reason: String| Malformed { line, reason };
    match key {
        "arg" => service.command.push(value.into()),
        "env" => {
            let (name, value) = value.split_once('=').ok_or_else(|| malformed("env without =".into()))?;
            service.env.push((name.into(), value.into()));
        }
        "uid" => service.uid = number(line, key, value)?,
        "home" => service.home = value.into(),
        "need" => service.needs.push(value.into()),
        "after" => service.after.push(value.into()),
        "ready" => {
            service.ready = match value.split_once(' ') {
                None if value == "started" => Readiness::Started,
                None if value == "exit" => Readiness::Exit,
                None if value == "notify" => Readiness::Notify,
                Some(("socket", path)) => Readiness::Socket(path.into()),
                Some(("file", path)) => Readiness::File(path.into()),
                _ => return Err(malformed(format!("unknown readiness {value:?}"))),
            };
        }
        "listen" => {
            let wrong = || malformed(format!("expected an octal mode, a gid and a path, found {value:?}"));
            service.listen = Some(listen(value).ok_or_else(wrong)?);
        }
        "where" => {
            let unknown = || malformed(format!("unknown place {value:?}"));
            service.place = Some(Place::from_word(value).ok_or_else(unknown)?);
        }
        "restart" => {
            service.restart =
                Restart::from_word(value).ok_or_else(|| malformed(format!("unknown restart policy {value:?}")))?;
        }
        "restart-delay-ms" => service.restart_delay_ms = number(line, key, value)?,
        "manual" => service.manual = true,
        "limit-nofile" => service.limits.nofile = Some(number(line, key, value)?),
        "limit-memory-mib" => service.limits.memory_mib = Some(number(line, key, value)?),
        "limit-pids" => service.limits.pids = Some(number(line, key, value)?),
        "limit-cpu-percent" => service.limits.cpu_percent = Some(number(line, key, value)?),
        "tty" => service.tty = Some(value.into()),
        "stop-arg" => service.stop_command.push(value.into()),
        "stop-signal" => service.stop_signal = number(line, key, value)?,
        "stop-timeout-secs" => service.stop_timeout_secs = number(line, key, value)?,
        "required" => service.required = true,
        _ => return Err(malformed(format!("unknown key {key:?}"))),
    }
    Ok(())
}

fn listen(value: &str) -> Option<Listen> {
    let (mode, rest) = value.split_once(' ')?;
    let (gid, path) = rest.split_once(' ')?;
    let mode = u16::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o7777)?;
    Some(Listen { path: path.into(), mode, gid: gid.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::{Limits, Listen, Place, Readiness, Restart, Service, decode, encode};

    #[test]
    fn reads_what_it_writes() {
        let mut podman = Service::new("podman", vec!["/usr/bin/podman".into(), "system".into()]);
        podman.env = vec![("A".into(), "b=c".into())];
        podman.needs = vec!["x".into()];
        podman.after = vec!["y".into(), "z".into()];
        podman.ready = Readiness::Socket("/run/a b.sock".into());
        podman.listen = Some(Listen { path: "/run/a b.sock".into(), mode: 0o660, gid: 1000 });
        podman.restart = Restart::OnFailure;
        podman.stop_command = vec!["/bin/true".into(), "--x".into()];
        podman.stop_signal = 2;
        podman.required = true;
        let mut shell = Service::new("shell", vec!["/bin/sh".into()]);
        shell.tty = Some("ttyS0".into());
        shell.place = Some(Place::Machine);
        shell.uid = 1000;
        shell.ready = Readiness::Exit;
        let mut limited = Service::new("limited", vec!["/bin/x".into()]);
        limited.ready = Readiness::Notify;
        limited.restart_delay_ms = 1500;
        limited.manual = true;
        limited.limits = Limits { nofile: Some(64), memory_mib: None, pids: Some(5), cpu_percent: Some(250) };
        let services = vec![podman, shell, limited];
        let text = encode(&services);
        assert!(text.contains("\nlisten 0660 1000 /run/a b.sock\n"), "{text}");
        assert_eq!(decode(&text), (services, vec![]));
    }

    #[test]
    fn a_wrong_listen_line_is_none() {
        for value in ["", "660", "660 1000", "680 0 /a", "10000 0 /a", "660 core /a", "660 -1 /a"] {
            let (services, problems) = decode(&format!("service s\nlisten {value}\n"));
            assert_eq!((services[0].listen.as_ref(), problems.len()), (None, 1), "{value}");
        }
        let (services, _) = decode("service s\nlisten 600 0 /a\n");
        assert_eq!(services[0].listen, Some(Listen { path: "/a".into(), mode: 0o600, gid: 0 }));
    }

    #[test]
    fn a_bad_line_loses_only_itself() {
        let (services, problems) = decode("arg a\nservice s\narg /bin/s\nuid x\nready never\narg -f\nfoo\nwhere x\n");
        assert_eq!(services.len(), 1);
        assert_eq!(services[0].command, ["/bin/s", "-f"]);
        let lines: Vec<usize> = problems.iter().map(|problem| problem.line).collect();
        assert_eq!((lines, services[0].place), (vec![1, 4, 5, 7, 8], None));
    }
}
