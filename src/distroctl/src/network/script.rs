//! What udhcpc runs at each event (`deconfig`, `bound`, `renew`, `leasefail`, `nak`): this program under another name.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use contract::paths;
use rustix::fs::FlockOperation;

use super::interface;
use super::lease::{Change, Lease, changes};
use super::resolv;
use super::rtnetlink::RouteSocket;
use crate::{console, file, hostname};

/// Routes of the first interface are preferred to those of the second, and so on.
const BASE_METRIC: u32 = 100;

/// Handles one event; `words` are udhcpc's arguments.
pub(crate) fn script(words: &[&str]) -> Result<ExitCode> {
    let variable = |key: &str| std::env::var(key).ok();
    let event = words.first().copied().unwrap_or_default();
    let interface = variable("interface").context("udhcpc gave no \"interface\"")?;
    let new = match event {
        "deconfig" => None,
        "bound" | "renew" => Some(Lease::from_environment(variable).with_context(|| format!("{interface}: {event}"))?),
        _ => {
            let message = variable("message").map(|message| format!(" ({message})")).unwrap_or_default();
            console::log(&format!("{interface}: {event}{message}"));
            return Ok(ExitCode::SUCCESS);
        }
    };
    apply(&interface, new.as_ref())?;
    Ok(ExitCode::SUCCESS)
}

/// Makes a lease, or none, the state of an interface. One at a time: all interfaces share the name servers.
fn apply(interface: &str, new: Option<&Lease>) -> Result<()> {
    let _lock = lock()?;
    let state = lease_file(interface);
    let old = read(&state);
    change_kernel(interface, &changes(old.as_ref(), new));
    if old.as_ref() == new {
        return Ok(());
    }
    match new {
        Some(lease) => {
            file::replace(&state, lease.encode().as_bytes(), 0o644, None)?;
            console::log(&format!("{interface}: address {}", lease.network));
            take_hostname(lease);
        }
        None => drop(std::fs::remove_file(&state)),
    }
    resolv::publish(&leases())
}

/// Writes the name servers of the leases there are: none at boot, and then programs find an empty file rather than a link
/// that leads nowhere.
pub(super) fn publish_name_servers() -> Result<()> {
    let _lock = lock()?;
    resolv::publish(&leases())
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
fn change_kernel(interface: &str, changes: &[Change]) {
    let Some(index) = interface::index(interface) else { return };
    let socket = match RouteSocket::open() {
        Ok(socket) => socket,
        Err(error) => return console::log(&format!("{interface}: opening a netlink socket: {error}")),
    };
    let metric = BASE_METRIC + index;
    for change in changes {
        let (result, gone) = match *change {
            Change::DeleteRoute(route) => (socket.delete_route(index, route, metric), true),
            Change::DeleteAddress(network) => (socket.delete_address(index, network), true),
            Change::SetMtu(mtu) => (socket.set_mtu(index, mtu), false),
            Change::AddAddress(network) => (socket.add_address(index, network), false),
            Change::AddRoute(route) => (socket.add_route(index, route, metric), false),
        };
        match result {
            // What shall go may have gone with the link.
            Err(_) if gone => {}
            Err(error) => console::log(&format!("{interface}: {change:?}: {error}")),
            Ok(()) => {}
        }
    }
}

/// A machine without a name takes the one that the server gives.
fn take_hostname(lease: &Lease) {
    let uname = rustix::system::uname();
    let current = uname.nodename().to_string_lossy();
    if let Some(name) = &lease.hostname
        && ["", "(none)", "localhost"].contains(&current.as_ref())
    {
        hostname::set(name).unwrap_or_else(|error| console::log(&format!("{error:#}")));
    }
}

fn lease_file(interface: &str) -> PathBuf {
    Path::new(paths::LEASE_DIR).join(interface)
}

fn read(path: &Path) -> Option<Lease> {
    Lease::decode(&std::fs::read_to_string(path).ok()?)
}

/// The leases of all interfaces in order of preference.
pub(crate) fn leases() -> Vec<Lease> {
    let mut found: Vec<(u32, Lease)> = std::fs::read_dir(paths::LEASE_DIR)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((interface::index(entry.file_name().to_str()?)?, read(&entry.path())?)))
        .collect();
    found.sort_by_key(|(index, _)| *index);
    found.into_iter().map(|(_, lease)| lease).collect()
}
