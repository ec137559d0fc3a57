//! The boot matrix: what firmware there is, times what an ISO can be put on, each to READY and to one container run.
//!
//! The ordinary run takes one cell for each firmware and each medium; `cargo xtask soak matrix` sets `MKDISTRO_MATRIX=all`.

use anyhow::{Context, Result};
use contract::ready::Ready;
use qemu_tests::{BOOT_LIMIT, Guest, iso, log_file, machine, user};
use std::path::Path;
use vm::{Boot, Bus, CdBus, Disk, DiskFormat, Firmware, Machine, MachineType, NetworkModel, Vm};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Bios,
    Uefi,
    SecureBoot,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Medium {
    IdeCd,
    AhciCd,
    UsbStick,
    VirtioDisk,
}

use Medium::{AhciCd, IdeCd, UsbStick, VirtioDisk};
use Start::{Bios, SecureBoot, Uefi};

/// Firmware, medium, MiB of RAM, whether it is in the short form.
const CELLS: [(Start, Medium, u32, bool); 16] = [
    (Bios, IdeCd, 512, false),
    (Bios, IdeCd, 256, true),
    (Bios, AhciCd, 512, false),
    (Bios, AhciCd, 256, false),
    (Bios, UsbStick, 512, false),
    (Bios, UsbStick, 256, true),
    (Bios, VirtioDisk, 512, false),
    (Bios, VirtioDisk, 256, false),
    (Uefi, IdeCd, 512, false),
    (Uefi, AhciCd, 512, true),
    (Uefi, UsbStick, 512, false),
    (Uefi, VirtioDisk, 512, true),
    (SecureBoot, IdeCd, 512, false),
    (SecureBoot, AhciCd, 512, false),
    (SecureBoot, UsbStick, 512, true),
    (SecureBoot, VirtioDisk, 512, false),
];

#[test]
fn bios() -> Result<()> {
    cells_of(Bios)
}

#[test]
fn uefi() -> Result<()> {
    cells_of(Uefi)
}

#[test]
fn secure_boot() -> Result<()> {
    cells_of(SecureBoot)
}

fn cells_of(start: Start) -> Result<()> {
    let all = std::env::var("MKDISTRO_MATRIX").is_ok_and(|value| value == "all");
    for (firmware, medium, memory_mib, short) in CELLS {
        if firmware == start && (all || short) {
            let cell = format!("{firmware:?} {medium:?} {memory_mib} MiB");
            boots(firmware, medium, memory_mib).with_context(|| cell.clone())?;
            println!("{cell}: READY and a container");
        }
    }
    Ok(())
}

/// The machine of a cell, with the ISO of a path on its medium.
fn cell(start: Start, medium: Medium, iso: &Path) -> Result<Machine> {
    let mut machine = machine()?;
    machine.firmware = match start {
        Bios => Firmware::Bios,
        Uefi => Firmware::uefi()?,
        SecureBoot => Firmware::uefi_secure_boot()?,
    };
    // Each on the chipset that people have it on; Secure Boot needs q35.
    machine.kind = match (start, medium) {
        (SecureBoot, _) | (_, AhciCd) => MachineType::Q35,
        (Uefi, UsbStick | VirtioDisk) => MachineType::Q35,
        _ => MachineType::Pc,
    };
    let disk = |bus| Boot::Disk(Disk { path: iso.into(), format: DiskFormat::Raw, bus });
    machine.boot = match medium {
        IdeCd => Boot::CdromOn(CdBus::Ide, iso.into()),
        AhciCd => Boot::CdromOn(CdBus::Ahci, iso.into()),
        UsbStick => disk(Bus::Usb),
        VirtioDisk => disk(Bus::Virtio),
    };
    Ok(machine)
}

