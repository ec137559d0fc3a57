//! The userland as a container image (`--format oci`), in a privileged container of a booted machine: PID 1 there, SSH, a
//! container inside the container, block devices, stopping. And that the machine around it is none the worse for it.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use qemu_tests::{Guest, machine};
use vm::disk::create_data_disk;
use vm::ssh::{Key, Ssh};
use vm::{Bus, Disk, DiskFormat};

use crate::builder::Project;

/// How long what needs no reply may take, in seconds.
const PATIENCE: u32 = 240;
/// Where the machine leads to the container's sshd.
const PORT: u16 = 2222;
const VOLUME_BYTES: u64 = 512 << 20;

#[test]
fn runs_as_pid_1_of_a_container() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let archive = folder.path().join("test.oci.tar");
    build(&archive)?;
    let (data, blank, foreign) =
        (folder.path().join("data.raw"), folder.path().join("blank.raw"), folder.path().join("foreign.raw"));
    create_data_disk(&data, 2 << 30, contract::DEFAULT_DATA_LABEL)?;
    std::fs::File::create(&blank)?.set_len(VOLUME_BYTES)?;
    std::fs::write(&foreign, [&b"somebody's"[..], &vec![0; 32 << 20]].concat())?;

    let mut machine = machine()?;
    machine.memory_mib = 1024;
    for path in [&data, &archive, &blank, &foreign] {
        machine.disks.push(Disk { path: path.clone(), format: DiskFormat::Raw, bus: Bus::Virtio });
    }
    let port = vm::free_port()?;
    let network = machine.user_network().context("the machine's network")?;
    network.forwards.push((port, PORT));
    let limit = machine.accelerator.scaled(Duration::from_secs(60));
    let guest = Guest::boot("in_container", machine)?;
    let image = load(&guest)?;
    refuses_what_is_not_blank(&guest, &image)?;

    let key = Key::generate(folder.path())?;
    guest.scp_in(format!("{}\n", key.public).as_bytes(), "/tmp/key.pub")?;
    // An owner and a mode that sshd does not take.
    guest.ok("sudo chown 1234 /tmp/key.pub && sudo chmod 0666 /tmp/key.pub")?;
    // What is kept: a job is there before crond starts.
    guest.ok("mkdir -p /tmp/keep/crontabs && echo '* * * * * touch /tmp/cron-ran' > /tmp/keep/crontabs/root")?;
    guest.ok("sudo chown -R root /tmp/keep")?;
    guest.ok(&format!(
        "sudo podman run -d --name box --privileged --stop-timeout 120 -p {PORT}:22 \
         -e MKDISTRO_VOLUMES=/dev/vdc:/var/lib/containers -v /tmp/key.pub:/home/core/.ssh/authorized_keys:ro -v /tmp/keep:/var/lib/boot2podman {image}"
    ))?;
    wait_for(&guest, "sudo podman logs box 2>&1 | grep -q '^READY '", "sudo podman logs box")?;
    let inside = Ssh::new("core", port, &key, folder.path(), limit);
    works(&inside)?;
    without_rights(&guest, &image)?;
    ok(&inside, &format!("for n in $(seq {PATIENCE}); do [ -e /tmp/cron-ran ] && exit; sleep 1; done; exit 1"))?;
    leaves_the_machine_alone(&guest)?;
    stops(&guest)?;
    guest.power_off()
}

/// `mkdistro build --format oci` of the repository's project, with crond.
fn build(archive: &Path) -> Result<()> {
    let project = Project::new();
    project.replace("distro.toml", "\"sudo\"]", "\"sudo\", \"crond\"]");
    let archive = archive.to_str().context("a path that is no text")?;
    let outcome = project.build(&["--no-sbom", "--format", "oci", "--output", archive]);
    ensure!(outcome.code == Some(0), "building the container image: {}", outcome.stderr);
    Ok(())
}

