//! `distroctl network`: one busybox `udhcpc` for every wired interface with a carrier, for as long as the interface is there.
//! IPv6 addresses come from router advertisements, which the kernel handles.

mod interface;
mod lease;
mod resolv;
mod rtnetlink;
mod script;

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use contract::paths;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::console::log;
use crate::signals;
use client::Client;
use rtnetlink::{LinkEvents, RouteSocket};

pub(crate) use interface::wired;
pub(crate) use script::{leases, script};

mod client;

/// The name under which udhcpc runs this program.
pub(crate) const SCRIPT_NAME: &str = "udhcpc-script";

/// The service: runs until SIGTERM, then lets the clients give their leases back.
pub(crate) fn run() -> Result<ExitCode> {
    let stop = signals::stop_requests().context("installing signal handlers")?;
    let events = LinkEvents::open().context("listening for network interfaces")?;
    let script = install_script()?;
    script::publish_name_servers().unwrap_or_else(|error| log(&format!("{error:#}")));
    let mut clients: Vec<Client> = Vec::new();
    rescan(&mut clients);
    loop {
        let now = Instant::now();
        let next = clients.iter_mut().filter_map(|client| client.tend(&script, now)).min();
        let mut fds = vec![PollFd::from_borrowed_fd(stop.as_fd(), PollFlags::IN)];
        fds.push(PollFd::from_borrowed_fd(events.as_fd(), PollFlags::IN));
        fds.extend(clients.iter().filter_map(Client::exit_fd).map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        let timeout = next.and_then(|due| Timespec::try_from(due.saturating_duration_since(now)).ok());
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("waiting for events"),
        }
        let stopping = fds.first().is_some_and(|fd| !fd.revents().is_empty());
        if stopping {
            break;
        }
        if events.drain() {
            rescan(&mut clients);
        }
    }
    client::stop_all(clients);
    Ok(ExitCode::SUCCESS)
}

/// Compares the interfaces that are there with those that have a client.
fn rescan(clients: &mut Vec<Client>) {
    let interfaces = wired();
    let (kept, gone): (Vec<Client>, Vec<Client>) =
        std::mem::take(clients).into_iter().partition(|client| interfaces.iter().any(|found| client.is_for(found)));
    *clients = kept;
    for client in &gone {
        log(&format!("{}: gone", client.name()));
    }
    client::stop_all(gone);
    for interface in interfaces {
        match clients.iter_mut().find(|client| client.is_for(&interface)) {
            Some(client) => client.carrier(interface.carrier),
            None => {
                bring_up(&interface);
                clients.push(Client::new(interface));
            }
        }
    }
}

fn bring_up(interface: &interface::Interface) {
    log(&format!("{}: bringing it up", interface.name));
    // 2: router advertisements also on a machine that forwards, which one with containers does.
    let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{}/accept_ra", interface.name), "2");
    if let Err(error) = RouteSocket::open().and_then(|socket| socket.link_up(interface.index)) {
        log(&format!("{}: bringing it up: {error}", interface.name));
    }
}

/// udhcpc takes a program without arguments, so this program gets a second name.
fn install_script() -> Result<PathBuf> {
    let path = Path::new(paths::RUN_DIR).join(SCRIPT_NAME);
    let own = std::env::current_exe().context("finding this program's own path")?;
    std::fs::create_dir_all(paths::RUN_DIR).with_context(|| format!("making {}", paths::RUN_DIR))?;
    let _ = std::fs::remove_file(&path);
    std::os::unix::fs::symlink(&own, &path)
        .with_context(|| format!("linking {} to {}", path.display(), own.display()))?;
    Ok(path)
}

/// When to start a client again: soon after the first failure, ever later after the next ones.
fn back_off(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.min(5))
}

#[cfg(test)]
mod tests {
    #[test]
    fn backs_off() {
        let seconds: Vec<u64> = (0..8).map(|failures| super::back_off(failures).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 32, 32]);
    }
}
