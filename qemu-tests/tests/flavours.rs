//! The flavours of the repository's distro.toml besides the default one, each built and booted once: what is in none of the
//! other tests' image.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use qemu_tests::{Guest, Registry, machine};
use vm::disk::create_data_disk;
use vm::{Boot, Bus, Disk, DiskFormat, FwCfg, Machine};

use crate::builder::{program, repository, run};

/// In the guest's network; leads to the registry on the build host.
const REGISTRY: &str = "10.0.2.100:5000";
/// How long the guest is given for what needs no reply, in seconds.
const PATIENCE: u32 = 240;
const IMAGE: &str = "localhost/busybox:test";

/// Three services, each of which waits until the one below it is healthy.
pub(crate) const COMPOSE: &str = "
name: three
services:
  db:
    image: localhost/busybox:test
    command: sh -c 'sleep 3; echo stored > /tmp/up; exec httpd -f -p 80 -h /tmp'
    stop_grace_period: 1s
    healthcheck: { test: [CMD, test, -e, /tmp/up], interval: 1s, timeout: 60s, retries: 60 }
  app:
    image: localhost/busybox:test
    command: sh -c 'mkdir /www; wget -q -O /www/index.html http://db/up; exec httpd -f -p 80 -h /www'
    stop_grace_period: 1s
    depends_on: { db: { condition: service_healthy } }
    healthcheck: { test: [CMD, wget, -q, -O, /dev/null, http://127.0.0.1/], interval: 1s, timeout: 60s, retries: 60 }
  web:
    image: localhost/busybox:test
    command: sh -c 'wget -q -O - http://app/; exec sleep 1000000'
    stop_grace_period: 1s
    depends_on: { app: { condition: service_healthy } }
";

/// A machine with a flavour's ISO, built if it is not there as it should be.
fn flavour(name: &str, folder: &Path) -> Result<Machine> {
    let iso: PathBuf = folder.join(format!("{name}.iso"));
    let mut command = Command::new(program());
    command.args(["build", "--fast", "--no-sbom", "--flavour", name, "--output"]).arg(&iso);
    let outcome = run(command.current_dir(repository()));
    ensure!(outcome.code == Some(0), "building {name}: {}", outcome.stderr);
    let mut machine = machine()?;
    machine.boot = Boot::Cdrom(iso);
    Ok(machine)
}

/// The smallest one; all of them in `cargo xtask soak flavours`, which sets `MKDISTRO_FLAVOURS=all`: each takes minutes.
#[test]
fn boot_and_work() -> Result<()> {
    minimal().context("minimal")?;
    if std::env::var("MKDISTRO_FLAVOURS").is_ok_and(|value| value == "all") {
        full().context("full")?;
        docker().context("docker")?;
    }
    Ok(())
}

fn full() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let registry = Registry::start()?;
    let mut machine = flavour("full", folder.path())?;
    machine.memory_mib = 1024;
    if let Some(network) = machine.user_network() {
        network.services.push(registry.service(REGISTRY));
    }
    let document = format!("[registries]\ninsecure = [\"{REGISTRY}\"]\n");
    machine.fw_cfg.push(("opt/org.mkdistro/config".into(), FwCfg::Text(document)));
    let guest = Guest::boot("flavour_full", machine)?;
    assert_eq!(guest.ok("sed -n s/^VARIANT_ID=//p /etc/os-release")?, "full");
    let image = guest.make_busybox_image()?;

    // Each tool reads what another one made.
    guest.ok("mkdir -p /tmp/context")?;
    guest.scp_in(format!("FROM {image}\nRUN echo built > /built\n").as_bytes(), "/tmp/context/Containerfile")?;
    guest.ok("sudo podman build -q -t localhost/podman:1 /tmp/context")?;
    guest.ok("sudo buildah bud -q -t localhost/buildah:1 /tmp/context")?;
    assert_eq!(guest.ok("sudo podman run --rm localhost/buildah:1 cat /built")?, "built");
    let remote = format!("docker://{REGISTRY}/buildah:1");
    guest.ok(&format!("sudo skopeo copy -q containers-storage:localhost/buildah:1 {remote}"))?;
    let digest = guest.ok(&format!("sudo skopeo inspect --format '{{{{.Digest}}}}' {remote}"))?;
    assert!(digest.starts_with("sha256:"), "{digest}");
    guest.ok(&format!("sudo skopeo copy -q {remote} oci:/tmp/layout:1 && sudo skopeo copy -q oci:/tmp/layout:1 docker://{REGISTRY}/again:1"))?;
    guest.ok(&format!("sudo podman rmi -f localhost/buildah:1 && sudo podman pull -q {REGISTRY}/again:1"))?;
    assert_eq!(guest.ok(&format!("sudo podman run --rm {REGISTRY}/again:1 cat /built"))?, "built");

    compose(&guest, "sudo podman compose", "sudo podman")?;
    guest.ok("git init -q /tmp/repository && cd /tmp/repository && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x")?;
    guest.ok("export LANG=C.UTF-8; tmux new-session -d 'sleep 100' && tmux list-sessions && htop --version && nano --version")?;
    guest.power_off()
}

fn docker() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let disk = folder.path().join("disk.raw");
    create_data_disk(&disk, 2 << 30, contract::DEFAULT_DATA_LABEL)?;
    let mut machine = flavour("docker", folder.path())?;
    machine.memory_mib = 1024;
    machine.disks.push(Disk { path: disk, format: DiskFormat::Raw, bus: Bus::Virtio });
    // This asks for the port.
    let document =
        "[[files]]\npath = \"/var/lib/boot2podman/docker-tls/names\"\ncontent = \"DNS:docker.example.test\\n\"\n";
    machine.fw_cfg.push(("opt/org.mkdistro/config".into(), FwCfg::Text(document.into())));
    let mut guest = Guest::boot("flavour_docker", machine)?;
    guest.ok(&format!(
        "mkdir -p /tmp/rootfs/bin && cp -L /bin/busybox /tmp/rootfs/bin/busybox && cd /tmp/rootfs && \
         for applet in $(busybox --list); do [ $applet = busybox ] || ln -sf busybox bin/$applet; done && \
         mkdir tmp etc && tar -cf - . | docker import - {IMAGE}"
    ))?;
    assert_eq!(guest.status(&format!("docker run --rm {IMAGE} sh -c 'exit 42'"))?, 42);
    guest.ok("mkdir -p /tmp/context")?;
    guest.scp_in(format!("FROM {IMAGE}\nRUN echo built > /built\n").as_bytes(), "/tmp/context/Dockerfile")?;
    guest.ok("docker build -q -t built /tmp/context")?;
    assert_eq!(guest.ok("docker run --rm built cat /built")?, "built");
    guest.ok("docker buildx version")?;
    compose(&guest, "docker compose", "docker")?;
    tls(&guest)?;
    swarm(&guest)?;

    let run = |name: &str| {
        guest
            .ok(&format!("docker run -d --name {name} --stop-timeout 1 --restart unless-stopped {IMAGE} sleep 1000000"))
    };
    run("kept")?;
    run("stopped")?;
    guest.ok("docker stop stopped")?;
    let authority = guest.ok("cat ~/.docker/ca.pem")?;
    guest.reboot()?;
    let names = "$(docker ps --format '{{.Names}}')";
    guest.ok(&format!(
        "for n in $(seq {PATIENCE}); do [ \"{names}\" = kept ] && exit; sleep 1; done; docker ps -a >&2; exit 1"
    ))?;
    assert_eq!(guest.ok("cat ~/.docker/ca.pem")?, authority, "another CA after a reboot");
    tls(&guest)?;
    guest.power_off()
}

