//! `distroctl guest-agent`: starts qemu-ga on its virtio port. The port's name leads to its device in sysfs; elsewhere udev
//! makes a link of that name, and here is no udev.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::console::log;
use crate::file;

const PORTS: &str = "/sys/class/virtio-ports";
const NAME: &str = "org.qemu.guest_agent.0";
const PROGRAM: &str = "/usr/sbin/qemu-ga";

/// Becomes the agent; a machine without the port has none, which is no failure.
pub(crate) fn run() -> Result<ExitCode> {
    let Some(device) = port(Path::new(PORTS), NAME) else {
        log(&format!("no virtio port {NAME}: no guest agent"));
        return Ok(ExitCode::SUCCESS);
    };
    let error = Command::new(PROGRAM).args(["--method", "virtio-serial", "--path"]).arg(&device).exec();
    Err(error).with_context(|| format!("starting {PROGRAM}"))
}

/// Device of the port with this name.
fn port(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found = entries.filter(|entry| file::first_line(entry.path().join("name")) == name);
    found.next().map(|entry| Path::new("/dev").join(entry.file_name()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn finds_the_port_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        for (port, name) in [("vport1p1", "other"), ("vport1p2", super::NAME)] {
            std::fs::create_dir(folder.path().join(port)).unwrap();
            std::fs::write(folder.path().join(port).join("name"), format!("{name}\n")).unwrap();
        }
        assert_eq!(super::port(folder.path(), super::NAME), Some("/dev/vport1p2".into()));
        assert_eq!(super::port(folder.path(), "none"), None);
    }
}
