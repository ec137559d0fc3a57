//! Where what an interface has comes from, and making it so: one file for each source and interface says what was made, so
//! that the next time only what has changed is taken away.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use contract::paths;
use rustix::fs::FlockOperation;

use super::lease::{Change, Lease, changes};
use super::rtnetlink::{Protocol, RouteSocket};
use super::{interface, resolv};
use crate::{console, file};

/// Routes of the first interface are preferred to those of the second, and so on.
const BASE_METRIC: u32 = 100;
/// In place of an interface's name: what is for none of them. Too long to be one.
const EVERYWHERE: &str = "of-all-interfaces";

/// Where settings come from, in the order in which their name servers are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The document and the kernel command line.
    Document,
    /// A DHCP server.
    Dhcp,
    /// Router advertisements.
    Advertised,
}

impl Source {
    pub(crate) const ALL: [Self; 3] = [Self::Document, Self::Dhcp, Self::Advertised];

    fn folder(self) -> &'static Path {
        Path::new(match self {
            Self::Document => paths::STATIC_NET_DIR,
            Self::Dhcp => paths::LEASE_DIR,
            Self::Advertised => paths::ADVERTISED_NET_DIR,
        })
    }

    fn file(self, interface: &str) -> PathBuf {
        self.folder().join(interface)
    }

    /// What it gave to an interface.
    pub(crate) fn lease(self, interface: &str) -> Option<Lease> {
        Some(Lease::decode(&std::fs::read_to_string(self.file(interface)).ok()?))
    }

    /// As status output has it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Document => "static",
            Self::Dhcp => "dhcp",
            Self::Advertised => "ra",
        }
    }
}

/// Makes what a source gives, or nothing, the state of an interface; whether it is something else than before. One at a time:
/// all interfaces share the name servers.
pub(super) fn apply(source: Source, interface: &str, new: Option<&Lease>) -> Result<bool> {
    let _lock = lock()?;
    let old = source.lease(interface);
    change_kernel(source, interface, &changes(old.as_ref(), new));
    if old.as_ref() == new {
        return Ok(false);
    }
    store(source, interface, new)?;
    publish()?;
    Ok(true)
}

/// The name servers and domains that belong to no interface.
pub(super) fn apply_everywhere(lease: &Lease) -> Result<()> {
    let _lock = lock()?;
    store(Source::Document, EVERYWHERE, Some(lease))?;
    publish()
}

fn store(source: Source, interface: &str, lease: Option<&Lease>) -> Result<()> {
    let path = source.file(interface);
    match lease {
        Some(lease) => {
            std::fs::create_dir_all(source.folder())
                .with_context(|| format!("making {}", source.folder().display()))?;
            file::replace(&path, lease.encode().as_bytes(), 0o644, None)
        }
        None => {
            let _ = std::fs::remove_file(path);
            Ok(())
        }
    }
}

fn publish() -> Result<()> {
    let first = Source::Document.lease(EVERYWHERE).unwrap_or_default();
    resolv::publish(&first, &all_leases())
}

/// Held by whoever changes leases and what is made from them.
fn lock() -> Result<File> {
    std::fs::create_dir_all(paths::LEASE_DIR).with_context(|| format!("making {}", paths::LEASE_DIR))?;
    let folder = File::open(paths::LEASE_DIR).with_context(|| format!("opening {}", paths::LEASE_DIR))?;
    rustix::fs::flock(&folder, FlockOperation::LockExclusive)
        .with_context(|| format!("locking {}", paths::LEASE_DIR))?;
    Ok(folder)
}

/// A change that fails is named; the others are still made.
fn change_kernel(source: Source, interface: &str, changes: &[Change]) {
    let Some(index) = interface::index(interface) else { return };
    if changes.is_empty() {
        return;
    }
    let socket = match RouteSocket::open() {
        Ok(socket) => socket,
        Err(error) => return console::log(&format!("{interface}: opening a netlink socket: {error}")),
    };
    let by = if source == Source::Document { Protocol::Static } else { Protocol::Dhcp };
    // The document's size of packets goes before a server's.
    let fixed_mtu =
        source != Source::Document && Source::Document.lease(interface).is_some_and(|lease| lease.mtu.is_some());
    for change in changes {
        let metric = |route: &document::network::Route| route.metric.unwrap_or(BASE_METRIC + index);
        let (result, gone) = match *change {
            Change::DeleteRoute(route) => (socket.delete_route(index, route, metric(&route), by), true),
            Change::DeleteAddress(address) => (socket.delete_address(index, address), true),
            Change::SetMtu(_) if fixed_mtu => continue,
            Change::SetMtu(mtu) => (socket.set_mtu(index, mtu), false),
            Change::AddAddress(address) => (socket.add_address(index, address), false),
            Change::AddRoute(route) => (socket.add_route(index, route, metric(&route), by), false),
        };
        match result {
            // What shall go may have gone with the link.
            Err(_) if gone => {}
            Err(error) => console::log(&format!("{interface}: {change:?}: {error}")),
            Ok(()) => {}
        }
    }
}

/// What all sources give to all interfaces, in order of preference.
pub(crate) fn all_leases() -> Vec<Lease> {
    Source::ALL.into_iter().flat_map(of_source).collect()
}

fn of_source(source: Source) -> Vec<Lease> {
    let mut found: Vec<(u32, Lease)> = std::fs::read_dir(source.folder())
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Some((interface::index(&name)?, source.lease(&name)?))
        })
        .collect();
    found.sort_by_key(|(index, _)| *index);
    found.into_iter().map(|(_, lease)| lease).collect()
}
