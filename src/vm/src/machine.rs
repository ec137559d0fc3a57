//! What a virtual machine is made of, and QEMU's command line for it: a pure function.
//!
//! Reference: qemu(1). A comma inside an option's value is written twice.

use crate::Accelerator;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The program.
pub(crate) const QEMU: &str = "qemu-system-x86_64";

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// What runs it.
    pub accelerator: Accelerator,
    /// Chipset.
    pub kind: MachineType,
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
    /// Strings and files for the guest's fw_cfg device.
    pub fw_cfg: Vec<(String, FwCfg)>,
    /// Where the first serial port goes.
    pub serial: Serial,
    /// Unix socket that somebody listens on and QEMU connects to for QMP.
    pub qmp: Option<PathBuf>,
    /// Whether a reboot asked for by the guest boots again; otherwise it ends QEMU.
    pub reboots: bool,
    /// A virtio random number generator.
    pub rng: bool,
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
}

/// What a machine boots from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Boot {
    /// An ISO image in the chipset's own CD drive.
    Cdrom(PathBuf),
    /// Kernel and initramfs handed over directly.
    Kernel {
        /// bzImage.
        kernel: PathBuf,
        /// initramfs.
        initrd: PathBuf,
        /// Kernel command line.
        cmdline: String,
    },
    /// A disk.
    Disk(Disk),
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
    /// USB mass storage on xHCI.
    Usb,
    /// A SCSI disk on virtio-scsi.
    Scsi,
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
    /// Realtek 8139.
    Rtl8139,
}

impl NetworkModel {
    /// Name of QEMU's device.
    pub fn device(self) -> &'static str {
        match self {
            Self::Virtio => "virtio-net-pci",
            Self::E1000 => "e1000",
            Self::Pcnet => "pcnet",
            Self::E1000e => "e1000e",
            Self::Rtl8139 => "rtl8139",
        }
    }
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
    /// A `pc` with 512 MiB, two CPUs, an e1000 card on an isolated user-mode network, no disk but what it boots from.
    pub fn new(accelerator: Accelerator, boot: Boot) -> Self {
        Self {
            accelerator,
            kind: MachineType::Pc,
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
            fw_cfg: Vec::new(),
            serial: Serial::Stdio,
            qmp: None,
            reboots: true,
            rng: false,
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
        let mut args = Arguments::default();
        args.add("-accel", self.accelerator.argument());
        if self.accelerator == Accelerator::Kvm {
            args.add("-cpu", "host");
        }
        args.add(
            "-machine",
            match self.kind {
                MachineType::Pc => "pc",
                MachineType::Q35 => "q35",
            },
        );
        args.add("-m", self.memory_mib.to_string());
        args.add("-smp", self.cpus.to_string());
        args.add("-display", "none");
        self.boot_arguments(&mut args);
        for disk in &self.disks {
            args.disk(disk);
        }
        self.network_arguments(&mut args);
        for (name, value) in &self.fw_cfg {
            let mut option = Value::new(format!("name={name}"));
            match value {
                FwCfg::Text(text) => option.set("string", text),
                FwCfg::File(path) => option.set("file", path),
            }
            args.add("-fw_cfg", option.0);
        }
        if self.rng {
            args.add("-device", "virtio-rng-pci");
        }
        self.console_arguments(&mut args);
        if !self.reboots {
            args.0.push("-no-reboot".into());
        }
        args.0.extend(self.extra.iter().cloned());
        args.0
    }

    fn boot_arguments(&self, args: &mut Arguments) {
        match &self.boot {
            Boot::Cdrom(path) => {
                args.add("-cdrom", path);
                // SeaBIOS tries hard disks first, and a foreign one may carry a boot sector.
                if !self.disks.is_empty() {
                    args.add("-boot", "order=d");
                }
            }
            Boot::Kernel { kernel, initrd, cmdline } => {
                args.add("-kernel", kernel);
                args.add("-initrd", initrd);
                args.add("-append", cmdline);
            }
            Boot::Disk(disk) => args.disk(disk),
        }
    }

    fn network_arguments(&self, args: &mut Arguments) {
        let Network::User(network) = &self.network else {
            return args.add("-nic", "none");
        };
        let mut option = Value::new("user,id=net0");
        option.set("restrict", if network.isolated { "on" } else { "off" });
        for (host, guest) in &network.forwards {
            option.set("hostfwd", format!("tcp:127.0.0.1:{host}-:{guest}"));
        }
        for (address, command) in &network.services {
            option.set("guestfwd", format!("tcp:{address}-cmd:{command}"));
        }
        args.add("-netdev", option.0);
        args.add("-device", format!("{},netdev=net0", network.model.device()));
    }

    fn console_arguments(&self, args: &mut Arguments) {
        match &self.serial {
            Serial::Stdio => args.add("-serial", "mon:stdio"),
            Serial::File(path) => {
                let mut option = Value::new("file,id=serial0");
                option.set("path", path);
                args.add("-chardev", option.0);
                args.add("-serial", "chardev:serial0");
            }
            Serial::Socket(path) => {
                let mut option = Value::new("socket,id=serial0");
                option.set("path", path);
                args.add("-chardev", option.0);
                args.add("-serial", "chardev:serial0");
            }
        }
        if self.serial != Serial::Stdio {
            args.add("-monitor", "none");
        }
        if let Some(path) = &self.qmp {
            let mut option = Value::new("socket,id=qmp0");
            option.set("path", path);
            args.add("-chardev", option.0);
            args.add("-mon", "chardev=qmp0,mode=control");
        }
    }
}

