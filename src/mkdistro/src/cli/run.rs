//! `mkdistro run`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use contract::settings::Settings;
use vm::ssh::{Key, Ssh};
use vm::{Accelerator, Boot, Bus, Device, Disk, DiskFormat, Firmware, FwCfg, Machine, MachineType, NetworkModel, Vm};

use super::making::{MakingArguments, finish};
use super::print_line;
use crate::cache::unchanged::Inputs;
use crate::config::{Checked, Place};
use crate::image::{self, BootFiles};
use crate::make::Made;
use crate::progress::Progress;
use crate::{bootchart, cache};

/// Limits under KVM; software emulation gets ten times as long.
const BOOT_LIMIT: Duration = Duration::from_secs(60);
const POWER_OFF_LIMIT: Duration = Duration::from_secs(20);

/// Boot the distribution under QEMU, with its console in this terminal
///
/// Without an ISO it builds what has changed and starts kernel and initramfs directly. Uses KVM if it really works, software emulation otherwise. SSH is forwarded to a free port; the machine gets a key
/// of its own. End it with "poweroff" in the guest, or Ctrl-A X.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  mkdistro run\n  mkdistro run out.iso --memory 256 --publish 8080:80\n  \
                       mkdistro run --disk data.img:4G\n  mkdistro run out.iso --secure-boot\n  mkdistro run --bootchart=boot.json")]
pub(super) struct Run {
    /// An ISO to boot instead of the project
    #[arg(value_name = "ISO", conflicts_with_all = ["fast", "compression", "offline"])]
    iso: Option<PathBuf>,
    #[command(flatten)]
    making: MakingArguments,
    /// Memory in MiB
    #[arg(long, short, default_value_t = 512, value_name = "MIB")]
    memory: u32,
    /// Processors
    #[arg(long, default_value_t = 2)]
    cpus: u32,
    /// A data disk; made with the right label if the file does not exist (size: 2G if not given)
    #[arg(long, value_name = "PATH[:SIZE]")]
    disk: Vec<String>,
    /// Forward a TCP port of this machine's loopback to the guest
    #[arg(long, value_name = "HOST:GUEST")]
    publish: Vec<String>,
    /// No way out of the guest's network
    #[arg(long)]
    isolated: bool,
    /// UEFI instead of BIOS, from the package ovmf or edk2-ovmf
    #[arg(long)]
    uefi: bool,
    /// UEFI that starts only what Microsoft's keys have signed; needs an ISO
    #[arg(long, requires = "iso", conflicts_with = "uefi")]
    secure_boot: bool,
    /// Boot, save when what ran as JSON, and power off
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "bootchart.json",
        conflicts_with = "iso"
    )]
    bootchart: Option<PathBuf>,
}

