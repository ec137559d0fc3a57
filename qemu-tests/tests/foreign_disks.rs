//! Disks that are not ours are not written: not a bit differs after a boot.

use anyhow::Result;
use qemu_tests::{Guest, host, machine, sha256};
use std::path::Path;
use vm::disk::create_data_disk;
use vm::{Bus, Disk, DiskFormat};

const SIZE: u64 = 64 << 20;

#[test]
fn are_byte_identical_after_a_boot() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    create_data_disk(&path("ext4"), SIZE, "somebody-else")?;
    // Not cleanly unmounted: a mount, even a read-only one, would replay its journal.
    host("debugfs", |command| command.args(["-w", "-R", "feature needs_recovery"]).arg(path("ext4")))?;
    xfs(&path("xfs"))?;
    unknown_partition_table(&path("unknown"))?;
    std::fs::File::create(path("blank"))?.set_len(SIZE)?;

    let disks = [
        ("ext4", Bus::Ide),
        ("unknown", Bus::Virtio),
        ("blank", Bus::Virtio),
        ("xfs", Bus::Nvme),
        ("blank2", Bus::Scsi),
        ("taken", Bus::Virtio),
    ];
    std::fs::copy(path("blank"), path("blank2"))?;
    taken_partition(&path("taken"))?;
    let mut machine = machine()?;
    for (name, bus) in disks {
        machine.disks.push(Disk { path: path(name), format: DiskFormat::Raw, bus });
    }
    let sums = || disks.iter().map(|(name, _)| Ok((*name, sha256(&path(name))?))).collect::<Result<Vec<_>>>();
    let before = sums()?;

    let guest = Guest::boot("foreign_disks", machine)?;
    // The guest has seen them all, so leaving them alone was its choice.
    let seen = guest.ok("ls /sys/class/block")?;
    for name in ["sda", "vda", "vdb", "vdc1", "nvme0n1", "sdb"] {
        assert!(seen.lines().any(|line| line == name), "no {name} in\n{seen}");
    }
    let state = guest.ok(&format!("cat {}", contract::paths::DATA_STATE))?;
    assert!(state.starts_with("none "), "{state}");
    guest.power_off()?;
    assert_eq!(sums()?, before);
    Ok(())
}

fn xfs(path: &Path) -> Result<()> {
    // The smallest that today's mkfs.xfs makes; sparse.
    std::fs::File::create(path)?.set_len(320 << 20)?;
    host("mkfs.xfs", |command| command.args(["-q", "-L", "other-xfs"]).arg(path))?;
    Ok(())
}

/// A partition that was set aside for data, with room to grow, in which somebody has made a file system of his own.
fn taken_partition(path: &Path) -> Result<()> {
    std::fs::File::create(path)?.set_len(SIZE)?;
    let kind = "--typecode=1:8607f032-68b1-82ea-b937-b7c1c1c3c614";
    let name = format!("--change-name=1:{}", contract::DEFAULT_DATA_LABEL);
    host("sgdisk", |command| command.args(["--new=1:2048:+32M", kind, &name]).arg(path))?;
    host("mke2fs", |command| {
        command
            .args(["-q", "-F", "-t", "ext4", "-L", "photos", "-E", "offset=1048576,nodiscard"])
            .arg(path)
            .arg("32768k")
    })?;
    Ok(())
}

/// Begins like an Amiga's "RDSK" and goes on without any structure a PC knows, but not blank.
fn unknown_partition_table(path: &Path) -> Result<()> {
    let mut state = 0x2545_f491_u32;
    let mut bytes: Vec<u8> = (0..1 << 20)
        .map(|_| {
            // xorshift32
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_le_bytes()[0]
        })
        .collect();
    bytes[..4].copy_from_slice(b"RDSK");
    bytes[510..512].copy_from_slice(&[0, 0]);
    std::fs::write(path, bytes)?;
    std::fs::OpenOptions::new().write(true).open(path)?.set_len(SIZE)?;
    Ok(())
}
