//! The engine from another machine, the build host: Docker's clients and podman's over SSH, Docker's by TLS. The distribution is
//! the default one, with the port for TLS besides.

use anyhow::{Context, Result, ensure};
use contract::paths::PODMAN_SOCKET;
use qemu_tests::clients::{ok, run};
use qemu_tests::{Clients, Guest, http_get, machine};
use std::path::Path;
use std::process::Command;
use vm::{Boot, FwCfg};

use crate::builder::{Project, program};
use crate::flavours::COMPOSE;

const FOLDER: &str = "/var/lib/boot2podman/podman-tls";
const NAME: &str = "engine.example.test";
/// How long the guest is given for what needs no reply, in seconds.
const PATIENCE: u32 = 240;

#[test]
fn clients_of_another_machine() -> Result<()> {
    let project = Project::new();
    project.replace("distro.toml", "\"sudo\"]", "\"sudo\", \"podman-tls\"]");
    let outcome = crate::builder::run(Command::new(program()).arg("lock").current_dir(project.path("")));
    ensure!(outcome.code == Some(0), "mkdistro lock: {}", outcome.stderr);
    let outcome = project.build(&[]);
    ensure!(outcome.code == Some(0), "mkdistro build: {}", outcome.stderr);

    let mut machine = machine()?;
    machine.boot = Boot::Cdrom(project.path("out.iso"));
    // This asks for the port.
    let document = format!("[[files]]\npath = \"{FOLDER}/names\"\ncontent = \"DNS:{NAME}\\n\"\n");
    machine.fw_cfg.push(("opt/org.mkdistro/config".into(), FwCfg::Text(document)));
    let port = vm::free_port()?;
    machine.user_network().context("a machine without a network")?.forwards.push((port, 2376));
    let guest = Guest::boot("remote", machine)?;
    let image = guest.make_busybox_image()?;
    let clients = Clients::new()?;
    docker_by_ssh(&guest, &clients, image)?;
    compose_by_ssh(&guest, &clients)?;
    podman_by_ssh(&guest, &clients, image)?;
    docker_by_tls(&guest, &clients, image, port)?;
    guest.power_off()
}

/// As `DOCKER_HOST=ssh://core@HOST` does.
fn by_ssh(guest: &Guest, mut command: Command) -> Result<Command> {
    command.env("DOCKER_HOST", guest.access()?.url(""));
    Ok(command)
}

fn docker_by_ssh(guest: &Guest, clients: &Clients, image: &str) -> Result<()> {
    clients.use_ssh(&guest.access()?.client())?;
    let mut command = by_ssh(guest, clients.docker())?;
    let output = run(command.args(["run", "-i", "--rm", image, "sh", "-c", "cat; exit 42"]), "by-ssh\n")?;
    assert_eq!((output.status, output.stdout.as_str()), (42, "by-ssh\n"), "{output:?}");
    // It is the engine of all: what the user starts there is what root sees.
    ok(by_ssh(guest, clients.docker())?.args(["create", "--name", "seen", image, "true"]))?;
    assert_eq!(guest.ok("sudo podman ps -a --format '{{.Names}}'")?, "seen");
    assert_eq!(guest.ok("docker ps -a --format '{{.Names}}' && docker rm seen")?, "seen\nseen");
    // Who may not use that has an engine of his own.
    let output = guest.ssh("sudo -u nobody docker system dial-stdio 2>&1")?;
    assert!(output.status != 0 && output.stdout.contains("connecting to /run/user/65534/podman"), "{output:?}");
    Ok(())
}

/// The three services come up in their order, and go.
fn compose_by_ssh(guest: &Guest, clients: &Clients) -> Result<()> {
    let folder = clients.home().join("three");
    std::fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
    std::fs::write(folder.join("compose.yaml"), COMPOSE.trim_start()).context("writing compose.yaml")?;
    ok(by_ssh(guest, clients.compose())?.current_dir(&folder).args(["up", "-d"]))?;
    let logs = "sudo podman logs three-web-1 2> /dev/null";
    guest.ok(&format!(
        "for n in $(seq {PATIENCE}); do [ \"$({logs})\" = stored ] && exit; sleep 1; done; {logs} >&2; exit 1"
    ))?;
    let mut command = by_ssh(guest, clients.docker())?;
    let healthy = ok(command.args(["ps", "--filter", "health=healthy", "--format", "{{.Names}}"]))?;
    let mut healthy: Vec<&str> = healthy.lines().collect();
    healthy.sort_unstable();
    assert_eq!(healthy, ["three-app-1", "three-db-1"]);
    ok(by_ssh(guest, clients.compose())?.current_dir(&folder).arg("down"))?;
    assert_eq!(guest.ok("sudo podman ps -aq")?, "");
    Ok(())
}

