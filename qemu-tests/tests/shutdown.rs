//! The power button: containers end as they wish, the data disk is clean, the power goes off.

use anyhow::Result;
use qemu_tests::{Guest, host, machine};
use vm::disk::create_data_disk;
use vm::{Bus, Disk, DiskFormat};

#[test]
fn power_button_stops_containers_cleanly() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let disk = folder.path().join("disk.raw");
    create_data_disk(&disk, 1 << 30, contract::DEFAULT_DATA_LABEL)?;
    let mut machine = machine()?;
    machine.disks.push(Disk { path: disk.clone(), format: DiskFormat::Raw, bus: Bus::Virtio });
    let guest = Guest::boot("shutdown", machine)?;
    let image = guest.make_busybox_image()?;
    guest.ok(&format!(
        "sudo podman run -d --name polite -v kept:/v {image} \
         sh -c 'trap \"echo asked > /v/end; exit 0\" TERM; echo up > /v/begin; while :; do sleep 1; done'"
    ))?;
    let wait_for_begin =
        "for n in 1 2 3 4 5 6 7 8 9; do sudo podman exec polite cat /v/begin && exit; sleep 1; done; exit 1";
    guest.ok(wait_for_begin)?;

    // Within the limit and by the guest's own doing.
    guest.power_off()?;

    let check = host("e2fsck", |command| command.args(["-f", "-n"]).arg(&disk))?;
    assert!(!check.stdout.contains("recovering journal"), "{}", check.stdout);
    let state = host("dumpe2fs", |command| command.arg("-h").arg(&disk))?;
    assert!(!state.stdout.contains("needs_recovery"), "the data disk was not unmounted:\n{}", state.stdout);
    let file = "cat /var/lib/containers/storage/volumes/kept/_data/end";
    let end = host("debugfs", |command| command.args(["-R", file]).arg(&disk))?;
    assert_eq!(end.stdout, "asked\n", "the container's process did not get SIGTERM, or its last write is lost");
    Ok(())
}
