//! The rescue shell: on every console that has hardware behind it. Leaving one of them goes on.

use std::fs::File;
use std::io::{self, Read};
use std::time::Duration;

use contract::service::Service;
use rustix::event::{PollFd, PollFlags};
use rustix::system::RebootCommand;

use crate::cgroup;
use crate::console;
use crate::container;
use crate::failure::Failure;
use crate::modules::{Lists, Loader};
use crate::power::Buttons;
use crate::reap::{self, Reaped};
use crate::service::process::{self, NotStarted};
use crate::shutdown::Leave;
use crate::signals::{Signals, timeout};
use crate::{sys, unmount};

const SHELL: &str = "/bin/sh";
const BUSYBOX: &str = "/bin/busybox";
/// A shell that ended sooner had no terminal to read from; nobody left it.
const LEFT_MS: u64 = 1_000;
/// How long the reason stays on the screen where nobody opens a shell.
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
    let _ = sys::fork(load_input_modules);
    let mut buttons = Buttons::new();
    let started_ms = console::now_ms();
    let mut shells = start(&console::usable());
    while !shells.is_empty() {
        signals.wait_or(buttons.fds(), None);
        if let Some(leave) = signals.take() {
            return Outcome::Leave(leave);
        }
        if buttons.pressed() {
            console::say("the power button was pressed");
            return Outcome::Leave(Leave::PowerOff);
        }
        reap_until_left(&mut shells, started_ms);
    }
    console::say("going on");
    Outcome::GoOn
}

/// Loads what the power button and USB keyboards need, which are modules on most kernels; nothing else has been loaded
/// before the services. In a process of its own, for a driver may hang. What is not there is no loss.
fn load_input_modules() {
    let lists = Lists::read();
    let command_line = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let mut loader = Loader::new(&lists, &command_line);
    for module in ["button", "evdev", "xhci_pci", "ehci_pci", "ohci_pci", "uhci_hcd", "usbhid", "hid_generic"] {
        if let Err(failure) = loader.load_for_device(module) {
            console::step(format_args!("{failure}"));
        }
    }
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

/// When [`last_resort`] opens shells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// When somebody presses Enter; otherwise the machine restarts. For the initramfs, where nothing runs yet.
    First,
    /// At once: services still run, and login shells read from the terminals.
    No,
}

/// Where PID 1 cannot go on: prints the reason, opens shells if there is one, restarts when they are left. Without a
/// shell, or somebody who wants it, the reason stays for a minute.
pub(crate) fn last_resort(reason: &str, ask: Ask) -> ! {
    if container::is_one() {
        container::fail(reason)
    }
    console::say(reason);
    console::say("hint: boot with `distro.verbose loglevel=7` to see more");
    if !std::path::Path::new(SHELL).exists() {
        console::say(&format!("init cannot go on and has no shell here; the machine restarts in {READ_SECS} s"));
        std::thread::sleep(Duration::from_secs(READ_SECS));
    } else if ask == Ask::No || is_shell_wanted() {
        console::say("init cannot go on; a rescue shell follows, `exit` restarts the machine, `poweroff -f` ends it");
        install_applets();
        serve_shells();
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

/// Waits until Enter is pressed on one of the consoles, or time is over.
fn is_shell_wanted() -> bool {
    console::say(&format!("init cannot go on: press Enter for a shell; restarting in {READ_SECS} s"));
    let mut terminals: Vec<File> = console::usable().iter().filter_map(|name| console::open_to_read(name)).collect();
    let until_ms = console::now_ms().saturating_add(READ_SECS * 1000);
    loop {
        let left_ms = until_ms.saturating_sub(console::now_ms());
        if left_ms == 0 {
            return false;
        }
        let mut fds: Vec<PollFd<'_>> = terminals.iter().map(|terminal| PollFd::new(terminal, PollFlags::IN)).collect();
        let _ = rustix::event::poll(&mut fds, timeout(Some(left_ms)).as_ref());
        let mut is_wanted = false;
        // One that gives an end of file is hung up: without it the others can still be waited for.
        terminals.retain_mut(|terminal| match terminal.read(&mut [0; 64]) {
            Ok(0) => false,
            Ok(_) => {
                is_wanted = true;
                true
            }
            Err(error) => matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
        });
        if is_wanted {
            return true;
        }
    }
}

/// The initramfs has busybox without the links to it that make its commands.
fn install_applets() {
    if std::path::Path::new("/bin/ls").exists() {
        return;
    }
    if let Err(error) = std::process::Command::new(BUSYBOX).args(["--install", "-s", "/bin"]).status() {
        console::say(&Failure::new("make links to", BUSYBOX, error).to_string());
    }
}

/// Opens the shells and waits until they are left.
fn serve_shells() {
    let started_ms = console::now_ms();
    let mut shells = start(&console::usable());
    if shells.is_empty() {
        console::say(&format!("no shell could be opened; the machine restarts in {READ_SECS} s"));
        std::thread::sleep(Duration::from_secs(READ_SECS));
    }
    while !shells.is_empty() {
        reap_until_left(&mut shells, started_ms);
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// If PID 1 itself is at fault, its user still gets a shell. Without this the kernel would panic.
pub(crate) fn open_on_panic(ask: Ask) {
    std::panic::set_hook(Box::new(move |panic| {
        if std::process::id() == 1 {
            last_resort(&format!("internal error, please report it: {panic}"), ask)
        }
    }));
}