/// The archive comes as a disk, which is quicker than SSH; its name.
fn load(guest: &Guest) -> Result<String> {
    let loaded = guest.ok(
        "sudo sh -c 'cat /dev/vdb > /var/lib/containers/image.tar && podman load -q -i /var/lib/containers/image.tar && \
         rm /var/lib/containers/image.tar'",
    )?;
    let name = loaded.lines().find_map(|line| line.strip_prefix("Loaded image: ")).context("what was loaded?")?;
    assert!(name.starts_with("localhost/boot2podman:"), "{loaded}");
    let inspect = "sudo podman image inspect -f '{{.Config.StopSignal}} {{.Config.Entrypoint}}'";
    let signal = guest.ok(&format!("{inspect} {name}"))?;
    assert!(signal == "SIGRTMIN+3 [/sbin/init]" || signal == "37 [/sbin/init]", "{signal}");
    Ok(name.into())
}

/// A device that holds something: the container ends with a failure, the device stays as it is.
fn refuses_what_is_not_blank(guest: &Guest, image: &str) -> Result<()> {
    let before = guest.ok("sudo sha256sum /dev/vdd")?;
    let command = format!(
        "sudo timeout {PATIENCE} podman run --rm --privileged -e MIGET_MACHINE_VOLUMES=/dev/vdd:/data {image} > /tmp/out 2>&1"
    );
    let status = guest.status(&command)?;
    let said = guest.ok("cat /tmp/out")?;
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("volume /dev/vdd for /data: its first MiB is not empty; only a blank device"), "{said}");
    assert!(said.contains("init: volumes is required: the container ends with status 1"), "{said}");
    assert_eq!(guest.ok("sudo sha256sum /dev/vdd")?, before);
    Ok(())
}

/// What its user can do.
fn works(inside: &Ssh) -> Result<()> {
    assert_eq!(
        ok(inside, "id -u; id -g; sudo readlink /proc/1/exe; hostname | wc -l")?,
        "1000\n1000\n/usr/bin/init\n1"
    );
    // The blank device holds the engine's store now.
    assert!(ok(inside, "grep ' /var/lib/containers ' /proc/mounts | tail -n 1")?.starts_with("/dev/vdc "));
    assert_eq!(ok(inside, "sudo sh -c 'cat /sys/fs/cgroup/init/cgroup.procs | head -n 1'")?, "1");
    let services = ok(inside, "distroctl service list")?;
    for (name, is_there) in [("sshd", true), ("podman", true), ("volumes", true), ("network", false), ("ntp", false)] {
        let found = services.lines().any(|line| line.split_whitespace().next() == Some(name));
        assert_eq!(found, is_there, "{name}: {services}");
    }
    // A container in it, with a bridge and a memory limit of its own.
    ok(
        inside,
        "sudo sh -ec 'mkdir -p /tmp/r/bin; cp /usr/bin/busybox /tmp/r/bin/; tar -C /tmp/r -cf /tmp/r.tar .; \
         podman import -q /tmp/r.tar localhost/busybox:test; rm -r /tmp/r /tmp/r.tar'",
    )?;
    let command = "sudo podman run --rm --network bridge -m 64m localhost/busybox:test /bin/busybox sh -c \
                   '/bin/busybox cat /sys/fs/cgroup/memory.max; /bin/busybox ip -o link show eth0 | /bin/busybox wc -l'";
    assert_eq!(ok(inside, command)?, "67108864\n1");
    // A service that talks too much: its log is cut.
    ok(inside, "sudo sh -c 'yes a long line of a service | head -c 12000000 >> /run/distro/log/units'")?;
    let small = "[ $(sudo du -k /run/distro/log/units | cut -f 1) -lt 2048 ]";
    ok(inside, &format!("for n in $(seq {PATIENCE}); do {small} && exit; sleep 1; done; exit 1"))?;
    ok(inside, "distroctl logs sshd | grep -q core").map(drop)
}