impl Run {
    pub(super) fn execute(&self, progress: &dyn Progress) -> Result<ExitCode> {
        let (boot, settings) = match &self.iso {
            Some(iso) => {
                ensure!(iso.exists(), "{} does not exist\nhint: \"mkdistro build\" makes one", iso.display());
                // The image's own user and label, if this is the project it was built from.
                let settings = self.making.project.load().map(|checked| checked.settings()).unwrap_or_default();
                (Boot::Cdrom(iso.clone()), settings)
            }
            None => self.boot_project(progress)?,
        };
        let mut machine = Machine::new(Accelerator::best(), boot);
        machine.memory_mib = self.memory;
        machine.cpus = self.cpus;
        machine.devices.push(Device::Rng);
        (machine.kind, machine.firmware) = self.firmware()?;
        for disk in &self.disk {
            machine.disks.push(open_disk(disk, &settings.data_label)?);
        }
        let forwards = self.publish.iter().map(|publish| port_pair(publish)).collect::<Result<_>>()?;
        if let Some(network) = machine.user_network() {
            network.model = NetworkModel::Virtio;
            network.isolated = self.isolated;
            network.forwards = forwards;
        }
        match &self.bootchart {
            Some(file) => save_bootchart(machine, &settings.user, file, progress)?,
            None => {
                let connection = self.making.project.load().ok().and_then(|checked| connection(&checked));
                interactive(machine, &settings.user, connection.as_deref())?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn firmware(&self) -> Result<(MachineType, Firmware)> {
        Ok(match (self.uefi, self.secure_boot) {
            (_, true) => (MachineType::Q35, Firmware::uefi_secure_boot()?),
            (true, _) => (MachineType::Q35, Firmware::uefi()?),
            _ => (MachineType::Pc, Firmware::Bios),
        })
    }

    /// Kernel and initramfs of the project, made if they are not there as they should be.
    fn boot_project(&self, progress: &dyn Progress) -> Result<(Boot, Settings)> {
        let making = self.making.prepare(progress)?;
        let settings = making.checked().settings();
        if making.checked().distro.has_images(Place::Medium) {
            progress.warn("no medium, so images with where = \"medium\" are missing: build, and run the ISO");
        }
        let project = std::path::absolute(&making.checked().dir).context("finding the project's folder")?;
        let name = cache::hex(&cache::key(&[
            project.as_os_str().as_encoded_bytes(),
            making.checked().flavour_key().as_bytes(),
        ]));
        let folder = making.cache().join("boot").join(&name[..16]);
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let mut files = BootFiles::of(making.checked(), &folder);
        let inputs = making.inputs("boot", &files.initramfs);
        if inputs.as_ref().and_then(Inputs::unchanged).is_none() {
            let (cache, mtime) = (making.cache().to_owned(), making.mtime);
            let Made { checked, root, .. } = making.make(progress)?;
            let written = image::write_boot_files(&checked, &root, &folder, mtime, progress)?;
            let written: Vec<_> = written.into_iter().map(|file| (file.path, file.sha256)).collect();
            finish(&cache, inputs.as_ref(), &written);
        }
        if self.bootchart.is_some() {
            files.command_line = format!("{} {}", files.command_line, bootchart::COMMAND_LINE);
        }
        let boot = Boot::Kernel { kernel: files.kernel, initrd: files.initramfs, cmdline: files.command_line };
        Ok((boot, settings))
    }
}

/// How podman's remote client is to call the machine, if that has podman.
fn connection(checked: &Checked) -> Option<String> {
    let has_podman = ["podman", "podman-minimal"].iter().any(|name| checked.recipes.contains_key(*name));
    has_podman.then(|| checked.distro.distro.name.clone())
}

/// Runs a machine in this terminal, with a way in by SSH, and by the connection if it has a name.
fn interactive(mut machine: Machine, user: &str, connection: Option<&str>) -> Result<()> {
    let folder = tempfile::tempdir().context("making a temporary folder for the machine's key")?;
    let key = Key::generate(folder.path())?;
    let port = vm::free_port()?;
    machine.fw_cfg.push((contract::fw_cfg::SSH_KEYS.into(), FwCfg::Text(key.public.clone())));
    if let Some(network) = machine.user_network() {
        network.forwards.insert(0, (port, 22));
    }
    let ssh = Ssh::new(user, port, &key, folder.path(), Duration::from_secs(30));
    eprintln!("accelerator: {}", machine.accelerator.argument());
    eprintln!("ssh: {}", ssh.command_line());
    if let Some(name) = connection {
        eprintln!("podman: {}", ssh.connection_line(name));
    }
    eprintln!("end: \"sudo poweroff\" in the guest, or Ctrl-A X");
    let status = vm::interactive(&machine)?;
    ensure!(status.success(), "QEMU ended with {status}");
    Ok(())
}

/// Boots a machine to READY, saves its kernel's log as a timeline, and switches it off.
fn save_bootchart(machine: Machine, user: &str, file: &Path, progress: &dyn Progress) -> Result<()> {
    let folder = tempfile::tempdir().context("making a temporary folder for the console's log")?;
    let task = progress.start("booting", 0);
    let vm = Vm::start(machine, user, &folder.path().join("console.log"))?;
    let ready = vm.wait_ready(BOOT_LIMIT)?;
    let log = vm.ssh("sudo dmesg")?;
    ensure!(log.status == 0, "reading the guest's log: dmesg ended with status {}: {}", log.status, log.stderr.trim());
    // It need not answer: the connection goes down with the machine.
    let _ = vm.ssh("sudo poweroff");
    vm.wait_exit(POWER_OFF_LIMIT)?;
    task.finish(&format!("READY after {:.1} s", ready.seconds));
    let timeline = bootchart::chart(&log.stdout);
    let json = serde_json::to_string_pretty(&timeline).context("encoding the boot chart")?;
    std::fs::write(file, json + "\n").with_context(|| format!("writing {}", file.display()))?;
    print_line(file.display())
}

/// `PATH` or `PATH:SIZE`; a file that does not exist is made, with the label the guest looks for.
fn open_disk(argument: &str, label: &str) -> Result<Disk> {
    let (path, size) = match argument.rsplit_once(':') {
        Some((path, size)) => (path, size),
        None => (argument, "2G"),
    };
    let size_bytes = vm::disk::parse_size(size).with_context(|| format!("reading --disk {argument}"))?;
    let path = PathBuf::from(path);
    if !path.exists() {
        vm::disk::create_data_disk(&path, size_bytes, label)?;
        eprintln!("made the data disk {}", path.display());
    }
    Ok(Disk { path, format: DiskFormat::Raw, bus: Bus::Virtio })
}

fn port_pair(text: &str) -> Result<(u16, u16)> {
    let port = |text: &str| text.parse().ok().filter(|port| *port != 0);
    let pair = text.split_once(':').and_then(|(host, guest)| Some((port(host)?, port(guest)?)));
    pair.with_context(|| format!("reading --publish {text}: expected two port numbers, e.g. 8080:80"))
}

#[cfg(test)]
mod tests {
    use super::{open_disk, port_pair};

    #[test]
    fn reads_port_pairs() {
        assert_eq!(port_pair("8080:80").unwrap(), (8080, 80));
        for wrong in ["8080", "8080:", ":80", "a:80", "80:65536", "1:2:3", "0:80", "80:0"] {
            assert_eq!(
                port_pair(wrong).unwrap_err().to_string(),
                format!("reading --publish {wrong}: expected two port numbers, e.g. 8080:80")
            );
        }
    }

    #[test]
    fn an_existing_disk_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data.img");
        std::fs::write(&path, "mine").unwrap();
        for argument in [path.display().to_string(), format!("{}:4G", path.display())] {
            assert_eq!(open_disk(&argument, "label").unwrap().path, path);
        }
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
        let error = open_disk("data.img:many", "label").unwrap_err();
        assert!(error.to_string().starts_with("reading --disk data.img:many"), "{error:#}");
    }
}
