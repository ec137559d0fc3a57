//! Going down: services in reverse order of their dependencies, then every other process, then file systems, then the
//! machine. A second signal hurries; everything has a time limit.

use std::fs;
use std::time::Duration;

use contract::container::STOP_SIGNAL;
use rustix::system::RebootCommand;

use crate::console;
use crate::reap::{self, Reaped};
use crate::service::stop::{Stop, StopAction};
use crate::service::{ending, state};
use crate::supervisor::Supervisor;
use crate::{container, sys, unmount};

/// How the machine is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    /// Off.
    PowerOff,
    /// Started again.
    Reboot,
    /// Stopped, power on.
    Halt,
    /// In a container: ended, with a status that tells of a failure.
    Fail,
}

impl Leave {
    /// What a signal asks for: those of busybox's `poweroff`, `reboot` and `halt`, Ctrl-Alt-Del (SIGINT) and SIGPWR. In a
    /// container SIGTERM, which managers send, is no reboot: whether it starts again is their decision.
    pub(crate) fn from_signal(signal: i32, in_container: bool) -> Option<Self> {
        match signal {
            STOP_SIGNAL | libc::SIGTERM | libc::SIGINT if in_container => Some(Self::PowerOff),
            libc::SIGUSR2 | libc::SIGPWR => Some(Self::PowerOff),
            libc::SIGTERM | libc::SIGINT => Some(Self::Reboot),
            libc::SIGUSR1 => Some(Self::Halt),
            _ => None,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::PowerOff => "powering off",
            Self::Reboot => "rebooting",
            Self::Halt => "halting",
            Self::Fail => "ending after a failure",
        }
    }

    fn command(self) -> RebootCommand {
        match self {
            Self::PowerOff | Self::Fail => RebootCommand::PowerOff,
            Self::Reboot => RebootCommand::Restart,
            Self::Halt => RebootCommand::Halt,
        }
    }
}

/// Processes that belong to no service have this long after SIGTERM, and again after SIGKILL.
const OTHERS_MS: u64 = 3_000;
/// If writing to disks or unmounting hangs in the kernel, the machine leaves after this long without progress.
const STUCK_MS: u64 = 20_000;
/// And after this long even if something still trickles.
const WRITING_MS: u64 = 300_000;
/// How often it is said that writing goes on.
const SAY_MS: u64 = 10_000;

