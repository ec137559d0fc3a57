//! Running one command of a plan.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use quadlet::{Command, Plan, Step};

use super::cgroup;
use crate::console;

const PODMAN: &str = "/usr/bin/podman";
const LOOK: Duration = Duration::from_millis(50);

/// Whether a command may say that the service is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notify {
    Yes,
    No,
}

/// Starts a command with the plan's environment and folder.
pub(super) fn start(plan: &Plan, command: &Command, notify: Notify) -> Result<Child> {
    let (program, arguments) = command.argv.split_first().context("a command without a program")?;
    let mut child = std::process::Command::new(program);
    child.args(arguments).stdin(Stdio::null()).envs(plan.env.iter().map(|(name, value)| (name, value)));
    if notify == Notify::No {
        child.env_remove("NOTIFY_SOCKET");
    }
    if let Some(folder) = &plan.directory {
        child.current_dir(folder);
    }
    let group = if program == PODMAN { cgroup::shared() } else { None };
    let is_podman = program == PODMAN;
    // SAFETY: only system calls, on memory that exists before the fork; nothing is allocated or locked.
    unsafe {
        child.pre_exec(move || {
            if let Some(group) = &group {
                let file = libc::open(group.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
                if file >= 0 {
                    libc::write(file, c"0".as_ptr().cast(), 1);
                    libc::close(file);
                }
            }
            // It is not in the service's group, so it must not outlive the runner.
            if is_podman {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
            }
            Ok(())
        });
    }
    child.spawn().with_context(|| format!("starting {}", quadlet::words::join(&command.argv)))
}

/// Runs a command to its end; one that takes longer than `deadline` is killed.
///
/// # Errors
/// A failure, unless the command may fail.
pub(super) fn run(plan: &Plan, command: &Command, notify: Notify, deadline: Option<Instant>) -> Result<()> {
    let result = start(plan, command, notify).and_then(|mut child| wait(&mut child, deadline)).and_then(|status| {
        if status.success() {
            return Ok(());
        }
        bail!("{}: {}: {}", command.step.key(), describe(status), quadlet::words::join(&command.argv))
    });
    match result {
        Err(error) if command.may_fail => {
            console::log(&format!("{error:#}"));
            Ok(())
        }
        result => result,
    }
}

/// Runs all commands of a step.
pub(super) fn run_step(plan: &Plan, step: Step, notify: Notify, deadline: Option<Instant>) -> Result<()> {
    plan.commands
        .iter()
        .filter(|command| command.step == step)
        .try_for_each(|command| run(plan, command, notify, deadline))
}

fn wait(child: &mut Child, deadline: Option<Instant>) -> Result<ExitStatus> {
    let Some(deadline) = deadline else { return Ok(child.wait()?) };
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            bail!("the start takes too long");
        }
        std::thread::sleep(LOOK);
    }
}

/// `status 1`, `signal 9`.
pub(super) fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("status {code}"),
        (_, Some(signal)) => format!("signal {signal}"),
        _ => "unknown".into(),
    }
}
