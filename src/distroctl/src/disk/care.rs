//! What is done to the data disk by hand or now and then: giving free space back, and what to do if it is damaged.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use contract::{cmdline, paths};

use crate::console::{self, log};
use crate::file::first_line;

/// Not while the machine starts.
const FIRST: Duration = Duration::from_secs(3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// The device of the data disk and whether it is read-only; `None` without one.
fn state(line: &str) -> Option<(&str, bool)> {
    let device = line.strip_prefix("device ")?;
    Some(device.strip_suffix(" read-only").map_or((device, false), |device| (device, true)))
}

/// `distroctl disk trim`: tells the disk which blocks are free (fstrim(8)).
pub(crate) fn trim() -> Result<ExitCode> {
    let line = first_line(paths::DATA_STATE);
    let Some((device, is_read_only)) = state(&line) else { bail!("there is no data disk") };
    if is_read_only {
        bail!("{device} is read-only\nhint: distroctl disk repair");
    }
    let bytes = fitrim(paths::DATA_MOUNT).with_context(|| format!("trimming {device}"))?;
    console::print(&format!("{device}: {} MiB trimmed\n", bytes >> 20))
}

/// `distroctl disk trim --weekly`, the service. Without a disk that can it ends.
pub(crate) fn trim_weekly() -> Result<ExitCode> {
    let line = first_line(paths::DATA_STATE);
    let Some((device, false)) = state(&line) else { return Ok(ExitCode::SUCCESS) };
    std::thread::sleep(FIRST);
    loop {
        match fitrim(paths::DATA_MOUNT) {
            Ok(bytes) => log(&format!("{device}: {} MiB trimmed", bytes >> 20)),
            Err(error) => {
                log(&format!("{device} is not trimmed: {error}"));
                return Ok(ExitCode::SUCCESS);
            }
        }
        std::thread::sleep(WEEK);
    }
}

/// `FITRIM`, `_IOWR('X', 121, struct fstrim_range)` of the kernel's `include/uapi/linux/fs.h`; the bytes that were free.
fn fitrim(folder: &str) -> std::io::Result<u64> {
    const FITRIM: libc::c_int = 0xc018_5879_u32.cast_signed();

    #[repr(C)]
    struct Range {
        start: u64,
        length: u64,
        least: u64,
    }

    let mut range = Range { start: 0, length: u64::MAX, least: 0 };
    let folder = File::open(folder)?;
    // SAFETY: the descriptor is open; the kernel reads and writes the structure, of the layout it defines, which outlives
    // the call.
    match unsafe { libc::ioctl(folder.as_raw_fd(), FITRIM as _, &raw mut range) } {
        0 => Ok(range.length),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// `distroctl disk repair`: explains what to do. It does nothing itself: the device is in use, and what e2fsck asks is for
/// somebody to decide.
pub(crate) fn repair() -> Result<ExitCode> {
    console::print(&advice(&first_line(paths::DATA_STATE)))
}

fn advice(line: &str) -> String {
    match state(line) {
        None => format!("no data disk is in use: {}\n", line.strip_prefix("none ").unwrap_or("not looked for yet")),
        Some((device, false)) => format!("{device} is sound and in use; there is nothing to repair\n"),
        Some((device, true)) => format!(
            "{device} is damaged and only read; \"distroctl logs data-disk\" tells what e2fsck found. What it holds is in {mount}.\n\
             \x20 1. copy what must not be lost: scp -r core@THIS-MACHINE:{mount}/... .\n\
             \x20 2. restart with \"Start without touching any data disk\" of the boot menu, or {data}=none\n\
             \x20 3. {open}sudo e2fsck -f {device}      (it asks before each change; -y: yes to all)\n\
             \x20 4. sudo reboot\n",
            mount = paths::DATA_MOUNT,
            // Its container is closed then.
            open = if device == paths::DATA_OPENED { "sudo cryptsetup open /dev/DISK data-disk, then " } else { "" },
            data = cmdline::DATA,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{advice, state};

    #[test]
    fn says_what_there_is_to_do() {
        assert_eq!(state("device /dev/vda read-only"), Some(("/dev/vda", true)));
        assert_eq!(advice("none no file system"), "no data disk is in use: no file system\n");
        assert!(advice("device /dev/vda").contains("nothing to repair"));
        let text = advice("device /dev/vda read-only");
        assert!(
            advice("device /dev/mapper/data-disk read-only")
                .contains("cryptsetup open /dev/DISK data-disk, then sudo e2fsck")
        );
        assert!(text.contains("3. sudo e2fsck -f /dev/vda ") && text.contains("distro.data=none"), "{text}");
    }
}
