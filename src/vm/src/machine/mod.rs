//! What a virtual machine is made of. QEMU's command line for it is a pure function, [`Machine::arguments`].
//!
//! Reference: qemu(1), `qemu-system-x86_64 -device help`.

mod arguments;
mod firmware;

pub use firmware::{Firmware, Uefi, Variables};

use crate::Accelerator;
use std::ffi::OsString;
use std::path::PathBuf;

/// The program.
pub(crate) const QEMU: &str = "qemu-system-x86_64";

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// What runs it.
    pub accelerator: Accelerator,
    /// Chipset.
    pub kind: MachineType,
    /// What it starts with.
    pub firmware: Firmware,
    /// RAM in MiB.
    pub memory_mib: u32,
    /// Virtual CPUs.
    pub cpus: u32,
    /// What it boots from.
    pub boot: Boot,
    /// Further disks.
    pub disks: Vec<Disk>,
    /// Its network.
    pub network: Network,
    /// What else hangs on its buses.
    pub devices: Vec<Device>,
    /// Strings and files for the guest's fw_cfg device.
    pub fw_cfg: Vec<(String, FwCfg)>,
    /// Where the first serial port goes.
    pub serial: Serial,
    /// Unix socket that somebody listens on and QEMU connects to for QMP.
    pub qmp: Option<PathBuf>,
    /// Whether a reboot asked for by the guest boots again; otherwise it ends QEMU.
    pub reboots: bool,
    /// Arguments put at the end.
    pub extra: Vec<OsString>,
}

/// Chipset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MachineType {
    /// i440FX and PIIX3: IDE, PCI.
    Pc,
    /// Q35 and ICH9: AHCI, PCI Express.
    Q35,
    /// No PCI, virtio by MMIO. Its devices are found by ACPI, or on the kernel's command line, where QEMU puts them.
    Microvm {
        /// Whether it has ACPI tables.
        acpi: bool,
    },
}

/// What a machine boots from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Boot {
    /// An ISO image in the chipset's own CD drive.
    Cdrom(PathBuf),
    /// An ISO image in a CD drive on this bus.
    CdromOn(CdBus, PathBuf),
    /// Kernel and initramfs handed over directly.
    Kernel {
        /// bzImage, or an ELF file with a PVH entry.
        kernel: PathBuf,
        /// initramfs.
        initrd: PathBuf,
        /// Kernel command line.
        cmdline: String,
    },
    /// A disk; an ISO image too may be one.
    Disk(Disk),
    /// The network card's own boot program (PXE, iPXE), by DHCP and TFTP of the user-mode network.
    Network {
        /// Folder that is served.
        folder: PathBuf,
        /// File in it that DHCP names.
        file: String,
    },
}

/// Where a CD drive hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CdBus {
    /// IDE: the chipset's own on `pc`, a PIIX3 controller elsewhere.
    Ide,
    /// AHCI: the chipset's own on `q35`, a controller of its own elsewhere.
    Ahci,
    /// virtio-scsi.
    Scsi,
    /// USB mass storage on xHCI.
    Usb,
}

/// A disk of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Image file.
    pub path: PathBuf,
    /// Its format.
    pub format: DiskFormat,
    /// How it is attached.
    pub bus: Bus,
}

/// Format of an image file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskFormat {
    /// The bytes of the disk.
    Raw,
    /// QEMU's own.
    Qcow2,
}

/// How a disk is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bus {
    /// The chipset's own ports: IDE on `pc`, AHCI on `q35`.
    Ide,
    /// An AHCI controller of its own.
    Ahci,
    /// virtio-blk.
    Virtio,
    /// NVMe.
    Nvme,
    /// USB mass storage on xHCI (USB 3).
    Usb,
    /// USB Attached SCSI on xHCI.
    UsbUas,
    /// USB mass storage on EHCI (USB 2).
    UsbEhci,
    /// USB mass storage on UHCI (USB 1, Intel).
    UsbUhci,
    /// USB mass storage on OHCI (USB 1, others).
    UsbOhci,
    /// A SCSI disk on virtio-scsi.
    Scsi,
    /// On an LSI 53C895A.
    Lsi53c895a,
    /// On an LSI SAS 1068, VMware's and VirtualBox's "LSI Logic SAS".
    Mptsas,
    /// On an LSI MegaRAID SAS 1078.
    Megasas,
    /// On VMware's paravirtual SCSI.
    Pvscsi,
    /// An SD card in an SDHCI slot. Its size must be a power of two.
    Sd,
}

