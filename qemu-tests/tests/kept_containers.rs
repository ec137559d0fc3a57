//! What podman leaves to systemd and this distribution does itself: restart policies at boot, health checks, the order in which
//! containers are stopped. One guest with a data disk, over a reboot and a power cut.

use anyhow::Result;
use qemu_tests::{Guest, machine};
use std::path::Path;
use vm::disk::create_data_disk;
use vm::{Bus, Disk, DiskFormat};

/// Where containers say that they end.
const ORDER: &str = "$(podman volume inspect -f \"{{.Mountpoint}}\" order)/order";
/// How long the guest is given for what needs no reply, in seconds.
const PATIENCE: u32 = 180;

#[test]
fn policies_health_and_order() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let disk = folder.path().join("disk.raw");
    create_data_disk(&disk, 1 << 30, contract::DEFAULT_DATA_LABEL)?;
    let mut guest = boot("kept_containers", &disk)?;
    let image = guest.make_busybox_image()?;
    policies(&guest, image)?;
    health(&guest, image)?;
    ordered(&guest, image)?;

    guest.reboot()?;
    let up = ["always", "always-stopped", "unless", "sick", "well", "db", "web", "back", "front"];
    wait_for_running(&guest, &up, &["by-hand", "gave-up", "never"])?;
    guest.ok(&format!("sudo timeout {PATIENCE} podman wait --condition=healthy well"))?;

    // Stopped by hand and started by hand just before the power fails.
    guest.ok("sudo podman start by-hand")?;
    guest.ok("sudo podman stop -t 0 unless web")?;
    let id = guest.ok("sudo podman inspect -f '{{.Id}}' unless")?;
    wait_for(&guest, &format!("sudo grep -q {id} {}", contract::paths::CONTAINERS_AT_REST))?;
    guest.kill()?;
    let guest = boot("kept_containers_after_a_cut", &disk)?;
    wait_for_running(
        &guest,
        &["always", "always-stopped", "by-hand", "well", "db", "web"],
        &["unless", "gave-up", "never"],
    )?;

    // The engine's own stop is not the user's hand. Those that need others end first, although they take longer.
    guest.ok("sudo podman rm -f -t 0 always always-stopped by-hand well sick")?;
    guest.ok(&format!("sudo sh -c ': > {ORDER}'"))?;
    guest.ok("sudo distroctl stop-containers")?;
    assert_eq!(guest.ok("sudo podman ps -q")?, "");
    let order = guest.ok(&format!("sudo sh -c 'cat {ORDER}'"))?;
    let place = |name: &str| order.lines().position(|line| line == name);
    let (web, db, front, back) = (place("web"), place("db"), place("front"), place("back"));
    assert!(order.lines().count() == 4 && web < db && front < back, "{order}");
    guest.ok("distroctl service restart containers")?;
    wait_for_running(&guest, &["db", "web", "back", "front"], &["unless", "gave-up", "never"])?;
    guest.power_off()
}

fn boot(name: &str, disk: &Path) -> Result<Guest> {
    let mut machine = machine()?;
    machine.disks.push(Disk { path: disk.into(), format: DiskFormat::Raw, bus: Bus::Virtio });
    Guest::boot(name, machine)
}

/// Waits until these run, and looks that those do not.
fn wait_for_running(guest: &Guest, up: &[&str], down: &[&str]) -> Result<()> {
    let all = up.join(" ");
    let command = format!(
        "for n in $(seq {PATIENCE}); do \
             running=\" $(sudo podman ps --format '{{{{.Names}}}}' | tr '\\n' ' ') \"; missing=; \
             for name in {all}; do case \"$running\" in *\" $name \"*) ;; *) missing=\"$missing $name\" ;; esac; done; \
             [ -z \"$missing\" ] && echo \"$running\" && exit; sleep 2; \
         done; echo \"not running:$missing\" >&2; sudo distroctl logs containers >&2; exit 1"
    );
    let running = guest.ok(&command)?;
    for name in down {
        assert!(!running.split_whitespace().any(|running| running == *name), "{name} runs, too: {running}");
    }
    Ok(())
}