fn minimal() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut machine = flavour("minimal", folder.path())?;
    machine.memory_mib = 256;
    let guest = Guest::boot("flavour_minimal", machine)?;
    let image = guest.make_busybox_image()?;
    assert_eq!(guest.status(&format!("sudo podman run --rm --memory 32m {image} sh -c 'exit 42'"))?, 42);
    let addresses = guest.ok(&format!("sudo podman run --rm {image} ip -4 addr show eth0"))?;
    assert!(addresses.contains("10.0.2.15"), "not the machine's network: {addresses}");
    guest.power_off()
}

/// The three services come up in their order, and go.
fn compose(guest: &Guest, compose: &str, engine: &str) -> Result<()> {
    guest.ok("mkdir -p /tmp/three")?;
    guest.scp_in(COMPOSE.trim_start().as_bytes(), "/tmp/three/compose.yaml")?;
    guest.ok(&format!("cd /tmp/three && {compose} up -d"))?;
    // Of the engine: compose's own begin with a control sequence.
    let logs = format!("{engine} logs three-web-1 2> /dev/null");
    guest.ok(&format!(
        "for n in $(seq {PATIENCE}); do [ \"$({logs})\" = stored ] && exit; sleep 1; done; {logs} >&2; exit 1"
    ))?;
    let healthy =
        guest.ok(&format!("{engine} ps --filter health=healthy --format '{{{{.Names}}}}' | sort | tr '\\n' ' '"))?;
    assert_eq!(healthy.trim_end(), "three-app-1 three-db-1");
    guest.ok(&format!("cd /tmp/three && {compose} down"))?;
    assert_eq!(guest.ok(&format!("{engine} ps -aq"))?, "");
    Ok(())
}

/// The port takes who has a certificate of the CA, and nobody else.
fn tls(guest: &Guest) -> Result<()> {
    for address in ["127.0.0.1", "10.0.2.15"] {
        guest.ok(&format!("docker --tlsverify -H tcp://{address}:2376 version"))?;
    }
    // The server is the right one, but it asks for a certificate.
    guest.ok("mkdir -p /tmp/none && cp ~/.docker/ca.pem /tmp/none")?;
    let without =
        "DOCKER_CONFIG=/tmp/none DOCKER_CERT_PATH=/tmp/none docker --tlsverify -H tcp://127.0.0.1:2376 version";
    let said = guest.ssh(without)?;
    assert!(said.status != 0 && said.stderr.contains("certificate required"), "{said:?}");
    assert_ne!(
        guest.status("docker --tls=false -H tcp://127.0.0.1:2376 version")?,
        0,
        "a client without TLS is served"
    );
    Ok(())
}

/// A service on an overlay network, which needs VXLAN and IPVS.
fn swarm(guest: &Guest) -> Result<()> {
    guest.ok("docker swarm init --advertise-addr 10.0.2.15")?;
    guest.ok("docker network create -d overlay --opt encrypted --attachable wide")?;
    guest.ok(&format!("docker service create -q --detach --name task --network wide {IMAGE} sleep 1000000"))?;
    let running = "docker service ls --format '{{.Replicas}}'";
    guest.ok(&format!("for n in $(seq {PATIENCE}); do [ \"$({running})\" = 1/1 ] && exit; sleep 1; done; docker service ps --no-trunc task >&2; exit 1"))?;
    guest.ok(&format!("docker run --rm --network wide {IMAGE} nslookup tasks.task"))?;
    guest.ok("docker service rm task && docker swarm leave --force")?;
    Ok(())
}
