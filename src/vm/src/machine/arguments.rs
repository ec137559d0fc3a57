//! QEMU's command line for a machine. A comma inside an option's value is written twice (qemu(1)).

use super::{
    Boot, Bus, CdBus, Device, Disk, DiskFormat, Firmware, FwCfg, Machine, MachineType, Network, NetworkModel, Serial,
    Uefi, Variables,
};
use crate::Accelerator;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// What the machine boots from comes before everything else.
const FIRST: &str = ",bootindex=0";

/// All arguments.
pub(super) fn of(machine: &Machine) -> Vec<OsString> {
    let mut args = Arguments::of(machine);
    args.add("-accel", machine.accelerator.argument());
    if machine.accelerator == Accelerator::Kvm {
        args.add("-cpu", "host");
    }
    args.add("-machine", machine_type(machine));
    args.firmware(&machine.firmware);
    args.add("-m", machine.memory_mib.to_string());
    args.add("-smp", machine.cpus.to_string());
    args.add("-display", "none");
    args.boot();
    for disk in &machine.disks {
        args.disk(disk, "");
    }
    args.network();
    for device in &machine.devices {
        args.device(device);
    }
    for (name, value) in &machine.fw_cfg {
        let option = Value::new(format!("name={name}"));
        args.add(
            "-fw_cfg",
            match value {
                FwCfg::Text(text) => option.with("string", text),
                FwCfg::File(path) => option.with("file", path),
            },
        );
    }
    args.consoles();
    if !machine.reboots {
        args.list.push("-no-reboot".into());
    }
    args.list.extend(machine.extra.iter().cloned());
    args.list
}

fn machine_type(machine: &Machine) -> String {
    let kind = match machine.kind {
        MachineType::Pc => "pc",
        MachineType::Q35 => "q35",
        MachineType::Microvm { acpi: true } => "microvm,acpi=on",
        MachineType::Microvm { acpi: false } => "microvm,acpi=off",
    };
    // Only code in system management mode may write the variables.
    let smm = if machine.firmware.has_secure_boot() { ",smm=on" } else { "" };
    format!("{kind}{smm}")
}

/// Arguments in the making.
struct Arguments<'a> {
    machine: &'a Machine,
    list: Vec<OsString>,
    disks: usize,
    ahci_ports: usize,
    shares: usize,
}

impl<'a> Arguments<'a> {
    fn of(machine: &'a Machine) -> Self {
        Self { machine, list: Vec::new(), disks: 0, ahci_ports: 0, shares: 0 }
    }

    fn add(&mut self, option: &str, value: impl AsRef<OsStr>) {
        self.list.push(option.into());
        self.list.push(value.as_ref().into());
    }

    /// The controller is added once; QEMU gives the device the next free port of a bus that is not named.
    fn controller(&mut self, device: &str) {
        if !self.list.iter().any(|argument| argument == device) {
            self.add("-device", device);
        }
    }

    /// A virtio device's name: on PCI, or by MMIO where there is none.
    fn virtio(&self, kind: &str) -> String {
        let way = if matches!(self.machine.kind, MachineType::Microvm { .. }) { "device" } else { "pci" };
        format!("virtio-{kind}-{way}")
    }

    fn firmware(&mut self, firmware: &Firmware) {
        let Firmware::Uefi(Uefi { code, variables, secure_boot }) = firmware else { return };
        let flash = |options: &str| Value::new(format!("if=pflash,format=raw,{options}"));
        self.add("-drive", flash("unit=0,readonly=on").with("file", code));
        let store = match variables {
            Variables::Forgotten(path) => flash("unit=1,snapshot=on").with("file", path),
            Variables::Kept(path) => flash("unit=1").with("file", path),
        };
        self.add("-drive", store);
        if *secure_boot {
            self.add("-global", "driver=cfi.pflash01,property=secure,value=on");
        }
    }

