//! Command lines of machines.

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
    machine.devices = vec![Device::Rng];
    machine.extra = vec!["-snapshot".into()];
    assert_eq!(
        line(&machine),
        "-accel kvm -cpu host -machine q35 -m 128 -smp 1 -display none -kernel k -initrd i -append a b=c,d \
         -netdev user,id=net0,restrict=off,hostfwd=tcp:127.0.0.1:4022-:22,hostfwd=tcp:127.0.0.1:4080-:8080,\
         guestfwd=tcp:10.0.2.100:5000-cmd:socat - TCP:127.0.0.1:9,,nodelay -device virtio-net-pci,netdev=net0 \
         -device virtio-rng-pci -fw_cfg name=opt/a,string=x,,y z -fw_cfg name=opt/b,file=/tmp/f \
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
         -drive id=disk0,if=none,format=qcow2,file=a,,b -device virtio-blk-pci,drive=disk0,bootindex=0 -nic none \
         -serial mon:stdio"
    );
}

/// Without what is the same in all.
fn middle(machine: &Machine) -> String {
    let line = line(machine);
    let rest = line.strip_prefix("-accel tcg,thread=multi ").unwrap().strip_suffix(" -nic none -serial mon:stdio");
    rest.unwrap_or(&line).replace(" -m 512 -smp 2 -display none", "")
}

fn without_network(boot: Boot) -> Machine {
    Machine { network: Network::None, ..Machine::new(Accelerator::Tcg, boot) }
}

#[test]
fn firmware() {
    let mut machine = without_network(Boot::Cdrom("a,b.iso".into()));
    let uefi = |variables, secure_boot| Firmware::Uefi(Uefi { code: "c".into(), variables, secure_boot });
    let cd =
        "-drive id=cd,if=none,media=cdrom,readonly=on,format=raw,file=a,,b.iso -device ide-cd,drive=cd,bootindex=0";
    machine.firmware = uefi(Variables::Forgotten("v".into()), false);
    assert_eq!(
        middle(&machine),
        format!(
            "-machine pc -drive if=pflash,format=raw,unit=0,readonly=on,file=c \
             -drive if=pflash,format=raw,unit=1,snapshot=on,file=v {cd}"
        )
    );
    machine.kind = MachineType::Q35;
    machine.firmware = uefi(Variables::Kept("v".into()), true);
    assert_eq!(
        middle(&machine),
        format!(
            "-machine q35,smm=on -drive if=pflash,format=raw,unit=0,readonly=on,file=c \
             -drive if=pflash,format=raw,unit=1,file=v \
             -global driver=cfi.pflash01,property=secure,value=on {cd}"
        )
    );
}

#[test]
fn cd_drives() {
    let cd = "-drive id=cd,if=none,media=cdrom,readonly=on,format=raw,file=c -device";
    for (kind, bus, controller, device) in [
        (MachineType::Pc, CdBus::Ide, "", "ide-cd,drive=cd"),
        (MachineType::Pc, CdBus::Ahci, "-device ahci,id=ahci ", "ide-cd,drive=cd,bus=ahci.0"),
        (MachineType::Q35, CdBus::Ahci, "", "ide-cd,drive=cd"),
        (MachineType::Q35, CdBus::Ide, "-device piix3-ide,id=piix3 ", "ide-cd,drive=cd,bus=piix3.0"),
        (MachineType::Pc, CdBus::Scsi, "-device virtio-scsi-pci,id=scsi ", "scsi-cd,drive=cd,bus=scsi.0"),
        (MachineType::Q35, CdBus::Usb, "-device qemu-xhci,id=xhci ", "usb-storage,drive=cd,bus=xhci.0"),
    ] {
        let machine = Machine { kind, ..without_network(Boot::CdromOn(bus, "c".into())) };
        let expected = format!("{controller}{cd} {device},bootindex=0");
        assert_eq!(
            middle(&machine).split_once(' ').unwrap().1.split_once(' ').unwrap().1,
            expected,
            "{kind:?} {bus:?}"
        );
    }
}

