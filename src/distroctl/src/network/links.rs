//! Makes the interfaces that the document wants made, gives others their names, and puts members into bonds and bridges.

use document::network::{Interface as Entry, Link, Network};
use rustix::io::Errno;

use super::interface::{self, Interface};
use super::rtnetlink::RouteSocket;
use crate::console::log;
use crate::modules;

/// A link may hang on one that is made in the same pass, so there are several; a VLAN on a bridge over a bond takes three.
const PASSES: usize = 5;

/// What was made, and what was complained about, once.
#[derive(Default)]
pub(super) struct Links {
    made: Vec<(String, Link)>,
    said: Vec<String>,
}

impl Links {
    /// Does what is missing; what is there and right is left alone. The interfaces as they are then.
    pub(super) fn prepare(&mut self, network: &Network) -> Vec<Interface> {
        let mut interfaces = interface::all();
        let Ok(socket) = RouteSocket::open().inspect_err(|error| log(&format!("opening a netlink socket: {error}")))
        else {
            return interfaces;
        };
        for _ in 0..PASSES {
            if !self.pass(network, &interfaces, &socket) {
                break;
            }
            interfaces = interface::all();
        }
        interfaces
    }

    /// A new document: what it no longer wants made goes.
    pub(super) fn reload(&mut self, network: &Network) {
        self.said.clear();
        let Ok(socket) = RouteSocket::open() else { return };
        self.made.retain(|(name, link)| {
            let kept = network.entry(name).is_some_and(|entry| entry.link.as_ref().is_some_and(|new| same(new, link)));
            if !kept && let Some(index) = interface::index(name) {
                log(&format!("{name}: removing it: {:?}", socket.delete_link(index)));
            }
            kept
        });
    }

    /// Whether anything was changed.
    fn pass(&mut self, network: &Network, interfaces: &[Interface], socket: &RouteSocket) -> bool {
        let mut changed = false;
        for entry in &network.interfaces {
            changed |= match &entry.link {
                None => self.adjust(entry, interfaces, socket),
                Some(link) => match interfaces.iter().find(|found| found.name == entry.name) {
                    None => self.make(network, entry, link, interfaces, socket),
                    Some(found) if found.kind == link.kind() => self.fill(network, found, link, interfaces, socket),
                    Some(_) => {
                        self.say(format!("{}: it is there and no {}", entry.name, link.kind()));
                        false
                    }
                },
            };
        }
        changed
    }

    /// Name and hardware address of an interface that is there. Both need it to be down.
    fn adjust(&mut self, entry: &Entry, interfaces: &[Interface], socket: &RouteSocket) -> bool {
        let Some(found) = interfaces.iter().find(|found| found.is_for(entry)) else { return false };
        let mut changed = false;
        if entry.rename && found.name != entry.name {
            if interfaces.iter().any(|other| other.name == entry.name) {
                self.say(format!("{}: not renamed to {}, which is another", found.name, entry.name));
            } else {
                let result = socket.link_down(found.index).and_then(|()| socket.rename(found.index, &entry.name));
                changed |= self.done(result, format!("{}: renaming it to {}", found.name, entry.name));
            }
        }
        if let Some(mac) = entry.mac.filter(|mac| found.mac != Some(*mac)) {
            let result = socket.link_down(found.index).and_then(|()| socket.set_mac(found.index, mac));
            let up = socket.link_up(found.index);
            changed |= self.done(result.and(up), format!("{}: setting the address {mac}", found.name));
        }
        changed
    }