/// Arguments in the making.
#[derive(Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
    fn add(&mut self, option: &str, value: impl AsRef<OsStr>) {
        self.0.push(option.into());
        self.0.push(value.as_ref().into());
    }

    /// The controller is added once; QEMU gives the device the next free port of a bus that is not named.
    fn controller(&mut self, device: &str) {
        if !self.0.iter().any(|argument| argument == device) {
            self.add("-device", device);
        }
    }

    fn disk(&mut self, disk: &Disk) {
        let count = |argument: &&OsString| *argument == "-drive";
        let id = format!("disk{}", self.0.iter().filter(count).count());
        let on_ahci = |argument: &&OsString| argument.as_bytes().windows(9).any(|bytes| bytes == b",bus=ahci");
        let ahci_port = self.0.iter().filter(on_ahci).count();
        let mut drive = Value::new(format!("id={id},if=none"));
        drive.set(
            "format",
            match disk.format {
                DiskFormat::Raw => "raw",
                DiskFormat::Qcow2 => "qcow2",
            },
        );
        drive.set("file", &disk.path);
        self.add("-drive", drive.0);
        let device = match disk.bus {
            Bus::Ide => format!("ide-hd,drive={id}"),
            Bus::Ahci => {
                self.controller("ahci,id=ahci");
                format!("ide-hd,drive={id},bus=ahci.{ahci_port}")
            }
            Bus::Virtio => format!("virtio-blk-pci,drive={id}"),
            Bus::Nvme => format!("nvme,drive={id},serial={id}"),
            Bus::Usb => {
                self.controller("qemu-xhci,id=xhci");
                format!("usb-storage,drive={id},bus=xhci.0")
            }
            Bus::Scsi => {
                self.controller("virtio-scsi-pci,id=scsi");
                format!("scsi-hd,drive={id},bus=scsi.0")
            }
        };
        self.add("-device", device);
    }
}

/// The `a=b,c=d` value of an option.
struct Value(OsString);

impl Value {
    fn new(start: impl Into<OsString>) -> Self {
        Self(start.into())
    }

