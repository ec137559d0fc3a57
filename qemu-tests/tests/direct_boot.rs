//! Without a boot loader of ours: kernel and initramfs given to a virtual machine monitor, over the network, and as one EFI
//! program that the project's own key has signed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use contract::ready::Ready;
use qemu_tests::{BOOT_LIMIT, Guest, host, log_file, machine, user};
use vm::{Accelerator, Boot, Bus, Disk, DiskFormat, Firmware, Machine, MachineType, NetworkModel, Uefi, Variables, Vm};

use crate::builder::{Project, program};

/// The machine of a `kernel` output.
fn kernel_machine(folder: &Path, kernel: &str) -> Result<Machine> {
    let mut machine = machine()?;
    let cmdline = std::fs::read_to_string(folder.join("cmdline"))?.trim().to_owned();
    machine.boot = Boot::Kernel { kernel: folder.join(kernel), initrd: folder.join("initrd.img"), cmdline };
    if let Some(network) = machine.user_network() {
        network.model = NetworkModel::Virtio;
    }
    Ok(machine)
}

#[test]
fn the_uncompressed_kernel_starts_by_pvh_and_on_a_microvm() -> Result<()> {
    let project = Project::new();
    let outcome = project.build(&["--format", "kernel"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let folder = project.path("out.kernel");

    let mut machine = kernel_machine(&folder, "vmlinux")?;
    machine.kind = MachineType::Q35;
    // The command line is ours: it may have a blank disk formatted.
    let disk = project.path("disk.img");
    std::fs::File::create(&disk)?.set_len(256 << 20)?;
    machine.disks.push(Disk { path: disk, format: DiskFormat::Raw, bus: Bus::Virtio });
    if let Boot::Kernel { cmdline, .. } = &mut machine.boot {
        cmdline.push_str(" distro.data=format-blank distro.rescue");
    }
    let guest = Guest::boot_with("direct_pvh", machine, |vm| {
        let greets = |line: &str| line.contains("Enter 'help'").then_some(());
        vm.wait_for_line("the rescue shell", BOOT_LIMIT * 4, greets)?;
        // It sets up its terminal before it prompts.
        std::thread::sleep(Duration::from_secs(2));
        vm.send_serial("echo $((6 * 7)) > /run/rescued; exit\r")
    })?;
    assert_eq!(guest.ok("cat /run/rescued")?, "42");
    assert_eq!(guest.ok(&format!("cat {}", contract::paths::DATA_STATE))?, "device /dev/vda1");
    // boot_params.hdr.type_of_loader as PVH's entry sets it (arch/x86/platform/pvh/enlighten.c): 0xb0.
    assert_eq!(guest.ok("cat /proc/sys/kernel/bootloader_type")?, "176");
    guest.power_off()?;

    let mut machine = kernel_machine(&folder, "vmlinux")?;
    machine.kind = MachineType::Microvm { acpi: true };
    // It has no timer that software emulation on a busy machine would let the kernel measure its clock with.
    if machine.accelerator == Accelerator::Tcg
        && let Boot::Kernel { cmdline, .. } = &mut machine.boot
    {
        cmdline.push_str(&format!(" tsc_early_khz={}", clock_khz()?));
    }
    let guest = Guest::boot("direct_microvm", machine)?;
    assert_eq!(guest.status("test -d /sys/bus/pci/devices/0000:00:00.0")?, 1, "it has PCI");
    assert!(guest.ok("ls /sys/bus/virtio/devices")?.contains("virtio0"));
    assert!(guest.ok("readlink -f /sys/class/net/e*/device")?.contains("LNRO0005"), "virtio by MMIO");
    Ok(())
}

/// The frequency of the host's time stamp counter, which software emulation passes on.
fn clock_khz() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/cpuinfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("cpu MHz")?.split(':').nth(1));
    let megahertz: f64 = line.context("/proc/cpuinfo has no frequency")?.trim().parse()?;
    Ok((megahertz * 1000.0) as u64)
}

/// A machine that boots from the network card, and its command line as seen from inside.
fn network_boot(name: &str, folder: &Path, file: &str, services: Vec<(String, String)>) -> Result<String> {
    let mut machine = machine()?;
    machine.memory_mib = 768;
    machine.boot = Boot::Network { folder: folder.into(), file: file.into() };
    if let Some(network) = machine.user_network() {
        network.services = services;
    }
    let guest = Guest::boot(name, machine)?;
    let command_line = guest.ok("cat /proc/cmdline")?;
    guest.power_off()?;
    Ok(command_line)
}

