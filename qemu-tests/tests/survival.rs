//! What PID 1 lives through: everything else killed, a fork bomb, no room, orphans by the thousand, garbage on its control socket,
//! services that die whenever they are started. One machine goes through all of it; its memory and its open files are what they
//! were at the end. `cargo xtask soak survival` takes an hour for it.

use anyhow::{Context, Result, ensure};
use contract::{DEFAULT_DATA_LABEL, paths};
use qemu_tests::{Guest, host, machine};
use std::time::{Duration, Instant};
use vm::disk::create_data_disk;
use vm::{Accelerator, Bus, Disk, DiskFormat};

#[test]
fn pid_1_survives() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("disk.raw");
    create_data_disk(&path, 300 << 20, DEFAULT_DATA_LABEL)?;
    let mut machine = machine()?;
    machine.disks.push(Disk { path, format: DiskFormat::Raw, bus: Bus::Virtio });
    let lengths = Lengths::asked_for()?;
    let guest = Guest::boot("survival", machine)?;
    let image = guest.make_busybox_image()?;
    bring_torment(&guest)?;
    let before = Held::by_pid_1(&guest)?;

    a_fork_bomb(&guest, image)?;
    no_room(&guest, image)?;
    orphans(&guest, lengths.storm)?;
    garbage(&guest, lengths.storm)?;
    dying_services(&guest, lengths.dying)?;
    everything_killed(&guest, image)?;

    let after = Held::by_pid_1(&guest)?;
    ensure!(after.files == before.files, "open files of PID 1: {} before, {} after", before.files, after.files);
    ensure!(after.kib < before.kib + 512, "memory of PID 1: {} KiB before, {} after", before.kib, after.kib);
    assert_eq!(zombies(&guest)?, "0", "zombies");
    guest.power_off()
}

/// How long things go on.
struct Lengths {
    storm: Duration,
    dying: Duration,
}

impl Lengths {
    /// Short, unless `MKDISTRO_SURVIVAL_MINUTES` says how long a service dies; orphans and garbage come for a tenth of that.
    fn asked_for() -> Result<Self> {
        let Ok(minutes) = std::env::var("MKDISTRO_SURVIVAL_MINUTES") else {
            return Ok(Self { storm: Duration::from_secs(10), dying: Duration::from_secs(40) });
        };
        let minutes: u32 = minutes.parse().with_context(|| format!("reading MKDISTRO_SURVIVAL_MINUTES={minutes}"))?;
        Ok(Self { storm: Duration::from_secs(6) * minutes, dying: Duration::from_secs(60) * minutes })
    }
}

/// So many at least, where the guest's processor is a real one; an emulated one is as fast as the host has time for it.
const ORPHANS_A_SECOND: u64 = 1000;
/// Where the program is in the guest.
const TORMENT: &str = "/tmp/torment";

/// Makes the program of `src/bin/torment.rs`, static, and takes it into the guest.
fn bring_torment(guest: &Guest) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let program = folder.path().join("torment");
    host("rustc", |command| {
        command.args(["--edition", "2024", "-O", "-C", "target-feature=+crt-static", "-C", "strip=symbols"]);
        command.args(["-C", "panic=abort", "-o"]).arg(&program);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/src/bin/torment.rs"))
    })?;
    guest.scp_in(&std::fs::read(&program)?, TORMENT)?;
    guest.ok(&format!("chmod +x {TORMENT}"))?;
    Ok(())
}

/// Runs it for so long, has PID 1 restart a service meanwhile, and gives what it says.
fn torment(guest: &Guest, what: &str, length: Duration, more: &str) -> Result<String> {
    let seconds = length.as_secs();
    guest.ok(&format!(
        "rm -f /tmp/done; ({TORMENT} {what} {seconds} {more} > /tmp/said; echo $? > /tmp/done) > /dev/null 2>&1 &"
    ))?;
    // It keeps what the machine needs of it.
    guest.ok("sleep 2; distroctl service restart ntp && distroctl service status ntp")?;
    let end = Instant::now() + length + Duration::from_secs(120);
    while guest.status("test -e /tmp/done")? != 0 {
        ensure!(Instant::now() < end, "torment {what} does not end");
        std::thread::sleep(Duration::from_secs(2));
    }
    assert_eq!(guest.ok("cat /tmp/done")?, "0");
    guest.ok("cat /tmp/said")
}

/// Of `awk`: how many processes wait to be asked how they ended.
fn zombies(guest: &Guest) -> Result<String> {
    guest.ok("cat /proc/[0-9]*/stat 2> /dev/null | awk '$3 == \"Z\"' | wc -l")
}

/// What PID 1 holds.
struct Held {
    files: u64,
    kib: u64,
}

impl Held {
    fn by_pid_1(guest: &Guest) -> Result<Self> {
        let number = |command: &str| anyhow::Ok(guest.ok(command)?.trim().parse::<u64>()?);
        let files = number("sudo ls /proc/1/fd | wc -l")?;
        Ok(Self { files, kib: number("awk '/^VmRSS/ { print $2 }' /proc/1/status")? })
    }
}

/// The engine's limit of processes stops it; the machine answers meanwhile.
fn a_fork_bomb(guest: &Guest, image: &str) -> Result<()> {
    guest.ok(&format!(
        "sudo podman run -d --name bomb --pids-limit 300 {image} sh -c 'bomb() {{ bomb | bomb & }}; while :; do bomb; done'"
    ))?;
    guest.ok("sleep 5; distroctl service status sshd")?;
    guest.ok("sudo podman rm -f -t 0 bomb")?;
    Ok(())
}

