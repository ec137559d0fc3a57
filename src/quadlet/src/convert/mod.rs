//! From a Quadlet file to a service: what podman's own generator (`podman-system-generator`, podman 5.4) makes of it, with
//! systemd or this distribution's PID 1 as the one that runs it.

mod build;
mod container;
mod image;
mod kube;
mod mapping;
mod network;
mod parts;
mod pod;
mod source;
mod volume;

use crate::argv::Argv;
use crate::names::{Kind, Names, service};
use crate::problem::{Place, Problem};
use crate::unit_file::UnitFile;
use crate::words::Rule;

/// Who runs the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// systemd: exactly what podman's generator writes, to compare with it.
    Systemd,
    /// PID 1 of this distribution: the container's output is the service's, its cgroup is below the service's, and its
    /// monitor's process id is in a file.
    Init,
}

/// What is known of the world besides the files.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// Who runs the services.
    pub manager: Manager,
    /// Whether a path is there (`AddDevice=-/dev/…`).
    pub exists: &'a dyn Fn(&str) -> bool,
}

/// When a command of a service runs; the keys of systemd.service(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// `ExecStartPre=`.
    StartPre,
    /// `ExecStart=`.
    Start,
    /// `ExecStartPost=`.
    StartPost,
    /// `ExecStop=`.
    Stop,
    /// `ExecStopPost=`.
    StopPost,
}

impl Step {
    /// All, in their order.
    pub const ALL: [Self; 5] = [Self::StartPre, Self::Start, Self::StartPost, Self::Stop, Self::StopPost];

    /// The key in `[Service]`.
    pub fn key(self) -> &'static str {
        match self {
            Self::StartPre => "ExecStartPre",
            Self::Start => "ExecStart",
            Self::StartPost => "ExecStartPost",
            Self::Stop => "ExecStop",
            Self::StopPost => "ExecStopPost",
        }
    }
}

/// A command of a service. Specifiers are still in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// When it runs.
    pub step: Step,
    /// A failure means nothing.
    pub may_fail: bool,
    /// Program and arguments.
    pub argv: Vec<String>,
}

/// What a file has become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Kind of the file.
    pub kind: Kind,
    /// Name of the file.
    pub file_name: String,
    /// Name of the service, without `.service`.
    pub service: String,
    /// What the file says, and what follows from it for `[Unit]` and `[Service]`.
    pub file: UnitFile,
    /// What podman is told; commands that the file itself names in `[Service]` are not among them.
    pub commands: Vec<Command>,
}

/// Converts one file. `starts` are services that start with it (containers of a pod).
pub(crate) fn convert(
    kind: Kind,
    file_name: &str,
    file: &UnitFile,
    names: &Names,
    starts: &[String],
    world: World<'_>,
) -> Result<Unit, Problem> {
    let mut conversion =
        Conversion { file, section: kind.section(), file_name, names, world, out: file.clone(), commands: Vec::new() };
    if kind.is_podmans() {
        conversion.begin();
    }
    match kind {
        Kind::Container => container::convert(&mut conversion)?,
        Kind::Volume => volume::convert(&mut conversion)?,
        Kind::Network => network::convert(&mut conversion)?,
        Kind::Pod => pod::convert(&mut conversion, starts)?,
        Kind::Image => image::convert(&mut conversion)?,
        Kind::Build => build::convert(&mut conversion)?,
        Kind::Kube => kube::convert(&mut conversion)?,
        Kind::Service | Kind::Timer => {}
    }
    let Conversion { out, commands, .. } = conversion;
    let service = service(kind, file_name, file);
    Ok(Unit { kind, file_name: file_name.to_owned(), service, file: out, commands })
}

/// A file on its way.
struct Conversion<'a> {
    file: &'a UnitFile,
    /// The file's own section.
    section: &'static str,
    file_name: &'a str,
    names: &'a Names,
    world: World<'a>,
    out: UnitFile,
    commands: Vec<Command>,
}

impl<'a> Conversion<'a> {
    /// What all kinds have.
    fn begin(&mut self) {
        if self.file.boolean("Quadlet", "DefaultDependencies").unwrap_or(true) {
            // So that images are not pulled before there is a network.
            self.out.add_first("Unit", "After", "network-online.target");
            self.out.add_first("Unit", "Wants", "network-online.target");
        }
        self.out.add("Unit", "SourcePath", self.path());
        self.out.add("Unit", "RequiresMountsFor", "%t/containers");
        if !self.file.has("Service", "SyslogIdentifier") {
            self.out.set("Service", "SyslogIdentifier", "%N");
        }
    }

    fn path(&self) -> String {
        self.file.place().file.to_string()
    }

    /// Where a key stands, or the file.
    fn place(&self, key: &str) -> &Place {
        self.file.last(self.section, key).map_or(self.file.place(), |entry| &entry.place)
    }

    fn error(&self, key: &str, text: impl Into<String>) -> Problem {
        Problem::error(self.place(key), text)
    }

    fn value(&self, key: &str) -> Option<&'a str> {
        self.file.value(self.section, key)
    }

    fn filled(&self, key: &str) -> Option<&'a str> {
        self.file.filled(self.section, key)
    }

    fn boolean(&self, key: &str) -> Option<bool> {
        self.file.boolean(self.section, key)
    }

    fn words(&self, key: &str, rule: Rule) -> Result<Vec<String>, Problem> {
        self.file.words(self.section, key, rule)
    }

    /// `podman` with what must come before its sub-command.
    fn podman(&self) -> Result<Argv, Problem> {
        let mut argv = Argv::default();
        argv.push(crate::argv::PODMAN);
        for entry in self.file.all(self.section, "ContainersConfModule") {
            argv.push(format!("--module={}", entry.value));
        }
        argv.extend(self.words("GlobalArgs", Rule::Escapes)?);
        Ok(argv)
    }

    fn command(&mut self, step: Step, argv: Argv) {
        self.commands.push(Command { step, may_fail: false, argv: argv.0 });
    }

    /// One that may fail.
    fn attempt(&mut self, step: Step, argv: Argv) {
        self.commands.push(Command { step, may_fail: true, argv: argv.0 });
    }

    /// Another unit must run first.
    fn needs(&mut self, service: &str) {
        self.out.add("Unit", "Requires", format!("{service}.service"));
        self.out.add("Unit", "After", format!("{service}.service"));
    }
}