/// Told all by variables, and without rights: no mounts, no groups, no engine, but sshd.
fn without_rights(guest: &Guest, image: &str) -> Result<()> {
    guest.scp_in(b"[[files]]\npath = \"/etc/told\"\ncontent = \"told\"\n", "/tmp/document")?;
    guest.ok(&format!(
        "sudo podman run -d --name poor -e MKDISTRO_CONFIG=\"$(cat /tmp/document)\" \
         -e MKDISTRO_AUTHORIZED_KEYS=\"$(sudo cat /tmp/key.pub)\" {image} distro.verbose"
    ))?;
    let exec = "sudo podman exec poor";
    wait_for(guest, "sudo podman logs poor 2>&1 | grep -q '^READY '", "sudo podman logs poor")?;
    let state = guest.ok(&format!("{exec} distroctl service status sshd"))?;
    assert!(state.contains("ready"), "{state}");
    assert_eq!(guest.ok(&format!("{exec} cat /etc/told"))?, "told");
    let keys =
        guest.ok(&format!("{exec} sh -c 'cat /home/core/.ssh/authorized_keys; stat -c %u:%a /home/core/.ssh'"))?;
    assert!(keys.starts_with("ssh-ed25519 ") && keys.ends_with("\n1000:700"), "{keys}");
    guest.ok("sudo podman stop -t 60 poor")?;
    let log = guest.ok("sudo podman logs poor 2>&1")?;
    assert_eq!(guest.ok("sudo podman inspect -f '{{.State.ExitCode}}' poor")?, "0", "{log}");
    assert!(log.contains("start sshd as process"), "the argument stands for the command line: {log}");
    Ok(())
}

/// Its root can reach all of the machine and must not have.
fn leaves_the_machine_alone(guest: &Guest) -> Result<()> {
    // Host name, kernel parameters, kernel log, swap, file systems, the data disk.
    assert_eq!(guest.ok("hostname")?, "box");
    assert!(!guest.ok("sudo dmesg")?.contains("init: volumes"), "PID 1 of the container writes to the machine's log");
    assert_eq!(guest.ok("grep -c zram /proc/swaps")?, "1");
    guest.ok("sudo touch /var/lib/containers/writable && sudo rm /var/lib/containers/writable")?;
    guest.ok("sudo test -s /tmp/keep/etc/ssh/dropbear_ed25519_host_key")?;
    // It has not taken the machine's command line for its own.
    assert_eq!(guest.ok("sudo podman exec box cat /run/distro/container")?, "");
    Ok(())
}

/// In order, at once, and with status 0.
fn stops(guest: &Guest) -> Result<()> {
    let start = Instant::now();
    guest.ok("sudo podman stop box")?;
    println!("podman stop: {:.1} s", start.elapsed().as_secs_f64());
    let log = guest.ok("sudo podman logs box 2>&1")?;
    let state = guest.ok("sudo podman inspect -f '{{.State.ExitCode}} {{.State.OOMKilled}}' box")?;
    assert_eq!(state, "0 false", "{log}");
    assert!(log.contains("init: ending: stopping services"), "{log}");
    // Unmounted: nothing is left to be recovered.
    guest.ok("sudo /usr/sbin/e2fsck -n /dev/vdc")?;
    guest.ok("sudo touch /var/lib/containers/writable").map(drop)
}

fn ok(inside: &Ssh, command: &str) -> Result<String> {
    let mut client = inside.client();
    client.arg("core@127.0.0.1").arg(command);
    let output =
        vm::run(&mut client, Duration::from_secs(600)).with_context(|| format!("in the container: {command}"))?;
    Ok(output.stdout.trim_end().to_string())
}

fn wait_for(guest: &Guest, command: &str, otherwise: &str) -> Result<()> {
    let script = format!("for n in $(seq {PATIENCE}); do {command} && exit; sleep 1; done; {otherwise} >&2; exit 1");
    guest.ok(&script).map(drop)
}
