//! `distroctl ntp`: keeps the clock right, as a client of NTP servers (RFC 5905, the subset that a client needs). Servers are
//! those of the document, of `ip=` and of DHCP; nobody else is asked. Without servers the host's time is taken where a
//! hypervisor gives it.
//!
//! Small offsets are slewed, large ones stepped. When the machine was suspended or stopped, servers are asked at once, and
//! if none answers, the clock is set by what the RTC says has passed.
//!
//! Left out: being a server, authentication, leap seconds (the clock is slewed over them), statistics over many samples.

mod clock;
mod daemon;
mod exchange;
mod jump;
mod packet;
mod resolve;
#[cfg(test)]
mod tests;

use std::io::Read;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::process::ExitCode;

use anyhow::{Context, Result};
use contract::paths;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::guest::Guest;
use crate::network::{self, CommandLine};
use crate::{console, file, signals};
use clock::System;
use daemon::Daemon;

const PORT: u16 = 123;
/// No more servers are asked.
const MAX_SERVERS: usize = 4;

/// What the user has asked for.
struct Wanted {
    enabled: bool,
    servers: Vec<String>,
}

impl Wanted {
    /// From the document and the command line. A DHCP server's come later.
    fn read() -> Self {
        let text = std::fs::read_to_string(paths::CONFIG).unwrap_or_default();
        let ntp = document::Document::read(&text).ntp;
        let line = CommandLine::parse(&Guest::load().command_line);
        let servers = line.ntp.iter().map(ToString::to_string).chain(ntp.servers).collect();
        Self { enabled: ntp.enabled, servers }
    }

    /// With those of leases, each once.
    fn servers(&self) -> Vec<String> {
        let leased = network::all_leases().into_iter().flat_map(|lease| lease.ntp).map(|address| address.to_string());
        let mut servers: Vec<String> = Vec::new();
        for server in self.servers.iter().cloned().chain(leased) {
            if servers.len() < MAX_SERVERS && !servers.contains(&server) {
                servers.push(server);
            }
        }
        servers
    }
}

/// The service: runs until SIGTERM. SIGHUP reads the document again.
pub(crate) fn run() -> Result<ExitCode> {
    let requests = signals::requests().context("installing signal handlers")?;
    let mut wanted = Wanted::read();
    let mut daemon = Daemon::new(Box::new(System::open()), Box::new(lookup));
    loop {
        let wait = wanted.enabled.then(|| daemon.tick(&wanted.servers()));
        let timeout = wait.and_then(|wait| Timespec::try_from(wait).ok());
        let mut fds = [PollFd::from_borrowed_fd(requests.as_fd(), PollFlags::IN)];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(0) | Err(rustix::io::Errno::INTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(error).context("waiting"),
        }
        let mut signal = [0];
        match rustix::io::read(&requests, &mut signal) {
            Ok(1) if i32::from(signal[0]) == libc::SIGHUP => {
                wanted = Wanted::read();
                daemon.begin();
            }
            _ => break,
        }
    }
    daemon.end();
    Ok(ExitCode::SUCCESS)
}

/// `distroctl ntp status`: what the service has written last.
pub(crate) fn status() -> Result<ExitCode> {
    let state = file::first_line(paths::NTP_STATE);
    console::print(&format!("{}\n", if state.is_empty() { "not synchronized" } else { &state }))
}

fn lookup(servers: &[String]) -> Vec<SocketAddr> {
    let addresses = servers.iter().filter_map(|server| resolve::resolve(server, random).into_iter().next());
    addresses.map(|address| SocketAddr::new(address, PORT)).collect()
}

/// From the kernel; should that fail, what it cannot is known to others: answers are merely easier to forge.
fn random() -> u64 {
    let mut bytes = [0; 8];
    let result = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    if let Err(error) = result {
        console::log(&format!("reading /dev/urandom: {error}"));
    }
    u64::from_ne_bytes(bytes)
}
