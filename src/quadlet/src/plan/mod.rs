//! What the guest runs: an entry of PID 1's service table for each unit, and what `distroctl quadlet run` does for it.

mod text;

use std::collections::{BTreeMap, BTreeSet};

use contract::service::{Limits, Readiness, Restart, Service};

use crate::convert::{Command, Step, Unit};
use crate::names::{Kind, stem, template};
use crate::problem::{Place, Problem, Severity};
use crate::relations::{self, Relations};
use crate::set::Loaded;
use crate::specifier::{Host, expand, variables};
use crate::time_span;
use crate::words::Rule;

/// The guest's program that runs a unit.
pub const RUNNER: &str = "/usr/bin/distroctl";
/// Longest name of a service.
const NAME_MAX: usize = 64;
/// No stop takes longer, whatever `infinity` says.
const STOP_MAX_SECS: u64 = 3600;
/// A container's time between its stop signal and SIGKILL, where nothing is said.
const CONTAINER_STOP_SECS: u64 = 10;
/// What podman needs besides.
const PODMAN_STOP_SECS: u64 = 30;
/// Services of the image that are ready before the first container starts.
const BEFORE_PODMAN: [&str; 4] = ["data-disk", "provision", "podman-setup", "podman"];
const BEFORE_OTHERS: [&str; 2] = ["data-disk", "provision"];

/// What a unit's life is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Main {
    /// It is done when its commands are.
    Once,
    /// It lives as long as its command.
    Command,
    /// It lives as long as the process whose id the command has left in this file.
    PidFile(String),
    /// It lives as long as anything that the command has left behind.
    Children,
}

/// What is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// PID 1's entry.
    pub service: Service,
    /// File of the unit.
    pub source: String,
    /// Its life.
    pub main: Main,
    /// The runner says that it is ready when the start commands are done.
    pub says_ready: bool,
    /// Environment of all commands.
    pub env: Vec<(String, String)>,
    /// Their working directory.
    pub directory: Option<String>,
    /// The commands, in the order they run in.
    pub commands: Vec<Command>,
    /// Services that start with it.
    pub starts: Vec<String>,
    /// Services whose stop or restart by hand takes it along.
    pub stops_with: Vec<String>,
    /// The start has so long.
    pub start_timeout_secs: Option<u64>,
}

/// All plans and what is wrong besides.
#[derive(Debug, Default)]
pub struct Plans {
    /// By name.
    pub plans: Vec<Plan>,
    /// In the order of files and lines; those of [`Loaded`] are among them.
    pub problems: Vec<Problem>,
}

/// Makes plans of the units. `known` are the services of the image.
pub fn plans(loaded: &Loaded, host: &Host, known: &[String]) -> Plans {
    let mut problems = loaded.problems.clone();
    let mut found: BTreeMap<&str, (&Unit, Relations)> = BTreeMap::new();
    for unit in &loaded.units {
        let is_template = template(stem(&unit.file_name)).is_some_and(|(_, instance)| instance.is_empty());
        if unit.kind == Kind::Timer || is_template {
            continue;
        }
        let taken = found.get(unit.service.as_str()).map(|(other, _)| other.file_name.as_str());
        match check_name(unit, known, taken).and_then(|()| relations::read(unit, &loaded.units, known, host)) {
            Ok(relations) => drop(found.insert(&unit.service, (unit, relations))),
            Err(problem) => problems.push(problem),
        }
    }
    remove_unsatisfied(&mut found, known, &mut problems);
    let starts: BTreeMap<String, BTreeSet<String>> =
        found.keys().map(|name| ((*name).to_owned(), started_by(name, &found))).collect();
    let at_boot = closure(found.iter().filter(|(_, (_, said))| said.at_boot).map(|(name, _)| *name), &starts);
    let mut plans = Vec::new();
    for (name, (unit, said)) in &found {
        let mut maker = Maker { unit, host, problems: &mut problems };
        match maker.plan() {
            Ok(mut plan) => {
                order(&mut plan, name, said, &found, known, maker.problems);
                plan.service.manual = !at_boot.contains(*name);
                plan.starts = starts.get(*name).into_iter().flatten().cloned().collect();
                let stops_with = said.requires.keys().chain(&said.part_of);
                plan.stops_with = stops_with.filter(|other| found.contains_key(other.as_str())).cloned().collect();
                plans.push(plan);
            }
            Err(problem) => problems.push(problem),
        }
    }
    // A plan that could not be made is no service that others could wait for.
    let names: BTreeSet<String> = plans.iter().map(|plan| plan.service.name.clone()).collect();
    for plan in &mut plans {
        let exists = |name: &String| names.contains(name) || known.contains(name);
        plan.service.after.retain(exists);
        plan.service.needs.retain(exists);
        plan.starts.retain(exists);
    }
    problems.sort_by(|a, b| (&a.place.file, a.place.line).cmp(&(&b.place.file, b.place.line)));
    problems.dedup();
    Plans { plans, problems }
}

