//! The service itself: compares what there is with what the document wants, at the start and whenever the kernel tells of a
//! change.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use contract::{cmdline, paths};
use document::network::{Cidr, Interface as Entry, Network, Others, Route};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::advertised::Advertised;
use super::client::{self, Client};
use super::command_line::CommandLine;
use super::interface::Interface;
use super::lease::Lease;
use super::links::Links;
use super::rtnetlink::{Events, RouteSocket, UserOptions};
use super::source::{self, Source};
use super::{SCRIPT_NAME, firewall, interface};
use crate::console::log;
use crate::guest::Guest;
use crate::{file, hostname, signals};

/// What is wanted.
#[derive(Default)]
pub(super) struct Wanted {
    network: Network,
    /// For the first wired interface that no entry is for.
    first: Option<Entry>,
}

/// What is.
#[derive(Default)]
pub(super) struct Service {
    wanted: Wanted,
    links: Links,
    settled: Vec<Interface>,
    clients: Vec<Client>,
    advertised: Advertised,
}

/// Runs until SIGTERM, then lets the DHCP clients give their leases back. SIGHUP reads the document again.
pub(super) fn run() -> Result<()> {
    let requests = signals::requests().context("installing signal handlers")?;
    let events = Events::open().context("listening for network interfaces")?;
    let script = install_script()?;
    let mut service = Service::default();
    service.inherit();
    service.reload();
    loop {
        let now = Instant::now();
        let next = service.clients.iter_mut().filter_map(|client| client.tend(&script, now)).min();
        let next = next.into_iter().chain(service.advertised.next()).min();
        let exits: Vec<_> = service.clients.iter().filter_map(Client::exit_fd).collect();
        let mut fds = vec![PollFd::from_borrowed_fd(requests.as_fd(), PollFlags::IN)];
        fds.push(PollFd::from_borrowed_fd(events.as_fd(), PollFlags::IN));
        fds.extend(exits.into_iter().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        let timeout = next.and_then(|due| Timespec::try_from(due.saturating_duration_since(now)).ok());
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("waiting for events"),
        }
        let requested = fds.first().is_some_and(|fd| !fd.revents().is_empty());
        drop(fds);
        if requested {
            let mut signal = [0];
            match rustix::io::read(&requests, &mut signal) {
                Ok(1) if i32::from(signal[0]) == libc::SIGHUP => service.reload(),
                _ => break,
            }
        }
        let (links, options) = events.drain();
        if links {
            service.rescan();
        }
        service.heed(&options);
    }
    client::stop_all(service.clients);
    Ok(())
}

impl Wanted {
    #[cfg(test)]
    pub(super) fn of(network: Network) -> Self {
        Self { network, first: None }
    }

    /// From the document, and from the command line over it.
    fn read(guest: &Guest) -> Self {
        let text = std::fs::read_to_string(paths::CONFIG).unwrap_or_default();
        let line = CommandLine::parse(&guest.command_line);
        for problem in &line.problems {
            guest.warn(problem);
        }
        if let Some(name) = line.hostname.as_ref().filter(|_| guest.option(cmdline::HOSTNAME).is_none()) {
            hostname::set(name).unwrap_or_else(|error| log(&format!("{error:#}")));
        }
        Self { network: line.over(document::Document::read(&text).network), first: line.first }
    }

    /// The entry for an interface; `first` is the index of the first wired one.
    fn entry(&self, interface: &Interface, first: Option<u32>) -> Option<&Entry> {
        let entry = self.network.interfaces.iter().find(|entry| interface.is_for(entry));
        entry.or_else(|| self.first.as_ref().filter(|_| first == Some(interface.index)))
    }
}

impl Service {
    /// What an earlier run has left.
    fn inherit(&mut self) {
        for interface in interface::all() {
            if let Some(lease) = Source::Advertised.lease(&interface.name) {
                self.advertised.inherit(&interface.name, &lease, Instant::now());
            }
        }
    }

    /// Begins, or begins again with another document.
    fn reload(&mut self) {
        let guest = Guest::load();
        self.start(Wanted::read(&guest), &|problem| guest.warn(problem));
    }

    pub(super) fn start(&mut self, wanted: Wanted, warn: &dyn Fn(&str)) {
        self.wanted = wanted;
        let network = &self.wanted.network;
        let everywhere = Lease {
            dns: network.dns.iter().map(|address| (*address).into()).collect(),
            search: network.search.clone(),
            ..Lease::default()
        };
        source::apply_everywhere(&everywhere).unwrap_or_else(|error| warn(&format!("{error:#}")));
        let firewall = firewall::apply(network).map(|()| firewall::name(&network.firewall));
        let firewall = firewall.unwrap_or_else(|error| {
            warn(&format!("{error:#}"));
            ""
        });
        file::replace(Path::new(paths::FIREWALL_STATE), firewall.as_bytes(), 0o644, None)
            .unwrap_or_else(|error| warn(&format!("{error:#}")));
        self.links.reload(network);
        self.compare(true);
    }

