//! An xfs data disk that comes late, and what hangs on a data disk: hooks, certificates, host name, further mounts, kept paths;
//! a second disk with the same label stays as it is.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use contract::{DEFAULT_DATA_LABEL, fw_cfg, paths};
use qemu_tests::{BOOT_LIMIT, Guest, host, kernel_and_initramfs, machine, sha256};
use serde_json::json;
use vm::disk::{create_data_disk, find_program};
use vm::{Accelerator, Boot, Bus, Device, Disk, DiskFormat, FwCfg, Machine, Vm};

const MIB: u64 = 1 << 20;
const UUID: &str = "3f1c5d1e-7c1b-4f0e-9f60-0a1b2c3d4e5f";

const DOCUMENT: &str = r#"
[data]
persist = ["/etc/kept", "/etc/motd"]

[[mounts]]
path = "/mnt/by-label"
source = "LABEL=further"

[[mounts]]
path = "/mnt/by-uuid"
source = "UUID=3f1c5d1e-7c1b-4f0e-9f60-0a1b2c3d4e5f"
options = ["ro"]

[[mounts]]
path = "/mnt/by-tag"
source = "shared"
type = "9p"

[[mounts]]
path = "/mnt/nowhere"
source = "LABEL=nowhere"
required = false
"#;

fn xfs(path: &Path, arguments: &[&str]) -> Result<()> {
    std::fs::File::create(path)?.set_len(400 * MIB)?;
    host("mkfs.xfs", |command| command.arg("-q").args(arguments).arg(path))?;
    Ok(())
}

fn late(folder: &Path) -> Result<Machine> {
    let (kernel, initrd) = kernel_and_initramfs(&folder.join("files"))?;
    let mut machine = machine()?;
    let cmdline = "console=ttyS0 loglevel=4 retain_initrd distro.verbose distro.waitdisk=600";
    machine.boot = Boot::Kernel { kernel, initrd, cmdline: cmdline.into() };
    machine.fw_cfg.push((fw_cfg::CONFIG.into(), FwCfg::Text(DOCUMENT.into())));
    create_data_disk(&folder.join("further"), 64 * MIB, "further")?;
    xfs(&folder.join("uuid"), &["-m", &format!("uuid={UUID}")])?;
    for name in ["further", "uuid"] {
        machine.disks.push(Disk { path: folder.join(name), format: DiskFormat::Raw, bus: Bus::Ide });
    }
    let shared = folder.join("shared");
    std::fs::create_dir(&shared)?;
    std::fs::write(shared.join("file"), "from the host\n")?;
    machine.devices.push(Device::Share { folder: shared, tag: "shared".into() });
    Ok(machine)
}

/// A virtio disk for a running machine.
fn put_in(vm: &Vm, name: &str, path: &Path) -> Result<()> {
    let file = json!({"driver": "file", "filename": path});
    let mut qmp = vm.qmp();
    qmp.execute("blockdev-add", &json!({"node-name": name, "driver": "raw", "file": file}))?;
    qmp.execute("device_add", &json!({"driver": "virtio-blk-pci", "drive": name, "id": name}))?;
    Ok(())
}

fn uses(guest: &Guest, device: &str) -> Result<()> {
    assert_eq!(guest.ok(&format!("cat {}", paths::DATA_STATE))?, format!("device {device}"));
    let kind = guest.ok(&format!("awk '$2 == \"{}\" {{ print $3 }}' /proc/mounts", paths::DATA_MOUNT))?;
    assert_eq!(kind, "xfs");
    Ok(())
}

/// What does not depend on the first boot.
fn mounts(guest: &Guest) -> Result<()> {
    assert_eq!(guest.ok("cat /mnt/by-tag/file")?, "from the host");
    let of = |path: &str| guest.ok(&format!("awk '$2 == \"{path}\" {{ print $3, substr($4, 1, 2) }}' /proc/mounts"));
    assert_eq!((of("/mnt/by-label")?.as_str(), of("/mnt/by-uuid")?.as_str()), ("ext4 rw", "xfs ro"));
    assert_eq!(of("/mnt/nowhere")?, "");
    let problems = guest.ok(&format!("cat {}", paths::PROBLEMS))?;
    assert_eq!(problems, "", "problems of provisioning");
    Ok(())
}