#[test]
fn disks_on_further_controllers() {
    let buses = [
        (
            Bus::UsbUas,
            "qemu-xhci,id=xhci -device usb-uas,id=uas-disk0,bus=xhci.0",
            "scsi-hd,drive=disk0,bus=uas-disk0.0",
        ),
        (Bus::UsbEhci, "usb-ehci,id=ehci", "usb-storage,drive=disk0,bus=ehci.0"),
        (Bus::UsbUhci, "piix3-usb-uhci,id=uhci", "usb-storage,drive=disk0,bus=uhci.0"),
        (Bus::UsbOhci, "pci-ohci,id=ohci", "usb-storage,drive=disk0,bus=ohci.0"),
        (Bus::Lsi53c895a, "lsi53c895a,id=lsi", "scsi-hd,drive=disk0,bus=lsi.0"),
        (Bus::Mptsas, "mptsas1068,id=mptsas", "scsi-hd,drive=disk0,bus=mptsas.0,wwn=0x5000000000000001"),
        (Bus::Megasas, "megasas,id=megasas", "scsi-hd,drive=disk0,bus=megasas.0"),
        (Bus::Pvscsi, "pvscsi,id=pvscsi", "scsi-hd,drive=disk0,bus=pvscsi.0"),
        (Bus::Sd, "sdhci-pci", "sd-card,drive=disk0"),
    ];
    for (bus, controller, device) in buses {
        let disk = Disk { path: "d".into(), format: DiskFormat::Raw, bus };
        let machine = without_network(Boot::Disk(disk));
        let expected = format!(
            "-machine pc -drive id=disk0,if=none,format=raw,file=d -device {controller} -device {device},bootindex=0"
        );
        assert_eq!(middle(&machine), expected);
    }
}

#[test]
fn a_microvm_has_virtio_by_mmio() {
    let boot = Boot::Kernel { kernel: "k".into(), initrd: "i".into(), cmdline: "c".into() };
    let mut machine = Machine::new(Accelerator::Tcg, boot);
    machine.kind = MachineType::Microvm { acpi: false };
    machine.user_network().unwrap().model = NetworkModel::Virtio;
    machine.disks = vec![Disk { path: "d".into(), format: DiskFormat::Raw, bus: Bus::Virtio }];
    machine.devices = vec![Device::Rng];
    assert_eq!(
        line(&machine),
        "-accel tcg,thread=multi -machine microvm,acpi=off -m 512 -smp 2 -display none -kernel k -initrd i -append c \
         -drive id=disk0,if=none,format=raw,file=d -device virtio-blk-device,drive=disk0 \
         -netdev user,id=net0,restrict=on -device virtio-net-device,netdev=net0 -device virtio-rng-device \
         -serial mon:stdio"
    );
    machine.kind = MachineType::Microvm { acpi: true };
    assert!(line(&machine).contains("-machine microvm,acpi=on "));
}

#[test]
fn boots_from_the_network() {
    let boot = Boot::Network { folder: "/srv,1".into(), file: "boot.ipxe".into() };
    assert_eq!(
        line(&Machine::new(Accelerator::Tcg, boot)),
        "-accel tcg,thread=multi -machine pc -m 512 -smp 2 -display none \
         -netdev user,id=net0,restrict=on,tftp=/srv,,1,bootfile=boot.ipxe -device e1000,netdev=net0,bootindex=0 \
         -serial mon:stdio"
    );
}

#[test]
fn further_devices() {
    let mut machine = without_network(Boot::Cdrom("c".into()));
    let share = |folder: &str, tag: &str| Device::Share { folder: folder.into(), tag: tag.into() };
    machine.devices = vec![
        Device::Rng,
        Device::Balloon,
        Device::Vsock(3),
        Device::I6300esb,
        share("/a,b", "t"),
        share("/c", "u"),
        Device::RecordedDisk { path: "d,e".into(), log: "l".into() },
        Device::UsbKeyboard,
        Device::Nic(NetworkModel::Igb),
        Device::Nic(NetworkModel::Vmxnet3),
    ];
    assert_eq!(
        line(&machine).split_once("-nic none ").unwrap().1,
        "-device virtio-rng-pci -device virtio-balloon-pci -device vhost-vsock-pci,guest-cid=3 -device i6300esb \
         -fsdev local,id=share0,security_model=none,readonly=on,path=/a,,b -device virtio-9p-pci,fsdev=share0,mount_tag=t \
         -fsdev local,id=share1,security_model=none,readonly=on,path=/c -device virtio-9p-pci,fsdev=share1,mount_tag=u \
         -drive id=disk0,if=none,discard=unmap,driver=blklogwrites,file.driver=file,file.filename=d,,e,log.driver=file,log.filename=l \
         -device virtio-blk-pci,drive=disk0 \
         -device qemu-xhci,id=xhci -device usb-kbd,bus=xhci.0 -device igb -device vmxnet3 -serial mon:stdio"
    );
    machine.kind = MachineType::Q35;
    machine.devices = vec![Device::Nic(NetworkModel::Igb)];
    assert!(line(&machine).contains(" -device pcie-root-port,id=igb,chassis=1 -device igb,bus=igb "));
}