/// Takes everything down.
pub(crate) fn run(mut supervisor: Supervisor<'_>, leave: Leave) -> ! {
    let words = if container::is_one() && leave != Leave::Fail { "ending" } else { leave.words() };
    console::say(&format!("{words}: stopping services"));
    stop_services(&mut supervisor);
    end_others(&mut supervisor);
    if container::is_one() {
        unmount::own();
        std::process::exit(i32::from(leave == Leave::Fail))
    }
    supervisor.watchdog.leave(leave);
    let _ = sys::fork(|| {
        guard();
        console::say("writing to disks or unmounting takes too long, leaving without");
        let _ = rustix::system::reboot(leave.command());
    });
    console::step(format_args!("writing to disks"));
    rustix::fs::sync();
    unmount::all();
    rustix::fs::sync();
    console::say(leave.words());
    console::drain();
    loop {
        let _ = rustix::system::reboot(leave.command());
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Watches over the end from a process of its own; returns when there is nothing left to hope for.
fn guard() {
    let start_ms = console::now_ms();
    let mut patience = Patience::new(start_ms);
    let mut said_ms = start_ms;
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let unwritten = fs::read_to_string("/proc/meminfo").ok().and_then(|text| unwritten_kib(&text));
        let now_ms = console::now_ms();
        if patience.is_over(unwritten, now_ms) {
            return;
        }
        if let Some(kib) = unwritten
            && now_ms.saturating_sub(said_ms) >= SAY_MS
        {
            said_ms = now_ms;
            console::say(&format!("writing to disks, {} MiB to go", kib.div_ceil(1024)));
        }
    }
}

/// How long to wait for the disks: a slow one that makes progress keeps the machine, a stuck one does not.
#[derive(Debug)]
struct Patience {
    start_ms: u64,
    progress_ms: u64,
    unwritten_kib: Option<u64>,
}

impl Patience {
    fn new(now_ms: u64) -> Self {
        Self { start_ms: now_ms, progress_ms: now_ms, unwritten_kib: None }
    }

    /// Takes what is still to be written; true when there is no more waiting.
    fn is_over(&mut self, unwritten_kib: Option<u64>, now_ms: u64) -> bool {
        if let (Some(now), Some(before)) = (unwritten_kib, self.unwritten_kib)
            && now < before
        {
            self.progress_ms = now_ms;
        }
        self.unwritten_kib = unwritten_kib;
        now_ms.saturating_sub(self.progress_ms) >= STUCK_MS || now_ms.saturating_sub(self.start_ms) >= WRITING_MS
    }
}

/// `Dirty` and `Writeback` of `/proc/meminfo` (proc_meminfo(5)).
fn unwritten_kib(meminfo: &str) -> Option<u64> {
    let number = |key: &str| {
        let value = meminfo.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        value.split_whitespace().next()?.parse::<u64>().ok()
    };
    Some(number("Dirty")?.saturating_add(number("Writeback")?))
}

fn stop_services(supervisor: &mut Supervisor<'_>) {
    let limit_ms = u64::from(supervisor.context.settings.stop_timeout_secs).saturating_mul(1000);
    let mut stop = Stop::new(supervisor.table.units(), console::now_ms(), limit_ms);
    let mut commands: Vec<(i32, usize)> = Vec::new();
    // From now on nothing starts again: stop commands that ask a service which has ended must not wait for it.
    let ended: Vec<usize> =
        (0..).zip(supervisor.table.units()).filter(|(_, unit)| unit.pid.is_none()).map(|(index, _)| index).collect();
    ended.into_iter().for_each(|index| supervisor.close_socket(index));
    let mut has_more_ended = false;
    loop {
        loop {
            let actions = stop.due(console::now_ms());
            if actions.is_empty() {
                break;
            }
            for action in actions {
                act(supervisor, &mut stop, &mut commands, action);
            }
        }
        if stop.is_done() {
            return;
        }
        let now = console::now_ms();
        supervisor.watchdog.tend(now);
        let next = stop.next_ms().unwrap_or(u64::MAX).min(supervisor.watchdog.next_ms());
        supervisor.signals.wait(Some(if has_more_ended { 0 } else { next.saturating_sub(now) }));
        // Before the look at children, as the supervisor does it.
        let is_asked_again = supervisor.signals.take().is_some();
        has_more_ended = true;
        for _ in 0..reap::AT_A_TIME {
            let Reaped::Ended(pid, exit) = reap::next() else {
                has_more_ended = false;
                break;
            };
            if let Some(at) = commands.iter().position(|(command, _)| *command == pid) {
                let (_, index) = commands.swap_remove(at);
                stop.command_ended(index);
            } else if let Some((index, _)) = supervisor.table.ended(pid, exit, console::now_ms()) {
                stop.process_ended(index);
                supervisor.close_socket(index);
                supervisor.table.unit(index).into_iter().for_each(state::write);
            }
        }
        if is_asked_again {
            console::say("asked again: killing what still runs");
            stop.hurry(console::now_ms());
        }
    }
}

fn act(supervisor: &Supervisor<'_>, stop: &mut Stop, commands: &mut Vec<(i32, usize)>, action: StopAction) {
    let (StopAction::Command(index) | StopAction::Signal(index) | StopAction::Kill(index)) = action;
    let Some(unit) = supervisor.table.unit(index) else { return };
    match action {
        StopAction::Command(_) => match ending::command(&unit.service) {
            Some(pid) => commands.push((pid, index)),
            None => stop.command_ended(index),
        },
        StopAction::Signal(_) => ending::signal(unit),
        StopAction::Kill(_) => ending::kill(unit),
    }
}

/// Ends processes that belong to no service: SIGTERM, then SIGKILL.
fn end_others(supervisor: &mut Supervisor<'_>) {
    for signal in [libc::SIGTERM, libc::SIGKILL] {
        let _ = sys::kill(-1, signal);
        let _ = sys::kill(-1, libc::SIGCONT);
        let until = console::now_ms().saturating_add(OTHERS_MS);
        loop {
            let now = console::now_ms();
            supervisor.watchdog.tend(now);
            // Even while more and more end.
            if now >= until {
                break;
            }
            match reap::next() {
                Reaped::NoChildren => return,
                Reaped::Ended(..) => {}
                Reaped::None => {
                    supervisor.signals.wait(Some((until - now).min(100)));
                    let _ = supervisor.signals.take();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Leave, Patience, STOP_SIGNAL, unwritten_kib};

    #[test]
    fn a_container_is_stopped_and_not_rebooted() {
        let asked = |in_container| {
            [libc::SIGTERM, libc::SIGINT, STOP_SIGNAL, libc::SIGUSR2, libc::SIGHUP]
                .map(|signal| Leave::from_signal(signal, in_container))
        };
        let (off, reboot) = (Some(Leave::PowerOff), Some(Leave::Reboot));
        assert_eq!(asked(true), [off, off, off, off, None]);
        assert_eq!(asked(false), [reboot, reboot, None, off, None]);
    }

    #[test]
    fn waits_as_long_as_writing_goes_on() {
        let mut patience = Patience::new(1_000);
        // 10 MiB a second for a minute, then nothing.
        for second in 1..=60 {
            assert!(!patience.is_over(Some(700_000 - second * 10_000), 1_000 + second * 1_000), "{second}");
        }
        assert!(!patience.is_over(Some(10), 80_000));
        assert!(!patience.is_over(Some(10), 80_000 + 19_999));
        assert!(patience.is_over(Some(10), 80_000 + 20_000));
        // Growing is no progress.
        let mut patience = Patience::new(0);
        assert!((1..20).all(|second| !patience.is_over(Some(second), second * 1_000)));
        assert!(patience.is_over(Some(99), 20_000));
        // A trickle ends, too.
        let mut patience = Patience::new(0);
        assert!((1..300).all(|second| !patience.is_over(Some(1_000 - second), second * 1_000)));
        assert!(patience.is_over(Some(1), 300_000));
        let mut patience = Patience::new(0);
        assert!(!patience.is_over(None, 19_999));
        assert!(patience.is_over(None, 20_000));
    }

    #[test]
    fn reads_meminfo() {
        let text = "MemTotal: 9 kB\nDirty:               136 kB\nWriteback:             4 kB\nWritebackTmp:   7 kB\n";
        assert_eq!(unwritten_kib(text), Some(140));
        assert_eq!(unwritten_kib("Dirty: 1 kB\n"), None);
        assert_eq!(unwritten_kib("Dirty: x kB\nWriteback: 1 kB"), None);
    }
}
