//! An encrypted data disk, made by cryptsetup(8): its key from fw_cfg, from a USB stick, from somebody at the console, or from
//! nobody. The distribution that it needs is one of its own, so it also shows what `distro.toml` and recipes can have besides: keys
//! that may log in, a service with limits.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use contract::{DEFAULT_DATA_LABEL, fw_cfg, paths};
use qemu_tests::{BOOT_LIMIT, Guest, host, machine, sha256, user};
use serde_json::json;
use vm::disk::create_data_disk;
use vm::ssh::{Key, Ssh};
use vm::{Accelerator, Boot, Bus, Device, Disk, DiskFormat, FwCfg, Machine, Output, Vm};

use crate::builder::{Project, program, run};

const MIB: u64 = 1 << 20;
/// What is not encrypted would show it.
const SECRET: &str = "a-passphrase-that-nobody-else-has";
const KEPT: &str = "/var/lib/boot2podman/kept";
/// A service that would rather have more of everything.
const LIMITED: &str = "schema = 1
summary = \"A service with limits\"
needs = [\"busybox\"]
[[service]]
name = \"limited\"
command = [\"/bin/sh\", \"-c\", \"(for n in $(seq 30); do sleep 100000 & done); exec sleep 100000\"]
limits = { nofile = 512, memory-mib = 32, pids = 20, cpu-percent = 50 }
";
const OPENED: &str = "device /dev/mapper/data-disk";

/// `cryptsetup luksFormat` or `reencrypt --encrypt` of a file, with a key derivation that costs little.
pub(crate) fn encrypt(action: &[&str], label: &str, key: &str, image: &Path) -> Result<()> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(&file, key)?;
    host("cryptsetup", |command| {
        command.args(action).args(["--type", "luks2", "--batch-mode", "--disable-locks", "--label", label]);
        command
            .args(["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file"])
            .arg(file.path())
            .arg(image)
    })?;
    Ok(())
}

/// A container of `size` bytes with an ext4 file system in it.
fn container(path: &Path, size: u64, label: &str) -> Result<()> {
    create_data_disk(path, size - 32 * MIB, DEFAULT_DATA_LABEL)?;
    std::fs::OpenOptions::new().write(true).open(path)?.set_len(size)?;
    encrypt(&["reencrypt", "--encrypt", "--reduce-device-size", "32M"], label, SECRET, path)
}

/// The distribution with the recipes, and a key that may log in.
fn project() -> Result<(Project, Key)> {
    let project = Project::new();
    project.replace("distro.toml", "\"sudo\"]", "\"sudo\", \"cryptsetup\", \"limited\"]");
    std::fs::write(project.path("packages/limited.toml"), LIMITED)?;
    std::fs::create_dir(project.path("login"))?;
    let key = Key::generate(&project.path("login"))?;
    project.replace("distro.toml", "authorized-keys = []", &format!("authorized-keys = [{:?}]", key.public));
    let outcome = run(Command::new(program()).arg("lock").current_dir(project.path("")));
    anyhow::ensure!(outcome.code == Some(0), "mkdistro lock: {}", outcome.stderr);
    let outcome = project.build(&[]);
    anyhow::ensure!(outcome.code == Some(0), "mkdistro build: {}", outcome.stderr);
    Ok((project, key))
}

fn with_disk(project: &Project, path: PathBuf, bus: Bus, key: &str) -> Result<Machine> {
    let mut machine = machine()?;
    machine.boot = Boot::Cdrom(project.path("out.iso"));
    machine.disks.push(Disk { path, format: DiskFormat::Raw, bus });
    machine.fw_cfg.push((fw_cfg::DATA_KEY.into(), FwCfg::Text(key.into())));
    Ok(machine)
}

fn state(guest: &Guest) -> Result<String> {
    guest.ok(&format!("cat {}", paths::DATA_STATE))
}

/// Types a passphrase when the serial console asks for the `nth` time.
fn answer(vm: &Vm, nth: usize, text: &str) -> Result<()> {
    let left = format!("{} of 3 tries left", 4 - nth);
    let limit = Accelerator::best().scaled(BOOT_LIMIT);
    vm.wait_for_line("the question", limit, |line| line.contains(&left).then_some(()))?;
    vm.send_serial(&format!("{text}\n"))
}

#[test]
fn opens_by_all_ways() -> Result<()> {
    let (project, key) = project()?;
    by_fw_cfg(&project, &key)?;
    by_hand_and_stick(&project)
}

/// A partition known by its name, on a disk with room behind it.
fn by_fw_cfg(project: &Project, key: &Key) -> Result<()> {
    let (content, path) = (project.path("content"), project.path("partitioned"));
    container(&content, 256 * MIB, "")?;
    std::fs::File::create(&path)?.set_len(640 * MIB)?;
    let name = format!("1:{DEFAULT_DATA_LABEL}");
    host("sgdisk", |command| command.args(["-n", "1:2048:+256M", "-c", &name]).arg(&path))?;
    host("dd", |command| {
        command.arg(format!("if={}", content.display())).arg(format!("of={}", path.display()));
        command.args(["bs=1M", "seek=1", "conv=notrunc,sparse"])
    })?;

    let guest = Guest::boot("encrypted_fw_cfg", with_disk(project, path.clone(), Bus::Nvme, SECRET)?)?;
    assert_eq!(state(&guest)?, OPENED);
    the_images_own_key(&guest, key)?;
    limits(&guest)?;
    for folder in paths::PERSISTED {
        let device = guest.ok(&format!("awk '$2 == \"{folder}\" {{ print $1 }}' /proc/mounts"))?;
        assert_eq!(device, paths::DATA_OPENED, "{folder} does not come from the data disk");
    }
    // Partition, container and file system have grown.
    let mib: u64 = guest.ok(&format!("echo $(($(stat -f -c '%b * %S' {}) >> 20))", paths::DATA_MOUNT))?.parse()?;
    assert!(mib > 500, "{mib} MiB");
    let image = guest.make_busybox_image()?;
    guest.ok(&format!("sudo podman run --rm -v kept:/v {image} touch /v/file"))?;
    guest.ok(&format!("echo plain-text-of-the-guest | sudo tee {KEPT} > /dev/null; sync"))?;

    // The key is nowhere that somebody is shown.
    let seen = "(sudo distroctl logs; sudo dmesg; sudo cat /run/distro/warnings; sudo distroctl support-bundle | zcat; \
                sudo sh -c 'cat /proc/[0-9]*/cmdline') 2>/dev/null";
    guest.ok(&format!("{seen} | grep -a -q 'data disk: device'"))?;
    guest.scp_in(SECRET.as_bytes(), "/tmp/secret")?;
    assert_ne!(guest.status(&format!("{seen} | grep -a -q -F -f /tmp/secret"))?, 0, "the key is shown");
    guest.power_off()?;
    let bytes = std::fs::read(&path).context("reading the disk")?;
    assert!(!bytes.windows(24).any(|window| window == b"plain-text-of-the-guest\n"), "it is not encrypted");
    Ok(())
}

/// `[user] authorized-keys` of distro.toml, beside the key that the machine was given by fw_cfg.
fn the_images_own_key(guest: &Guest, key: &Key) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let own = Ssh::new(&user(), guest.access()?.port(), key, folder.path(), Duration::from_secs(120));
    let output = own.client().arg(format!("{}@127.0.0.1", user())).arg("id -un").stdin(Stdio::null()).output()?;
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), user(), "{message}");
    Ok(())
}