fn no_room(guest: &Guest, image: &str) -> Result<()> {
    for file in ["/fill", "/var/lib/containers/fill"] {
        let fill = format!("sudo dd if=/dev/zero of={file} bs=1M 2>&1 | grep -q 'No space left'");
        guest.ok(&fill)?;
        guest.ok("distroctl status > /dev/null && sudo podman ps")?;
        guest.ok("distroctl service restart ntp && distroctl service status ntp")?;
        guest.ok(&format!("sudo rm {file}"))?;
    }
    guest.ok(&format!("sudo podman run --rm {image} true"))?;
    Ok(())
}

/// Children whose parent has ended before they do: PID 1 gets them all.
fn orphans(guest: &Guest, length: Duration) -> Result<()> {
    let made: u64 = torment(guest, "orphans", length, "")?.parse()?;
    let rate = made / length.as_secs();
    println!("{made} orphans, {rate} a second");
    ensure!(
        rate > 0 && (Accelerator::best() == Accelerator::Tcg || rate >= ORPHANS_A_SECOND),
        "{rate} orphans a second"
    );
    guest.ok("sleep 2; distroctl service list")?;
    assert_eq!(zombies(guest)?, "0", "zombies");
    Ok(())
}

/// Whatever comes is answered or closed, at once, and what asks properly meanwhile is heard.
fn garbage(guest: &Guest, length: Duration) -> Result<()> {
    let said = torment(guest, "socket", length, paths::CONTROL)?;
    println!("garbage on the control socket:\n{said}");
    let sum = |key: &str| -> u64 {
        let words: Vec<&str> = said.split_whitespace().collect();
        let pairs = words.chunks_exact(2).filter(|pair| pair[0] == key);
        pairs.filter_map(|pair| pair[1].parse::<u64>().ok()).sum()
    };
    assert_eq!((sum("silent"), sum("wrong"), said.lines().count()), (0, 0, 4), "{said}");
    ensure!(sum("connections") > 100 && sum("answers") > 50, "{said}");
    guest.ok("distroctl service restart ntp && distroctl service status ntp")?;
    Ok(())
}

/// They are started less and less often, and again at once when asked: one that ends by itself all the time, and one that is
/// killed for a while.
fn dying_services(guest: &Guest, length: Duration) -> Result<()> {
    const FILE: &str = "/etc/containers/systemd/dying.service";
    const TEXT: &str = "[Service]\nExecStart=/bin/false\nRestart=always\n[Install]\nWantedBy=multi-user.target\n";
    guest.ok(&format!("sudo mkdir -p /etc/containers/systemd && printf '{TEXT}' | sudo tee {FILE} > /dev/null"))?;
    guest.ok("sudo distroctl service reload")?;
    let begin = Instant::now();
    let killed = guest.ok("n=0; end=$(($(date +%s) + 40)); last=; while [ $(date +%s) -lt $end ]; do \
             pid=$(sed -n 's/^pid //p' /run/distro/services/ntp); \
             if [ -n \"$pid\" ] && [ \"$pid\" != \"$last\" ]; then last=$pid; sudo kill -9 $pid && n=$((n + 1)); fi; \
         done; echo $n")?;
    let killed: u32 = killed.parse()?;
    ensure!((3..30).contains(&killed), "a service that dies at once was started {killed} times in 40 s");
    guest.ok("distroctl service restart ntp; sleep 2; distroctl service status ntp")?;

    while begin.elapsed() < length {
        std::thread::sleep(Duration::from_secs(5).min(length.saturating_sub(begin.elapsed())));
    }
    let restarts = |guest: &Guest| -> Result<u64> {
        Ok(guest.ok("sed -n 's/^restarts //p' /run/distro/services/dying")?.parse()?)
    };
    let (counted, seconds) = (restarts(guest)?, begin.elapsed().as_secs());
    println!("a service that ends at once: {counted} restarts in {seconds} s");
    // After 0.1 s, doubling: nine in 51 s, then one in half a minute.
    let most = 10 + seconds / 30;
    ensure!((most / 2..=most).contains(&counted), "{counted} restarts in {seconds} s");
    // For a moment it runs, so this may have gone well; what counts is that its waits are short again.
    guest.status("distroctl service start dying; sleep 3")?;
    ensure!(restarts(guest)? > counted, "it is not started when asked");
    guest.ok(&format!("sudo rm {FILE} && sudo distroctl service reload"))?;
    // It may be on its last legs.
    guest.ok("for n in $(seq 60); do test -e /run/distro/services/dying || exit 0; sleep 1; done; exit 1")?;
    Ok(())
}

fn everything_killed(guest: &Guest, image: &str) -> Result<()> {
    let pid = guest.ok("sed -n 's/^pid //p' /run/distro/services/sshd")?;
    guest.soon("kill -9 -1")?;
    let end = Instant::now() + Duration::from_secs(240);
    loop {
        std::thread::sleep(Duration::from_secs(2));
        let now = guest.ssh("sed -n 's/^pid //p' /run/distro/services/sshd")?;
        if now.status == 0 && now.stdout.trim() != pid {
            break;
        }
        ensure!(Instant::now() < end, "nobody answers: {now:?}");
    }
    for service in ["podman", "ntp", "log"] {
        guest
            .ok(&format!("for n in $(seq 60); do distroctl service status {service} && exit; sleep 1; done; exit 1"))?;
    }
    guest.ok(&format!("sudo podman run --rm {image} true"))?;
    Ok(())
}
