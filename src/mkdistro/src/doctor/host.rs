//! Clock, KVM and firmware.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use vm::Accelerator;

use super::{Finding, State};
use crate::archive::date;
use crate::lock::Locked;

/// Where distributions have UEFI firmware for QEMU.
pub(super) const FIRMWARE: [&str; 7] = [
    // Debian, Ubuntu
    "/usr/share/OVMF/OVMF_CODE_4M.fd",
    "/usr/share/OVMF/OVMF_CODE.fd",
    "/usr/share/ovmf/OVMF.fd",
    // Fedora
    "/usr/share/edk2/ovmf/OVMF_CODE.fd",
    // Arch
    "/usr/share/edk2/x64/OVMF_CODE.4m.fd",
    "/usr/share/edk2-ovmf/x64/OVMF_CODE.fd",
    // openSUSE
    "/usr/share/qemu/ovmf-x86_64-code.bin",
];

/// A clock that is behind makes signatures look as if they were of the future.
pub(super) fn clock(locked: Option<&Locked>) -> Finding {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let dates = locked.into_iter().flat_map(|locked| &locked.lock.suites);
    let newest = dates.filter_map(|suite| date::parse_rfc3339(&suite.date)).max().unwrap_or(0);
    let found = date::format_rfc3339(now);
    if now >= newest {
        return Finding::ok("clock", "lock", found);
    }
    let found = format!("{found}, before the lock was made ({})", date::format_rfc3339(newest));
    Finding::bad("clock", "lock", State::Broken, found, "set it: timedatectl set-ntp true")
}

/// Runs a guest of a few instructions.
pub(super) fn kvm(device: &Path) -> Finding {
    let bad = |state, found: String, fix: &str| Finding::bad("KVM", "fast runs", state, found, fix);
    match OpenOptions::new().read(true).write(true).open(device) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let fix = "switch on virtualization in the firmware's setup, then: modprobe kvm_intel || modprobe kvm_amd";
            bad(State::Missing, format!("{} does not exist; QEMU emulates, slowly", device.display()), fix)
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let fix = "sudo usermod -aG kvm \"$USER\", then log in again";
            bad(State::Broken, format!("{}: {error}", device.display()), fix)
        }
        Err(error) => bad(State::Broken, format!("{}: {error}", device.display()), ""),
        Ok(_) if Accelerator::best() == Accelerator::Kvm => Finding::ok("KVM", "fast runs", "runs guests"),
        Ok(_) => {
            let fix = "if this is itself a virtual machine, its host must offer nested virtualization";
            bad(State::Broken, "does not run a guest; QEMU emulates, slowly".to_owned(), fix)
        }
    }
}

pub(super) fn firmware(places: &[&Path]) -> Finding {
    match places.iter().find(|place| place.exists()) {
        Some(found) => Finding::ok("UEFI firmware", "UEFI runs", found.display().to_string()),
        None => {
            let fix = "install ovmf (Debian), edk2-ovmf (Fedora, Arch) or qemu-ovmf-x86_64 (openSUSE)";
            Finding::bad("UEFI firmware", "UEFI runs", State::Missing, "no OVMF found", fix)
        }
    }
}
