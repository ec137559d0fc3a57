//! The image reaches READY from what it can be booted from, with the network cards it must know.

use anyhow::Result;
use qemu_tests::{Guest, kernel_and_initramfs, machine};
use vm::{Boot, MachineType, NetworkModel};

/// READY, confirmed over SSH, is in [`Guest::boot`]; SSH itself needs the card. Here: it is the card, and it is used.
fn boots_with(name: &str, model: NetworkModel, driver: &str) -> Result<()> {
    let mut machine = machine()?;
    if let Some(network) = machine.user_network() {
        network.model = model;
    }
    let guest = Guest::boot(name, machine)?;
    assert_eq!(guest.ok("basename $(readlink /sys/class/net/e*/device/driver)")?, driver);
    let addresses = guest.ok("ip -4 addr show")?;
    assert!(addresses.contains(" 10.0.2.15/24"), "{addresses}");
    // An isolated network offers neither router nor name server; the link's own route must be there.
    assert!(guest.ok("ip route")?.contains("10.0.2.0/24 dev e"));
    Ok(())
}

#[test]
fn cdrom_e1000() -> Result<()> {
    boots_with("cdrom_e1000", NetworkModel::E1000, "e1000")
}

#[test]
fn cdrom_pcnet() -> Result<()> {
    boots_with("cdrom_pcnet", NetworkModel::Pcnet, "pcnet32")
}

#[test]
fn cdrom_virtio_net() -> Result<()> {
    boots_with("cdrom_virtio_net", NetworkModel::Virtio, "virtio_net")
}

/// Kernel and initramfs alone are the whole system; on q35, with what is only there.
#[test]
fn kernel_and_initramfs_alone() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (kernel, initrd) = kernel_and_initramfs(folder.path())?;
    let mut machine = machine()?;
    machine.kind = MachineType::Q35;
    machine.boot =
        Boot::Kernel { kernel, initrd, cmdline: "console=ttyS0 retain_initrd distro.hostname=direct".into() };
    let guest = Guest::boot("kernel_and_initramfs", machine)?;
    assert_eq!(guest.ok("hostname")?, "direct");
    assert_eq!(guest.ok("sudo podman info --format '{{.Host.CgroupsVersion}}'")?, "v2");
    guest.power_off()
}