fn check_name(unit: &Unit, known: &[String], taken: Option<&str>) -> Result<(), Problem> {
    let name = &unit.service;
    let place = unit.file.last(unit.kind.section(), "ServiceName").map_or(unit.file.place(), |entry| &entry.place);
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
    if name.is_empty() || name.len() > NAME_MAX || name.starts_with(['.', '-']) || !name.bytes().all(is_fine) {
        let text = format!("a service's name has up to {NAME_MAX} letters, digits, -, _, . and @, not {name:?}");
        return Err(Problem::error(place, text));
    }
    if known.contains(name) {
        return Err(Problem::error(
            place,
            format!("the image has a service {name} already; choose another ServiceName="),
        ));
    }
    match taken {
        Some(other) => Err(Problem::error(place, format!("{other} is the service {name} already"))),
        None => Ok(()),
    }
}

/// Units that require what there is not are none, nor are those that require them.
fn remove_unsatisfied(found: &mut BTreeMap<&str, (&Unit, Relations)>, known: &[String], problems: &mut Vec<Problem>) {
    loop {
        let missing = found.iter().find_map(|(name, (_, said))| {
            let exists = |other: &str| found.contains_key(other) || known.iter().any(|known| known == other);
            let (other, place) = said.requires.iter().find(|(other, _)| !exists(other))?;
            Some((*name, Problem::error(place, format!("requires {other}.service, which there is not"))))
        });
        let Some((name, problem)) = missing else { return };
        problems.push(problem);
        found.remove(name);
    }
}

/// What starts with a unit.
fn started_by(name: &str, found: &BTreeMap<&str, (&Unit, Relations)>) -> BTreeSet<String> {
    let Some((_, said)) = found.get(name) else { return BTreeSet::new() };
    let own = said.requires.keys().chain(&said.wants).filter(|other| found.contains_key(other.as_str())).cloned();
    let wanting =
        found.iter().filter(|(_, (_, said))| said.wanted_by.contains(name)).map(|(name, _)| (*name).to_owned());
    own.chain(wanting).collect()
}

fn closure<'a>(from: impl Iterator<Item = &'a str>, starts: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut left: Vec<String> = from.map(str::to_owned).collect();
    while let Some(name) = left.pop() {
        left.extend(starts.get(&name).into_iter().flatten().filter(|next| !reached.contains(*next)).cloned());
        reached.insert(name);
    }
    reached
}

/// Sets which services it waits for.
fn order(
    plan: &mut Plan,
    name: &str,
    said: &Relations,
    found: &BTreeMap<&str, (&Unit, Relations)>,
    known: &[String],
    problems: &mut Vec<Problem>,
) {
    let mut after = said.after.clone();
    after.extend(
        found.iter().filter(|(_, (_, other))| other.before.contains(name)).map(|(other, _)| (*other).to_owned()),
    );
    let is_podmans = found.get(name).is_some_and(|(unit, _)| unit.kind.is_podmans());
    let default: &[&str] = if is_podmans { &BEFORE_PODMAN } else { &BEFORE_OTHERS };
    after.extend(default.iter().map(|service| (*service).to_owned()));
    after.retain(|other| other != name && (found.contains_key(other.as_str()) || known.contains(other)));
    let (needs, after): (Vec<String>, Vec<String>) =
        after.into_iter().partition(|other| said.requires.contains_key(other));
    plan.service.needs = needs;
    plan.service.after = after;
    for other in said.before.iter().filter(|other| known.contains(other)) {
        let place = found.get(name).and_then(|(unit, _)| unit.file.last("Unit", "Before")).map(|entry| &entry.place);
        if let Some(place) = place {
            problems
                .push(Problem::warning(place, format!("Before={other}: services of the image do not wait for units")));
        }
    }
}

