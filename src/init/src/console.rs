//! Messages: to the consoles of the settings and to the kernel log.
//!
//! Consoles are opened for each message, without waiting and without becoming their controlling process: a descriptor
//! kept open would be hung up when a login shell on it ends, and a stuck serial line must not stop PID 1.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::OnceLock;
use std::time::Duration;

use crate::service::log;
use crate::{container, sys};

struct Output {
    consoles: Vec<String>,
    verbose: bool,
}

static OUTPUT: OnceLock<Output> = OnceLock::new();

/// Says which terminals (without `/dev/`) get messages and whether steps are printed. Only the first call counts.
pub(crate) fn set_up(consoles: &[String], verbose: bool) {
    let _ = OUTPUT.set(Output { consoles: consoles.to_vec(), verbose });
}

/// A step, printed with the kernel clock if `distro.verbose` is given.
pub(crate) fn step(message: std::fmt::Arguments<'_>) {
    if OUTPUT.get().is_some_and(|output| output.verbose) {
        let now = now_ms();
        say(&format!("[{:4}.{:03}] {message}", now / 1000, now % 1000));
    }
}

/// A message for whoever looks at the console; each of its lines stands for itself.
pub(crate) fn say(message: &str) {
    message.lines().for_each(say_line);
}

fn say_line(message: &str) {
    let line = format!("init: {message}\n");
    if container::is_one() {
        // The kernel log and terminals are the host's: to the container's own log, and to where `distroctl logs` looks.
        let _ = std::io::stderr().write_all(line.as_bytes());
        if let Ok(mut log) = log::open("init") {
            let _ = log.write_all(format!("{message}\n").as_bytes());
        }
        return;
    }
    if let Some(mut log) = open("kmsg") {
        // Facility daemon, level debug: kept in the kernel log and not printed a second time by the kernel.
        let _ = log.write_all(format!("<31>{line}").as_bytes());
    }
    let mut printed = false;
    for console in OUTPUT.get().map(|output| output.consoles.as_slice()).unwrap_or_default() {
        printed |= open(console).is_some_and(|mut console| console.write_all(line.as_bytes()).is_ok());
    }
    if !printed && let Some(mut console) = open("console") {
        let _ = console.write_all(line.as_bytes());
    }
}

/// The terminals of the settings that have hardware behind them, without `/dev/`.
pub(crate) fn usable() -> Vec<String> {
    let consoles = OUTPUT.get().map(|output| output.consoles.as_slice()).unwrap_or_default();
    let mut usable: Vec<String> = consoles.iter().filter(|name| has_hardware(name)).cloned().collect();
    if usable.is_empty() {
        usable.push("console".into());
    }
    usable
}

/// Whether the terminal exists. `/dev/ttyS0` to `ttyS3` exist on every PC; `type` of `struct serial_struct` is 0
/// (`PORT_UNKNOWN`, `linux/serial_core.h`) where there is no port.
pub(crate) fn has_hardware(tty: &str) -> bool {
    let unknown = std::fs::read_to_string(format!("/sys/class/tty/{tty}/type")).is_ok_and(|kind| kind.trim() == "0");
    !unknown && std::path::Path::new("/dev").join(tty).exists()
}

/// Waits a moment until what was printed has left the machine.
pub(crate) fn drain() {
    if container::is_one() {
        return;
    }
    for console in usable() {
        let Some(console) = open(&console) else { continue };
        for _ in 0..25 {
            if sys::unsent_bytes(console.as_fd()) == 0 {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Milliseconds since the kernel started.
pub(crate) fn now_ms() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let (seconds, nanoseconds) = (now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs());
    seconds.saturating_mul(1000).saturating_add(nanoseconds / 1_000_000)
}

fn open(name: &str) -> Option<File> {
    let flags = libc::O_NOCTTY | libc::O_NONBLOCK | libc::O_CLOEXEC;
    OpenOptions::new().write(true).custom_flags(flags).open(format!("/dev/{name}")).ok()
}

/// A terminal to wait at for a key, without what was typed before.
pub(crate) fn open_to_read(name: &str) -> Option<File> {
    let flags = libc::O_NOCTTY | libc::O_NONBLOCK | libc::O_CLOEXEC;
    let terminal = OpenOptions::new().read(true).custom_flags(flags).open(format!("/dev/{name}")).ok()?;
    let _ = rustix::termios::tcflush(&terminal, rustix::termios::QueueSelector::IFlush);
    Some(terminal)
}