#[test]
fn a_late_xfs_disk_keeps_hooks_and_mounts() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (data, second) = (folder.path().join("data"), folder.path().join("second"));
    xfs(&data, &["-L", &DEFAULT_DATA_LABEL[..12]])?;
    create_data_disk(&second, 64 * MIB, DEFAULT_DATA_LABEL)?;
    let before = sha256(&second)?;

    let mut guest = Guest::boot_with("late_disk", late(folder.path())?, |vm| {
        let limit = Accelerator::best().scaled(BOOT_LIMIT);
        vm.wait_for_line("the search", limit, |line| line.contains("start data-disk as").then_some(()))?;
        // Long after nothing more is to be expected.
        std::thread::sleep(Duration::from_secs(20));
        put_in(vm, "data", &data)
    })?;
    uses(&guest, "/dev/vda")?;
    mounts(&guest)?;
    let image = guest.make_busybox_image()?;
    guest.ok(&format!("sudo podman run --rm -v kept:/v {image} sh -c 'echo volume > /v/file'"))?;
    guest.ok(
        "echo label | sudo tee /mnt/by-label/file && sudo sh -c 'echo kept > /etc/kept/file; echo new > /etc/motd'",
    )?;

    let key = folder.path().join("key.pem");
    let certificate = folder.path().join("own.pem");
    host("openssl", |command| {
        command.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=own", "-days", "9"]);
        command.arg("-keyout").arg(&key).arg("-out").arg(&certificate)
    })?;
    let certificate = std::fs::read_to_string(&certificate)?;
    let keep = |name: &str, text: &str| -> Result<()> {
        guest.scp_in(text.as_bytes(), "/tmp/file")?;
        guest.ok(&format!("cd /var/lib/boot2podman && sudo mkdir -p certs etc && sudo cp /tmp/file {name}"))?;
        Ok(())
    };
    keep("certs/own.pem", &certificate)?;
    keep("etc/hostname", "of-the-disk\n")?;
    keep("profile", "FROM_PROFILE='two words'\n")?;
    // Before network and engine …
    keep(
        "bootsync.sh",
        "ls /run/distro/services > /run/bootsync; pidof podman >> /run/bootsync; hostname >> /run/bootsync\n",
    )?;
    // … and after.
    keep("bootlocal.sh", "podman volume ls -q > /run/bootlocal\n")?;
    put_in(&guest, "second", &second)?;

    guest.reboot()?;
    uses(&guest, "/dev/vda")?;
    guest.ok("test -e /sys/class/block/vdb")?;
    mounts(&guest)?;
    assert_eq!(guest.ok("cat /mnt/by-label/file /etc/kept/file /etc/motd")?, "label\nkept\nnew");
    assert_eq!(guest.ok("hostname")?, "of-the-disk");
    assert_eq!(guest.ok("sh -lc 'echo $FROM_PROFILE'")?, "two words");
    let environment = guest.ok("sudo cat /proc/$(pidof podman | cut -d ' ' -f 1)/environ | tr '\\0' '\\n'")?;
    assert!(environment.contains("FROM_PROFILE=two words"), "{environment}");
    let line = certificate.lines().nth(3).context("a certificate of several lines")?;
    guest.ok(&format!("grep -q '{line}' /etc/ssl/certs/ca-certificates.crt"))?;
    let early = guest.ok("cat /run/bootsync")?;
    assert!(early.contains("data-disk") && !early.lines().any(|line| line.parse::<u32>().is_ok()), "{early}");
    guest.ok("for n in $(seq 60); do grep -q kept /run/bootlocal && exit; sleep 1; done; exit 1")?;
    assert_eq!(guest.ok(&format!("sudo podman run --rm -v kept:/v {image} cat /v/file"))?, "volume");
    guest.power_off()?;

    assert_eq!(sha256(&second)?, before, "the second disk has been written");
    let check = Command::new(find_program("xfs_repair").context("no xfs_repair")?).arg("-n").arg(&data).output()?;
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
    Ok(())
}