    fn make(
        &mut self,
        network: &Network,
        entry: &Entry,
        link: &Link,
        interfaces: &[Interface],
        socket: &RouteSocket,
    ) -> bool {
        let lower = match link {
            Link::Vlan { link, .. } => match resolve(network, link, interfaces).first() {
                // It may come later.
                None => return false,
                Some(lower) => Some(lower.index),
            },
            _ => None,
        };
        match link {
            Link::Vlan { .. } => modules::load("8021q"),
            // Otherwise it makes a bond0 by itself.
            Link::Bond { .. } => modules::load_with("bonding", &["max_bonds=0"]),
            Link::Bridge { .. } => modules::load("bridge"),
        }
        let result = socket.create_link(&entry.name, link, lower);
        let made = self.done(result, format!("{}: making a {}", entry.name, link.kind()));
        if made {
            self.made.retain(|(name, _)| *name != entry.name);
            self.made.push((entry.name.clone(), link.clone()));
        }
        made
    }

    /// One that is there already: an earlier run's, or the `bond0` of a kernel with bonding built in. A bond with members keeps
    /// its mode, which is no news.
    fn adopt(&mut self, found: &Interface, link: &Link, socket: &RouteSocket) {
        if !self.made.iter().any(|(name, _)| *name == found.name) {
            let _ = socket.change_link(found.index, link);
            self.made.push((found.name.clone(), link.clone()));
        }
    }

    /// Takes in members that are missing and lets go of those that are no longer wanted. What containers have put on a
    /// bridge stays.
    fn fill(
        &mut self,
        network: &Network,
        found: &Interface,
        link: &Link,
        interfaces: &[Interface],
        socket: &RouteSocket,
    ) -> bool {
        self.adopt(found, link, socket);
        let mut wanted: Vec<&Interface> =
            link.members().iter().flat_map(|member| resolve(network, member, interfaces)).collect();
        wanted.retain(|member| member.index != found.index);
        let mut changed = false;
        for member in interfaces.iter().filter(|member| member.wired && member.master.as_ref() == Some(&found.name)) {
            if !wanted.iter().any(|other| other.index == member.index) {
                let result = socket.set_master(member.index, 0);
                changed |= self.done(result, format!("{}: taking it out of {}", member.name, found.name));
            }
        }
        for member in wanted.iter().filter(|member| member.master.is_none()) {
            // The addresses are the master's.
            let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{}/accept_ra", member.name), "0");
            // A bond takes only what is down.
            let down = if matches!(link, Link::Bond { .. }) { socket.link_down(member.index) } else { Ok(()) };
            let result = down.and_then(|()| socket.set_master(member.index, found.index));
            let up = socket.link_up(member.index);
            changed |= self.done(result.and(up), format!("{}: putting it into {}", member.name, found.name));
        }
        changed
    }

    /// Tells of a step; whether it succeeded.
    fn done(&mut self, result: rustix::io::Result<()>, step: String) -> bool {
        match result {
            Ok(()) => log(&step),
            Err(Errno::OPNOTSUPP) => {
                self.say(format!("{step}: this kernel cannot\nhint: its module must be in the image"))
            }
            Err(error) => self.say(format!("{step}: {error}")),
        }
        result.is_ok()
    }

    /// Every event leads here again.
    fn say(&mut self, message: String) {
        if !self.said.contains(&message) {
            log(&message);
            self.said.push(message);
        }
    }
}

/// The interfaces that a name in `bond`, `bridge` or `vlan-link` means: those of the entry of that name, else those whose
/// name fits.
fn resolve<'a>(network: &Network, name: &str, interfaces: &'a [Interface]) -> Vec<&'a Interface> {
    let plain = Entry { name: name.into(), ..Entry::default() };
    let entry = network.entry(name).unwrap_or(&plain);
    interfaces.iter().filter(|interface| interface.is_for(entry)).collect()
}

/// Whether a link need not be made again; members come and go.
fn same(new: &Link, old: &Link) -> bool {
    match (new, old) {
        (Link::Bond { mode, miimon, .. }, Link::Bond { mode: old_mode, miimon: old_miimon, .. }) => {
            (mode, miimon) == (old_mode, old_miimon)
        }
        (Link::Bridge { stp, .. }, Link::Bridge { stp: old, .. }) => stp == old,
        (new, old) => new == old,
    }
}
