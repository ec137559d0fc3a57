//! Requests about links: `struct ifinfomsg`, attributes of kernel `linux/if_link.h`.

use document::network::{Link, MacAddress};
use rustix::io::Result;

use super::{NESTED, NLM_F_CREATE, NLM_F_EXCL, Request, RouteSocket, attribute};

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const IFF_UP: u32 = 0x1;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_VLAN_ID: u16 = 1;
const IFLA_BOND_MODE: u16 = 1;
const IFLA_BOND_MIIMON: u16 = 3;
const IFLA_BR_STP_STATE: u16 = 5;

impl RouteSocket {
    /// Brings a link up.
    pub(in super::super) fn link_up(&self, index: u32) -> Result<()> {
        self.call(Request::new(RTM_NEWLINK, 0, &link_message(index, IFF_UP, IFF_UP)))
    }

    /// Brings a link down.
    pub(in super::super) fn link_down(&self, index: u32) -> Result<()> {
        self.call(Request::new(RTM_NEWLINK, 0, &link_message(index, 0, IFF_UP)))
    }

    /// Sets the largest packet, in bytes.
    pub(in super::super) fn set_mtu(&self, index: u32, mtu: u32) -> Result<()> {
        self.call(Request::new(RTM_NEWLINK, 0, &link_message(index, 0, 0)).attribute(IFLA_MTU, &mtu.to_ne_bytes()))
    }

    /// Gives a link, which must be down, another name.
    pub(in super::super) fn rename(&self, index: u32, name: &str) -> Result<()> {
        let request = Request::new(RTM_NEWLINK, 0, &link_message(index, 0, 0));
        self.call(request.attribute(IFLA_IFNAME, &terminated(name)))
    }

    /// Sets the hardware address; most drivers want the link down.
    pub(in super::super) fn set_mac(&self, index: u32, mac: MacAddress) -> Result<()> {
        self.call(Request::new(RTM_NEWLINK, 0, &link_message(index, 0, 0)).attribute(IFLA_ADDRESS, &mac.0))
    }

    /// Makes a link a part of a bond or bridge, or of none (`master` 0).
    pub(in super::super) fn set_master(&self, index: u32, master: u32) -> Result<()> {
        let request = Request::new(RTM_NEWLINK, 0, &link_message(index, 0, 0));
        self.call(request.attribute(IFLA_MASTER, &master.to_ne_bytes()))
    }

    /// Makes a link; `lower` is the index of the link below, for kinds that have one.
    pub(in super::super) fn create_link(&self, name: &str, link: &Link, lower: Option<u32>) -> Result<()> {
        self.call(create_request(name, link, lower))
    }

    /// Gives a bond or bridge other settings.
    pub(in super::super) fn change_link(&self, index: u32, link: &Link) -> Result<()> {
        let request = Request::new(RTM_NEWLINK, 0, &link_message(index, 0, 0));
        self.call(request.attribute(NESTED | IFLA_LINKINFO, &link_info(link)))
    }

    /// Removes a link that was made.
    pub(in super::super) fn delete_link(&self, index: u32) -> Result<()> {
        self.call(Request::new(RTM_DELLINK, 0, &link_message(index, 0, 0)))
    }
}

/// `struct ifinfomsg`: family, pad (8 bits each), type (16), index, flags, change mask (32 each).
fn link_message(index: u32, flags: u32, mask: u32) -> Vec<u8> {
    [[0; 4], index.to_ne_bytes(), flags.to_ne_bytes(), mask.to_ne_bytes()].concat()
}

pub(super) fn create_request(name: &str, link: &Link, lower: Option<u32>) -> Request {
    let mut request = Request::new(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link_message(0, 0, 0))
        .attribute(IFLA_IFNAME, &terminated(name));
    if let Some(lower) = lower {
        request = request.attribute(IFLA_LINK, &lower.to_ne_bytes());
    }
    request.attribute(NESTED | IFLA_LINKINFO, &link_info(link))
}

/// Content of `IFLA_LINKINFO`: the kind and its settings.
fn link_info(link: &Link) -> Vec<u8> {
    let data = match link {
        Link::Vlan { id, .. } => attribute(IFLA_VLAN_ID, &id.to_ne_bytes()),
        Link::Bond { mode, miimon, .. } => {
            [attribute(IFLA_BOND_MODE, &[*mode as u8]), attribute(IFLA_BOND_MIIMON, &miimon.to_ne_bytes())].concat()
        }
        Link::Bridge { stp, .. } => attribute(IFLA_BR_STP_STATE, &u32::from(*stp).to_ne_bytes()),
    };
    let kind = attribute(IFLA_INFO_KIND, &terminated(link.kind()));
    [kind, attribute(NESTED | IFLA_INFO_DATA, &data)].concat()
}

fn terminated(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
}
