//! Messages: of the kernel, PID 1 and services, in RAM, on the data disk over a power cut, and at a syslog server.

use std::time::{Duration, Instant};

use anyhow::Result;
use qemu_tests::{Guest, machine};
use vm::disk::create_data_disk;
use vm::{Bus, Disk, DiskFormat, Network};

#[test]
fn messages_are_kept_and_sent() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (disk, received) = (folder.path().join("disk.raw"), folder.path().join("syslog"));
    create_data_disk(&disk, 1 << 30, contract::DEFAULT_DATA_LABEL)?;
    let mut machine = machine()?;
    machine.disks.push(Disk { path: disk, format: DiskFormat::Raw, bus: Bus::Virtio });
    let server = ("10.0.2.100:601".to_string(), format!("dd of={} bs=4096", received.display()));
    if let Network::User(network) = &mut machine.network {
        network.services.push(server);
    }
    let mut guest = Guest::boot("logs", machine)?;

    let kernel = guest.ok("distroctl logs kernel -n 1000000")?;
    assert!(kernel.contains("Linux version"), "the first messages are missing:\n{kernel}");
    assert!(guest.ok("distroctl logs -n 5 sshd")?.lines().count() <= 5);
    assert_ne!(guest.status("distroctl logs nobody")?, 0);
    guest.ok("echo '<3>user: a mark of 1' | sudo tee /dev/kmsg > /dev/null; sleep 2")?;
    assert!(guest.ok("distroctl logs --since 1m")?.contains("user: error: a mark of 1"));
    // One that follows gets what comes.
    let follow = "(sleep 3; echo '<5>user: a mark of 2' | sudo tee /dev/kmsg > /dev/null) & \
                  timeout 10 distroctl logs -f -n 0 | grep -m 1 'a mark of 2'";
    assert!(guest.ok(follow)?.contains("a mark of 2"));

    guest.ok("echo 'log-remote tcp://10.0.2.100:601' | sudo tee /run/distro/settings > /dev/null")?;
    let end = Instant::now() + Duration::from_secs(120);
    let is_sent = || std::fs::read_to_string(&received).is_ok_and(|text| text.contains(" user - - - a mark of 1"));
    while !is_sent() {
        assert!(Instant::now() < end, "nothing came to the syslog server");
        std::thread::sleep(Duration::from_secs(1));
    }
    let text = std::fs::read_to_string(&received)?;
    let (length, rest) = text.split_once(' ').unwrap_or_default();
    let frame = rest.get(..length.parse()?).unwrap_or_default();
    assert!(frame.starts_with('<') && frame.contains(">1 20") && rest.len() > frame.len(), "{frame}");

    // Synced within seconds: still there after the reboot, with the end of the boot before.
    guest.reboot()?;
    let kept = guest.ok("sudo distroctl logs --kept")?;
    for mark in ["a mark of 1", "a mark of 2", "stopping sshd"] {
        assert!(kept.contains(mark), "{mark} was not kept");
    }
    assert_eq!(kept.matches(": begin of ").count(), 2);

    let list = guest.ok("sudo distroctl support-bundle | tar -tzf -")?;
    for name in ["support/status.json", "support/messages.txt", "support/dmesg.txt", "support/containers/list.txt"] {
        assert!(list.lines().any(|line| line == name), "{name} is missing:\n{list}");
    }
    guest.power_off()
}
