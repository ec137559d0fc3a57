//! `mkdistro run`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use vm::ssh::{Key, Ssh};
use vm::{Accelerator, Boot, Bus, Disk, DiskFormat, FwCfg, Machine, NetworkModel};

use crate::config;

/// Boot an ISO under QEMU, with its console in this terminal
///
/// Uses KVM if it really works, software emulation otherwise. SSH is forwarded to a free port; the machine gets a key
/// of its own. End it with "poweroff" in the guest, or Ctrl-A X.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  mkdistro run\n  mkdistro run --memory 256 --disk data.img:4G --publish 8080:80"
)]
pub(super) struct Run {
    /// The ISO
    #[arg(default_value = "out.iso", value_name = "ISO")]
    iso: PathBuf,
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
}

impl Run {
    pub(super) fn execute(&self) -> Result<ExitCode> {
        ensure!(self.iso.exists(), "{} does not exist\nhint: \"mkdistro build\" makes it", self.iso.display());
        // The image's own user and label, if this is the project it was built from.
        let settings = config::load(Path::new(".")).map(|checked| checked.settings()).unwrap_or_default();
        let folder = tempfile::tempdir().context("making a temporary folder for the machine's key")?;
        let key = Key::generate(folder.path())?;
        let port = vm::free_port()?;

        let mut machine = Machine::new(Accelerator::best(), Boot::Cdrom(self.iso.clone()));
        machine.memory_mib = self.memory;
        machine.cpus = self.cpus;
        machine.rng = true;
        machine.fw_cfg.push((contract::fw_cfg::SSH_KEYS.into(), FwCfg::Text(key.public.clone())));
        for disk in &self.disk {
            machine.disks.push(open_disk(disk, &settings.data_label)?);
        }
        let mut forwards = vec![(port, 22)];
        for publish in &self.publish {
            forwards.push(port_pair(publish)?);
        }
        if let Some(network) = machine.user_network() {
            network.model = NetworkModel::Virtio;
            network.isolated = self.isolated;
            network.forwards = forwards;
        }
        let ssh = Ssh::new(&settings.user, port, &key, folder.path(), Duration::from_secs(30));
        eprintln!("accelerator: {}", machine.accelerator.argument());
        eprintln!("ssh: {}", ssh.command_line());
        eprintln!("end: \"sudo poweroff\" in the guest, or Ctrl-A X");
        let status = vm::interactive(&machine)?;
        ensure!(status.success(), "QEMU ended with {status}");
        Ok(ExitCode::SUCCESS)
    }
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