    /// What is to be done when the kernel tells of a change.
    pub(super) fn rescan(&mut self) {
        self.compare(false);
    }

    /// Compares the interfaces that are there with those that are settled; `anew` settles those again.
    fn compare(&mut self, anew: bool) {
        let interfaces = self.links.prepare(&self.wanted.network);
        let gone = |settled: &Interface| {
            !interfaces.iter().any(|found| found.index == settled.index && found.name == settled.name)
        };
        for interface in self.settled.extract_if(.., |settled| gone(settled)) {
            log(&format!("{}: gone", interface.name));
            self.advertised.forget(&interface.name);
            for source in [Source::Document, Source::Advertised] {
                give(source, &interface.name, None);
            }
        }
        let first = interfaces.iter().find(|found| found.wired && found.master.is_none()).map(|found| found.index);
        let mut asking: Vec<Interface> = Vec::new();
        for interface in interfaces {
            let entry = self.wanted.entry(&interface, first);
            let dhcp = match entry {
                _ if interface.master.is_some() => continue,
                Some(entry) => entry.asks_dhcp(),
                None if interface.wired => self.wanted.network.others == Others::Dhcp,
                None => continue,
            };
            let known = self.settled.iter_mut().find(|settled| settled.index == interface.index);
            let came = anew || known.as_ref().is_none_or(|settled| interface.carrier && !settled.carrier);
            if came && (entry.is_some() || dhcp) {
                settle(&interface, entry, known.is_none());
            } else if came {
                give(Source::Document, &interface.name, None);
            }
            match known {
                Some(settled) => *settled = interface.clone(),
                None => self.settled.push(interface.clone()),
            }
            if dhcp {
                asking.push(interface);
            }
        }
        self.ask(asking);
    }

    /// A DHCP client for each of these interfaces, and for no other.
    fn ask(&mut self, asking: Vec<Interface>) {
        let (kept, gone): (Vec<Client>, Vec<Client>) = std::mem::take(&mut self.clients)
            .into_iter()
            .partition(|client| asking.iter().any(|interface| client.serves(interface)));
        self.clients = kept;
        let names: Vec<String> = gone.iter().map(|client| client.name().to_string()).collect();
        client::stop_all(gone);
        names.iter().for_each(|name| give(Source::Dhcp, name, None));
        for interface in asking {
            match self.clients.iter_mut().find(|client| client.serves(&interface)) {
                Some(client) => client.carrier(interface.carrier),
                None => self.clients.push(Client::new(interface)),
            }
        }
    }

    /// Takes what router advertisements have told, and forgets what has run out.
    fn heed(&mut self, options: &[UserOptions]) {
        let now = Instant::now();
        let mut changed = self.advertised.expire(now);
        for UserOptions { index, options } in options {
            // Those of other interfaces, of containers say, are not for this machine.
            let Some(interface) = self.settled.iter().find(|settled| settled.index == *index) else { continue };
            self.advertised.take(&interface.name, options, now);
            changed.push(interface.name.clone());
        }
        changed.sort();
        changed.dedup();
        for name in changed {
            give(Source::Advertised, &name, self.advertised.lease(&name).as_ref());
        }
    }
}

/// Brings an interface up with what the document gives it. It is repeated when the carrier comes back: making what is there
/// again costs nothing.
fn settle(interface: &Interface, entry: Option<&Entry>, new: bool) {
    if new {
        log(&format!("{}: bringing it up", interface.name));
    }
    // 2: router advertisements also on a machine that forwards, which one with containers does.
    let accept = if entry.and_then(|entry| entry.ipv6_auto) == Some(false) { "0" } else { "2" };
    let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{}/accept_ra", interface.name), accept);
    if let Err(error) = RouteSocket::open().and_then(|socket| socket.link_up(interface.index)) {
        log(&format!("{}: bringing it up: {error}", interface.name));
    }
    let lease = entry.map(static_lease).filter(|lease| *lease != Lease::default());
    give(Source::Document, &interface.name, lease.as_ref());
}

fn give(source: Source, interface: &str, lease: Option<&Lease>) {
    if let Err(error) = source::apply(source, interface, lease) {
        log(&format!("{interface}: {error:#}"));
    }
}

/// What the document gives to an interface.
fn static_lease(entry: &Entry) -> Lease {
    let default = |via: std::net::IpAddr| {
        let near = entry.addresses.iter().any(|cidr| cidr.contains(via));
        // Some clouds have the gateway outside of the interface's network.
        let on_link = !near && via.is_ipv4();
        Route { to: Cidr::all(via.is_ipv6()), via: Some(via), metric: None, on_link }
    };
    let gateways = [entry.gateway, entry.gateway6];
    Lease {
        addresses: entry.addresses.clone(),
        routes: gateways.into_iter().flatten().map(default).chain(entry.routes.iter().copied()).collect(),
        mtu: entry.mtu,
        dns: entry.dns.iter().map(|address| (*address).into()).collect(),
        search: entry.search.clone(),
        ..Lease::default()
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
