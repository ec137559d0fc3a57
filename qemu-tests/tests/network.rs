//! The network as a document asks for it, two machines on a wire, and the clock of a machine that stood still.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use qemu_tests::{Guest, machine};
use serde_json::json;
use vm::{Device, FwCfg, Machine, NetworkModel};

/// The name under which the guest finds a document.
const DOCUMENT: &str = "opt/org.mkdistro/config";

/// A machine with a second card on a wire, and this document.
fn on_wire(folder: &Path, number: usize, document: &str) -> Result<Machine> {
    let end = |number: usize| folder.join(format!("end{number}"));
    let mut machine = machine()?;
    machine.memory_mib = 384;
    let mac = format!("52:54:00:00:01:{number:02x}");
    machine.devices.push(Device::Wire { mac, here: end(number), there: end(1 - number) });
    machine.fw_cfg.push((DOCUMENT.into(), FwCfg::Text(document.into())));
    Ok(machine)
}

/// DHCP on the first card, a static address and a VLAN on the second, which is found by its hardware address and renamed.
fn document(number: usize) -> String {
    let host = number + 1;
    format!(
        r#"
[network]
search = ["wire.example"]
firewall = "ssh-only"

[[network.interfaces]]
name = "lan"
match-mac = "52:54:00:00:01:{number:02x}"
rename = true
addresses = ["192.168.77.{host}/24", "fd77::{host}/64"]
mtu = 1400
routes = [{{ to = "10.77.0.0/16", via = "192.168.77.9", metric = 50 }}]

[[network.interfaces]]
name = "lan.7"
vlan-link = "lan"
vlan-id = 7
addresses = ["192.168.7.{host}/24"]

[[network.interfaces]]
name = "bond0"
bond = ["eth2", "eth3"]

[[network.interfaces]]
name = "br0"
bridge = ["bond0"]
addresses = ["192.168.9.{host}/24"]
"#
    )
}

#[test]
fn two_machines_on_a_vlan() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let first = Guest::boot(
        "network-0",
        on_wire(
            folder.path(),
            0,
            &document(0).replace("77.0/", "77.8/").replace("7.0/", "7.8/").replace("fd77::0/", "fd77::8/"),
        )?,
    )?;
    let mut machine = on_wire(folder.path(), 1, &document(1))?;
    // The cards of a bond that carries a bridge.
    machine.devices.extend([Device::Nic(NetworkModel::Virtio), Device::Nic(NetworkModel::Virtio)]);
    let second = Guest::boot("network-1", machine)?;
    for address in ["192.168.77.2", "192.168.7.2", "fd77::2"] {
        // The first answer may wait for the address to be known as nobody else's.
        first.ok(&format!("sudo ping -c 3 -W 5 {address}"))?;
    }
    let addresses = second.ok("ip addr show lan && ip addr show lan.7")?;
    for part in ["inet 192.168.77.2/24", "inet6 fd77::2/64", "mtu 1400", "inet 192.168.7.2/24"] {
        assert!(addresses.contains(part), "{part} not in {addresses}");
    }
    let routes = second.ok("ip route")?;
    assert!(routes.contains("10.77.0.0/16 via 192.168.77.9 dev lan"), "{routes}");
    assert!(routes.contains("10.0.2.0/24 dev eth0"), "the first card has no DHCP: {routes}");
    assert!(second.ok("cat /etc/resolv.conf")?.contains("search wire.example"));
    let status = second.ok("distroctl network status")?;
    assert!(status.contains("firewall: ssh-only") && status.contains("192.168.77.2 (static)"), "{status}");

    let bond = second.ok("cat /proc/net/bonding/bond0; ls /sys/class/net/br0/brif; ip addr show br0")?;
    for part in ["active-backup", "Slave Interface: eth2", "Slave Interface: eth3", "\nbond0\n", "inet 192.168.9.2/24"]
    {
        assert!(bond.contains(part), "{part:?} not in {bond}");
    }

    // SSH comes in, other services do not; a published port does.
    second.ok("sudo sh -c 'while :; do echo closed | nc -l -p 7777; done > /dev/null 2>&1 < /dev/null &'")?;
    assert_ne!(first.status("nc -w 3 192.168.77.2 7777 < /dev/null")?, 0, "ssh-only lets port 7777 in");
    first.ok("nc -w 3 192.168.77.2 22 < /dev/null | grep -q SSH")?;
    let image = second.make_busybox_image()?;
    let serve = format!("sudo podman run -d -p 8080:80 {image} sh -c 'echo open > /tmp/index.html; httpd -f -h /tmp'");
    second.ok(&serve)?;
    assert_eq!(
        first
            .ok("for n in 1 2 3 4 5; do wget -q -T 5 -O - http://192.168.77.2:8080/ && exit; sleep 2; done; exit 1")?,
        "open"
    );

    // Doing it again changes nothing.
    second.ok("sudo distroctl network apply && sleep 5")?;
    assert_eq!(
        second.ok("ip addr show lan && ip addr show lan.7")?.replace("  ", " ").lines().count(),
        addresses.lines().count()
    );
    first.ok("sudo ping -c 1 -W 5 192.168.7.2")?;
    Ok(())
}

#[test]
fn a_machine_that_stood_still_is_right_again() -> Result<()> {
    let guest = Guest::boot("network-clock", machine()?)?;
    let off = |guest: &Guest| -> Result<f64> {
        let here = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs_f64();
        let there: f64 = guest.ok("date +%s")?.parse().context("reading date's output")?;
        Ok(here - there)
    };
    assert!(off(&guest)?.abs() < 10.0, "the clock is off from the start");
    guest.qmp().execute("stop", &json!({}))?;
    std::thread::sleep(Duration::from_secs(75));
    guest.qmp().execute("cont", &json!({}))?;
    // Within a minute; the time it takes to ask is no part of it.
    let mut last = f64::MAX;
    for _ in 0..12 {
        std::thread::sleep(Duration::from_secs(5));
        last = off(&guest)?;
        if last.abs() < 10.0 {
            return Ok(());
        }
    }
    panic!("a minute later the clock is {last:.0} s off:\n{}", guest.ok("sudo distroctl logs ntp")?);
}
