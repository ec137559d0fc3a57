//! Quadlet files on a guest: a network, a volume, a pod and containers become services of PID 1's, are started in their
//! order, started again when they die, stay stopped when they were stopped by hand, and are up again after a reboot.

use anyhow::Result;
use qemu_tests::{Guest, machine};
use std::path::Path;
use vm::disk::create_data_disk;
use vm::{Bus, Disk, DiskFormat};

/// On the data disk, so that they are there again after the reboot.
const FOLDER: &str = "/var/lib/boot2podman/etc/containers/systemd";

const FILES: [(&str, &str); 13] = [
    ("lan.network", "[Network]\nSubnet=10.99.0.0/24\n"),
    ("data.volume", "[Volume]\n"),
    (
        "db.container",
        "[Container]\nImage=IMAGE\nPull=never\nNetwork=lan.network\nVolume=data.volume:/data\n\
         Exec=sh -c 'echo db-is-here; date >> /data/starts; exec sleep 100000'\nStopTimeout=1\n[Service]\nRestart=always\n",
    ),
    (
        "web.container",
        "[Unit]\nDescription=A web server\nRequires=db.service\nAfter=db.service\n[Container]\nImage=IMAGE\nPull=never\n\
         Network=lan.network\nFrobnicate=yes\nStopTimeout=1\nPublishPort=8080:80\n\
         Exec=sh -c 'mkdir /www; echo hello > /www/index.html; exec httpd -f -v -p 80 -h /www'\n\
         [Service]\nRestart=always\nMemoryMax=100M\n[Install]\nWantedBy=multi-user.target default.target\n",
    ),
    ("p.pod", "[Pod]\n[Install]\nWantedBy=default.target\n"),
    (
        "inside.container",
        "[Container]\nImage=IMAGE\nPull=never\nPod=p.pod\nStopTimeout=1\nExec=sleep 100000\n[Service]\nRestart=always\n",
    ),
    ("job.container", "[Container]\nImage=IMAGE\nPull=never\nExec=echo job-done\n[Service]\nType=oneshot\n"),
    // Pulled from a file, as there is no registry.
    ("pulled.image", "[Image]\nImage=docker-archive:/var/lib/boot2podman/q/pulled.tar\nImageTag=localhost/pulled:1\n"),
    (
        "made.build",
        "[Unit]\nRequires=pulled-image.service\nAfter=pulled-image.service\n[Build]\nImageTag=localhost/made:1\n\
         SetWorkingDirectory=/var/lib/boot2podman/q\n",
    ),
    (
        "slow.container",
        "[Container]\nImage=made.build\nPull=never\nNotify=healthy\nHealthCmd=test -e /tmp/up\nHealthInterval=1s\n\
         StopTimeout=1\nExec=sh -c 'sleep 5; touch /tmp/up; exec sleep 100000'\n",
    ),
    (
        "seen.service",
        "[Unit]\nRequires=slow.service\nAfter=slow.service\n[Service]\nType=oneshot\n\
         ExecStart=/bin/sh -c \"podman inspect --format '{{.State.Health.Status}}' systemd-slow > /run/seen\"\n\
         [Install]\nWantedBy=default.target\n",
    ),
    ("play.kube", "[Kube]\nYaml=/var/lib/boot2podman/q/play.yaml\n[Install]\nWantedBy=default.target\n"),
    ("broken.container", "[Container]\nExec=x\n[Install]\nWantedBy=default.target\n"),
];

const POD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: play}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: one
    image: IMAGE
    imagePullPolicy: Never
    command: [sh, -c, 'echo played; exec sleep 100000']
";