/// The machine's network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// No network card.
    None,
    /// QEMU's user-mode network.
    User(UserNetwork),
}

/// QEMU's user-mode network: 10.0.2.0/24, the guest is 10.0.2.15, DHCP and DNS inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserNetwork {
    /// Network card.
    pub model: NetworkModel,
    /// Whether the guest reaches nothing but what is forwarded (`restrict=on`).
    pub isolated: bool,
    /// TCP ports of the host's loopback and the guest's port that each leads to.
    pub forwards: Vec<(u16, u16)>,
    /// `address:port` in the guest's network and the command whose stdin and stdout each connection gets.
    pub services: Vec<(String, String)>,
}

/// Network card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkModel {
    /// virtio-net.
    Virtio,
    /// Intel 82540EM, QEMU's and VirtualBox's default.
    E1000,
    /// AMD PCnet, VirtualBox's older default.
    Pcnet,
    /// Intel 82574L.
    E1000e,
    /// Intel 82576.
    Igb,
    /// Realtek 8139.
    Rtl8139,
    /// VMware's paravirtual card.
    Vmxnet3,
}

/// A device besides disks and the card of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Device {
    /// virtio's random number generator.
    Rng,
    /// virtio's memory balloon.
    Balloon,
    /// Sockets between host and guest, which is this number. Needs the host's `/dev/vhost-vsock`.
    Vsock(u32),
    /// Intel 6300ESB watchdog; it resets the machine.
    I6300esb,
    /// A folder of the host, read-only, by 9p under a tag.
    Share {
        /// The folder.
        folder: PathBuf,
        /// The tag.
        tag: String,
    },
    /// A network card with no cable.
    Nic(NetworkModel),
    /// A virtio card on a wire to another machine's: Ethernet frames as datagrams over Unix sockets.
    Wire {
        /// Its hardware address.
        mac: String,
        /// Socket of this end, made by QEMU.
        here: PathBuf,
        /// Socket of the other end.
        there: PathBuf,
    },
    /// A raw disk on virtio-blk that takes discards; what is written to it is recorded besides, see [`crate::WriteLog`].
    RecordedDisk {
        /// Image file.
        path: PathBuf,
        /// An empty file for the record.
        log: PathBuf,
    },
    /// A keyboard on xHCI.
    UsbKeyboard,
}

/// A value of the fw_cfg device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FwCfg {
    /// These characters.
    Text(String),
    /// The bytes of this file.
    File(PathBuf),
}

/// Where the first serial port goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Serial {
    /// QEMU's stdin and stdout, shared with its monitor (Ctrl-A C); Ctrl-C goes to the guest.
    Stdio,
    /// A file, output only.
    File(PathBuf),
    /// A Unix socket that somebody listens on and QEMU connects to.
    Socket(PathBuf),
}

impl Machine {
    /// A `pc` with BIOS, 512 MiB, two CPUs, an e1000 card on an isolated user-mode network, no disk but what it boots from.
    pub fn new(accelerator: Accelerator, boot: Boot) -> Self {
        Self {
            accelerator,
            kind: MachineType::Pc,
            firmware: Firmware::Bios,
            memory_mib: 512,
            cpus: 2,
            boot,
            disks: Vec::new(),
            network: Network::User(UserNetwork {
                model: NetworkModel::E1000,
                isolated: true,
                forwards: Vec::new(),
                services: Vec::new(),
            }),
            devices: Vec::new(),
            fw_cfg: Vec::new(),
            serial: Serial::Stdio,
            qmp: None,
            reboots: true,
            extra: Vec::new(),
        }
    }

    /// The user-mode network, if it has one.
    pub fn user_network(&mut self) -> Option<&mut UserNetwork> {
        match &mut self.network {
            Network::User(network) => Some(network),
            Network::None => None,
        }
    }

    /// QEMU's arguments.
    pub fn arguments(&self) -> Vec<OsString> {
        arguments::of(self)
    }
}

#[cfg(test)]
mod tests;
