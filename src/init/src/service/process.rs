//! Starting a service's process: session, cgroup, terminal or log, user, environment, socket.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use contract::paths;
use contract::service::{Readiness, Service};
use rustix::process::{Resource, Rlimit};
use rustix::termios::{InputModes, LocalModes, OptionalActions, OutputModes};

use super::{environment, listen, log, notify};
use crate::cgroup;
use crate::console;
use crate::sys;

/// Search path of every service.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Group that may write to terminals, `tty` on Debian.
const TTY_GID: u32 = 5;

/// Why nothing was started.
#[derive(Debug)]
pub(crate) enum NotStarted {
    /// The machine has no such terminal.
    NoTerminal,
    /// Starting failed; `again` says whether it may work later.
    Failed {
        /// The reason.
        error: io::Error,
        /// Whether it may work later.
        again: bool,
    },
}

impl From<io::Error> for NotStarted {
    fn from(error: io::Error) -> Self {
        let lasting =
            [libc::ENOENT, libc::EACCES, libc::ENOEXEC, libc::ENOTDIR, libc::EISDIR, libc::ELOOP, libc::EINVAL];
        let again = !error.raw_os_error().is_some_and(|number| lasting.contains(&number));
        Self::Failed { error, again }
    }
}

/// Starts the service's command and hands it the socket; gives its pid.
pub(crate) fn start(service: &Service, user_name: &str, socket: Option<&OwnedFd>) -> Result<i32, NotStarted> {
    spawn(service, &service.command, user_name, socket)
}

/// Starts the service's stop command, in the service's cgroup and log.
pub(crate) fn start_stop_command(service: &Service) -> Result<i32, NotStarted> {
    let mut stopper = service.clone();
    stopper.tty = None;
    stopper.uid = 0;
    spawn(&stopper, &service.stop_command, "root", None)
}

fn spawn(service: &Service, command: &[String], user_name: &str, socket: Option<&OwnedFd>) -> Result<i32, NotStarted> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(io::Error::from_raw_os_error(libc::EINVAL).into());
    };
    let mut child = Command::new(program);
    child.args(arguments).env_clear();
    child.envs([("PATH", PATH), ("HOME", &service.home), ("SHELL", "/bin/sh"), ("LANG", "C.UTF-8")]);
    child.envs([("USER", user_name), ("LOGNAME", user_name)]);
    match &service.tty {
        Some(tty) => {
            let terminal = open_terminal(tty, service.uid).ok_or(NotStarted::NoTerminal)?;
            child.env("TERM", if tty.starts_with("tty") && !tty.starts_with("ttyS") { "linux" } else { "vt220" });
            child.stdin(terminal.try_clone()?).stdout(terminal.try_clone()?).stderr(terminal);
        }
        None => {
            let log = log::open(&service.name)?;
            child.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        }
    }
    child.envs(environment::read(Path::new(paths::ENVIRONMENT)));
    child.envs(service.env.iter().map(|(key, value)| (key, value)));
    if service.ready == Readiness::Notify {
        child.env("NOTIFY_SOCKET", notify::path(&service.name));
    }
    let cgroup = cgroup::of_service(&service.name);
    if let Err(failure) = cgroup::limit(&service.name, &service.limits) {
        console::say(&failure.to_string());
    }
    let files = service.limits.nofile;
    let home = CString::new(service.home.as_str()).map_err(io::Error::from)?;
    let (uid, has_terminal) = (service.uid, service.tty.is_some());
    // SAFETY: the closure makes only system calls, on memory and descriptors that exist before the fork; it neither
    // allocates nor locks.
    unsafe {
        child.pre_exec(move || {
            sys::unblock_signals()?;
            libc::setsid();
            if has_terminal {
                sys::claim_terminal(0)?;
            }
            if let Some(cgroup) = &cgroup {
                libc::write(cgroup.as_raw_fd(), c"0".as_ptr().cast(), 1);
            }
            if files.is_some() {
                let limit = Rlimit { current: files, maximum: files };
                rustix::process::setrlimit(Resource::Nofile, limit)?;
            }
            if uid != 0 {
                sys::become_user(uid)?;
            }
            // A home folder that is missing is no reason not to start.
            if libc::chdir(home.as_ptr()) != 0 {
                libc::chdir(c"/".as_ptr());
            }
            Ok(())
        });
    }
    if let Some(socket) = socket {
        let hand_over = listen::hand_over(&child, socket, &service.name);
        // SAFETY: the closure allocates, which is safe after the fork of a process with one thread: nothing is locked.
        unsafe {
            child.pre_exec(hand_over);
        }
    }
    let pid = child.spawn()?.id();
    // PID 1 reaps every child by its pid, so the handle is not needed.
    Ok(pid.cast_signed())
}

/// Opens a terminal that has hardware behind it and puts it into the state a shell expects: what ran on it before may
/// have left it raw.
fn open_terminal(name: &str, uid: u32) -> Option<File> {
    if !console::has_hardware(name) {
        return None;
    }
    let flags = libc::O_NOCTTY | libc::O_NONBLOCK | libc::O_CLOEXEC;
    let terminal = OpenOptions::new().read(true).write(true).custom_flags(flags).open(format!("/dev/{name}")).ok()?;
    let mut modes = rustix::termios::tcgetattr(&terminal).ok()?;
    modes.input_modes |= InputModes::ICRNL | InputModes::IXON;
    modes.output_modes |= OutputModes::OPOST | OutputModes::ONLCR;
    modes.local_modes |= LocalModes::ISIG | LocalModes::ICANON | LocalModes::IEXTEN;
    modes.local_modes |= LocalModes::ECHO | LocalModes::ECHOE | LocalModes::ECHOK | LocalModes::ECHOCTL;
    let _ = rustix::termios::tcsetattr(&terminal, OptionalActions::Now, &modes);
    // As login(1) does: the user owns the terminal, nobody else reads it.
    let _ = std::os::unix::fs::fchown(&terminal, Some(uid), Some(TTY_GID));
    let _ = rustix::fs::fchmod(&terminal, rustix::fs::Mode::from_raw_mode(0o620));
    let blocking = rustix::fs::fcntl_getfl(&terminal).ok()? - rustix::fs::OFlags::NONBLOCK;
    rustix::fs::fcntl_setfl(&terminal, blocking).ok()?;
    Some(terminal)
}
