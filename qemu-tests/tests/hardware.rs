//! Virtual hardware that people have: everything QEMU can show is found by its modalias and driven; what it cannot show
//! (VirtualBox, VMware, Hyper-V) has a driver in the image that its modalias leads to.

use crate::builder::{program, run};
use anyhow::{Context, Result};
use qemu_tests::{Guest, iso, kernel_and_initramfs, machine};
use std::path::Path;
use std::process::Command;
use vm::disk::create_data_disk;
use vm::{Boot, Bus, Device, Disk, DiskFormat, Machine, MachineType, NetworkModel};

const MIB: u64 = 1 << 20;

/// A machine that is started without firmware's search for a medium, which costs time that says nothing here.
fn direct(folder: &Path, kind: MachineType) -> Result<Machine> {
    let (kernel, initrd) = kernel_and_initramfs(folder)?;
    let mut machine = machine()?;
    machine.kind = kind;
    machine.boot = Boot::Kernel { kernel, initrd, cmdline: "console=ttyS0 loglevel=4 retain_initrd".into() };
    Ok(machine)
}

/// For each block device: its size in MiB, then the drivers of what it hangs on.
const BLOCK_DEVICES: &str = "for device in /sys/block/*; do path=$(readlink -f $device); \
     echo -n \"$(($(cat $device/size) / 2048))\"; \
     while [ \"$path\" != /sys ]; do [ ! -e $path/driver ] || echo -n \" $(basename $(readlink $path/driver))\"; \
     path=${path%/*}; done; echo; done";

/// Drivers of all devices of a bus, one a line.
fn bound(guest: &Guest, bus: &str) -> Result<Vec<String>> {
    let script = format!("for link in /sys/bus/{bus}/devices/*/driver; do basename $(readlink $link); done");
    Ok(guest.ok(&script)?.lines().map(str::to_owned).collect())
}

#[track_caller]
fn assert_has(found: &[String], expected: &[&str]) {
    let missing: Vec<_> = expected.iter().filter(|name| !found.iter().any(|found| found == *name)).collect();
    assert!(missing.is_empty(), "without driver: {missing:?}; bound are {found:?}");
}

#[test]
fn everything_at_once() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut machine = direct(&folder.path().join("files"), MachineType::Q35)?;
    let disks = [
        (Bus::Sd, "sdhci-pci"),
        (Bus::Ide, "ahci"),
        (Bus::Virtio, "virtio_blk"),
        (Bus::Nvme, "nvme"),
        (Bus::Scsi, "virtio_scsi"),
        (Bus::Lsi53c895a, "sym53c8xx"),
        (Bus::Mptsas, "mptsas"),
        (Bus::Megasas, "megaraid_sas"),
        (Bus::Pvscsi, "vmw_pvscsi"),
        (Bus::Usb, "xhci_hcd"),
        (Bus::UsbUas, "uas"),
        (Bus::UsbEhci, "ehci-pci"),
        (Bus::UsbUhci, "uhci_hcd"),
        (Bus::UsbOhci, "ohci-pci"),
    ];
    // Known again by their sizes; that of an SD card is a power of two.
    for (size_mib, (bus, driver)) in (64..).zip(disks) {
        let path = folder.path().join(driver);
        std::fs::File::create(&path)?.set_len(size_mib * MIB)?;
        machine.disks.push(Disk { path, format: DiskFormat::Raw, bus });
    }
    let shared = folder.path().join("shared");
    std::fs::create_dir(&shared)?;
    std::fs::write(shared.join("file"), "from the host\n")?;
    machine.user_network().context("the network")?.model = NetworkModel::E1000e;
    machine.devices = vec![
        Device::Rng,
        Device::Balloon,
        Device::I6300esb,
        Device::Share { folder: shared, tag: "shared".into() },
        Device::UsbKeyboard,
    ];
    let cards = [
        (NetworkModel::E1000, "e1000"),
        (NetworkModel::Igb, "igb"),
        (NetworkModel::Pcnet, "pcnet32"),
        (NetworkModel::Rtl8139, "8139cp"),
        (NetworkModel::Virtio, "virtio-pci"),
        (NetworkModel::Vmxnet3, "vmxnet3"),
    ];
    machine.devices.extend(cards.map(|(model, _)| Device::Nic(model)));
    let guest = Guest::boot("hardware", machine)?;

    let found = guest.ok(BLOCK_DEVICES)?;
    for (size_mib, (_, driver)) in (64..).zip(disks) {
        let line = found.lines().find(|line| line.split(' ').next() == Some(&size_mib.to_string()));
        let has_driver = line.is_some_and(|line| line.split(' ').any(|word| word == driver));
        assert!(has_driver, "the disk of {size_mib} MiB should hang on {driver}:\n{found}");
    }
    let pci = bound(&guest, "pci")?;
    assert_has(&pci, &cards.map(|(_, driver)| driver));
    assert_has(&pci, &["e1000e", "i6300ESB", "lpc_ich"]);
    assert_has(&bound(&guest, "virtio")?, &["virtio_net", "virtio_rng", "virtio_balloon", "9pnet_virtio"]);
    assert_has(&bound(&guest, "platform")?, &["iTCO_wdt", "i8042"]);
    assert_has(&bound(&guest, "hid")?, &["hid-generic"]);
    // Both watchdogs, and the entropy is used.
    guest.ok("test -c /dev/watchdog0 && test -c /dev/watchdog1")?;
    assert!(guest.ok("cat /sys/class/misc/hw_random/rng_current")?.starts_with("virtio_rng"));
    let mount = "sudo mkdir /mnt/shared && sudo mount -t 9p -o trans=virtio,version=9p2000.L,ro shared /mnt/shared";
    guest.ok(mount)?;
    assert_eq!(guest.ok("cat /mnt/shared/file")?, "from the host");
    let inputs = guest.ok("cat /proc/bus/input/devices")?;
    for keyboard in ["AT Translated Set 2 keyboard", "QEMU USB Keyboard"] {
        assert!(inputs.contains(keyboard), "no {keyboard}:\n{inputs}");
    }
    assert_eq!(guest.status("grep -q virtiofs /proc/filesystems")?, 0, "no virtiofs");
    Ok(())
}

