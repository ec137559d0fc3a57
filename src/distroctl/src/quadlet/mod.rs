//! `distroctl quadlet`: Quadlet files become services of PID 1's. The crate `quadlet` reads them; here they are found, their
//! services are made known, and `quadlet run` and `quadlet stop` are what PID 1 starts for them.

mod cgroup;
mod command;
mod find;
mod output;
pub(crate) mod relations;
mod run;
mod stop;

use std::fmt::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use contract::control::{OK, Request, Verb};
use contract::paths::{ADDED_SERVICES, QUADLET_DIR, QUADLET_SOURCES, SERVICES, TIMERS};
use contract::service;
use quadlet::timer::{self, Timer};
use quadlet::{Host, Manager, Plan, Plans, Severity, World, load, plans, words};

pub(crate) use run::run;
pub(crate) use stop::stop;

use crate::guest::Guest;
use crate::{console, file};

/// PID 1's service that runs timers, if there are any.
const TIMERS_SERVICE: &str = "timers";

/// Reads the files, makes the services known and asks PID 1 to take them over. Files that are wrong do not keep the others.
pub(crate) fn generate() -> Result<ExitCode> {
    let (made, timers) = read();
    let guest = Guest::load_quietly();
    for problem in &made.problems {
        match problem.severity {
            Severity::Error => guest.warn(&format!("no service: {problem}")),
            Severity::Warning => console::log(&problem.to_string()),
        }
    }
    publish(&made.plans, &timers).context("making services of Quadlet files")?;
    let answer = crate::service::request(&Request { verb: Verb::Reload, service: "" })
        .with_context(|| format!("asking PID 1 at {} to reload", contract::paths::CONTROL))?;
    if answer != OK {
        bail!("PID 1 does not take the services: {}", answer.strip_prefix("error ").unwrap_or(&answer));
    }
    console::log(&format!("{} services of Quadlet files", made.plans.len()));
    let failed = made.problems.iter().any(|problem| problem.severity == Severity::Error);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Prints what would be run.
pub(crate) fn dry_run() -> Result<ExitCode> {
    let (made, timers) = read();
    made.problems.iter().for_each(|problem| console::log(&problem.to_string()));
    console::print(&describe(&made.plans))?;
    console::print(&timer::encode(&timers))?;
    let failed = made.problems.iter().any(|problem| problem.severity == Severity::Error);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn read() -> (Plans, Vec<Timer>) {
    let folders: Vec<PathBuf> = QUADLET_SOURCES.iter().map(PathBuf::from).collect();
    let (sources, mut problems) = find::all(&folders);
    let world = World { manager: Manager::Init, exists: &|path| Path::new(path).exists() };
    let loaded = load(&sources, world);
    let table = std::fs::read_to_string(SERVICES).unwrap_or_default();
    let known: Vec<String> = service::decode(&table).0.into_iter().map(|service| service.name).collect();
    let host = Host {
        name: file::first_line("/proc/sys/kernel/hostname"),
        machine_id: file::first_line("/etc/machine-id"),
        boot_id: file::first_line("/proc/sys/kernel/random/boot_id").replace('-', ""),
        kernel: file::first_line("/proc/sys/kernel/osrelease"),
    };
    let mut made = plans(&loaded, &host, &known);
    problems.append(&mut made.problems);
    let is_service =
        |name: &str| made.plans.iter().any(|plan| plan.service.name == name) || known.iter().any(|known| known == name);
    let (timers, more) = timer::timers(&loaded, &host, &is_service);
    problems.extend(more);
    (Plans { problems, ..made }, timers)
}

fn describe(plans: &[Plan]) -> String {
    let mut text = String::new();
    for plan in plans {
        let service = &plan.service;
        let start = if service.manual { "by hand" } else { "at boot" };
        let _ = writeln!(text, "{} ({}), {start}", service.name, plan.source);
        for (what, names) in [("needs", &service.needs), ("after", &service.after), ("starts", &plan.starts)] {
            if !names.is_empty() {
                let _ = writeln!(text, "    {what}: {}", names.join(" "));
            }
        }
        for command in &plan.commands {
            let sign = if command.may_fail { "-" } else { "" };
            let _ = writeln!(text, "    {}={sign}{}", command.step.key(), words::join(&command.argv));
        }
    }
    text
}

/// The plans come first: PID 1 may start a service as soon as it knows it. What is gone leaves its plan behind, by which it
/// is stopped.
fn publish(plans: &[Plan], timers: &[Timer]) -> Result<()> {
    let folder = Path::new(QUADLET_DIR);
    let make = std::fs::DirBuilder::new().recursive(true).mode(0o755).create(folder);
    make.with_context(|| format!("making {QUADLET_DIR}"))?;
    for plan in plans {
        // Not everybody's: environments may hold passwords.
        file::replace(&folder.join(&plan.service.name), plan.encode().as_bytes(), 0o600, None)?;
    }
    relations::publish(plans)?;
    file::replace(Path::new(TIMERS), timer::encode(timers).as_bytes(), 0o644, None)?;
    let mut services: Vec<service::Service> = plans.iter().map(|plan| plan.service.clone()).collect();
    if !timers.is_empty() && services.iter().all(|service| service.name != TIMERS_SERVICE) {
        let command = [quadlet::RUNNER, "timers", "run"].map(str::to_owned).into();
        services.push(service::Service::new(TIMERS_SERVICE, command));
    }
    file::replace(Path::new(ADDED_SERVICES), service::encode(&services).as_bytes(), 0o644, None)
}

/// The plan of a service.
fn plan_of(name: &str) -> Result<Plan> {
    if !contract::control::is_service_name(name) {
        bail!("no service can be called {name:?}");
    }
    let path = Path::new(QUADLET_DIR).join(name);
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let service = service::Service::new(name, Vec::new());
    Plan::decode(service, &text).map_err(|reason| anyhow::anyhow!("reading {}: {reason}", path.display()))
}