/// `limits` of a recipe's service: what the kernel was told, and that it holds.
fn limits(guest: &Guest) -> Result<()> {
    const GROUP: &str = "/sys/fs/cgroup/system/limited";
    let pid = guest.ok("sed -n 's/^pid //p' /run/distro/services/limited")?;
    assert_eq!(guest.ok(&format!("cat /proc/{pid}/cgroup"))?, "0::/system/limited");
    let files = guest.ok(&format!("sudo awk '/^Max open files/ {{ print $4, $5 }}' /proc/{pid}/limits"))?;
    assert_eq!(files, "512 512");
    let told = guest.ok(&format!("cd {GROUP} && cat pids.max memory.max memory.oom.group cpu.max"))?;
    assert_eq!(told, "20\n33554432\n1\n50000 100000");
    // It wants 30.
    guest.ok(&format!("grep -q '^max [1-9]' {GROUP}/pids.events && test $(cat {GROUP}/pids.current) -le 20"))?;
    // One process more, with more memory than all of them may have: they are killed together, and the service starts again.
    let greedy = format!(
        "echo 0 > {GROUP}/memory.swap.max; echo $$ > {GROUP}/cgroup.procs; exec dd if=/dev/zero of=/dev/null bs=64M count=1"
    );
    let got = guest.ok(&format!("sudo sh -c '{greedy}' && echo it got 64 MiB; true"))?;
    assert_eq!(got, "", "one that wants 64 MiB of 32");
    guest.ok(
        "for n in $(seq 60); do grep -q 'restarts [1-9]' /run/distro/services/limited && exit; sleep 1; done; exit 1",
    )?;
    guest.ok("grep -q 'exit signal 9' /run/distro/services/limited")?;
    guest.ok(&format!("grep -q 'oom_group_kill [1-9]' {GROUP}/memory.events"))?;
    Ok(())
}