    fn set(&mut self, key: &str, value: impl AsRef<Path>) {
        self.0.push(format!(",{key}="));
        let mut doubled = Vec::new();
        for &byte in value.as_ref().as_os_str().as_bytes() {
            doubled.extend(std::iter::repeat_n(byte, if byte == b',' { 2 } else { 1 }));
        }
        self.0.push(OsString::from_vec(doubled));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(machine: &Machine) -> String {
        machine.arguments().iter().map(|a| a.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_cd_and_nothing_else() {
        let machine = Machine::new(Accelerator::Tcg, Boot::Cdrom("out.iso".into()));
        assert_eq!(
            line(&machine),
            "-accel tcg,thread=multi -machine pc -m 512 -smp 2 -display none -cdrom out.iso \
             -netdev user,id=net0,restrict=on -device e1000,netdev=net0 -serial mon:stdio"
        );
    }

    #[test]
    fn kernel_and_everything_else() {
        let mut machine = Machine::new(
            Accelerator::Kvm,
            Boot::Kernel { kernel: "k".into(), initrd: "i".into(), cmdline: "a b=c,d".into() },
        );
        machine.kind = MachineType::Q35;
        machine.memory_mib = 128;
        machine.cpus = 1;
        machine.network = Network::User(UserNetwork {
            model: NetworkModel::Virtio,
            isolated: false,
            forwards: vec![(4022, 22), (4080, 8080)],
            services: vec![("10.0.2.100:5000".into(), "socat - TCP:127.0.0.1:9,nodelay".into())],
        });
        machine.fw_cfg =
            vec![("opt/a".into(), FwCfg::Text("x,y z".into())), ("opt/b".into(), FwCfg::File("/tmp/f".into()))];
        machine.serial = Serial::Socket("/tmp/s,1".into());
        machine.qmp = Some("/tmp/q".into());
        machine.reboots = false;
        machine.rng = true;
        machine.extra = vec!["-snapshot".into()];
        assert_eq!(
            line(&machine),
            "-accel kvm -cpu host -machine q35 -m 128 -smp 1 -display none -kernel k -initrd i -append a b=c,d \
             -netdev user,id=net0,restrict=off,hostfwd=tcp:127.0.0.1:4022-:22,hostfwd=tcp:127.0.0.1:4080-:8080,\
             guestfwd=tcp:10.0.2.100:5000-cmd:socat - TCP:127.0.0.1:9,,nodelay -device virtio-net-pci,netdev=net0 \
             -fw_cfg name=opt/a,string=x,,y z -fw_cfg name=opt/b,file=/tmp/f -device virtio-rng-pci \
             -chardev socket,id=serial0,path=/tmp/s,,1 -serial chardev:serial0 -monitor none \
             -chardev socket,id=qmp0,path=/tmp/q -mon chardev=qmp0,mode=control -no-reboot -snapshot"
        );
    }

    #[test]
    fn disks_on_every_bus() {
        let disk = |bus| Disk { path: "d".into(), format: DiskFormat::Raw, bus };
        let mut machine = Machine::new(Accelerator::Tcg, Boot::Cdrom("c".into()));
        machine.network = Network::None;
        machine.serial = Serial::File("log".into());
        machine.disks = [Bus::Ide, Bus::Ahci, Bus::Ahci, Bus::Virtio, Bus::Nvme, Bus::Usb, Bus::Scsi, Bus::Scsi]
            .into_iter()
            .map(disk)
            .collect();
        machine.disks[7].format = DiskFormat::Qcow2;
        assert_eq!(
            line(&machine),
            "-accel tcg,thread=multi -machine pc -m 512 -smp 2 -display none -cdrom c -boot order=d \
             -drive id=disk0,if=none,format=raw,file=d -device ide-hd,drive=disk0 \
             -drive id=disk1,if=none,format=raw,file=d -device ahci,id=ahci -device ide-hd,drive=disk1,bus=ahci.0 \
             -drive id=disk2,if=none,format=raw,file=d -device ide-hd,drive=disk2,bus=ahci.1 \
             -drive id=disk3,if=none,format=raw,file=d -device virtio-blk-pci,drive=disk3 \
             -drive id=disk4,if=none,format=raw,file=d -device nvme,drive=disk4,serial=disk4 \
             -drive id=disk5,if=none,format=raw,file=d -device qemu-xhci,id=xhci \
             -device usb-storage,drive=disk5,bus=xhci.0 \
             -drive id=disk6,if=none,format=raw,file=d -device virtio-scsi-pci,id=scsi \
             -device scsi-hd,drive=disk6,bus=scsi.0 \
             -drive id=disk7,if=none,format=qcow2,file=d -device scsi-hd,drive=disk7,bus=scsi.0 -nic none \
             -chardev file,id=serial0,path=log -serial chardev:serial0 -monitor none"
        );
    }

    #[test]
    fn a_disk_to_boot_from() {
        let disk = Disk { path: "a,b".into(), format: DiskFormat::Qcow2, bus: Bus::Virtio };
        let mut machine = Machine::new(Accelerator::Tcg, Boot::Disk(disk));
        machine.network = Network::None;
        assert_eq!(
            line(&machine),
            "-accel tcg,thread=multi -machine pc -m 512 -smp 2 -display none \
             -drive id=disk0,if=none,format=qcow2,file=a,,b -device virtio-blk-pci,drive=disk0 -nic none \
             -serial mon:stdio"
        );
    }
}