/// One container of each policy.
fn policies(guest: &Guest, image: &str) -> Result<()> {
    let run = |name: &str, options: &str, command: &str| {
        guest.ok(&format!("sudo podman run -d --stop-timeout 1 --name {name} {options} {image} {command}"))
    };
    let sleep = "sleep 1000000";
    run("never", "", sleep)?;
    run("always", "--restart always", sleep)?;
    run("always-stopped", "--restart always", sleep)?;
    run("unless", "--restart unless-stopped", sleep)?;
    run("by-hand", "--restart unless-stopped", sleep)?;
    run("gave-up", "--restart on-failure:2", "sh -c 'exit 3'")?;
    guest.ok("sudo podman stop by-hand always-stopped")?;
    // Restarts while the machine runs are podman's own.
    let state = "sudo podman inspect -f '{{.RestartCount}} {{.State.Status}} {{.State.ExitCode}}' gave-up";
    wait_for(guest, &format!("[ \"$({state})\" = '2 exited 3' ]"))?;
    let kill = "kill -9 $(sudo podman inspect -f '{{.State.Pid}}' always)";
    guest.ok(&format!("sudo {kill}"))?;
    wait_for(guest, "[ \"$(sudo podman inspect -f '{{.RestartCount}} {{.State.Status}}' always)\" = '1 running' ]")
}

/// Checks that pass, fail and hang, and what is done then.
fn health(guest: &Guest, image: &str) -> Result<()> {
    guest.ok(&format!(
        "sudo podman run -d --stop-timeout 1 --name well --restart always --health-cmd 'test -e /tmp/well' \
         --health-interval 2s --health-startup-cmd 'test -e /tmp/up' --health-startup-interval 1s \
         {image} sh -c 'sleep 3; touch /tmp/up; sleep 3; touch /tmp/well; sleep 1000000'"
    ))?;
    guest.ok(&format!("sudo timeout {PATIENCE} podman wait --condition=healthy well"))?;
    assert_eq!(guest.ok("sudo podman ps --filter health=healthy --format '{{.Names}}'")?, "well");

    guest.ok(&format!(
        "sudo podman run -d --stop-timeout 1 --name sick -v sick:/v --restart unless-stopped --health-cmd 'test -e /none' \
         --health-retries 2 --health-interval 1s --health-on-failure restart \
         {image} sh -c 'echo start >> /v/starts; sleep 1000000'"
    ))?;
    let starts = "$(sudo podman volume inspect -f '{{.Mountpoint}}' sick)/starts";
    wait_for(guest, &format!("[ \"$(sudo grep -c start {starts})\" -ge 2 ]"))?;
    guest.ok("sudo podman update --health-interval 1h sick")?;

    guest.ok(&format!(
        "sudo podman run -d --stop-timeout 1 --name hangs --health-cmd 'sleep 1000000' --health-timeout 2s \
         --health-retries 1 --health-interval 1h {image} sleep 1000000"
    ))?;
    guest.ok(&format!("sudo timeout {PATIENCE} podman wait --condition=unhealthy hangs"))?;
    wait_for(guest, "distroctl status | grep -q 'problem *container hangs: unhealthy'")?;
    guest.ok("sudo podman rm -f hangs")?;
    wait_for(guest, "! distroctl status | grep -q hangs")
}

/// Containers that say when they end: two of `--requires`, two with compose's labels.
fn ordered(guest: &Guest, image: &str) -> Result<()> {
    let run = |name: &str, options: &str, seconds: u32| {
        let end = format!("sleep {seconds}; echo {name} >> /v/order; exit");
        guest.ok(&format!(
            "sudo podman run -d --stop-timeout 20 --name {name} -v order:/v --restart always {options} {image} \
             sh -c 'trap \"{end}\" TERM; while :; do sleep 1; done'"
        ))
    };
    let compose = |service: &str, needs: &str| {
        let label = |key: &str, value: &str| format!("--label com.docker.compose.{key}={value}");
        [label("project", "p"), label("service", service), label("depends_on", needs)].join(" ")
    };
    run("db", "", 0)?;
    run("web", "--requires db", 3)?;
    run("back", &compose("back", ""), 0)?;
    run("front", &compose("front", "back:service_started:true"), 3)?;
    Ok(())
}

fn wait_for(guest: &Guest, condition: &str) -> Result<()> {
    guest.ok(&format!("for n in $(seq {PATIENCE}); do {condition} && exit; sleep 1; done; exit 1")).map(drop)
}