fn boots(start: Start, medium: Medium, memory_mib: u32) -> Result<()> {
    // A disk is written to by nobody, but QEMU wants to be able to.
    let folder = tempfile::tempdir()?;
    let copy = folder.path().join("copy.iso");
    std::fs::copy(iso()?, &copy).context("copying the image")?;
    let mut machine = cell(start, medium, &copy)?;
    machine.memory_mib = memory_mib;
    let name = format!("matrix_{start:?}_{medium:?}_{memory_mib}").to_lowercase();
    let guest = Guest::boot(&name, machine)?;

    let is_uefi = guest.status("test -d /sys/firmware/efi")? == 0;
    assert_eq!(is_uefi, start != Bios, "/sys/firmware/efi");
    let (device, driver) = match (medium, start) {
        (IdeCd, _) => ("sr0", "ata_piix"),
        (AhciCd, _) => ("sr0", "ahci"),
        (UsbStick, _) => ("sda", "usb-storage"),
        (VirtioDisk, _) => ("vda", "virtio_blk"),
    };
    if (start, medium) == (SecureBoot, IdeCd) {
        // Secure Boot needs q35, on which QEMU does not wire a PIIX3's interrupts: firmware polls it, Linux cannot. The
        // driver is there.
        guest.ok("ls -d /sys/bus/pci/drivers/ata_piix/0000:*")?;
    } else {
        let drivers = drivers_of(&guest, device)?;
        assert!(drivers.contains(&driver.to_owned()), "{device} hangs on {drivers:?}");
    }
    if start == SecureBoot {
        assert_secure_boot(&guest)?;
    }
    run_container(&guest)
}

/// The drivers of a block device and of all it hangs on. It may come after READY.
fn drivers_of(guest: &Guest, device: &str) -> Result<Vec<String>> {
    let script = format!(
        "for n in 1 2 3 4 5 6 7 8 9; do [ ! -e /sys/block/{device} ] || break; sleep 5; done; \
         path=$(readlink -f /sys/block/{device}); while [ \"$path\" != /sys ]; do \
         [ ! -e $path/driver ] || basename $(readlink $path/driver); path=${{path%/*}}; done"
    );
    Ok(guest.ok(&script)?.lines().map(str::to_owned).collect())
}

/// Both the kernel and the firmware's variable say so (UEFI 2.10, 3.3: `SecureBoot`, one byte behind four of attributes).
fn assert_secure_boot(guest: &Guest) -> Result<()> {
    assert_eq!(guest.status("sudo dmesg | grep -q 'secureboot: Secure boot enabled'")?, 0, "the kernel does not know");
    let variable = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
    let bytes = guest.ok(&format!("sudo od -An -tu1 {variable}"))?;
    assert_eq!(bytes.split_whitespace().last(), Some("1"), "{bytes}");
    // What follows from it: only signed modules.
    assert!(guest.ok("sudo cat /sys/kernel/security/lockdown")?.contains("[integrity]"));
    Ok(())
}

/// An image of busybox alone, a container of it on a bridge.
fn run_container(guest: &Guest) -> Result<()> {
    guest.ok(
        "sudo sh -ec 'mkdir -p /tmp/r/bin /tmp/r/tmp /tmp/r/etc; cp $(readlink -f /bin/busybox) /tmp/r/bin/busybox; \
         ln -s busybox /tmp/r/bin/sh; tar -C /tmp/r -c . | podman import -q - localhost/cell:test'",
    )?;
    assert_eq!(guest.status("sudo podman run --rm localhost/cell:test sh -c 'exit 42'")?, 42);
    Ok(())
}

/// The kernel is what the loaders check: one byte of it changed, and a machine with Secure Boot does not start it.
#[test]
fn secure_boot_refuses_another_kernel() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (kernel, _) = qemu_tests::kernel_and_initramfs(&folder.path().join("files"))?;
    let kernel = std::fs::read(kernel)?;
    let mut bytes = std::fs::read(iso()?)?;
    // ISO 9660's files begin at its sectors.
    let found = (0..bytes.len()).step_by(2048).find(|&at| bytes[at..].starts_with(&kernel));
    let at = found.context("the kernel is not in the image as it is")? + kernel.len() / 2;
    bytes[at] ^= 1;
    let copy = folder.path().join("copy.iso");
    std::fs::write(&copy, bytes)?;

    let mut machine = cell(SecureBoot, AhciCd, &copy)?;
    if let Some(network) = machine.user_network() {
        network.model = NetworkModel::E1000e;
    }
    let limit = machine.accelerator.scaled(BOOT_LIMIT);
    let vm = Vm::start(machine, &user(), &log_file("matrix_another_kernel")?)?;
    let refusal = vm.wait_for_line("a refusal", limit, |line| {
        (line.contains("bad shim signature") || Ready::parse(line).is_some()).then(|| line.to_owned())
    })?;
    assert!(refusal.contains("bad shim signature"), "it started: {refusal}");
    Ok(())
}
