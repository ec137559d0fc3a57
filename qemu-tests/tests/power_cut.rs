//! Power cuts at random moments: during the first boot with a disk that asks to be formatted, and while containers write.
//!
//! A recorded boot gives every cut there could have been, with each write that no flush had followed kept, lost or torn at
//! random. Of many such disks the host's e2fsck says what it thinks; with some of them a machine boots.
//! `cargo xtask soak power-cut` makes more of them. The disk of a failure stays beside the machines' logs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use contract::DEFAULT_DATA_LABEL;
use contract::paths::{DATA_AUTHORIZED_KEYS, DATA_STATE};
use fuzz::Random;
use qemu_tests::{Guest, host, log_file, machine};
use vm::disk::{create_data_disk, find_program};
use vm::{Bus, Device, Disk, DiskFormat, Fate, WriteLog};

use crate::format_me::asking;

/// Machines booted after a cut, in the gate; the campaign makes twenty.
const BOOTS: u64 = 1;
/// Disks looked at from the host for each of them.
const LOOKS: u64 = 20;
const SIZE: u64 = 1 << 30;
/// On the data disk, so that the host can read it.
const FOLDER: &str = "/var/lib/containers/cut";

/// A boot's record and the disk it began with.
struct Campaign {
    name: String,
    before: PathBuf,
    log: WriteLog,
    random: Random,
    folder: tempfile::TempDir,
}

impl Campaign {
    /// Boots with a copy of the disk that `make` makes in a folder, and cuts when `work` is done.
    fn record(
        name: &str,
        make: impl FnOnce(&Path) -> Result<PathBuf>,
        work: impl FnOnce(&Guest, &Path) -> Result<()>,
    ) -> Result<Self> {
        let seed = std::env::var("MKDISTRO_FUZZ_SEED").ok().and_then(|seed| seed.parse().ok());
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_secs());
        let seed = seed.unwrap_or(clock);
        println!("seed {seed}");
        let folder = tempfile::tempdir()?;
        let before = make(folder.path())?;
        let (path, record) = (folder.path().join("recorded.raw"), folder.path().join("record"));
        copy(&before, &path)?;
        std::fs::write(&record, "")?;
        let mut machine = machine()?;
        machine.devices.push(Device::RecordedDisk { path, log: record.clone() });
        let guest = Guest::boot(name, machine)?;
        work(&guest, &record)?;
        guest.kill()?;
        let log = WriteLog::read(&record)?;
        println!("{} requests, {} flushes", log.len(), log.flushes());
        Ok(Self { name: name.into(), before, log, random: Random::new(seed, 0), folder })
    }

    /// Gives `check` a disk as a cut after so many requests at least leaves it. Of a failure, disk and record stay beside the
    /// machines' logs.
    fn cut<T>(&mut self, least: usize, check: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
        let (made, given) = (self.folder.path().join("made.raw"), self.folder.path().join("cut.raw"));
        copy(&self.before, &made)?;
        let count = least + self.random.below(self.log.len() + 1 - least);
        let random = &mut self.random;
        self.log.replay(&made, count, |sectors| match random.below(4) {
            0 => Fate::Torn(random.below(sectors as usize) as u64),
            1 => Fate::Lost,
            _ => Fate::Kept,
        })?;
        copy(&made, &given)?;
        let cut = format!("cut after request {count} of {}, not before {least}", self.log.len());
        check(&given).inspect(|_| println!("{cut}: sound")).or_else(|error| {
            let kept = log_file(&self.name)?;
            copy(&made, &kept.with_extension("raw"))?;
            copy(&self.before, &kept.with_extension("before.raw"))?;
            copy(&self.folder.path().join("record"), &kept.with_extension("record"))?;
            Err(error.context(format!("{cut}; the disk stays beside {}", kept.display())))
        })
    }
}

