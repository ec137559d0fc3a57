//! What PID 1 lives through: everything else killed, a fork bomb, no room, orphans by the thousand, a service that dies
//! whenever it is started. One machine goes through all of it; its memory and its open files are what they were at the end.

use anyhow::{Result, ensure};
use contract::DEFAULT_DATA_LABEL;
use qemu_tests::{Guest, machine};
use std::time::{Duration, Instant};
use vm::disk::create_data_disk;
use vm::{Bus, Disk, DiskFormat};

#[test]
fn pid_1_survives() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("disk.raw");
    create_data_disk(&path, 300 << 20, DEFAULT_DATA_LABEL)?;
    let mut machine = machine()?;
    machine.disks.push(Disk { path, format: DiskFormat::Raw, bus: Bus::Virtio });
    let guest = Guest::boot("survival", machine)?;
    let image = guest.make_busybox_image()?;
    let before = Held::by_pid_1(&guest)?;

    a_fork_bomb(&guest, image)?;
    no_room(&guest, image)?;
    orphans(&guest)?;
    a_dying_service(&guest)?;
    everything_killed(&guest, image)?;

    let after = Held::by_pid_1(&guest)?;
    ensure!(after.files == before.files, "open files of PID 1: {} before, {} after", before.files, after.files);
    ensure!(after.kib < before.kib + 512, "memory of PID 1: {} KiB before, {} after", before.kib, after.kib);
    assert_eq!(guest.ok("cat /proc/[0-9]*/stat 2> /dev/null | awk '$3 == \"Z\"' | wc -l")?, "0", "zombies");
    guest.power_off()
}

/// What PID 1 holds.
struct Held {
    files: u64,
    kib: u64,
}

impl Held {
    fn by_pid_1(guest: &Guest) -> Result<Self> {
        let number = |command: &str| anyhow::Ok(guest.ok(command)?.trim().parse::<u64>()?);
        let files = number("sudo ls /proc/1/fd | wc -l")?;
        Ok(Self { files, kib: number("awk '/^VmRSS/ { print $2 }' /proc/1/status")? })
    }
}

/// The engine's limit of processes stops it; the machine answers meanwhile.
fn a_fork_bomb(guest: &Guest, image: &str) -> Result<()> {
    guest.ok(&format!(
        "sudo podman run -d --name bomb --pids-limit 300 {image} sh -c 'bomb() {{ bomb | bomb & }}; while :; do bomb; done'"
    ))?;
    guest.ok("sleep 5; distroctl service status sshd")?;
    guest.ok("sudo podman rm -f -t 0 bomb")?;
    Ok(())
}

fn no_room(guest: &Guest, image: &str) -> Result<()> {
    for file in ["/fill", "/var/lib/containers/fill"] {
        let fill = format!("sudo dd if=/dev/zero of={file} bs=1M 2>&1 | grep -q 'No space left'");
        guest.ok(&fill)?;
        guest.ok("distroctl status > /dev/null && sudo podman ps")?;
        guest.ok("distroctl service restart ntp && distroctl service status ntp")?;
        guest.ok(&format!("sudo rm {file}"))?;
    }
    guest.ok(&format!("sudo podman run --rm {image} true"))?;
    Ok(())
}

/// Children whose parent has ended before they do: PID 1 gets them all.
fn orphans(guest: &Guest) -> Result<()> {
    let made = guest.ok(
        "n=0; end=$(($(date +%s) + 10)); while [ $(date +%s) -lt $end ]; do \
             for i in 1 2 3 4 5 6 7 8 9 10; do (sh -c : & sh -c : & sh -c : & sh -c : & sh -c : &); done; n=$((n + 50)); \
         done; echo $n",
    )?;
    println!("{made} orphans in ten seconds");
    guest.ok("sleep 2; distroctl service list")?;
    Ok(())
}

/// It is started less and less often, and again at once when asked.
fn a_dying_service(guest: &Guest) -> Result<()> {
    let killed = guest.ok("n=0; end=$(($(date +%s) + 40)); last=; while [ $(date +%s) -lt $end ]; do \
             pid=$(sed -n 's/^pid //p' /run/distro/services/ntp); \
             if [ -n \"$pid\" ] && [ \"$pid\" != \"$last\" ]; then last=$pid; sudo kill -9 $pid && n=$((n + 1)); fi; \
         done; echo $n")?;
    let killed: u32 = killed.parse()?;
    ensure!((3..30).contains(&killed), "a service that dies at once was started {killed} times in 40 s");
    guest.ok("distroctl service restart ntp; sleep 2; distroctl service status ntp")?;
    Ok(())
}

fn everything_killed(guest: &Guest, image: &str) -> Result<()> {
    let pid = guest.ok("sed -n 's/^pid //p' /run/distro/services/sshd")?;
    guest.soon("kill -9 -1")?;
    let end = Instant::now() + Duration::from_secs(240);
    loop {
        std::thread::sleep(Duration::from_secs(2));
        let now = guest.ssh("sed -n 's/^pid //p' /run/distro/services/sshd")?;
        if now.status == 0 && now.stdout.trim() != pid {
            break;
        }
        ensure!(Instant::now() < end, "nobody answers: {now:?}");
    }
    for service in ["podman", "ntp", "log"] {
        guest
            .ok(&format!("for n in $(seq 60); do distroctl service status {service} && exit; sleep 1; done; exit 1"))?;
    }
    guest.ok(&format!("sudo podman run --rm {image} true"))?;
    Ok(())
}
