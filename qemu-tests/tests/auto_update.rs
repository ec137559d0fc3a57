//! `podman auto-update` of a Quadlet container, as podman documents it, and going back to the image before; timers.

use anyhow::Result;
use qemu_tests::Guest;

const CONTAINER: &str = "[Container]\nImage=docker.io/library/app:latest\nAutoUpdate=registry\nStopTimeout=1\n\
    HealthCmd=test ! -e /sick\nHealthInterval=2s\nHealthRetries=2\nExec=sleep 100000\n[Service]\nRestart=always\n";

/// `registry` stands for docker.io.
pub(crate) fn updates(guest: &Guest, image: &str, registry: &str) -> Result<()> {
    let publish = |content: &str| -> Result<()> {
        guest.scp_in(format!("FROM {image}\nRUN {content}\n").as_bytes(), "/tmp/context/Containerfile")?;
        guest.ok("sudo podman build -q -t localhost/app /tmp/context")?;
        guest.ok(&format!("sudo podman push -q localhost/app {registry}/library/app:latest"))?;
        guest.ok("sudo podman rmi -f localhost/app")?;
        Ok(())
    };
    let update = |options: &str| {
        guest.ok(&format!("sudo podman auto-update {options} --format '{{{{.Unit}}}} {{{{.Updated}}}}' | tail -n 1"))
    };
    let version = || guest.ok("sudo podman exec systemd-app cat /version");
    publish("echo 1 > /version")?;
    guest.scp_in(CONTAINER.as_bytes(), "/tmp/app.container")?;
    guest.ok("sudo cp /tmp/app.container /etc/containers/systemd/ && sudo distroctl service reload")?;
    guest.ok("sudo distroctl service start app")?;
    guest.ok("sudo podman wait --condition=healthy systemd-app")?;
    assert_eq!(version()?, "1");
    assert_eq!(update("--dry-run")?, "app.service false");

    publish("echo 2 > /version")?;
    assert_eq!(update("--dry-run")?, "app.service pending");
    assert_eq!(version()?, "1");
    assert_eq!(update("")?, "app.service true");
    assert_eq!(version()?, "2");

    // One that never becomes healthy.
    publish("echo 3 > /version; touch /sick")?;
    assert_eq!(update("")?, "app.service rolled back");
    assert_eq!(version()?, "2");
    guest.ok("sudo podman wait --condition=healthy systemd-app")?;
    guest.ok("sudo rm /etc/containers/systemd/app.container && sudo distroctl service reload")?;
    Ok(())
}

/// Jobs that begin by themselves.
pub(crate) fn timers(guest: &Guest) -> Result<()> {
    let files = [
        ("tick.service", "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo tick-done'\n"),
        ("tick.timer", "[Timer]\nOnCalendar=*-*-* *:*:0/5 UTC\n[Install]\nWantedBy=timers.target\n"),
        ("late.service", "[Service]\nType=oneshot\nExecStart=/bin/echo late-done\n"),
        // Its delay must not hold up the other.
        ("late.timer", "[Timer]\nOnActiveSec=1s\nRandomizedDelaySec=1h\n[Install]\nWantedBy=timers.target\n"),
    ];
    for (name, text) in files {
        guest.scp_in(text.as_bytes(), &format!("/tmp/{name}"))?;
        guest.ok(&format!("sudo cp /tmp/{name} /etc/containers/systemd/"))?;
    }
    guest.ok("sudo distroctl service reload")?;
    let count = "distroctl service logs tick -n 100 | grep -c tick-done";
    guest.ok(&format!("for n in $(seq 120); do [ $({count}) -ge 2 ] && exit; sleep 1; done; exit 1"))?;
    let list = guest.ok("distroctl timers")?;
    let tick = list.lines().find(|line| line.starts_with("tick ") && line.ends_with("starts tick"));
    // Every five seconds, on the mark.
    let next = tick.and_then(|line| line.split_whitespace().find(|word| word.contains(':')));
    assert!(next.is_some_and(|time| time.ends_with(['0', '5'])), "{list}");
    guest
        .ok("sudo rm /etc/containers/systemd/tick.* /etc/containers/systemd/late.* && sudo distroctl service reload")?;
    Ok(())
}