/// One unit on its way to a plan.
struct Maker<'a> {
    unit: &'a Unit,
    host: &'a Host,
    problems: &'a mut Vec<Problem>,
}

impl Maker<'_> {
    fn plan(&mut self) -> Result<Plan, Problem> {
        let unit = self.unit;
        let name = unit.service.as_str();
        let env = self.environment()?;
        let commands = self.commands(&env)?;
        let kind =
            unit.file.filled("Service", "Type").unwrap_or(if unit.kind == Kind::Service { "simple" } else { "" });
        let pid_file = unit.file.filled("Service", "PIDFile").map(|path| self.expand("PIDFile", path)).transpose()?;
        let (main, ready, says_ready) = match (kind, unit.kind) {
            ("oneshot", _) => (Main::Once, Readiness::Exit, false),
            ("notify", Kind::Container) => (Main::PidFile(format!("/run/{name}.conmon")), Readiness::Notify, false),
            ("notify", Kind::Kube) => (Main::Children, Readiness::Notify, false),
            ("notify" | "notify-reload", _) => (Main::Command, Readiness::Notify, false),
            ("forking", _) => (pid_file.map_or(Main::Children, Main::PidFile), Readiness::Notify, true),
            ("simple" | "exec", Kind::Service) => (Main::Command, Readiness::Started, false),
            (other, _) => return Err(self.error("Type", format!("invalid service Type '{other}'"))),
        };
        if !commands.iter().any(|command| command.step == Step::Start) {
            return Err(Problem::error(unit.file.place(), "no ExecStart="));
        }
        let mut service = Service::new(name, vec![RUNNER.into(), "quadlet".into(), "run".into(), name.into()]);
        service.stop_command = vec![RUNNER.into(), "quadlet".into(), "stop".into(), name.into()];
        service.home = "/root".into();
        service.ready = ready;
        service.restart = self.restart();
        service.restart_delay_ms = self.time("RestartSec")?.unwrap_or(0).min(STOP_MAX_SECS * 1000);
        service.stop_timeout_secs = self.stop_timeout_secs()?;
        service.limits = self.limits()?;
        let directory =
            unit.file.filled("Service", "WorkingDirectory").map(|path| self.expand("WorkingDirectory", path));
        let start = self.time("TimeoutStartSec")?.or(self.time("TimeoutSec")?).filter(|ms| *ms != 0 && *ms != u64::MAX);
        Ok(Plan {
            service,
            source: unit.file.place().file.to_string(),
            main,
            says_ready,
            env,
            directory: directory.transpose()?,
            commands,
            starts: Vec::new(),
            stops_with: Vec::new(),
            start_timeout_secs: start.map(|ms| ms.div_ceil(1000)),
        })
    }

    fn place(&self, key: &str) -> &Place {
        self.unit.file.last("Service", key).map_or(self.unit.file.place(), |entry| &entry.place)
    }

    fn error(&self, key: &str, text: impl Into<String>) -> Problem {
        Problem::error(self.place(key), text)
    }

    fn warn(&mut self, key: &str, text: impl Into<String>) {
        let problem = Problem { severity: Severity::Warning, ..self.error(key, text) };
        self.problems.push(problem);
    }

    fn expand(&self, key: &str, value: &str) -> Result<String, Problem> {
        expand(value, &self.unit.service, self.host).map_err(|text| self.error(key, format!("{key}: {text}")))
    }

    fn environment(&self) -> Result<Vec<(String, String)>, Problem> {
        let mut env: Vec<(String, String)> = Vec::new();
        for word in self.unit.file.words("Service", "Environment", Rule::Escapes)? {
            let word = self.expand("Environment", &word)?;
            let Some((name, value)) = word.split_once('=').filter(|(name, _)| !name.is_empty()) else {
                return Err(self.error("Environment", format!("Environment: not NAME=VALUE: {word}")));
            };
            env.retain(|(other, _)| other != name);
            env.push((name.to_owned(), value.to_owned()));
        }
        Ok(env)
    }

    /// The file's own commands, then podman's; specifiers and variables replaced.
    fn commands(&mut self, env: &[(String, String)]) -> Result<Vec<Command>, Problem> {
        let value = |name: &str| {
            let found = env.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone());
            found.or_else(|| (name == "HOME").then(|| "/root".to_owned()))
        };
        let finish = |argv: &[String], place: &Place| -> Result<Vec<String>, Problem> {
            let argv: Result<Vec<String>, String> =
                argv.iter().map(|word| expand(word, &self.unit.service, self.host)).collect();
            Ok(variables(&argv.map_err(|text| Problem::error(place, text))?, &value))
        };
        let mut commands = Vec::new();
        for step in Step::ALL {
            for entry in self.unit.file.all("Service", step.key()) {
                if step == Step::Start && self.unit.kind.is_podmans() {
                    let text = format!("ExecStart= is podman's own in a .{} file", self.unit.kind.extension());
                    return Err(Problem::error(&entry.place, text));
                }
                let line = entry.value.trim_start_matches(['-', '+', '!', ':']);
                let prefix = entry.value.get(..entry.value.len() - line.len()).unwrap_or_default();
                let argv =
                    crate::words::split(line, Rule::Escapes).map_err(|text| Problem::error(&entry.place, text))?;
                if argv.is_empty() || line.starts_with('@') {
                    return Err(Problem::error(&entry.place, format!("{}: no command that can be run", step.key())));
                }
                let argv = if prefix.contains(':') { argv } else { finish(&argv, &entry.place)? };
                commands.push(Command { step, may_fail: prefix.contains('-'), argv });
            }
            for command in self.unit.commands.iter().filter(|command| command.step == step) {
                let argv = finish(&command.argv, self.unit.file.place())?;
                commands.push(Command { argv, ..command.clone() });
            }
        }
        Ok(commands)
    }

    fn restart(&mut self) -> Restart {
        let word = self.unit.file.filled("Service", "Restart").unwrap_or("no");
        if let Some(restart) = Restart::from_word(word) {
            return restart;
        }
        let (restart, instead) = match word {
            "on-abnormal" | "on-abort" | "on-watchdog" => (Restart::OnFailure, "on-failure"),
            _ => (Restart::No, "no"),
        };
        self.warn("Restart", format!("Restart={word} is not supported, taken as {instead}"));
        restart
    }

    fn time(&self, key: &str) -> Result<Option<u64>, Problem> {
        let value = self.unit.file.filled("Service", key);
        value
            .map(|value| time_span::milliseconds(value).map_err(|text| self.error(key, format!("{key}: {text}"))))
            .transpose()
    }

    fn stop_timeout_secs(&self) -> Result<u32, Problem> {
        let secs = match self.time("TimeoutStopSec")?.or(self.time("TimeoutSec")?) {
            Some(ms) => ms.div_ceil(1000),
            None => {
                let own = self.unit.file.value("Container", "StopTimeout").and_then(|secs| secs.parse::<u64>().ok());
                own.unwrap_or(CONTAINER_STOP_SECS).saturating_add(PODMAN_STOP_SECS)
            }
        };
        Ok(u32::try_from(secs.clamp(1, STOP_MAX_SECS)).unwrap_or(u32::MAX))
    }

    fn limits(&self) -> Result<Limits, Problem> {
        let value = |key: &str| self.unit.file.filled("Service", key);
        let wrong = |key: &str, text: String| self.error(key, format!("{key}: {text}"));
        let number = |key: &str| -> Result<Option<u64>, Problem> {
            match value(key).filter(|value| *value != "infinity") {
                // `soft:hard`
                Some(text) => {
                    let last = text.rsplit(':').next().unwrap_or_default();
                    last.parse().map(Some).map_err(|_| wrong(key, format!("no number: {text:?}")))
                }
                None => Ok(None),
            }
        };
        let memory = match value("MemoryMax") {
            Some(text) => time_span::bytes(text).map_err(|text| wrong("MemoryMax", text))?,
            None => None,
        };
        // Two processors are 200 % (systemd.resource-control(5)).
        let cpu = value("CPUQuota").map(|text| {
            let percent = text.strip_suffix('%').and_then(|number| number.trim().parse::<u64>().ok());
            percent.filter(|percent| *percent > 0).ok_or_else(|| wrong("CPUQuota", format!("no percentage: {text:?}")))
        });
        Ok(Limits {
            nofile: number("LimitNOFILE")?,
            memory_mib: memory.map(|bytes| bytes.div_ceil(1 << 20).max(1)),
            pids: number("TasksMax")?,
            cpu_percent: cpu.transpose()?,
        })
    }
}

#[cfg(test)]
mod tests;