/// VirtualBox's default machine, as near as QEMU comes: PIIX with the CD on IDE, the disk on AHCI, an Intel card, a VGA screen,
/// nothing of virtio.
#[test]
fn nearest_to_virtualbox() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("data.img");
    create_data_disk(&path, 512 * MIB, contract::DEFAULT_DATA_LABEL)?;
    let mut machine = machine()?;
    machine.disks = vec![Disk { path, format: DiskFormat::Raw, bus: Bus::Ahci }];
    let guest = Guest::boot("virtualbox", machine)?;
    let has_virtio = guest.status("ls /sys/bus/virtio/devices/* /sys/bus/pci/drivers/virtio-pci/0*")? == 0;
    assert!(!has_virtio, "a virtio device");
    assert_eq!(guest.ok(&format!("cat {}", contract::paths::DATA_STATE))?, "device /dev/sda");
    let found = guest.ok(BLOCK_DEVICES)?;
    assert!(found.lines().any(|line| line.starts_with("512 sd ahci")), "the disk is not on AHCI:\n{found}");
    assert_has(&bound(&guest, "pci")?, &["ata_piix", "ahci", "e1000"]);
    assert!(guest.ok("cat /proc/consoles")?.contains("tty"), "no screen");
    let screen = guest.screen_text()?;
    assert!(screen.contains("READY "), "not on the screen: {screen}");
    guest.power_off()
}