    fn boot(&mut self) {
        let machine = self.machine;
        match &machine.boot {
            Boot::Cdrom(path) if machine.firmware == Firmware::Bios => {
                self.add("-cdrom", path);
                // SeaBIOS tries hard disks first, and a foreign one may carry a boot sector.
                if !machine.disks.is_empty() {
                    self.add("-boot", "order=d");
                }
            }
            Boot::Cdrom(path) => self.cdrom("ide-cd,drive=cd", path),
            Boot::CdromOn(bus, path) => {
                let device = match (bus, machine.kind) {
                    (CdBus::Ide, MachineType::Pc) | (CdBus::Ahci, MachineType::Q35) => "ide-cd,drive=cd",
                    (CdBus::Ide, _) => {
                        self.controller("piix3-ide,id=piix3");
                        "ide-cd,drive=cd,bus=piix3.0"
                    }
                    (CdBus::Ahci, _) => {
                        self.controller("ahci,id=ahci");
                        self.ahci_ports += 1;
                        "ide-cd,drive=cd,bus=ahci.0"
                    }
                    (CdBus::Scsi, _) => {
                        let controller = self.virtio("scsi");
                        self.controller(&format!("{controller},id=scsi"));
                        "scsi-cd,drive=cd,bus=scsi.0"
                    }
                    (CdBus::Usb, _) => {
                        self.controller("qemu-xhci,id=xhci");
                        "usb-storage,drive=cd,bus=xhci.0"
                    }
                };
                self.cdrom(device, path);
            }
            Boot::Kernel { kernel, initrd, cmdline } => {
                self.add("-kernel", kernel);
                self.add("-initrd", initrd);
                self.add("-append", cmdline);
            }
            Boot::Disk(disk) => self.disk(disk, FIRST),
            // In the options of network and card.
            Boot::Network { .. } => {}
        }
    }

    fn cdrom(&mut self, device: &str, path: &Path) {
        self.add("-drive", Value::new("id=cd,if=none,media=cdrom,readonly=on,format=raw").with("file", path));
        self.add("-device", format!("{device}{FIRST}"));
    }

    fn disk(&mut self, disk: &Disk, first: &str) {
        let id = format!("disk{}", self.disks);
        self.disks += 1;
        let format = match disk.format {
            DiskFormat::Raw => "raw",
            DiskFormat::Qcow2 => "qcow2",
        };
        self.add("-drive", Value::new(format!("id={id},if=none,format={format}")).with("file", &disk.path));
        let (controller, device) = match disk.bus {
            Bus::Ide => (None, format!("ide-hd,drive={id}")),
            Bus::Ahci => {
                self.ahci_ports += 1;
                (Some("ahci,id=ahci".to_owned()), format!("ide-hd,drive={id},bus=ahci.{}", self.ahci_ports - 1))
            }
            Bus::Virtio => (None, format!("{},drive={id}", self.virtio("blk"))),
            Bus::Nvme => (None, format!("nvme,drive={id},serial={id}")),
            Bus::Usb => on("qemu-xhci", "xhci", "usb-storage", &id),
            Bus::UsbUas => {
                self.controller("qemu-xhci,id=xhci");
                // One adapter per disk, as in a drawer.
                self.add("-device", format!("usb-uas,id=uas-{id},bus=xhci.0"));
                (None, format!("scsi-hd,drive={id},bus=uas-{id}.0"))
            }
            Bus::UsbEhci => on("usb-ehci", "ehci", "usb-storage", &id),
            Bus::UsbUhci => on("piix3-usb-uhci", "uhci", "usb-storage", &id),
            Bus::UsbOhci => on("pci-ohci", "ohci", "usb-storage", &id),
            Bus::Scsi => on(&self.virtio("scsi"), "scsi", "scsi-hd", &id),
            Bus::Lsi53c895a => on("lsi53c895a", "lsi", "scsi-hd", &id),
            Bus::Mptsas => {
                let (controller, device) = on("mptsas1068", "mptsas", "scsi-hd", &id);
                // Linux passes over SAS devices without an address.
                (controller, format!("{device},wwn={:#x}", 0x5000_0000_0000_0000_u64 + self.disks as u64))
            }
            Bus::Megasas => on("megasas", "megasas", "scsi-hd", &id),
            Bus::Pvscsi => on("pvscsi", "pvscsi", "scsi-hd", &id),
            // One slot per card; a new slot's bus is the one that is free.
            Bus::Sd => {
                self.add("-device", "sdhci-pci");
                (None, format!("sd-card,drive={id}"))
            }
        };
        if let Some(controller) = controller {
            self.controller(&controller);
        }
        self.add("-device", format!("{device}{first}"));
    }

    fn network(&mut self) {
        let Network::User(network) = &self.machine.network else {
            return self.add("-nic", "none");
        };
        let mut option = Value::new("user,id=net0").with("restrict", if network.isolated { "on" } else { "off" });
        for (host, guest) in &network.forwards {
            option = option.with("hostfwd", format!("tcp:127.0.0.1:{host}-:{guest}"));
        }
        for (address, command) in &network.services {
            option = option.with("guestfwd", format!("tcp:{address}-cmd:{command}"));
        }
        let mut first = "";
        if let Boot::Network { folder, file } = &self.machine.boot {
            option = option.with("tftp", folder).with("bootfile", file);
            first = FIRST;
        }
        self.add("-netdev", option);
        let card = self.card(network.model);
        self.add("-device", format!("{card},netdev=net0{first}"));
    }

