//! The accelerator: KVM where it really runs guests, software emulation (TCG) otherwise.
//!
//! `/dev/kvm` may exist and yet not run an ordinary guest: where the host is itself a guest, KVM may be left to emulate
//! each instruction, slowly, and ends the guest at the first one it does not know. So a guest of a few instructions is
//! tried: a firmware image that enters protected mode, uses SSE2, counts, and writes to QEMU's `isa-debug-exit`.
//! Intel SDM volume 3, 11.1.4: execution begins at physical address 0xFFFF_FFF0, 16 bytes below the end of the firmware,
//! in real mode with the code segment's base at 0xFFFF_0000. QEMU `hw/misc/debugexit.c`: the process ends with status
//! `(value << 1) | 1`.

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
/// `jmp 0`
const RESET_CODE: [u8; 3] = [0xe9, 0x0d, 0x00];
#[rustfmt::skip]
const PROBE_CODE: [u8; 75] = [
    0xfa,                                           // cli
    0x2e, 0x66, 0x0f, 0x01, 0x16, 0xa0, 0x00,       // lgdt cs:[GDTR_AT]
    0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0, // mov eax, cr0; or al, 1 (PE); mov cr0, eax
    0x66, 0xea, 0x18, 0x00, 0xff, 0xff, 0x08, 0x00, // jmp 8:0xffff0018, the next instruction, 32-bit from here
    0x0f, 0x20, 0xe0, 0x0d, 0x00, 0x02, 0x00, 0x00, // mov eax, cr4; or eax, 0x200 (OSFXSR)
    0x0f, 0x22, 0xe0,                               // mov cr4, eax
    0x0f, 0x20, 0xc0, 0x24, 0xfb, 0x0c, 0x02,       // mov eax, cr0; and al, 0xfb (EM off); or al, 2 (MP on)
    0x0f, 0x22, 0xc0,                               // mov cr0, eax
    0xb9, 0x00, 0x2d, 0x31, 0x01, 0x49, 0x75, 0xfd, // mov ecx, 20_000_000; again: dec ecx; jnz again
    0x66, 0x0f, 0xef, 0xc0, 0x66, 0x0f, 0x76, 0xc0, // pxor xmm0, xmm0; pcmpeqd xmm0, xmm0
    0x66, 0x0f, 0x7e, 0xc0, 0x83, 0xe0, 0x01,       // movd eax, xmm0; and eax, 1
    0xba, 0xf4, 0x00, 0x00, 0x00, 0xee, 0xf4,       // mov edx, 0xf4; out dx, al; hlt
];
const GDT_AT: usize = 0x80;
/// The null descriptor and a flat 32-bit code segment, marked accessed because the table is in ROM.
const GDT: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0];
const GDTR_AT: usize = 0xa0;
/// Limit and physical address of the table.
const GDTR: [u8; 6] = [15, 0, 0x80, 0x00, 0xff, 0xff];
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
    let parts: [(usize, &[u8]); 4] = [(0, &PROBE_CODE), (GDT_AT, &GDT), (GDTR_AT, &GDTR), (RESET_VECTOR, &RESET_CODE)];
    for (at, bytes) in parts {
        firmware[at..at + bytes.len()].copy_from_slice(bytes);
    }
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
