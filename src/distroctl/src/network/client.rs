//! One DHCP client process and its life.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, set_parent_process_death_signal};

use super::back_off;
use super::interface::Interface;
use crate::console::log;

const BUSYBOX: &str = "/usr/bin/busybox";
/// Options that udhcpc does not ask for by itself.
const OPTIONS: [&str; 4] = ["ntpsrv", "staticroutes", "mtu", "search"];
/// A client that ran this long did not fail at start.
const STEADY: Duration = Duration::from_secs(60);
/// Time for giving leases back.
const STOP_LIMIT: Duration = Duration::from_secs(3);

/// An interface and its udhcpc, which runs once the interface has had a carrier.
pub(super) struct Client {
    interface: Interface,
    running: Option<Running>,
    /// When to start; `None` while it runs or has never had a carrier.
    due: Option<Instant>,
    failures: u32,
}

struct Running {
    child: Child,
    exit: OwnedFd,
    since: Instant,
}

impl Client {
    pub(super) fn new(interface: Interface) -> Self {
        let due = interface.carrier.then(Instant::now);
        Self { interface, running: None, due, failures: 0 }
    }

    pub(super) fn name(&self) -> &str {
        &self.interface.name
    }

    /// Whether it serves this interface; a renamed or replaced one is another.
    pub(super) fn serves(&self, interface: &Interface) -> bool {
        self.interface.index == interface.index && self.interface.name == interface.name
    }

    /// A descriptor that becomes readable when the client ends.
    pub(super) fn exit_fd(&self) -> Option<BorrowedFd<'_>> {
        self.running.as_ref().map(|running| running.exit.as_fd())
    }

    /// Tells of the carrier. When it comes back, the network may be another one: the client asks again.
    pub(super) fn carrier(&mut self, carrier: bool) {
        let came = carrier && !self.interface.carrier;
        self.interface.carrier = carrier;
        match &self.running {
            Some(running) if came => running.signal(Signal::USR1),
            None if came => self.due = Some(Instant::now()),
            _ => {}
        }
    }

    /// Collects a client that has ended and starts one that is due. Returns when to come again.
    pub(super) fn tend(&mut self, script: &Path, now: Instant) -> Option<Instant> {
        if let Some(running) = &mut self.running
            && let Ok(Some(status)) = running.child.try_wait()
        {
            if now.duration_since(running.since) >= STEADY {
                self.failures = 0;
            }
            let delay = back_off(self.failures);
            self.failures += 1;
            log(&format!(
                "{}: udhcpc ended ({status}), starting it again in {} s",
                self.interface.name,
                delay.as_secs()
            ));
            self.running = None;
            self.due = Some(now + delay);
        }
        if self.due.is_some_and(|due| due <= now) {
            match start(&self.interface.name, script) {
                Ok(running) => {
                    self.running = Some(running);
                    self.due = None;
                }
                Err(error) => {
                    log(&format!("{}: starting {BUSYBOX} udhcpc: {error}", self.interface.name));
                    self.failures += 1;
                    self.due = Some(now + back_off(self.failures));
                }
            }
        }
        self.due
    }
}

impl Running {
    fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            let _ = kill_process(pid, signal);
        }
    }
}

/// `-f`: stays in the foreground. `-R`: gives the lease back when it is asked to end. A discover each second, ten times,
/// then five seconds of rest, for ever.
fn start(interface: &str, script: &Path) -> std::io::Result<Running> {
    let mut command = Command::new(BUSYBOX);
    command.args(["udhcpc", "-f", "-R", "-T", "1", "-t", "10", "-A", "5", "-i", interface, "-s"]).arg(script);
    for option in OPTIONS {
        command.args(["-O", option]);
    }
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if !["", "(none)", "localhost"].contains(&name.as_str()) {
        command.arg("-x").arg(format!("hostname:{name}"));
    }
    // A client without its supervisor would fight with the next one's.
    // SAFETY: between fork and exec only one system call is made.
    unsafe { command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::TERM))?)) };
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::from(std::io::stderr().as_fd().try_clone_to_owned()?)).spawn()?;
    let pid = Pid::from_raw(child.id().cast_signed());
    let exit = pid.ok_or(rustix::io::Errno::SRCH).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()));
    match exit {
        Ok(exit) => Ok(Running { child, exit, since: Instant::now() }),
        Err(error) => {
            let _ = child.kill();
            let _ = child.wait();
            Err(error.into())
        }
    }
}

/// Ends clients: asks all, waits for all, kills those that are left.
pub(super) fn stop_all(clients: Vec<Client>) {
    let mut running: Vec<Running> = clients.into_iter().filter_map(|client| client.running).collect();
    running.iter().for_each(|client| client.signal(Signal::TERM));
    let limit = Instant::now() + STOP_LIMIT;
    while Instant::now() < limit && !running.is_empty() {
        running.retain_mut(|client| !matches!(client.child.try_wait(), Ok(Some(_)) | Err(_)));
        std::thread::sleep(Duration::from_millis(if running.is_empty() { 0 } else { 20 }));
    }
    for mut client in running {
        let _ = client.child.kill();
        let _ = client.child.wait();
    }
}
