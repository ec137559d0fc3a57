//! Wired network interfaces of this machine, from `/sys/class/net` (kernel `Documentation/ABI/testing/sysfs-class-net`).

use std::path::Path;

use crate::file::first_line;

const CLASS_NET: &str = "/sys/class/net";
/// `ARPHRD_ETHER` of `linux/if_arp.h`.
const ETHERNET: &str = "1";

/// A wired interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) name: String,
    pub(crate) index: u32,
    /// A cable with something at its other end.
    pub(crate) carrier: bool,
}

/// All wired interfaces, by index: the order in which the kernel found them.
pub(crate) fn wired() -> Vec<Interface> {
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

/// `device` is there for hardware (also virtual hardware), not for bridges and veth; `master` for a part of a bond or bridge.
fn describe(entry: &Path, name: String) -> Option<Interface> {
    let wireless = entry.join("wireless").exists() || entry.join("phy80211").exists();
    let wired = first_line(entry.join("type")) == ETHERNET && entry.join("device").exists() && !wireless;
    if !wired || entry.join("master").exists() {
        return None;
    }
    let index = first_line(entry.join("ifindex")).parse().ok()?;
    Some(Interface { name, index, carrier: first_line(entry.join("carrier")) == "1" })
}

#[cfg(test)]
mod tests {
    use super::{Interface, list};

    #[test]
    fn takes_wired_hardware_only() {
        let root = tempfile::tempdir().unwrap();
        let make = |name: &str, kind: &str, index: &str, carrier: &str, folders: &[&str]| {
            let folder = root.path().join(name);
            std::fs::create_dir(&folder).unwrap();
            for (file, value) in [("type", kind), ("ifindex", index), ("carrier", carrier)] {
                std::fs::write(folder.join(file), format!("{value}\n")).unwrap();
            }
            folders.iter().for_each(|name| std::fs::create_dir(folder.join(name)).unwrap());
        };
        make("lo", "772", "1", "1", &[]);
        make("eth1", "1", "3", "0", &["device"]);
        make("eth0", "1", "10", "1", &["device"]);
        make("wlan0", "1", "4", "1", &["device", "phy80211"]);
        make("veth0", "1", "5", "1", &[]);
        make("eth2", "1", "6", "1", &["device", "master"]);
        make("ib0", "32", "7", "1", &["device"]);
        let interface = |name: &str, index, carrier| Interface { name: name.into(), index, carrier };
        assert_eq!(list(root.path()), [interface("eth1", 3, false), interface("eth0", 10, true)]);
    }
}
