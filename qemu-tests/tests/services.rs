//! Services by hand, and what keeps the machine going: stop, start and restart over PID 1's control socket as the login user,
//! the watchdog, swap in compressed memory.

use anyhow::Result;
use qemu_tests::{Guest, machine};

#[test]
fn services_by_hand() -> Result<()> {
    let mut machine = machine()?;
    machine.reboots = false;
    let guest = Guest::boot("services", machine)?;
    assert!(
        guest.ok("distroctl service list")?.lines().any(|line| line.starts_with("sshd ") && line.contains("ready"))
    );
    assert_eq!(guest.ok("ls -l /run/distro/control | cut -c1-10")?, "srw-rw----");

    // As the login user, without sudo.
    guest.ok("distroctl service stop podman")?;
    assert_eq!(guest.ok("head -n 1 /run/distro/services/podman")?, "state stopped");
    assert_eq!(guest.status("distroctl service status podman")?, 3);
    let ping = "sudo podman --remote --url unix:///run/podman/podman.sock info > /dev/null";
    assert_ne!(guest.status(ping)?, 0);
    // It stays so.
    guest.ok("sleep 3; grep -q stopped /run/distro/services/podman")?;
    guest.ok("distroctl service start podman")?;
    guest.ok(ping)?;
    let pid = |guest: &Guest| guest.ok("sed -n 's/^pid //p' /run/distro/services/podman");
    let before = pid(&guest)?;
    guest.ok("distroctl service restart podman")?;
    assert_ne!(pid(&guest)?, before);
    guest.ok("distroctl service status podman")?;

    for (command, reason) in [
        ("distroctl service stop nobody", "no such service: nobody"),
        ("distroctl service start 'podman podman'", "no such service"),
        ("distroctl service kill podman", "not understood"),
    ] {
        let output = guest.ssh(command)?;
        assert!(output.status != 0 && output.stderr.contains(reason), "{command}: {output:?}");
    }
    // Others may not ask.
    let output = guest.ssh("sudo su -s /bin/sh nobody -c 'distroctl service stop podman'")?;
    assert!(output.status != 0 && output.stderr.contains("asking PID 1"), "{output:?}");
    guest.ok("distroctl service status podman")?;

    // The main process of a service dies: it comes back, and the machine never noticed.
    guest.ok("sudo kill -9 $(sed -n 's/^pid //p' /run/distro/services/log)")?;
    guest.ok(
        "for n in 1 2 3 4 5 6 7 8 9; do sleep 1; grep -q 'restarts 1' /run/distro/services/log && exit; done; exit 1",
    )?;
    guest.ok("distroctl status --json | grep -q '\"name\":\"log\",\"state\":\"ready\"'")?;

    // Ctrl-Alt-Del is an orderly reboot, which ends this machine.
    let keys = ["ctrl", "alt", "delete"].map(|key| serde_json::json!({"type": "qcode", "data": key}));
    guest.qmp().execute("send-key", &serde_json::json!({"keys": keys}))?;
    guest.wait_for_power_off()
}

#[test]
fn memory_is_compressed_and_the_watchdog_fed() -> Result<()> {
    let mut machine = machine()?;
    machine.memory_mib = 256;
    machine.extra = ["-device", "i6300esb", "-action", "watchdog=poweroff"].map(Into::into).into();
    let guest = Guest::boot("watchdog", machine)?;
    assert!(guest.ok("cat /proc/swaps")?.contains("/dev/zram0"));
    let image = guest.make_busybox_image()?;
    guest.ok(&format!("sudo podman run --rm {image} true"))?;
    // PID 1 has it open, and goes on feeding it: the machine would be off after a minute.
    guest.ok("for n in $(seq 60); do sudo ls -l /proc/1/fd | grep -q /dev/watchdog && exit; sleep 1; done; exit 1")?;
    guest.ok("sleep 70")?;
    guest.power_off()
}