#[test]
fn the_network_card_boots_by_tftp_and_http() -> Result<()> {
    let project = Project::new();
    let outcome = project.build(&["--format", "pxe"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let folder = project.path("out.pxe");
    let command_line = network_boot("network_tftp", &folder, "boot.ipxe", Vec::new())?;
    assert!(command_line.contains("initrd=initrd.img retain_initrd"), "iPXE: {command_line}");
    let command_line = network_boot("network_pxelinux", &folder, "pxelinux.0", Vec::new())?;
    let is_pxelinux = command_line.starts_with("BOOT_IMAGE=vmlinuz ") && command_line.contains(" initrd=initrd.img");
    assert!(is_pxelinux, "PXELINUX: {command_line}");

    let server = Server::start(&folder)?;
    let relay = ("10.0.2.100:80".to_owned(), format!("socat - TCP:127.0.0.1:{}", server.port));
    let empty = tempfile::tempdir()?;
    let command_line = network_boot("network_http", empty.path(), "http://10.0.2.100/boot.ipxe", vec![relay])?;
    assert!(command_line.contains("initrd=initrd.img retain_initrd"), "iPXE: {command_line}");
    Ok(())
}

/// `mkdistro serve`, which ends with it.
struct Server {
    process: Child,
    /// What it writes to must stay.
    _stdout: BufReader<ChildStdout>,
    port: u16,
}

impl Server {
    fn start(folder: &Path) -> Result<Self> {
        let mut command = Command::new(program());
        command.args(["serve", "--listen", "127.0.0.1:0"]).arg(folder).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().context("starting mkdistro serve")?;
        let mut line = String::new();
        let stdout = process.stdout.take().context("it has no stdout")?;
        let mut stdout = BufReader::new(stdout);
        stdout.read_line(&mut line)?;
        let port = line.trim().trim_end_matches('/').rsplit(':').next().and_then(|port| port.parse().ok());
        match port {
            Some(port) => Ok(Self { process, _stdout: stdout, port }),
            None => {
                process.kill()?;
                anyhow::bail!("mkdistro serve prints {line:?}")
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A store with a key of everybody's, which comes with Debian's OVMF, and the key.
const STORE: &str = "/usr/share/OVMF/OVMF_VARS_4M.snakeoil.fd";
const CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd";
const KEY: &str = "/usr/share/ovmf/PkKek-1-snakeoil.key";
const CERTIFICATE: &str = "/usr/share/ovmf/PkKek-1-snakeoil.pem";

fn own_keys(project: &Project, iso: &Path) -> Result<Machine> {
    let copy = project.path("copy.iso");
    std::fs::copy(iso, &copy)?;
    let mut machine = machine()?;
    machine.kind = MachineType::Q35;
    machine.memory_mib = 768;
    machine.boot = Boot::Cdrom(copy);
    let variables = Variables::Forgotten(STORE.into());
    machine.firmware = Firmware::Uefi(Uefi { code: CODE.into(), variables, secure_boot: true });
    // Firmware has no driver for it, so it does not try to boot from the network.
    if let Some(network) = machine.user_network() {
        network.model = NetworkModel::Vmxnet3;
    }
    Ok(machine)
}

#[test]
fn own_keys_cover_kernel_initramfs_and_command_line() -> Result<()> {
    let project = Project::new();
    let key = project.path("db.key");
    host("openssl", |command| command.args(["rsa", "-passin", "pass:snakeoil", "-in", KEY, "-out"]).arg(&key))?;
    std::fs::copy(CERTIFICATE, project.path("db.crt"))?;
    let signing = "[boot]\nuefi = \"uki\"\nsigning = { key = \"db.key\", certificate = \"db.crt\" }";
    project.replace("distro.toml", "[boot]", signing);
    let outcome = project.build(&[]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let iso = project.path("out.iso");

    let guest = Guest::boot("own_keys", own_keys(&project, &iso)?)?;
    assert_eq!(guest.status("sudo dmesg | grep -q 'secureboot: Secure boot enabled'")?, 0, "the kernel does not know");
    guest.power_off()?;

    // The initramfs is what boot loaders do not check.
    let mut bytes = std::fs::read(&iso)?;
    let at = bytes.windows(4).rposition(|word| word == b"hsqs").context("the ISO has no SquashFS")? + (1 << 20);
    bytes[at] ^= 1;
    std::fs::write(&iso, bytes)?;
    let machine = own_keys(&project, &iso)?;
    let limit = machine.accelerator.scaled(BOOT_LIMIT);
    let vm = Vm::start(machine, &user(), &log_file("own_keys_refused")?)?;
    let refusal = vm.wait_for_line("a refusal", limit, |line| {
        let is_refusal =
            line.contains("failed to load") && ["Denied", "Violation"].iter().any(|why| line.contains(why));
        (is_refusal || Ready::parse(line).is_some()).then(|| line.to_owned())
    })?;
    assert!(refusal.contains("failed to load"), "it started: {refusal}");
    Ok(())
}

#[test]
fn systemd_boot_starts_the_iso() -> Result<()> {
    let project = Project::new();
    project.replace("distro.toml", "[boot]", "[boot]\nuefi = \"systemd-boot\"");
    let outcome = project.build(&[]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let mut machine = machine()?;
    machine.kind = MachineType::Q35;
    machine.memory_mib = 768;
    machine.firmware = Firmware::uefi()?;
    machine.boot = Boot::Cdrom(project.path("out.iso"));
    let guest = Guest::boot("systemd_boot", machine)?;
    guest.ok("test -d /sys/firmware/efi")?;
    assert!(guest.ok("cat /sys/firmware/efi/efivars/LoaderInfo-* | tr -d '\\0'")?.contains("systemd-boot"));
    Ok(())
}