/// A whole disk known by its container's label, new, and a hypervisor whose key is wrong.
fn by_hand_and_stick(project: &Project) -> Result<()> {
    let path = project.path("whole");
    std::fs::File::create(&path)?.set_len(256 * MIB)?;
    encrypt(&["luksFormat"], DEFAULT_DATA_LABEL, SECRET, &path)?;
    let untouched = sha256(&path)?;
    let mut machine = with_disk(project, path.clone(), Bus::Virtio, "another")?;
    // For the controller.
    machine.devices.push(Device::UsbKeyboard);
    // Three tries, then it goes on without, says how to unlock it later, and has written nothing.
    let mut guest = Guest::boot_with("encrypted_by_hand", machine, |vm| {
        (1..=3).try_for_each(|nth| answer(vm, nth, &format!("wrong {nth}")))?;
        let limit = Accelerator::best().scaled(BOOT_LIMIT);
        vm.wait_for_line("what to do", limit, |line| line.contains("disk unlock\" asks again").then_some(()))
    })?;
    let problems = guest.ok("cat /run/distro/warnings")?;
    for problem in [
        "the key of fw_cfg opt/org.mkdistro/data-key does not open it",
        "the passphrase typed on ttyS0 does not open it",
        "is not used, everything is kept in RAM: none of 3 passphrases opens it",
    ] {
        assert!(problems.contains(problem), "{problem}: {problems}");
    }
    assert_eq!(state(&guest)?, "none /dev/vda: none of 3 passphrases opens it");
    guest.ok("test ! -e /dev/mapper/data-disk && sync")?;
    assert_eq!(sha256(&path)?, untouched, "the disk was written to");

    // As README.md says.
    let given = |command: &str, key: &str| -> Result<Output> { guest.ssh_with(command, key.as_bytes(), BOOT_LIMIT) };
    // It is the right one, but there is nothing inside.
    let output = given("sudo distroctl disk unlock", SECRET)?;
    assert!(output.status != 0 && output.stderr.contains("there is no ext4 or xfs file system in it"), "{output:?}");
    assert_eq!(given("sudo cryptsetup open --key-file=- /dev/vda new", SECRET)?.status, 0);
    guest.ok("sudo mkfs.ext4 -q /dev/mapper/new && sudo cryptsetup close new")?;
    assert_ne!(given("sudo distroctl disk unlock", "wrong")?.status, 0);
    assert_eq!(given("sudo distroctl disk unlock", &format!("{SECRET}\n"))?.status, 0);
    assert_eq!(state(&guest)?, OPENED);
    guest.ok(&format!("echo first | sudo tee {KEPT}"))?;
    // Unmounted, it closes by itself.
    guest.ok("sudo umount /var/lib/containers /var/lib/boot2podman /mnt/data")?;
    guest.ok("for n in 1 2 3 4 5 6 7 8 9; do [ -e /sys/class/block/dm-0 ] || exit 0; sleep 1; done; exit 1")?;

    // The second try at the console is right.
    guest.reboot_with(|vm| {
        answer(vm, 1, "wrong")?;
        answer(vm, 2, SECRET)
    })?;
    assert_eq!(state(&guest)?, OPENED);
    assert_eq!(guest.ok(&format!("cat {KEPT}"))?, "first");

    // A stick that is put in while the machine runs, and is there at the next start.
    let stick = project.path("stick");
    host("mkfs.vfat", |command| command.args(["-C", "-n", "MKDISTROKEY"]).arg(&stick).arg("4096"))?;
    let key = project.path("key");
    std::fs::write(&key, SECRET)?;
    let name = format!("::{DEFAULT_DATA_LABEL}.key");
    host("mcopy", |command| command.arg("-i").arg(&stick).arg(&key).arg(name))?;
    let file = json!({"driver": "file", "filename": stick, "read-only": true});
    let node = json!({"node-name": "stick", "driver": "raw", "read-only": true, "file": file});
    guest.qmp().execute("blockdev-add", &node)?;
    guest.qmp().execute("device_add", &json!({"driver": "usb-storage", "drive": "stick", "bus": "xhci.0"}))?;
    guest.reboot()?;
    assert_eq!(state(&guest)?, OPENED);
    assert_eq!(guest.ok(&format!("cat {KEPT}"))?, "first");
    guest.power_off()
}
