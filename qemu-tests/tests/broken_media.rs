//! Media that lack something: the machine says so on the screen and on the serial port, and does not just stop.

use anyhow::Result;
use qemu_tests::{BOOT_LIMIT, iso, log_file, machine, user};
use std::path::Path;
use std::time::{Duration, Instant};
use vm::{Boot, Bus, Disk, DiskFormat, Vm};

/// A copy of the image, changed.
fn broken(folder: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Result<std::path::PathBuf> {
    let mut bytes = std::fs::read(iso()?)?;
    change(&mut bytes);
    let path = folder.join("broken.iso");
    std::fs::write(&path, bytes)?;
    Ok(path)
}

/// Where the root's SquashFS begins in the image: behind its name in the initramfs.
fn root_at(bytes: &[u8]) -> usize {
    let name = [&contract::paths::ROOT_IMAGE.as_bytes()[1..], b"\0"].concat();
    let is_entry = |at: &usize| bytes[*at..].starts_with(&name) && bytes[*at - 110..].starts_with(b"070701");
    (110..bytes.len() - name.len()).find(is_entry).expect("the image has a root") + name.len()
}

fn start(name: &str, boot: Boot) -> Result<Vm> {
    let mut machine = machine()?;
    machine.boot = boot;
    Vm::start(machine, &user(), &log_file(name)?)
}

/// Waits until a line with this text is on the serial port and on the screen.
fn wait_for_both(vm: &Vm, text: &str) -> Result<()> {
    let limit = vm.machine().accelerator.scaled(BOOT_LIMIT);
    vm.wait_for_line(text, limit, |line| line.contains(text).then_some(()))?;
    let end = Instant::now() + limit;
    loop {
        let screen = vm.screen_text()?;
        if screen.contains(text) {
            return Ok(());
        }
        assert!(Instant::now() < end, "not on the screen: {text}\n{screen}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_damaged_root() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = broken(folder.path(), |bytes| {
        let at = root_at(bytes);
        bytes[at + 10_000_000] ^= 0x10;
    })?;
    let vm = start("broken_root", Boot::Cdrom(path))?;
    wait_for_both(&vm, "the boot medium is damaged: the root's xxh64 is")?;
    wait_for_both(&vm, "hint: write the image to its medium again")?;
    wait_for_both(&vm, "press Enter for a shell")?;
    vm.send_serial("\n")?;
    let limit = vm.machine().accelerator.scaled(BOOT_LIMIT);
    vm.wait_for_line("the rescue shell", limit, |line| line.contains("a rescue shell follows").then_some(()))?;
    vm.send_serial("echo shell-''works\n")?;
    vm.wait_for_line("the shell's answer", limit, |line| line.contains("shell-works").then_some(()))
}

/// Boot loader and kernel lie before what is cut off; ISOLINUX tells of sectors that cannot be read and starts all the same.
#[test]
fn half_an_image() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = broken(folder.path(), |bytes| bytes.truncate(bytes.len() / 2 / 2048 * 2048))?;
    let vm = start("broken_half", Boot::Cdrom(path))?;
    wait_for_both(&vm, "the boot medium is damaged: the root's xxh64 is")?;
    wait_for_both(&vm, "press Enter for a shell")
}

/// A stick to which an image was written in part keeps what was on it behind that: here nothing. The kernel cannot unpack
/// the modules, but PID 1 comes before them.
#[test]
fn an_initramfs_without_its_end() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = broken(folder.path(), |bytes| {
        let begin = root_at(bytes) - 1_000_000;
        let end = bytes.len() - (8 << 20);
        bytes[begin..end].fill(0);
    })?;
    let disk = Disk { path, format: DiskFormat::Raw, bus: Bus::Ide };
    let vm = start("broken_initramfs", Boot::Disk(disk))?;
    wait_for_both(&vm, "the boot medium is damaged: the kernel could not unpack all of it")
}
