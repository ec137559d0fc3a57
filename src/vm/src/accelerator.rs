//! The accelerator: KVM where it really runs guests, software emulation (TCG) otherwise.
//!
//! `/dev/kvm` may exist and yet not run a guest (nested virtualisation, other architectures, odd containers), so
//! it is tried with a guest of a few instructions: a firmware image whose reset vector writes to QEMU's `isa-debug-exit`
//! device. Intel SDM volume 3, 9.1.4: execution begins at physical address 0xFFFF_FFF0, 16 bytes below the end of
//! the firmware, in real mode. QEMU `hw/misc/debugexit.c`: the process ends with status `(value << 1) | 1`.

use crate::machine::QEMU;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// What runs the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    /// The host's processor, through `/dev/kvm`.
    Kvm,
    /// QEMU's software emulation, one thread per virtual CPU.
    Tcg,
}

const FIRMWARE_BYTES: usize = 64 * 1024;
const RESET_VECTOR: usize = FIRMWARE_BYTES - 16;
/// `mov al, 1; mov dx, 0xf4; out dx, al; hlt`
const PROBE_CODE: [u8; 7] = [0xb0, 0x01, 0xba, 0xf4, 0x00, 0xee, 0xf4];
const PROBE_STATUS: i32 = (1 << 1) | 1;
const PROBE_LIMIT: Duration = Duration::from_secs(2);

impl Accelerator {
    /// KVM if a guest runs under it, else TCG. Tried once per process.
    pub fn best() -> Self {
        static BEST: OnceLock<Accelerator> = OnceLock::new();
        *BEST.get_or_init(|| {
            let works = std::path::Path::new("/dev/kvm").exists() && Self::Kvm.runs_guests(PROBE_LIMIT);
            if works { Self::Kvm } else { Self::Tcg }
        })
    }

    /// The value of QEMU's `-accel`.
    pub fn argument(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg,thread=multi",
        }
    }

    /// A limit that is right for KVM, made long enough for this accelerator.
    pub fn scaled(self, kvm_limit: Duration) -> Duration {
        match self {
            Self::Kvm => kvm_limit,
            Self::Tcg => kvm_limit * 10,
        }
    }

    /// Whether the probe's guest runs to its end within `limit`.
    fn runs_guests(self, limit: Duration) -> bool {
        let Ok(mut firmware) = tempfile::NamedTempFile::new() else { return false };
        if firmware.write_all(&probe_firmware()).is_err() {
            return false;
        }
        let child = Command::new(QEMU)
            .args(["-accel", self.argument(), "-machine", "pc", "-m", "16", "-nodefaults", "-display", "none"])
            .args(["-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-bios"])
            .arg(firmware.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut child) = child else { return false };
        let end = Instant::now() + limit;
        while Instant::now() < end {
            match child.try_wait() {
                Ok(Some(status)) => return status.code() == Some(PROBE_STATUS),
                Ok(None) => std::thread::sleep(Duration::from_millis(10)),
                Err(_) => break,
            }
        }
        let _ = child.kill();
        let _ = child.wait();
        false
    }
}

fn probe_firmware() -> Vec<u8> {
    const HLT: u8 = 0xf4;
    let mut firmware = vec![HLT; FIRMWARE_BYTES];
    firmware[RESET_VECTOR..RESET_VECTOR + PROBE_CODE.len()].copy_from_slice(&PROBE_CODE);
    firmware
}

#[cfg(test)]
mod tests {
    use super::{Accelerator, probe_firmware};
    use std::time::Duration;

    #[test]
    fn the_probe_runs_under_emulation() {
        assert_eq!(probe_firmware().len(), 65536);
        assert!(Accelerator::Tcg.runs_guests(Duration::from_secs(60)), "the probe's own guest does not run");
    }

    #[test]
    fn limits_follow_the_accelerator() {
        assert_eq!(Accelerator::Kvm.scaled(Duration::from_secs(3)), Duration::from_secs(3));
        assert_eq!(Accelerator::Tcg.scaled(Duration::from_secs(3)), Duration::from_secs(30));
    }
}
