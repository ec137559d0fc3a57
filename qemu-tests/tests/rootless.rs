//! Containers of the login user, without root's rights: what root's containers can, his can. One guest with a data disk, over
//! a reboot.

use anyhow::Result;
use qemu_tests::{Guest, machine};
use vm::disk::create_data_disk;
use vm::{Bus, Disk, DiskFormat};

/// How long the guest is given for what needs no reply, in seconds.
const PATIENCE: u32 = 180;
/// Of the user's engine.
const API: &str = "unix:///run/user/1000/podman/podman.sock";

#[test]
fn containers_of_the_login_user() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let disk = folder.path().join("disk.raw");
    create_data_disk(&disk, 1 << 30, contract::DEFAULT_DATA_LABEL)?;
    let mut machine = machine()?;
    machine.disks.push(Disk { path: disk, format: DiskFormat::Raw, bus: Bus::Virtio });
    let port = vm::free_port()?;
    if let Some(network) = machine.user_network() {
        network.forwards.push((port, 8080));
    }
    let mut guest = Guest::boot("rootless", machine)?;
    assert_eq!(
        guest.ok("cat /sys/fs/cgroup/user/1000/*/cgroup.procs")?,
        "",
        "something runs for a user without containers"
    );
    let image = guest.make_busybox_image()?;
    guest.ok(&format!("sudo podman save -q {image} | podman load -q"))?;
    info(&guest)?;
    limits(&guest, image)?;
    mounts(&guest, image)?;
    networks(&guest, image)?;
    kept(&guest, image)?;
    another_user(&guest, image)?;

    guest.reboot()?;
    // Nobody has logged in yet who would have started them.
    let parents = "$(wc -l < /sys/fs/cgroup/user/1000/conmon/cgroup.procs)";
    wait_for(&guest, &format!("[ {parents} -ge 3 ]"))?;
    for name in ["published", "well", "limited"] {
        wait_for(&guest, &format!("[ \"$(podman inspect -f '{{{{.State.Status}}}}' {name})\" = running ]"))?;
    }
    assert_eq!(guest.ok("podman inspect -f '{{.State.Status}}' by-hand")?, "exited");
    assert_eq!(guest.ok("podman exec limited cat /sys/fs/cgroup/memory.max")?, "67108864");
    guest.ok(&format!("timeout {PATIENCE} podman wait --condition=healthy well"))?;
    assert_eq!(guest.ok(&format!("podman run --rm -v kept:/v {image} cat /v/file"))?, "first");
    guest.serves(port, "outside\n")?;
    assert_eq!(guest.ok("sudo podman ps -aq")?, "", "root sees the user's containers");
    // All users' are stopped, and not by the user's hand.
    guest.ok("sudo distroctl stop-containers")?;
    assert_eq!(guest.ok("podman ps -q")?, "");
    guest.ok("distroctl service restart containers")?;
    wait_for(&guest, "[ \"$(podman ps --format '{{.Names}}' | wc -l)\" = 3 ]")?;
    guest.power_off()
}

/// Podman has nothing to complain about; the store is where it lasts, and nobody else's.
fn info(guest: &Guest) -> Result<()> {
    assert_eq!(guest.ok("podman info 2>&1 > /dev/null")?, "");
    let text = guest
        .ok("podman info -f '{{.Host.Security.Rootless}} {{.Host.CgroupControllers}} {{.Host.RemoteSocket.Path}} \
         {{.Store.GraphDriverName}} {{.Store.GraphRoot}} {{.Store.GraphOptions}}'")?;
    let store = "/run/user/1000/podman/podman.sock overlay /var/lib/containers/user/1000/storage map[]";
    assert!(text.starts_with("true [") && text.ends_with(store), "{text}");
    assert!(["cpu", "io", "memory", "pids"].iter().all(|controller| text.contains(controller)), "{text}");
    assert_eq!(guest.ok("stat -c '%a %U' /var/lib/containers/user/1000 /run/user/1000")?, "700 core\n700 core");
    assert_eq!(guest.ok("sh -lc 'echo $XDG_RUNTIME_DIR'")?, "/run/user/1000");
    Ok(())
}

/// In the cgroup and enforced, by the program and by the API, which nothing served before.
fn limits(guest: &Guest, image: &str) -> Result<()> {
    let options = "--rm --memory 64m --cpus 0.5 --pids-limit 7";
    let files = "sh -c 'cd /sys/fs/cgroup && cat memory.max pids.max cpu.max'";
    for podman in ["podman".to_string(), format!("podman --remote --url {API}")] {
        let found = guest.ok(&format!("{podman} run {options} {image} {files}"))?;
        assert_eq!(found.lines().collect::<Vec<_>>(), ["67108864", "7", "50000 100000"], "{podman}");
    }
    let take_100_mib = "dd if=/dev/zero of=/dev/null bs=100M count=1";
    let status = guest.status(&format!("podman run --rm --memory 64m --memory-swap 64m {image} {take_100_mib}"))?;
    assert_eq!(status, 137, "a process of 100 MiB under --memory 64m was not killed");
    // Who asks is moved to his own group, and no other.
    let group =
        guest.ok(&format!("podman run -d --name limited --restart always --memory 64m {image} sleep 1000000"))?;
    assert!(guest.ok(&format!("cat /sys/fs/cgroup/user/1000/{group}/memory.max"))?.contains("67108864"));
    Ok(())
}

