//! Disks that ask to become the data disk: as docker-machine's drivers make them, with tar(1).

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use contract::DEFAULT_DATA_LABEL;
use qemu_tests::{Guest, host, machine};
use vm::{Bus, Disk, DiskFormat};

const SIZE: u64 = 600 << 20;

/// A sparse disk that begins with an archive; its key is longer than what the scripts of old kept.
pub(crate) fn asking(folder: &Path, magic: &str, key: &str) -> Result<PathBuf> {
    let (image, ssh) = (folder.join("disk.img"), folder.join(".ssh"));
    std::fs::create_dir_all(&ssh)?;
    std::fs::write(folder.join(magic), magic)?;
    std::fs::write(ssh.join("authorized_keys"), key)?;
    host("tar", |command| command.arg("-C").arg(folder).arg("-cf").arg(&image).args([magic, ".ssh"]))?;
    OpenOptions::new().write(true).open(&image)?.set_len(SIZE)?;
    Ok(image)
}

fn check(name: &str, magic: &str, bus: Bus, partition: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAkT7wMcYWmNqHw1jE8kIRye/vsIwoBSZ0+jSWnqR/E2 by-archive";
    // Behind what the scripts of old kept, 4096 bytes with two headers.
    let text = format!("# {}\n# {}\n{key}\n", "c".repeat(3000), "c".repeat(3000));
    let image = asking(folder.path(), magic, &text)?;
    let mut machine = machine()?;
    machine.disks.push(Disk { path: image.clone(), format: DiskFormat::Raw, bus });
    let mut guest = Guest::boot(name, machine)?;
    let state = format!("device {partition}");
    assert_eq!(guest.ok(&format!("cat {}", contract::paths::DATA_STATE))?, state);
    assert!(guest.ok("cat ~/.ssh/authorized_keys")?.contains(key), "the key is lost");
    guest.ok("sudo touch /var/lib/containers/kept")?;

    guest.reboot()?;
    guest.ok("test -e /var/lib/containers/kept")?;
    assert!(guest.ok("cat ~/.ssh/authorized_keys")?.contains(key), "the key is there once only");
    guest.power_off()?;

    let table = host("sgdisk", |command| command.arg("-v").arg("-p").arg(&image))?.stdout;
    assert!(table.contains("No problems found") && table.contains(DEFAULT_DATA_LABEL), "{table}");
    let file_system = format!("{}?offset=1048576", image.display());
    host("e2fsck", |command| command.args(["-fn", &file_system]))?;
    assert_eq!(host("e2label", |command| command.arg(&file_system))?.stdout.trim_end(), DEFAULT_DATA_LABEL);
    Ok(())
}

#[test]
fn on_ide_as_boot2podman() -> Result<()> {
    check("format_me_ide", "boot2podman, please format-me", Bus::Ide, "/dev/sda1")
}

#[test]
fn on_nvme_as_boot2docker() -> Result<()> {
    check("format_me_nvme", "boot2docker, please format-me", Bus::Nvme, "/dev/nvme0n1p1")
}

/// The words are not where they must be, and blank disks are only taken where the command line says so.
#[test]
fn others_stay_as_they_are() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut machine = machine()?;
    let mut images = Vec::new();
    for (name, at) in [("blank.img", None), ("later.img", Some(512)), ("second.img", Some(1))] {
        let path = folder.path().join(name);
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&path)?;
        file.set_len(64 << 20)?;
        if let Some(at) = at {
            file.write_all_at(b"boot2podman, please format-me", at)?;
        }
        let before = std::fs::read(&path)?;
        machine.disks.push(Disk { path: path.clone(), format: DiskFormat::Raw, bus: Bus::Virtio });
        images.push((path, before));
    }
    let guest = Guest::boot("format_me_others", machine)?;
    assert!(guest.ok(&format!("cat {}", contract::paths::DATA_STATE))?.starts_with("none "));
    guest.power_off()?;
    for (path, before) in images {
        assert!(std::fs::read(&path)? == before, "{} has been written", path.display());
    }
    Ok(())
}
