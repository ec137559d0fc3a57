//! The data disk: images, volumes and the SSH host key stay, on every bus, on a whole disk and on a partition, over a reboot
//! and a power cut. Without it they do not.

use crate::encrypted_disk::encrypt;
use anyhow::{Context, Result};
use qemu_tests::{Guest, host, machine, sha256};
use std::path::{Path, PathBuf};
use std::process::Command;
use vm::disk::{create_data_disk, find_program, format_ext4};
use vm::{Bus, Disk, DiskFormat};

const SIZE: u64 = 1 << 30;
const FIRST_PARTITION: u64 = 1 << 20;

#[test]
fn whole_disk() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("disk.raw");
    create_data_disk(&path, SIZE, contract::DEFAULT_DATA_LABEL)?;
    keeps_everything("whole_disk", &path, ["/dev/sda", "/dev/vda", "/dev/nvme0n1"])
}

#[test]
fn partition() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = partitioned(folder.path())?;
    keeps_everything("partition", &path, ["/dev/sda1", "/dev/vda1", "/dev/nvme0n1p1"])
}

/// A disk with one GPT partition up to the backup table.
fn partitioned(folder: &Path) -> Result<PathBuf> {
    let (path, content) = (folder.join("disk.raw"), folder.join("partition.raw"));
    std::fs::File::create(&content)?.set_len(SIZE - 2 * FIRST_PARTITION)?;
    format_ext4(&content, contract::DEFAULT_DATA_LABEL, 0)?;
    std::fs::File::create(&path)?.set_len(SIZE)?;
    let last_sector = (SIZE - FIRST_PARTITION) / 512 - 1;
    let partition = format!("1:{}:{last_sector}", FIRST_PARTITION / 512);
    host("sgdisk", |command| command.args(["-n", &partition]).arg(&path))?;
    host("dd", |command| {
        command.arg(format!("if={}", content.display())).arg(format!("of={}", path.display()));
        command.args(["bs=1M", "seek=1", "conv=notrunc,sparse"])
    })?;
    std::fs::remove_file(content)?;
    Ok(path)
}

fn boot(name: &str, path: &Path, bus: Bus) -> Result<Guest> {
    let mut machine = machine()?;
    machine.disks.push(Disk { path: path.into(), format: DiskFormat::Raw, bus });
    Guest::boot(name, machine)
}

/// Four boots: made on IDE, still there after a reboot; after a power cut on virtio, and after another on NVMe.
fn keeps_everything(name: &str, path: &Path, devices: [&str; 3]) -> Result<()> {
    let mut guest = boot(&format!("{name}_ide"), path, Bus::Ide)?;
    uses(&guest, devices[0])?;
    let image = guest.make_busybox_image()?;
    write_volume(&guest, image, "reboot")?;
    let host_key = guest.host_key()?;
    guest.reboot()?;
    keeps(&guest, image, &host_key, &["reboot"])?;

    write_volume(&guest, image, "cut")?;
    guest.ok("sync")?;
    guest.kill()?;
    let guest = boot(&format!("{name}_virtio"), path, Bus::Virtio)?;
    uses(&guest, devices[1])?;
    keeps(&guest, image, &host_key, &["reboot", "cut"])?;

    // Cut while a container runs and writes.
    guest.ok(&format!(
        "sudo podman run -d --name busy -v kept:/v {image} sh -c 'while :; do date > /v/now; sync; done'"
    ))?;
    guest.kill()?;
    let guest = boot(&format!("{name}_nvme"), path, Bus::Nvme)?;
    uses(&guest, devices[2])?;
    keeps(&guest, image, &host_key, &["reboot", "cut"])?;
    assert_eq!(guest.ok("sudo podman ps -a --format '{{.Names}}'")?, "busy");
    assert_eq!(guest.ok("sudo podman ps -q")?, "", "a container counts as running after a power cut");
    guest.power_off()
}

fn write_volume(guest: &Guest, image: &str, file: &str) -> Result<()> {
    guest.ok(&format!("sudo podman run --rm -v kept:/v {image} sh -c 'echo {file} > /v/{file}'"))?;
    Ok(())
}

