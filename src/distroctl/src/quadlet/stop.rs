//! `distroctl quadlet stop NAME`: the stop command of a Quadlet service. It ends when the service's runner has: PID 1 kills
//! what is left then.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use contract::service::Status;
use quadlet::{Main, Step};
use rustix::process::{Pid, Signal};

use super::command::{self, Notify};
use super::{cgroup, plan_of, run};
use crate::console;

const LOOK: Duration = Duration::from_millis(50);

/// Runs the stop commands. How long that may take is PID 1's business.
pub(crate) fn stop(name: &str) -> Result<ExitCode> {
    let plan = plan_of(name)?;
    cgroup::enter(name);
    let runner = runner(name);
    let mut result = ExitCode::SUCCESS;
    for command in plan.commands.iter().filter(|command| command.step == Step::Stop) {
        if let Err(error) = command::run(&plan, command, Notify::No, None) {
            console::log(&format!("{error:#}"));
            result = ExitCode::FAILURE;
        }
    }
    if plan.main == Main::Command
        && let Some(pid) = read_pid(&std::fs::read_to_string(run::pid_file(name)).unwrap_or_default())
    {
        let _ = rustix::process::kill_process(pid, Signal::TERM);
    }
    if let Some(pid) = runner
        && result == ExitCode::SUCCESS
    {
        while is_runner(pid) {
            std::thread::sleep(LOOK);
        }
    }
    Ok(result)
}

fn read_pid(text: &str) -> Option<Pid> {
    text.trim().parse().ok().and_then(Pid::from_raw)
}

/// The runner's process.
fn runner(name: &str) -> Option<Pid> {
    let path = std::path::Path::new(contract::paths::SERVICE_STATE_DIR).join(name);
    let pid = Status::decode(&std::fs::read_to_string(path).ok()?)?.pid.and_then(Pid::from_raw)?;
    is_runner(pid).then_some(pid)
}

/// Whether it still is what it was: its number may be another's by now.
fn is_runner(pid: Pid) -> bool {
    let line = std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
    let mut words = line.split(|byte| *byte == 0);
    words.next().is_some_and(|program| program.ends_with(b"distroctl")) && words.next() == Some(b"quadlet")
}
