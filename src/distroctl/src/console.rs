//! Where messages go. Standard error is the service's log; what the user must see goes to the consoles of the settings
//! and to the kernel log as well.

use std::io::Write;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};

use crate::container;

/// Prints a text to standard output; a reader that has gone away is no error.
pub(crate) fn print(text: &str) -> anyhow::Result<ExitCode> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error).context("writing standard output"),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Prints a part of a text that goes on; false if the reader has gone away.
pub(crate) fn print_on(text: &str) -> anyhow::Result<bool> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("writing standard output"),
    }
}

/// A line in the service's log.
pub(crate) fn log(message: &str) {
    let _ = writeln!(std::io::stderr(), "{message}");
}

/// A warning that the user must see: service log, kernel log and every console.
pub(crate) fn warn(consoles: &[String], message: &str) {
    log(&format!("warning: {message}"));
    if !container::is_one() {
        // "<6>": a level that a quiet kernel does not repeat on the console.
        let _ = std::fs::write("/dev/kmsg", format!("<6>distroctl: warning: {}\n", message.replace('\n', " ")));
    }
    remember(message);
    announce(consoles, &format!("warning: {message}"));
}

/// Keeps a warning for `distroctl status`: its first line, and no more of all than anybody reads.
fn remember(message: &str) {
    const ALL_BYTES: u64 = 16 << 10;
    let line = format!("{}\n", message.lines().next().unwrap_or_default());
    let Ok(mut file) = std::fs::File::options().create(true).append(true).open(contract::paths::WARNINGS) else {
        return;
    };
    if file.metadata().is_ok_and(|file| file.len() < ALL_BYTES) {
        let _ = file.write_all(line.as_bytes());
    }
}

/// Prints text on every console, each line as it is; in a container, whose terminals are the host's, in its log.
pub(crate) fn announce(consoles: &[String], text: &str) {
    let is_container = container::is_one();
    let text = match is_container {
        true => format!("{}\n", text.trim_end()),
        false => format!("\r\n{}\r\n", text.trim_end().replace('\n', "\r\n")),
    };
    let devices = if is_container { vec![container::LOG.into()] } else { devices(consoles) };
    for device in devices {
        if let Err(error) = write_terminal(&device, text.as_bytes()) {
            log(&format!("writing to {}: {error}", device.display()));
        }
    }
}

/// The consoles that this machine has, `/dev/console` if it has none of them.
fn devices(consoles: &[String]) -> Vec<PathBuf> {
    let present: Vec<PathBuf> =
        consoles.iter().map(|name| Path::new("/dev").join(name)).filter(|path| path.exists()).collect();
    if present.is_empty() { vec!["/dev/console".into()] } else { present }
}

/// Not blocking: a serial line with flow control and nobody behind it must not hold up the boot. A terminal takes a
/// short text in one write, so that nothing gets between; what does not fit follows.
fn write_terminal(device: &Path, mut text: &[u8]) -> rustix::io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let terminal = rustix::fs::open(device, flags, Mode::empty())?;
    while !text.is_empty() {
        match rustix::io::write(&terminal, text) {
            Ok(written) => text = text.get(written..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => {
                let second = Timespec { tv_sec: 1, tv_nsec: 0 };
                if poll(&mut [PollFd::from_borrowed_fd(terminal.as_fd(), PollFlags::OUT)], Some(&second))? == 0 {
                    return Err(rustix::io::Errno::TIMEDOUT);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
