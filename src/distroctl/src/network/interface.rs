//! Network interfaces of this machine, from `/sys/class/net` (kernel `Documentation/ABI/testing/sysfs-class-net`).

use std::path::Path;

use document::network::{Interface as Entry, MacAddress};

use crate::file::first_line;

pub(super) const CLASS_NET: &str = "/sys/class/net";
/// `ARPHRD_ETHER` of `linux/if_arp.h`.
const ETHERNET: &str = "1";

/// An interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) name: String,
    pub(crate) index: u32,
    /// A cable with something at its other end.
    pub(crate) carrier: bool,
    /// Wired Ethernet hardware (also virtual hardware); bridges and veth are not.
    pub(super) wired: bool,
    /// Hardware address; a bond's member keeps its own here.
    pub(super) mac: Option<MacAddress>,
    pub(super) driver: Option<String>,
    /// `vlan`, `bond`, `bridge`, …; empty for hardware.
    pub(super) kind: String,
    /// Name of the bond or bridge that it is a part of.
    pub(super) master: Option<String>,
    pub(super) mtu: Option<u32>,
}

impl Interface {
    /// Whether an entry of the document is for it.
    pub(super) fn is_for(&self, entry: &Entry) -> bool {
        match &entry.link {
            Some(_) => self.name == entry.name,
            // What containers make is left alone unless it is named.
            None if !self.wired => entry.selector.is_none() && self.name == entry.name,
            None => entry.selects(&self.name, self.mac, self.driver.as_deref()),
        }
    }
}

/// All wired interfaces, or the bond or bridge that they are parts of, by index: the order in which the kernel found them.
pub(crate) fn wired() -> Vec<Interface> {
    let mut interfaces = list(Path::new(CLASS_NET));
    let masters: Vec<String> =
        interfaces.iter().filter(|found| found.wired).filter_map(|found| found.master.clone()).collect();
    interfaces.retain(|found| found.master.is_none() && (found.wired || masters.contains(&found.name)));
    interfaces
}

/// All interfaces by index.
pub(super) fn all() -> Vec<Interface> {
    list(Path::new(CLASS_NET))
}

/// The kernel's number of an interface.
pub(super) fn index(name: &str) -> Option<u32> {
    first_line(Path::new(CLASS_NET).join(name).join("ifindex")).parse().ok()
}

fn list(class_net: &Path) -> Vec<Interface> {
    let mut interfaces: Vec<Interface> = std::fs::read_dir(class_net)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| describe(&entry.path(), entry.file_name().into_string().ok()?))
        .collect();
    interfaces.sort_by_key(|interface| interface.index);
    interfaces
}

/// `device` is there for hardware; `DEVTYPE` of `uevent` for what is made by software, but also for wireless hardware.
fn describe(entry: &Path, name: String) -> Option<Interface> {
    let index = first_line(entry.join("ifindex")).parse().ok()?;
    let link = |what: &str| {
        let target = std::fs::read_link(entry.join(what)).ok()?;
        Some(target.file_name()?.to_str()?.to_string())
    };
    let wireless = entry.join("wireless").exists() || entry.join("phy80211").exists();
    let uevent = std::fs::read_to_string(entry.join("uevent")).unwrap_or_default();
    let kind = uevent.lines().find_map(|line| line.strip_prefix("DEVTYPE=")).unwrap_or_default();
    let mac = |file: &str| first_line(entry.join(file)).parse().ok();
    Some(Interface {
        name,
        index,
        carrier: first_line(entry.join("carrier")) == "1",
        wired: first_line(entry.join("type")) == ETHERNET && entry.join("device").exists() && !wireless,
        mac: mac("bonding_slave/perm_hwaddr").or_else(|| mac("address")),
        driver: link("device/driver"),
        kind: kind.into(),
        master: link("master"),
        mtu: first_line(entry.join("mtu")).parse().ok(),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::{Entry, list};

    #[test]
    fn knows_what_is_there() {
        let root = tempfile::tempdir().unwrap();
        let make = |name: &str, kind: &str, index: &str, carrier: &str, folders: &[&str]| {
            let folder = root.path().join(name);
            std::fs::create_dir(&folder).unwrap();
            for (file, value) in [("type", kind), ("ifindex", index), ("carrier", carrier)] {
                std::fs::write(folder.join(file), format!("{value}\n")).unwrap();
            }
            folders.iter().for_each(|name| std::fs::create_dir_all(folder.join(name)).unwrap());
        };
        make("lo", "772", "1", "1", &[]);
        make("eth1", "1", "3", "0", &["device"]);
        make("eth0", "1", "10", "1", &["device"]);
        make("wlan0", "1", "4", "1", &["device", "phy80211"]);
        make("br0", "1", "5", "1", &[]);
        make("eth2", "1", "6", "1", &["device", "bonding_slave"]);
        make("ib0", "32", "7", "1", &["device"]);
        let write = |path: &str, text: &str| std::fs::write(root.path().join(path), text).unwrap();
        write("br0/uevent", "DEVTYPE=bridge\nINTERFACE=br0\n");
        write("eth2/address", "52:54:00:00:00:99\n");
        write("eth2/bonding_slave/perm_hwaddr", "52:54:00:00:00:02\n");
        symlink("../../net/br0", root.path().join("eth2/master")).unwrap();
        symlink("/sys/bus/pci/drivers/e1000", root.path().join("eth2/device/driver")).unwrap();
        let found = list(root.path());
        let names = |wanted: &dyn Fn(&super::Interface) -> bool| -> Vec<&str> {
            found.iter().filter(|found| wanted(found)).map(|found| found.name.as_str()).collect()
        };
        assert_eq!(names(&|found| found.wired), ["eth1", "eth2", "eth0"]);
        assert_eq!(names(&|found| found.master.as_deref() == Some("br0")), ["eth2"]);
        assert_eq!(names(&|found| found.kind == "bridge"), ["br0"]);
        assert_eq!(names(&|found| found.carrier && found.wired), ["eth2", "eth0"]);
        let entry = |text: &str| {
            let text = format!("[[network.interfaces]]\nname = \"x*\"\n{text}\n");
            document::Document::read(&text).network.interfaces.remove(0)
        };
        let fits = |entry: &Entry| names(&|found| found.is_for(entry)).join(" ");
        assert_eq!(fits(&entry("match-mac = \"52:54:00:00:00:02\"")), "eth2");
        assert_eq!(fits(&entry("match-driver = \"e1*\"")), "eth2");
        assert_eq!(fits(&entry("match-name = \"*\"")), "eth1 eth2 eth0");
        assert_eq!(fits(&Entry { name: "br0".into(), ..Entry::default() }), "br0");
        assert_eq!(fits(&Entry { name: "br*".into(), ..Entry::default() }), "");
    }
}
