//! Containers: what podman promises holds in the guest. One guest, because a boot costs more than a check.

use crate::{auto_update, commands};
use anyhow::Result;
use qemu_tests::{Guest, Registry, machine};
use vm::FwCfg;

/// In the guest's network; leads to the registry on the build host.
const REGISTRY: &str = "10.0.2.100:5000";

#[test]
fn run_limits_volumes_networks() -> Result<()> {
    let mut machine = machine()?;
    let port = vm::free_port()?;
    if let Some(network) = machine.user_network() {
        network.forwards.push((port, 8080));
    }
    let guest = Guest::boot("containers_run", machine)?;
    let image = guest.make_busybox_image()?;
    bridge(&guest, image)?;
    limits(&guest, image)?;
    mounts(&guest, image)?;
    names(&guest, image)?;
    publish(&guest, image, port)
}

/// "secret word" by bcrypt with 16 rounds.
const PASSWORD_HASH: &str = "$2b$04$mj46vsRKnC04oRHhsbRRYO5OBDbdvAx9T52iGb4TH2nTyjmUfxMqu";

/// What the guest is told of it: it stands for Docker's, too.
fn registries() -> String {
    format!(
        "[registries]
         insecure = [\"{REGISTRY}\"]
         mirrors = {{ \"docker.io\" = \"{REGISTRY}\" }}
         [[registries.credentials]]
         registry = \"{REGISTRY}\"
         user = \"ann\"
         password = \"secret word\"
        "
    )
}

#[test]
fn build_push_pull() -> Result<()> {
    let registry = Registry::start_with_login("ann", PASSWORD_HASH)?;
    let mut machine = machine()?;
    if let Some(network) = machine.user_network() {
        network.services.push(registry.service(REGISTRY));
    }
    machine.fw_cfg.push(("opt/org.mkdistro/config".into(), FwCfg::Text(registries())));
    let guest = Guest::boot("containers_build", machine)?;
    let image = guest.make_busybox_image()?;

    guest.ok("mkdir -p /tmp/context")?;
    guest.scp_in(format!("FROM {image}\nRUN echo built > /built\n").as_bytes(), "/tmp/context/Containerfile")?;
    guest.ok("sudo podman build -q -t localhost/built:test /tmp/context")?;
    assert_eq!(guest.ok("sudo podman run --rm localhost/built:test cat /built")?, "built");

    let remote = format!("{REGISTRY}/library/built:test");
    guest.ok(&format!("sudo podman push -q localhost/built:test {remote}"))?;
    guest.ok(&format!("sudo podman rmi -f localhost/built:test {image}"))?;
    assert_eq!(guest.ok("sudo podman images -aq")?, "", "an image is left that could stand in for the pulled one");
    // By its mirror, and with the credentials told to the guest; by the service as well.
    let engine = "sudo podman --remote --url unix:///run/podman/podman.sock";
    for (client, name) in [("sudo podman", remote.as_str()), (engine, "docker.io/library/built:test")] {
        guest.ok(&format!("{client} pull -q {name}"))?;
        assert_eq!(guest.ok(&format!("{client} run --rm {name} cat /built"))?, "built");
        guest.ok(&format!("{client} rmi -af"))?;
    }
    assert_ne!(guest.status(&format!("sudo podman pull -q --creds=ann:wrong {remote}"))?, 0, "it asks for no password");

    let image = guest.make_busybox_image()?;
    guest.ok(&format!("sudo podman push -q {image} {REGISTRY}/library/busybox:latest"))?;
    auto_update::updates(&guest, image, REGISTRY)?;
    auto_update::timers(&guest)?;
    commands::kube(&guest, image)?;
    commands::for_newcomers(&guest, image)
}

/// The default network: an address of the bridge, a way out through it.
fn bridge(guest: &Guest, image: &str) -> Result<()> {
    let text = guest.ok(&format!("sudo podman run --rm {image} sh -c 'ip -4 addr show eth0; ip route'"))?;
    assert!(text.contains("inet 10.88.0."), "no address of podman's bridge:\n{text}");
    assert!(text.contains("default via 10.88.0.1"), "no default route:\n{text}");
    assert_eq!(guest.status(&format!("sudo podman run --rm {image} sh -c 'exit 42'"))?, 42);
    Ok(())
}

/// The limits are in the cgroup and are enforced.
fn limits(guest: &Guest, image: &str) -> Result<()> {
    let run = |options: &str, command: &str| format!("sudo podman run --rm {options} {image} {command}");
    let files = guest.ok(&run(
        "--memory 64m --pids-limit 7 --cpus 0.5",
        "sh -c 'cd /sys/fs/cgroup && cat memory.max pids.max cpu.max'",
    ))?;
    assert_eq!(files.lines().collect::<Vec<_>>(), ["67108864", "7", "50000 100000"]);

    let take_100_mib = "dd if=/dev/zero of=/dev/null bs=100M count=1";
    // Without the second limit as much again may be swapped, to zram (podman-run(1), "--memory-swap").
    let status = guest.status(&run("--memory 64m --memory-swap 64m", take_100_mib))?;
    assert_eq!(status, 137, "a process of 100 MiB under --memory 64m was not killed");
    let status = guest.status(&run("--memory 200m", take_100_mib))?;
    assert_eq!(status, 0, "a process of 100 MiB does not run under --memory 200m");

    let nine_processes = "sh -c 'for n in 1 2 3 4 5 6 7 8 9; do sleep 1 & done; wait'";
    assert_ne!(guest.status(&run("--pids-limit 7", nine_processes))?, 0, "nine processes under --pids-limit 7");
    assert_eq!(guest.status(&run("--pids-limit 70", nine_processes))?, 0, "nine processes under --pids-limit 70");
    Ok(())
}

/// A bind mount and a named volume.
fn mounts(guest: &Guest, image: &str) -> Result<()> {
    guest.ok("mkdir -p /tmp/bind && echo guest > /tmp/bind/from-guest")?;
    let text = guest.ok(&format!(
        "sudo podman run --rm -v /tmp/bind:/bind {image} sh -c 'cat /bind/from-guest; echo container > /bind/back'"
    ))?;
    assert_eq!(text, "guest");
    assert_eq!(guest.ok("cat /tmp/bind/back")?, "container");

    guest.ok("sudo podman volume create kept")?;
    guest.ok(&format!("sudo podman run --rm -v kept:/v {image} sh -c 'echo first > /v/file'"))?;
    assert_eq!(guest.ok(&format!("sudo podman run --rm -v kept:/v {image} cat /v/file"))?, "first");
    Ok(())
}

/// Two containers of one network find each other by name.
fn names(guest: &Guest, image: &str) -> Result<()> {
    guest.ok("sudo podman network create pair")?;
    guest.ok(&format!(
        "sudo podman run -d --name server --network pair {image} \
         sh -c 'mkdir /www && echo served > /www/index.html && exec httpd -f -p 80 -h /www'"
    ))?;
    let fetch = "for n in 1 2 3 4 5 6 7 8 9; do wget -q -O - http://server/ && exit; sleep 1; done; exit 1";
    assert_eq!(guest.ok(&format!("sudo podman run --rm --network pair {image} sh -c '{fetch}'"))?, "served");
    let status = guest.status(&format!("sudo podman run --rm --network pair {image} nslookup nobody.dns.podman"))?;
    assert_ne!(status, 0, "a name that nobody has is found");
    guest.ok("sudo podman rm -f -t 0 server")?;
    Ok(())
}

/// A published port is reached from outside the guest, through `port` of the host.
fn publish(guest: &Guest, image: &str, port: u16) -> Result<()> {
    guest.ok(&format!(
        "sudo podman run -d --name published -p 8080:80 {image} \
         sh -c 'mkdir /www && echo outside > /www/index.html && exec httpd -f -p 80 -h /www'"
    ))?;
    guest.serves(port, "outside\n")
}
