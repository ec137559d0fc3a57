//! Disk images: all formats hold the same disk; it boots, makes the file system of its data partition, keeps what is in it, and
//! fills a disk that has become larger.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use contract::data_partition::{BLANK_BYTES, FORMATTING_MARK, UNFINISHED_LABEL};
use qemu_tests::{Guest, host, machine};
use vm::{Boot, Bus, Disk, DiskFormat, Firmware};

use crate::builder::Project;

const MIB: u64 = 1 << 20;
const LARGER: u64 = 3 << 30;

#[test]
fn formats_hold_the_same_disk() -> Result<()> {
    let project = Project::new();
    let formats = ["disk", "qcow2", "vmdk", "vhd", "ova"];
    let arguments: Vec<&str> = formats.iter().flat_map(|format| ["--format", format]).collect();
    let outcome = project.build(&arguments);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let raw = project.path("out.img");
    let table = host("sgdisk", |command| command.arg("-v").arg(&raw))?.stdout;
    assert!(table.contains("No problems found"), "{table}");
    same(&raw, "qcow2", &project.path("out.qcow2"))?;
    same(&raw, "vmdk", &project.path("out.vmdk"))?;
    same(&raw, "vpc", &project.path("out.vhd"))?;

    let folder = project.path("ova");
    std::fs::create_dir(&folder)?;
    host("tar", |command| command.arg("-C").arg(&folder).arg("-xf").arg(project.path("out.ova")))?;
    let manifest = std::fs::read_to_string(qemu_tests::find_file(&folder, "boot2podman.mf")?)?;
    let mut names = Vec::new();
    for line in manifest.lines() {
        let (name, sum) = line.split_once(")= ").context("a line of the manifest")?;
        let name = name.trim_start_matches("SHA256(");
        assert_eq!(qemu_tests::sha256(&folder.join(name))?, sum, "{name}");
        names.push(name);
    }
    assert_eq!(names, ["boot2podman.ovf", "boot2podman-disk1.vmdk"]);
    same(&raw, "vmdk", &folder.join("boot2podman-disk1.vmdk"))
}

fn same(raw: &Path, format: &str, other: &Path) -> Result<()> {
    if format != "vpc" {
        host("qemu-img", |command| command.args(["check", "-f", format]).arg(other))?;
    }
    host("qemu-img", |command| command.args(["compare", "-f", "raw", "-F", format]).arg(raw).arg(other))?;
    Ok(())
}

#[test]
fn keeps_data_and_grows() -> Result<()> {
    let project = Project::new();
    let outcome = project.build(&["--format", "disk"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let image = project.path("out.img");
    let (number, first, _) = data_partition(&image)?;

    let mut guest = boot("disk_image_ide", Firmware::Bios, &image, Bus::Ide)?;
    let device = format!("/dev/sda{number}");
    let state = guest.ok(&format!("cat {}", contract::paths::DATA_STATE))?;
    assert_eq!(state, format!("device {device}"));
    assert_fills(&guest, &device)?;
    guest.ok("sudo sh -c 'echo kept > /var/lib/containers/kept'")?;
    guest.reboot()?;
    assert_eq!(guest.ok("cat /var/lib/containers/kept")?, "kept", "formatted again");
    guest.power_off()?;

    std::fs::OpenOptions::new().write(true).open(&image)?.set_len(LARGER)?;
    let guest = boot("disk_image_larger", Firmware::uefi()?, &image, Bus::Virtio)?;
    guest.ok("test -d /sys/firmware/efi")?;
    assert_eq!(guest.ok("cat /var/lib/containers/kept")?, "kept");
    assert_fills(&guest, &format!("/dev/vda{number}"))?;
    guest.power_off()?;

    let (_, first_now, end) = data_partition(&image)?;
    assert_eq!((first_now, end), (first, LARGER - MIB));
    let table = host("sgdisk", |command| command.arg("-v").arg(&image))?.stdout;
    assert!(table.contains("No problems found"), "{table}");
    host("e2fsck", |command| command.arg("-fn").arg(format!("{}?offset={first}", image.display())))?;
    Ok(())
}

/// The power went away while the first boot made the file system: the next one starts over, and then knows its own.
#[test]
fn a_power_cut_while_it_is_formatted() -> Result<()> {
    let project = Project::new();
    let outcome = project.build(&["--format", "disk"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let image = project.path("out.img");
    let (_, first, end) = data_partition(&image)?;
    let file = std::fs::OpenOptions::new().write(true).open(&image)?;
    let size = end - BLANK_BYTES - first;
    file.write_all_at(FORMATTING_MARK, end - BLANK_BYTES)?;
    host("mke2fs", |command| {
        command.args(["-q", "-F", "-t", "ext4", "-L", UNFINISHED_LABEL, "-E", &format!("offset={first},nodiscard")]);
        command.arg(&image).arg(format!("{}k", size / 1024))
    })?;
    file.write_all_at(&[0xff; 4096], first + 8192)?;

    let guest = boot("disk_image_cut", Firmware::Bios, &image, Bus::Nvme)?;
    let state = guest.ok(&format!("cat {}", contract::paths::DATA_STATE))?;
    assert!(state.starts_with("device /dev/nvme0n1p"), "{state}");
    guest.ok("sudo touch /var/lib/containers/kept")?;
    guest.power_off()?;
    host("e2fsck", |command| command.arg("-fn").arg(format!("{}?offset={first}", image.display())))?;
    let label = host("e2label", |command| command.arg(format!("{}?offset={first}", image.display())))?;
    assert_eq!(label.stdout.trim_end(), contract::DEFAULT_DATA_LABEL);
    Ok(())
}

fn boot(name: &str, firmware: Firmware, image: &Path, bus: Bus) -> Result<Guest> {
    let mut machine = machine()?;
    machine.firmware = firmware;
    machine.boot = Boot::Disk(Disk { path: PathBuf::from(image), format: DiskFormat::Raw, bus });
    Guest::boot(name, machine)
}

/// The file system leaves no more of its partition than the guest thinks is worth growing for.
fn assert_fills(guest: &Guest, device: &str) -> Result<()> {
    let number = |command: String| -> Result<u64> {
        let text = guest.ok(&command)?;
        text.parse().with_context(|| format!("{command}: {text:?}"))
    };
    let name = device.trim_start_matches("/dev/");
    let partition = number(format!("cat /sys/class/block/{name}/size"))? * 512;
    // f_blocks leaves out what ext4 needs for itself, so the superblock is asked.
    let magic = "od -A n -t u4 -j 1028 -N 4";
    let blocks = number(format!("sudo {magic} {device} | tr -d ' '"))?;
    let file_system = blocks * number(format!("stat -f -c %S {}", contract::paths::DATA_MOUNT))?;
    assert!(file_system <= partition && partition - file_system < 4 * MIB, "{file_system} of {partition} bytes");
    Ok(())
}

/// Number of the data partition, its first byte and the byte it ends at.
fn data_partition(image: &Path) -> Result<(u32, u64, u64)> {
    let list = host("sgdisk", |command| command.arg("-p").arg(image))?.stdout;
    let line = list.lines().rfind(|line| line.ends_with(contract::DEFAULT_DATA_LABEL)).context("no data partition")?;
    let fields: Vec<&str> = line.split_whitespace().collect();
    let number = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok()).context("a row of sgdisk");
    Ok((number(0)? as u32, number(1)? * 512, (number(2)? + 1) * 512))
}