#[test]
fn quadlet_files_are_services() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("disk.raw");
    create_data_disk(&path, 1 << 30, contract::DEFAULT_DATA_LABEL)?;
    let mut guest = boot("quadlet", &path)?;
    let image = guest.make_busybox_image()?;
    guest.ok("mkdir -p /tmp/q")?;
    for (name, text) in FILES {
        guest.scp_in(text.replace("IMAGE", image).as_bytes(), &format!("/tmp/q/{name}"))?;
    }
    guest.ok(&format!("sudo mkdir -p {FOLDER} && sudo cp /tmp/q/* {FOLDER}"))?;
    // What the files name: an archive, a context to build, a pod.
    guest.scp_in(POD.replace("IMAGE", image).as_bytes(), "/tmp/play.yaml")?;
    guest.scp_in(b"FROM localhost/pulled:1\nCOPY mark /mark\n", "/tmp/Containerfile")?;
    guest.ok(&format!(
        "sudo sh -ec 'mkdir /var/lib/boot2podman/q; cd /var/lib/boot2podman/q; mv /tmp/play.yaml /tmp/Containerfile .; \
         echo made > mark; podman tag {image} localhost/pulled:1; podman save -q -o pulled.tar localhost/pulled:1; \
         podman untag localhost/pulled:1 localhost/pulled:1'"
    ))?;

    // What is wrong is named; the others come up all the same.
    let output = guest.ssh("sudo distroctl service reload")?;
    assert_eq!(output.status, 1, "{output:?}");
    for said in [
        &format!("{FOLDER}/web.container:9: warning: unsupported key Frobnicate in section [Container]"),
        &format!("no service: {FOLDER}/broken.container: error: no Image or Rootfs key specified"),
        "12 services of Quadlet files",
    ] {
        assert!(output.stderr.contains(said), "{said}: {output:?}");
    }
    let plan = guest.ssh("sudo distroctl quadlet --dry-run")?.stdout;
    assert!(plan.contains("web (") && plan.contains("ExecStart=/usr/bin/podman run --name systemd-web"), "{plan}");
    up(&guest)?;
    order_and_isolation(&guest)?;
    other_kinds(&guest)?;
    deaths(&guest)?;
    by_hand(&guest)?;
    guest.reboot()?;
    up(&guest)?;
    let log = guest.ok("distroctl logs quadlet")?;
    assert!(log.contains("web.container:9: warning: unsupported key Frobnicate"), "{log}");
    assert_eq!(guest.ok("sudo podman exec systemd-db sh -c 'wc -l < /data/starts'")?, "4");

    // Files that go: so do their services.
    guest.ok(&format!("sudo rm {FOLDER}/web.container {FOLDER}/broken.container && sudo distroctl service reload"))?;
    state(&guest, "web", "")?;
    assert!(!guest.ok("sudo podman ps -a --format '{{.Names}}'")?.contains("systemd-web"));

    // Nothing was stopped when the power failed: containers and networks of then are in nobody's way.
    guest.kill()?;
    let guest = boot("quadlet_after_a_cut", &path)?;
    for name in ["inside", "seen", "play"] {
        state(&guest, name, "ready")?;
    }
    guest.power_off()
}

fn boot(name: &str, disk: &Path) -> Result<Guest> {
    let mut machine = machine()?;
    machine.disks.push(Disk { path: disk.into(), format: DiskFormat::Raw, bus: Bus::Virtio });
    Guest::boot(name, machine)
}

/// Waits for the state of a service; an empty one is none.
fn state(guest: &Guest, name: &str, wanted: &str) -> Result<()> {
    let read = format!("sed -n 's/^state //p' /run/distro/services/{name} 2> /dev/null");
    let wait = format!("for n in $(seq 240); do [ \"$({read})\" = '{wanted}' ] && exit; sleep 0.5; done; exit 1");
    if guest.status(&wait)? == 0 {
        return Ok(());
    }
    let seen = guest.ssh(&format!("distroctl service status {name}; distroctl service list; sudo podman ps -a"))?;
    Err(guest.failure(format_args!("{name} is not {wanted:?}: {}{}", seen.stdout, seen.stderr)))
}