    /// Name of a network card, after its controller if it needs one.
    fn card(&mut self, model: NetworkModel) -> String {
        match model {
            NetworkModel::Virtio => return self.virtio("net"),
            NetworkModel::E1000 => "e1000",
            NetworkModel::Pcnet => "pcnet",
            NetworkModel::E1000e => "e1000e",
            // Its virtual functions need room behind it on its bus.
            NetworkModel::Igb if self.machine.kind == MachineType::Q35 => {
                self.controller("pcie-root-port,id=igb,chassis=1");
                "igb,bus=igb"
            }
            NetworkModel::Igb => "igb",
            NetworkModel::Rtl8139 => "rtl8139",
            NetworkModel::Vmxnet3 => "vmxnet3",
        }
        .to_owned()
    }

    fn device(&mut self, device: &Device) {
        let value = match device {
            Device::Rng => self.virtio("rng"),
            Device::Balloon => self.virtio("balloon"),
            Device::Vsock(cid) => format!("vhost-vsock-pci,guest-cid={cid}"),
            Device::I6300esb => "i6300esb".to_owned(),
            Device::Share { folder, tag } => {
                let id = format!("share{}", self.shares);
                self.shares += 1;
                let share = Value::new(format!("local,id={id},security_model=none,readonly=on"));
                self.add("-fsdev", share.with("path", folder));
                let device = self.virtio("9p");
                return self.add("-device", Value::new(format!("{device},fsdev={id}")).with("mount_tag", tag));
            }
            Device::Nic(model) => self.card(*model),
            Device::Wire { mac, here, there } => {
                let is_wire = |argument: &&OsString| argument.as_bytes().starts_with(b"dgram,");
                let id = format!("wire{}", self.list.iter().filter(is_wire).count());
                let ends = Value::new(format!("dgram,id={id},local.type=unix,remote.type=unix"));
                self.add("-netdev", ends.with("local.path", here).with("remote.path", there));
                let device = self.virtio("net");
                format!("{device},netdev={id},mac={mac}")
            }
            Device::RecordedDisk { path, log } => {
                let id = format!("disk{}", self.disks);
                self.disks += 1;
                let drive = Value::new(format!("id={id},if=none,discard=unmap,driver=blklogwrites,file.driver=file"));
                let drive = drive.with("file.filename", path).with("log.driver", "file").with("log.filename", log);
                self.add("-drive", drive);
                format!("{},drive={id}", self.virtio("blk"))
            }
            Device::UsbKeyboard => {
                self.controller("qemu-xhci,id=xhci");
                "usb-kbd,bus=xhci.0".to_owned()
            }
        };
        self.add("-device", value);
    }

    fn consoles(&mut self) {
        let (kind, path) = match &self.machine.serial {
            Serial::Stdio => ("", None),
            Serial::File(path) => ("file", Some(path)),
            Serial::Socket(path) => ("socket", Some(path)),
        };
        match path {
            None => self.add("-serial", "mon:stdio"),
            Some(path) => {
                self.add("-chardev", Value::new(format!("{kind},id=serial0")).with("path", path));
                self.add("-serial", "chardev:serial0");
                self.add("-monitor", "none");
            }
        }
        if let Some(path) = &self.machine.qmp {
            self.add("-chardev", Value::new("socket,id=qmp0").with("path", path));
            self.add("-mon", "chardev=qmp0,mode=control");
        }
    }
}

/// Controller and device of a disk on a bus that is named after the controller.
fn on(controller: &str, name: &str, device: &str, disk: &str) -> (Option<String>, String) {
    (Some(format!("{controller},id={name}")), format!("{device},drive={disk},bus={name}.0"))
}

/// The `a=b,c=d` value of an option.
struct Value(OsString);

impl Value {
    fn new(start: impl Into<OsString>) -> Self {
        Self(start.into())
    }

    fn with(mut self, key: &str, value: impl AsRef<Path>) -> Self {
        self.0.push(format!(",{key}="));
        let mut doubled = Vec::new();
        for &byte in value.as_ref().as_os_str().as_bytes() {
            doubled.extend(std::iter::repeat_n(byte, if byte == b',' { 2 } else { 1 }));
        }
        self.0.push(OsString::from_vec(doubled));
        self
    }
}

impl AsRef<OsStr> for Value {
    fn as_ref(&self) -> &OsStr {
        &self.0
    }
}