/// By the connection that `mkdistro run` prints, and to the user's own engine.
fn podman_by_ssh(guest: &Guest, clients: &Clients, image: &str) -> Result<()> {
    let access = guest.access()?;
    let line = access.connection_line("box");
    let words: Vec<&str> = line.split(' ').skip(1).collect();
    ok(clients.podman().args(words))?;
    let command = ["run", "-i", "--rm", image, "sh", "-c", "cat; exit 42"];
    let output = run(clients.podman().args(["--connection", "box"]).args(command), "by-podman\n")?;
    assert_eq!((output.status, output.stdout.as_str()), (42, "by-podman\n"), "{output:?}");

    for (socket, is_rootless) in [(PODMAN_SOCKET, "false"), ("/run/user/1000/podman/podman.sock", "true")] {
        let mut command = clients.podman();
        command.args(["--url", &access.url(socket), "--identity"]).arg(access.key());
        assert_eq!(ok(command.args(["info", "--format", "{{.Host.Security.Rootless}}"]))?, is_rootless, "{socket}");
    }
    Ok(())
}

/// The port takes who has a certificate of the CA, and nobody else.
fn docker_by_tls(guest: &Guest, clients: &Clients, image: &str, port: u16) -> Result<()> {
    let certificates = clients.home().join("certificates");
    let without = clients.home().join("without");
    copy(guest, &certificates, &["ca.pem", "cert.pem", "key.pem"])?;
    copy(guest, &without, &["ca.pem"])?;
    let by_tls = |folder: &Path| {
        let mut command = clients.docker();
        command.env("DOCKER_HOST", format!("tcp://127.0.0.1:{port}"));
        command.env("DOCKER_TLS_VERIFY", "1").env("DOCKER_CERT_PATH", folder);
        command
    };
    let output = run(by_tls(&certificates).args(["run", "-i", "--rm", image, "sh", "-c", "cat; exit 42"]), "by-tls\n")?;
    assert_eq!((output.status, output.stdout.as_str()), (42, "by-tls\n"), "{output:?}");

    let output = run(by_tls(&without).arg("version"), "")?;
    assert!(output.status != 0 && output.stderr.contains("certificate required"), "{output:?}");
    let mut plain = clients.docker();
    let output = run(plain.args(["-H", &format!("tcp://127.0.0.1:{port}"), "version"]), "")?;
    assert!(output.status != 0 && !output.stdout.contains("Server:"), "{output:?}");
    assert!(!http_get(port).unwrap_or_default().contains("200 OK"), "a client without TLS is served");

    // The server's names: those of the document, and its addresses of now.
    for name in [format!("-verify_hostname {NAME}"), "-verify_ip 10.0.2.15".into()] {
        guest.ok(&format!("sudo openssl verify -CAfile {FOLDER}/ca.pem {name} {FOLDER}/server.pem"))?;
    }
    let holders = guest.ok("for pid in $(pidof stunnel4); do stat -c %u:%g /proc/$pid; done | sort -u")?;
    assert_eq!(holders, "65534:1000");

    // Started again after a death, nobody listens who is not asked to any more.
    guest.ok(&format!("sudo mv {FOLDER} /tmp/tls && sudo kill -9 $(pidof stunnel4)"))?;
    guest.ok(&format!(
        "for n in $(seq {PATIENCE}); do grep -q '^state stopped' /run/distro/services/podman-tls && exit; sleep 0.5; done; \
         distroctl service status podman-tls >&2; exit 1"
    ))?;
    assert_eq!(guest.ok("netstat -tln | grep -c :2376 || true")?, "0");
    Ok(())
}

fn copy(guest: &Guest, folder: &Path, names: &[&str]) -> Result<()> {
    std::fs::create_dir(folder).with_context(|| format!("making {}", folder.display()))?;
    for name in names {
        let text = guest.ok(&format!("cat ~/.docker/{name}"))? + "\n";
        std::fs::write(folder.join(name), text).with_context(|| format!("writing {name}"))?;
    }
    Ok(())
}