fn up(guest: &Guest) -> Result<()> {
    for name in [
        "lan-network",
        "data-volume",
        "db",
        "web",
        "p-pod",
        "inside",
        "pulled-image",
        "made-build",
        "slow",
        "seen",
        "play",
    ] {
        state(guest, name, "ready")?;
    }
    state(guest, "job", "stopped")?;
    let list = guest.ok("distroctl service list")?;
    assert!(list.lines().any(|line| line.starts_with("web ") && line.contains("ready")), "{list}");
    let names = guest.ok("sudo podman ps --format '{{.Names}}' | sort | tr '\\n' ' '")?;
    let (play, others): (Vec<&str>, Vec<&str>) = names.split(' ').partition(|name| !name.starts_with("systemd-"));
    assert_eq!(others, ["systemd-db", "systemd-inside", "systemd-p-infra", "systemd-slow", "systemd-web"]);
    assert!(play.contains(&"play-one"), "{names}");
    let fetch = "for n in 1 2 3 4 5 6 7 8 9; do wget -q -O - http://127.0.0.1:8080/ && exit; sleep 1; done; exit 1";
    assert_eq!(guest.ok(fetch)?, "hello");
    Ok(())
}

fn order_and_isolation(guest: &Guest) -> Result<()> {
    // db was started by the pull of web alone; its output is the service's.
    assert!(guest.ok("distroctl service logs db")?.contains("db-is-here"));
    assert_eq!(guest.ok("sudo podman logs systemd-db")?, "db-is-here");
    assert!(guest.ok("distroctl service status web")?.contains(" of 100 MiB"));
    let group = guest.ok("sudo podman inspect --format '{{.State.CgroupPath}}' systemd-web")?;
    assert!(group.starts_with("/system/web/"), "{group}");
    assert_eq!(guest.ok("cat /sys/fs/cgroup/system/web/memory.max")?, "104857600");
    guest.ok("sudo podman exec systemd-web nslookup systemd-db")?;
    // What serves names for all containers is in nobody's group.
    assert!(guest.ok("cat /proc/$(pidof aardvark-dns)/cgroup")?.ends_with("/quadlet"));
    Ok(())
}

/// Images that are pulled and built first, a container that counts as started when it is healthy, a pod of Kubernetes'.
fn other_kinds(guest: &Guest) -> Result<()> {
    assert_eq!(guest.ok("sudo podman exec systemd-slow cat /mark")?, "made");
    assert_eq!(guest.ok("cat /run/seen")?, "healthy");
    assert_eq!(guest.ok("sudo podman logs play-one")?, "played");
    guest.ok("distroctl service stop play")?;
    state(guest, "play", "stopped")?;
    assert!(!guest.ok("sudo podman ps -a --format '{{.Names}}'")?.contains("play-one"));
    guest.ok("distroctl service start play")?;
    Ok(())
}

fn deaths(guest: &Guest) -> Result<()> {
    guest.ok("sudo kill -9 $(sudo podman inspect --format '{{.State.Pid}}' systemd-db)")?;
    guest.ok("for n in $(seq 120); do grep -q 'restarts 1' /run/distro/services/db && exit; sleep 1; done; exit 1")?;
    state(guest, "db", "ready")?;
    // The monitor, too.
    guest.ok("sudo kill -9 $(cat /run/web.conmon)")?;
    guest.ok("for n in $(seq 120); do grep -q 'restarts 1' /run/distro/services/web && exit; sleep 1; done; exit 1")?;
    up(guest)
}

fn by_hand(guest: &Guest) -> Result<()> {
    // As the login user. web goes with db, which it requires.
    guest.ok("distroctl service stop db")?;
    state(guest, "web", "stopped")?;
    guest.ok("sleep 5")?;
    state(guest, "db", "stopped")?;
    assert!(!guest.ok("sudo podman ps -a --format '{{.Names}}'")?.contains("systemd-db"));
    // It comes back with web, which requires it.
    guest.ok("distroctl service start web")?;
    guest.ok("distroctl service start job && distroctl service logs job | grep -q job-done")?;
    assert_eq!(guest.ok("head -n 1 /run/distro/services/job")?, "state ready");
    guest.ok("distroctl service stop job")?;
    guest.ok("distroctl service restart p-pod")?;
    up(guest)
}
