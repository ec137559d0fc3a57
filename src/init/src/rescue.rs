//! The rescue shell: on every console that has hardware behind it. Leaving one of them goes on.

use std::time::Duration;

use contract::service::Service;
use rustix::system::RebootCommand;

use crate::cgroup;
use crate::console;
use crate::failure::Failure;
use crate::reap::{self, Reaped};
use crate::service::process::{self, NotStarted};
use crate::shutdown::Leave;
use crate::signals::Signals;
use crate::{sys, unmount};

const SHELL: &str = "/bin/sh";
/// A shell that ended sooner had no terminal to read from; nobody left it.
const LEFT_MS: u64 = 1_000;
/// How long the reason stays on the screen where there is no shell.
const READ_SECS: u64 = 60;

/// How the rescue ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The user left the shell.
    GoOn,
    /// The user asked for power off, reboot or halt.
    Leave(Leave),
}

/// Starts the shells on the given terminals; gives their pids.
pub(crate) fn start(terminals: &[String]) -> Vec<i32> {
    let start = |terminal: &String| {
        let mut shell = Service::new("rescue", vec![SHELL.into()]);
        shell.tty = Some(terminal.clone());
        shell.env = vec![("PS1".into(), "rescue:\\w# ".into())];
        match process::start(&shell, "root", None) {
            Ok(pid) => Some(pid),
            Err(NotStarted::NoTerminal) => None,
            Err(NotStarted::Failed { error, .. }) => {
                console::say(&Failure::new(format!("start a shell on {terminal},"), SHELL, error).to_string());
                None
            }
        }
    };
    terminals.iter().filter_map(start).collect()
}

/// Prints the reason, opens the shells and waits until one is left or all are gone.
pub(crate) fn run(reason: &str, signals: &Signals) -> Outcome {
    console::say(reason);
    console::say("a rescue shell follows; `exit` goes on with the start, `poweroff` and `reboot` work");
    let started_ms = console::now_ms();
    let mut shells = start(&console::usable());
    while !shells.is_empty() {
        signals.wait(None);
        if let Some(leave) = signals.take() {
            return Outcome::Leave(leave);
        }
        reap_until_left(&mut shells, started_ms);
    }
    console::say("going on");
    Outcome::GoOn
}

/// Reaps, and forgets shells that have ended; when one was left by its user, all of them.
fn reap_until_left(shells: &mut Vec<i32>, started_ms: u64) {
    while let Reaped::Ended(pid, _) = reap::next() {
        let count = shells.len();
        shells.retain(|&shell| shell != pid);
        if shells.len() < count && console::now_ms().saturating_sub(started_ms) >= LEFT_MS {
            close(shells);
            shells.clear();
        }
    }
}

/// Ends shells with all they have started.
fn close(shells: &[i32]) {
    for &shell in shells {
        let _ = sys::kill(-shell, libc::SIGKILL);
    }
    cgroup::kill("rescue");
}

/// Where PID 1 cannot go on: prints the reason, opens shells if the root has one, restarts when they are left. Without a
/// shell (in the initramfs) the reason stays for a minute.
pub(crate) fn last_resort(reason: &str) -> ! {
    console::say(reason);
    let started_ms = console::now_ms();
    let mut shells = Vec::new();
    if std::path::Path::new(SHELL).exists() {
        console::say("init cannot go on; a rescue shell follows, `exit` restarts the machine, `poweroff -f` ends it");
        shells = start(&console::usable());
    }
    if shells.is_empty() {
        console::say(&format!("init cannot go on and has no shell here; the machine restarts in {READ_SECS} s"));
        console::say("hint: boot with `distro.verbose loglevel=7` to see more");
        std::thread::sleep(Duration::from_secs(READ_SECS));
    }
    while !shells.is_empty() {
        reap_until_left(&mut shells, started_ms);
        std::thread::sleep(Duration::from_millis(200));
    }
    rustix::fs::sync();
    unmount::all();
    console::say("restarting");
    console::drain();
    loop {
        let _ = rustix::system::reboot(RebootCommand::Restart);
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// If PID 1 itself is at fault, its user still gets a shell. Without this the kernel would panic.
pub(crate) fn open_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        if std::process::id() == 1 {
            last_resort(&format!("internal error, please report it: {panic}"))
        }
    }));
}