fn uses(guest: &Guest, device: &str) -> Result<()> {
    let state = guest.ok(&format!("cat {}", contract::paths::DATA_STATE))?;
    assert_eq!(state, format!("device {device}"));
    for folder in contract::paths::PERSISTED {
        let text = guest.ok(&format!("awk '$2 == \"{folder}\" {{ print $1 }}' /proc/mounts"))?;
        assert_eq!(text, device, "{folder} does not come from the data disk");
    }
    Ok(())
}

fn keeps(guest: &Guest, image: &str, host_key: &str, files: &[&str]) -> Result<()> {
    assert_eq!(guest.host_key()?, host_key, "another SSH host key");
    assert!(guest.has_busybox_image()?, "the image is gone");
    for file in files {
        let text = guest.ok(&format!("sudo podman run --rm -v kept:/v {image} cat /v/{file}"))?;
        assert_eq!(&text, file, "content of the volume");
    }
    Ok(())
}

#[test]
fn nothing_stays_without_it() -> Result<()> {
    // One that is encrypted cannot be opened without its recipe, and is left alone.
    let folder = tempfile::tempdir()?;
    let locked = folder.path().join("locked");
    std::fs::File::create(&locked)?.set_len(32 << 20)?;
    encrypt(&["luksFormat"], contract::DEFAULT_DATA_LABEL, "key", &locked)?;
    let before = sha256(&locked)?;
    let mut machine = machine()?;
    machine.disks.push(Disk { path: locked.clone(), format: DiskFormat::Raw, bus: Bus::Virtio });
    let mut guest = Guest::boot("without_data_disk", machine)?;
    let state = guest.ok(&format!("cat {}", contract::paths::DATA_STATE))?;
    assert_eq!(state, "none /dev/vda: it is encrypted (LUKS), and this image cannot open it");
    assert!(guest.ok("sudo distroctl logs data-disk")?.contains("name the recipe \"cryptsetup\""));
    let image = guest.make_busybox_image()?;
    write_volume(&guest, image, "gone")?;
    let host_key = guest.host_key()?;
    guest.reboot()?;
    assert_ne!(guest.host_key()?, host_key, "the SSH host key is part of the image");
    assert!(!guest.has_busybox_image()?, "an image outlived a reboot in RAM");
    assert_ne!(guest.status("sudo podman volume exists kept")?, 0, "a volume outlived a reboot in RAM");
    guest.power_off()?;
    assert_eq!(sha256(&locked)?, before, "the encrypted disk has been written");
    Ok(())
}

/// More than e2fsck may repair by itself: only read, with advice, and still there for somebody to repair.
#[test]
fn a_damaged_one_is_only_read() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("disk.raw");
    create_data_disk(&path, SIZE, contract::DEFAULT_DATA_LABEL)?;
    let guest = boot("damaged_before", &path, Bus::Virtio)?;
    guest.ok("sudo mkdir -p /var/lib/boot2podman/lost/folder")?;
    let trimmed = guest.ok("sudo distroctl disk trim")?;
    assert!(trimmed.starts_with("/dev/vda: ") && trimmed.ends_with(" MiB trimmed"), "{trimmed}");
    assert_eq!(guest.ok("distroctl disk repair")?, "/dev/vda is sound and in use; there is nothing to repair");
    guest.power_off()?;
    // A folder without content, in a file system that says it has errors: nothing that may be repaired unasked.
    for request in ["sif /var/lib/boot2podman/lost block[0] 0", "ssv state 2"] {
        host("debugfs", |command| command.args(["-w", "-R", request]).arg(&path))?;
    }

    let guest = boot("damaged", &path, Bus::Virtio)?;
    assert_eq!(guest.ok(&format!("cat {}", contract::paths::DATA_STATE))?, "device /dev/vda read-only");
    assert!(guest.ok("distroctl disk repair")?.contains("sudo e2fsck -f /dev/vda"));
    assert!(guest.ok("distroctl status")?.contains("read-only"));
    let image = guest.make_busybox_image()?;
    guest.ok(&format!("sudo podman run --rm {image} true"))?;
    guest.power_off()?;
    // e2fsck -p has noted what it saw; the rest is as it was.
    let check = Command::new(find_program("e2fsck").context("no e2fsck")?).arg("-fn").arg(&path).output()?;
    let text = String::from_utf8_lossy(&check.stdout);
    assert!(text.contains("corrupt extent header"), "{text}");
    Ok(())
}