/// How many boots.
fn boots() -> Result<u64> {
    match std::env::var("MKDISTRO_CUTS") {
        Ok(text) => text.parse().context("MKDISTRO_CUTS"),
        Err(_) => Ok(BOOTS),
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    host("cp", |command| command.arg("--sparse=always").arg(from).arg(to))?;
    Ok(())
}

fn boot(name: &str, path: &Path) -> Result<Guest> {
    let mut machine = machine()?;
    machine.disks.push(Disk { path: path.into(), format: DiskFormat::Raw, bus: Bus::Virtio });
    Guest::boot(name, machine)
}

/// A file with what the first partition holds, which begins at 1 MiB. e2fsprogs' own `?offset=` does not survive the replay of
/// a journal.
fn partition(disk: &Path) -> Result<PathBuf> {
    let path = disk.with_extension("partition");
    host("dd", |command| {
        command.arg(format!("if={}", disk.display())).arg(format!("of={}", path.display()));
        command.args(["bs=1M", "skip=1", "conv=sparse"])
    })?;
    Ok(path)
}

/// What e2fsck does at boot, then a full check that must find nothing.
fn repairs(file_system: &Path) -> Result<()> {
    let program = find_program("e2fsck").context("no e2fsck")?;
    let first = Command::new(&program).arg("-p").arg(file_system).output()?;
    if !matches!(first.status.code(), Some(0 | 1)) {
        bail!("e2fsck -p {}: {}\n{}", file_system.display(), first.status, String::from_utf8_lossy(&first.stdout));
    }
    host("e2fsck", |command| command.arg("-fn").arg(file_system))?;
    Ok(())
}

#[test]
fn during_the_first_boot_of_a_disk_that_asks_for_it() -> Result<()> {
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAkT7wMcYWmNqHw1jE8kIRye/vsIwoBSZ0+jSWnqR/E2 by-archive";
    let make = |folder: &Path| asking(folder, "boot2podman, please format-me", &format!("{key}\n"));
    let mut campaign = Campaign::record("power_cut_format", make, |_, _| Ok(()))?;
    let boots = boots()?;
    let mut ours = 0;
    for _ in 0..boots * LOOKS {
        campaign.cut(0, |path| {
            let file_system = partition(path)?;
            let program = find_program("e2label").context("no e2label")?;
            let label = Command::new(program).arg(&file_system).output()?;
            if String::from_utf8_lossy(&label.stdout).trim_end() == DEFAULT_DATA_LABEL {
                ours += 1;
                repairs(&file_system)?;
            }
            Ok(())
        })?;
    }
    println!("{ours} of {} count as ours", boots * LOOKS);
    for round in 0..boots {
        campaign.cut(0, |path| {
            let guest = boot(&format!("power_cut_format_{round}"), path)?;
            assert_eq!(guest.ok(&format!("cat {DATA_STATE}"))?, "device /dev/vda1");
            ensure!(guest.ok(&format!("sudo cat {DATA_AUTHORIZED_KEYS}"))?.contains(key), "the key is lost");
            guest.power_off()?;
            let table = host("sgdisk", |command| command.arg("-v").arg(path))?.stdout;
            ensure!(table.contains("No problems found"), "{table}");
            let file_system = partition(path)?;
            host("e2fsck", |command| command.arg("-fn").arg(file_system))
        })?;
    }
    Ok(())
}

/// What file `number` of the container holds: its numbers from 1, one per line.
fn content(number: u64) -> String {
    (1..=number * 97 % 5000).map(|line| format!("{line}\n")).collect()
}

/// All files but the last are whole: each was synced before the next was begun.
fn assert_files(names: &[u64], read: impl Fn(u64) -> Result<String>) -> Result<()> {
    let last = names.iter().copied().max().unwrap_or(0);
    for number in 1..last {
        ensure!(read(number)? == content(number), "file {number} of {last} was synced and is not what it was");
    }
    Ok(())
}

/// The engine finds nothing damaged, but for the layer of a container that was being made, which belongs to nobody yet; that is
/// gone when it repairs its store, and nothing else.
fn store_is_sound(guest: &Guest) -> Result<()> {
    let found = guest.ssh("sudo podman system check")?;
    if found.status == 0 {
        return Ok(());
    }
    let damaged: Vec<&str> = found.stdout.lines().filter(|line| line.starts_with("Damaged ")).collect();
    ensure!(matches!(damaged[..], [only] if only.starts_with("Damaged layer ")), "podman system check: {found:?}");
    println!("{}", damaged.concat());
    guest.ok("sudo podman system check --repair && sudo podman system check")?;
    ensure!(guest.has_busybox_image()?, "the repair has taken the image");
    Ok(())
}

#[test]
fn while_containers_write() -> Result<()> {
    let make = |folder: &Path| {
        let path = folder.join("disk.raw");
        create_data_disk(&path, SIZE, DEFAULT_DATA_LABEL)?;
        Ok(path)
    };
    let (mut image, mut least) = ("", 0);
    let mut campaign = Campaign::record("power_cut_write", make, |guest, record| {
        image = guest.make_busybox_image()?;
        guest.ok(&format!("sudo mkdir -p {FOLDER} && sync"))?;
        least = WriteLog::read(record)?.len();
        let script =
            "n=0; while :; do n=$((n + 1)); seq 1 $((n * 97 % 5000)) | dd of=/v/$n conv=fsync 2> /dev/null; done";
        guest.ok(&format!("sudo podman run -d --name writer -v {FOLDER}:/v {image} sh -c '{script}'"))?;
        // The engine's own writing besides.
        guest.ok(&format!("for n in 1 2 3; do sudo podman run --name done-$n {image} true || exit 1; done"))?;
        std::thread::sleep(Duration::from_secs(5));
        guest.ok("sync")?;
        Ok(())
    })?;
    let boots = boots()?;
    let mut most = 0;
    for _ in 0..boots * LOOKS {
        campaign.cut(least, |path| {
            repairs(path)?;
            let out = tempfile::tempdir()?;
            let request = format!("rdump {FOLDER} {}", out.path().display());
            host("debugfs", |command| command.args(["-R", &request]).arg(path))?;
            let folder = out.path().join("cut");
            let names = std::fs::read_dir(&folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().parse()?));
            let names = names.collect::<Result<Vec<u64>>>()?;
            assert_files(&names, |number| Ok(std::fs::read_to_string(folder.join(number.to_string()))?))?;
            most = most.max(names.len());
            Ok(())
        })?;
    }
    println!("up to {most} files");
    ensure!(most > 10, "the container wrote {most} files only");
    for round in 0..boots {
        campaign.cut(least, |path| {
            let guest = boot(&format!("power_cut_write_{round}"), path)?;
            assert_eq!(guest.ok(&format!("cat {DATA_STATE}"))?, "device /dev/vda");
            ensure!(guest.has_busybox_image()?, "the image is gone");
            guest.ok(&format!("sudo podman run --rm --name again {image} true"))?;
            guest.ok("sudo podman rm -af")?;
            // At most the one that was being made: its layer is there, and the engine does not know of it yet.
            let halves = guest.ok("sudo podman ps -aq --external")?;
            ensure!(halves.lines().count() < 2, "containers that cannot be removed: {halves}");
            guest.ok(&format!("for half in {}; do sudo podman rm $half; done", halves.trim()))?;
            store_is_sound(&guest)?;
            guest.power_off()?;
            host("e2fsck", |command| command.arg("-fn").arg(path))
        })?;
    }
    Ok(())
}