fn mounts(guest: &Guest, image: &str) -> Result<()> {
    guest.ok("mkdir -p bind && echo guest > bind/from-guest")?;
    let script = "sh -c 'cat /bind/from-guest; echo container > /bind/back; echo first > /v/file'";
    assert_eq!(guest.ok(&format!("podman run --rm -v ./bind:/bind -v kept:/v {image} {script}"))?, "guest");
    assert_eq!(guest.ok("cat bind/back; stat -c %U bind/back")?, "container\ncore");
    Ok(())
}

/// By pasta; two containers of one network find each other by name; a port below 1024 is root's.
fn networks(guest: &Guest, image: &str) -> Result<()> {
    guest.ok("podman network create pair")?;
    let serve = "sh -c 'mkdir -p /www && echo outside > /www/index.html && exec httpd -f -p 80 -h /www'";
    guest.ok(&format!("podman run -d --name server --network pair {image} {serve}"))?;
    let fetch = "for n in 1 2 3 4 5 6 7 8 9; do wget -q -O - http://server/ && exit; sleep 1; done; exit 1";
    assert_eq!(guest.ok(&format!("podman run --rm --network pair {image} sh -c '{fetch}'"))?, "outside");
    guest.ok("podman rm -f -t 0 server && podman network rm pair")?;
    let refused = guest.ssh(&format!("podman run --rm -p 80:80 {image} true"))?;
    assert_ne!(refused.status, 0);
    assert!(refused.stderr.contains("80") && refused.stderr.contains("ermission denied"), "{}", refused.stderr);
    guest.ok(&format!("podman run -d --name published --restart always -p 8080:80 {image} {serve}")).map(drop)
}

/// One who comes while the machine runs has containers as the login user has, limits among it.
fn another_user(guest: &Guest, image: &str) -> Result<()> {
    guest.ok(
        "printf '[[users]]\\nname = \"ann\"\\n' | sudo tee /var/lib/boot2podman/config.toml && sudo distroctl apply",
    )?;
    guest.ok(&format!("sudo podman save -q {image} > /tmp/image.tar"))?;
    let run = format!(
        "podman load -q -i /tmp/image.tar && podman run --rm --memory 32m {image} cat /sys/fs/cgroup/memory.max"
    );
    assert!(guest.ok(&format!("sudo su - ann -c '{run}'"))?.ends_with("\n33554432"));
    let by_api = "podman --remote info --format '{{.Host.Security.Rootless}}'";
    assert_eq!(guest.ok(&format!("sudo su - ann -c \"{by_api}\""))?, "true");
    guest.ok("rm /tmp/image.tar").map(drop)
}

/// Restart policies and health checks.
fn kept(guest: &Guest, image: &str) -> Result<()> {
    guest.ok(&format!(
        "podman run -d --stop-timeout 1 --name well --restart always --health-cmd 'test -e /tmp/well' --health-interval 2s \
         {image} sh -c 'sleep 3; touch /tmp/well; sleep 1000000'"
    ))?;
    guest.ok(&format!("timeout {PATIENCE} podman wait --condition=healthy well"))?;
    guest.ok(&format!(
        "podman run -d --name sick --health-cmd false --health-retries 1 --health-interval 1h {image} sleep 1000000"
    ))?;
    wait_for(guest, "sudo distroctl status | grep -q 'problem *container sick of core: unhealthy'")?;
    guest.ok("podman rm -f -t 0 sick")?;
    guest.ok(&format!("podman run -d --name by-hand --restart unless-stopped {image} sleep 1000000"))?;
    let id = guest.ok("podman inspect -f '{{.Id}}' by-hand")?;
    guest.ok("podman stop -t 0 by-hand")?;
    wait_for(guest, &format!("grep -q {id} /var/lib/containers/user/1000/at-rest"))?;
    guest.ok("kill -9 $(podman inspect -f '{{.State.Pid}}' limited)")?;
    wait_for(guest, "[ \"$(podman inspect -f '{{.RestartCount}} {{.State.Status}}' limited)\" = '1 running' ]")
}

fn wait_for(guest: &Guest, condition: &str) -> Result<()> {
    let logs = "sudo distroctl logs containers >&2; podman ps -a >&2";
    guest.ok(&format!("for n in $(seq {PATIENCE}); do {condition} && exit; sleep 1; done; {logs}; exit 1")).map(drop)
}