/// Modaliases as these machines show them, and the drivers they lead to. Numbers of vendors and devices from the drivers'
/// own tables, of Hyper-V's channels from `include/linux/hyperv.h`.
const ELSEWHERE: &[(&str, &str)] = &[
    // VirtualBox
    ("pci:v000080EEd0000CAFEsv00000000sd00000000bc08sc80i00", "vboxguest"),
    ("fs-vboxsf", "vboxsf"),
    ("pci:v0000104Bd00001040sv0000104Bsd00001040bc01sc00i00", "BusLogic"),
    ("pci:v00001000d00000030sv00001000sd00008000bc01sc00i00", "mptspi"),
    ("pci:v00001000d00000054sv00001000sd00008000bc01sc00i00", "mptsas"),
    ("pci:v00008086d00002829sv00000000sd00000000bc01sc06i01", "ahci"),
    ("pci:v00008086d00007111sv00000000sd00000000bc01sc01i8A", "ata_piix"),
    ("pci:v000080EEd00004E56sv00000000sd00000000bc01sc08i02", "nvme"),
    ("pci:v0000106Bd0000003Fsv00000000sd00000000bc0Csc03i10", "ohci_pci"),
    ("pci:v00008086d0000265Csv00000000sd00000000bc0Csc03i20", "ehci_pci"),
    ("pci:v00008086d00001E31sv00000000sd00000000bc0Csc03i30", "xhci_pci"),
    // VMware
    ("pci:v000015ADd000007B0sv000015ADsd000007B0bc02sc00i00", "vmxnet3"),
    ("pci:v000015ADd000007C0sv000015ADsd000007C0bc01sc07i00", "vmw_pvscsi"),
    ("pci:v000015ADd00000740sv000015ADsd00000740bc08sc80i10", "vmw_vmci"),
    ("dmi:bvnPhoenix:bvr6.00:svnVMware,Inc.:pnVMwareVirtualPlatform:pvrNone:rvnIntel:", "vmw_balloon"),
    // Hyper-V
    ("acpi:VMBUS:", "hv_vmbus"),
    ("vmbus:635161f83edfc546913ff2d2f965ed0e", "hv_netvsc"),
    ("vmbus:d96361baa104294db60572e2ffb1dc7f", "hv_storvsc"),
    ("vmbus:6dad12f9172bea48bd65f927a61c7684", "hyperv_keyboard"),
    ("vmbus:31600b0e13523449818b38d90ced39db", "hv_utils"),
    ("vmbus:dc7450528589e2468057a307dc18a502", "hv_balloon"),
    ("vmbus:1df6c444444400449d52802e27ede19f", "pci_hyperv"),
    // virtio, where QEMU on this machine lacks the other side
    ("virtio:d00000013v00001AF4", "vmw_vsock_virtio_transport"),
    ("acpi:LNRO0005:", "virtio_mmio"),
    // Real machines
    ("pci:v000010ECd00008168sv00001043sd00008677bc02sc00i00", "r8169"),
    ("pci:v000010ECd00008139sv000010ECsd00008139bc02sc00i00", "8139too"),
    ("pci:v00008086d000010FBsv00008086sd00000003bc02sc00i00", "ixgbe"),
    ("pci:v00008086d000015F2sv00008086sd00000000bc02sc00i00", "igc"),
    ("pci:v000014E4d00001657sv0000103Csd000022BEbc02sc00i00", "tg3"),
    ("pci:v000014E4d000016D7sv000014E4sd00001402bc02sc00i00", "bnxt_en"),
    ("pci:v00001000d0000005Dsv00001028sd00001F49bc01sc04i00", "megaraid_sas"),
    ("pci:v00001000d00000097sv00001000sd00003090bc01sc07i00", "mpt3sas"),
    ("acpi:80860F14:", "sdhci_acpi"),
    ("mmc:block", "mmc_block"),
];

#[test]
fn modaliases_of_other_machines() -> Result<()> {
    let inspect = |path: &str, option: &str| {
        let mut command = Command::new(program());
        run(command.arg("inspect").arg(iso().unwrap()).arg(path).args(option.split_whitespace())).stdout
    };
    let modules = inspect("root:/usr/lib/modules", "");
    let release = modules.lines().filter_map(|line| line.rsplit(' ').next()).find(|name| name.ends_with("-amd64/"));
    let release = release.context("the image has no modules")?;
    let text = inspect(&format!("root:/usr/lib/modules/{release}modules.alias"), "--cat");
    let aliases: Vec<(&str, &str)> =
        text.lines().filter_map(|line| line.strip_prefix("alias ")?.rsplit_once(' ')).collect();
    for (modalias, module) in ELSEWHERE {
        let found: Vec<&str> = aliases.iter().filter(|(glob, _)| fits(glob, modalias)).map(|(_, name)| *name).collect();
        assert!(found.contains(module), "{modalias} should lead to {module}, leads to {found:?}");
    }
    Ok(())
}

/// Patterns of modules.alias, as far as these need them: `*`.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text
            .strip_prefix(start)
            .is_some_and(|text| text.char_indices().any(|(at, _)| fits(rest, &text[at..])) || fits(rest, "")),
    }
}
