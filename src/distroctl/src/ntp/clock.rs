//! The clocks: what the kernel keeps, the machine's real-time clock, and the host's time where a hypervisor gives it.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};

use crate::file::first_line;
use crate::modules;

const NANOS: i64 = 1_000_000_000;
/// Seconds since 1970 in the RTC; reading it needs no rights and disturbs nobody (kernel `Documentation/ABI/testing/sysfs-class-rtc`).
const RTC_SECONDS: &str = "/sys/class/rtc/rtc0/since_epoch";
const RTC_DEVICE: &str = "/dev/rtc0";
/// `RTC_SET_TIME` of `linux/rtc.h`: `_IOW('p', 0x0a, struct rtc_time)`, which is nine 32-bit numbers.
const RTC_SET_TIME: libc::Ioctl = 0x4024_700a;
const PTP_CLASS: &str = "/sys/class/ptp";
/// `clock_name` of the drivers whose clock is the host's time: `ptp_kvm`, Hyper-V's, VMware's.
const HOST_CLOCKS: [&str; 3] = ["KVM virtual PTP", "hyperv", "ptp_vmw"];
/// `PTP_SYS_OFFSET` of `linux/ptp_clock.h`: `_IOW('=', 5, struct ptp_sys_offset)`.
const PTP_SYS_OFFSET: libc::Ioctl = 0x4340_3d05;

/// Times in nanoseconds; those of the real-time clock in seconds.
pub(super) trait Clock {
    /// Since 1970 (`CLOCK_REALTIME`).
    fn now(&self) -> i64;
    /// Since the start, without time in suspend (`CLOCK_MONOTONIC`).
    fn monotonic(&self) -> i64;
    /// Since the start (`CLOCK_BOOTTIME`).
    fn boottime(&self) -> i64;
    /// Seconds since 1970 of the RTC, if there is one.
    fn rtc(&self) -> Option<i64>;
    /// How much the host's time is ahead of ours, if it tells.
    fn host_offset(&self) -> Option<i64>;
    /// Sets the clock forward, or back.
    fn step(&mut self, offset: i64) -> std::io::Result<()>;
    /// Lets the clock drift there. The kernel learns from it how fast the clock runs; `poll` is the logarithm of the seconds
    /// between measurements.
    fn slew(&mut self, offset: i64, poll: u32) -> std::io::Result<()>;
    /// Sets the RTC to our time.
    fn set_rtc(&mut self) -> std::io::Result<()>;
}

/// This machine's.
pub(super) struct System {
    host: Option<PathBuf>,
}

impl System {
    pub(super) fn open() -> Self {
        // Nothing asks for the module: its hardware is a hypercall.
        if !Path::new("/dev/ptp0").exists() && first_line("/sys/hypervisor/type").is_empty() && under_kvm() {
            modules::load("ptp_kvm");
        }
        let clocks = std::fs::read_dir(PTP_CLASS).into_iter().flatten().flatten();
        let host = clocks
            .filter(|clock| HOST_CLOCKS.contains(&first_line(clock.path().join("clock_name")).as_str()))
            .map(|clock| Path::new("/dev").join(clock.file_name()))
            .next();
        Self { host }
    }
}

/// The kernel's clock of a KVM guest is there only where the hypercall is.
fn under_kvm() -> bool {
    std::fs::read_to_string("/sys/devices/system/clocksource/clocksource0/available_clocksource")
        .is_ok_and(|clocks| clocks.contains("kvm-clock"))
}

fn read(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec * NANOS + time.tv_nsec
}

impl Clock for System {
    fn now(&self) -> i64 {
        read(ClockId::Realtime)
    }

    fn monotonic(&self) -> i64 {
        read(ClockId::Monotonic)
    }

    fn boottime(&self) -> i64 {
        read(ClockId::Boottime)
    }

    fn rtc(&self) -> Option<i64> {
        first_line(RTC_SECONDS).parse().ok()
    }

    fn host_offset(&self) -> Option<i64> {
        host_offset(&File::open(self.host.as_ref()?).ok()?).ok()
    }

    fn step(&mut self, offset: i64) -> std::io::Result<()> {
        let time = self.now().saturating_add(offset);
        let time = Timespec { tv_sec: time.div_euclid(NANOS), tv_nsec: time.rem_euclid(NANOS) };
        Ok(clock_settime(ClockId::Realtime, time)?)
    }

    /// `adjtimex` (2): the kernel's phase-locked loop. The clock stays marked as not synchronized, so that the kernel does
    /// not write the RTC every eleven minutes: the RTC's going its own way is what tells of a pause.
    fn slew(&mut self, offset: i64, poll: u32) -> std::io::Result<()> {
        // SAFETY: `timex` is numbers only.
        let mut timex: libc::timex = unsafe { std::mem::zeroed() };
        timex.modes = libc::ADJ_OFFSET | libc::ADJ_STATUS | libc::ADJ_TIMECONST | libc::ADJ_NANO;
        timex.status = libc::STA_PLL | libc::STA_UNSYNC;
        timex.offset = offset;
        timex.constant = poll.into();
        // SAFETY: `timex` is valid for the call.
        if unsafe { libc::adjtimex(&mut timex) } < 0 {
            return Err(std::io::Error::last_os_error());
        }
        Ok(())
    }

    fn set_rtc(&mut self) -> std::io::Result<()> {
        let file = File::open(RTC_DEVICE)?;
        let seconds: libc::time_t = (self.now() + NANOS / 2).div_euclid(NANOS);
        // SAFETY: `tm` is numbers and a pointer that may be null; gmtime_r fills it in.
        let mut tm: libc::tm = unsafe { std::mem::zeroed() };
        // SAFETY: both pointers are valid for the call.
        unsafe { libc::gmtime_r(&seconds, &mut tm) };
        let time = [tm.tm_sec, tm.tm_min, tm.tm_hour, tm.tm_mday, tm.tm_mon, tm.tm_year, tm.tm_wday, tm.tm_yday, 0];
        // SAFETY: the request reads nine 32-bit numbers.
        if unsafe { libc::ioctl(file.as_raw_fd(), RTC_SET_TIME, time.as_ptr()) } < 0 {
            return Err(std::io::Error::last_os_error());
        }
        Ok(())
    }
}

/// `struct ptp_clock_time`: seconds (64 bits), nanoseconds (32), reserved (32).
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct PtpTime {
    seconds: i64,
    nanos: u32,
    reserved: u32,
}

/// `struct ptp_sys_offset`: number of samples, reserved (3 × 32 bits), then system time and clock in turn, system time last.
#[repr(C)]
struct PtpSysOffset {
    samples: u32,
    reserved: [u32; 3],
    times: [PtpTime; 51],
}

fn host_offset(clock: &File) -> std::io::Result<i64> {
    let mut offset = PtpSysOffset { samples: 1, reserved: [0; 3], times: [PtpTime::default(); 51] };
    // SAFETY: the request reads and writes one `ptp_sys_offset`.
    if unsafe { libc::ioctl(clock.as_raw_fd(), PTP_SYS_OFFSET, &mut offset) } < 0 {
        return Err(std::io::Error::last_os_error());
    }
    let [before, host, after, ..] = offset.times.map(|time| time.seconds * NANOS + i64::from(time.nanos));
    Ok(host - (before + (after - before) / 2))
}

#[cfg(test)]
mod tests {
    use super::{Clock, PtpSysOffset, System};

    #[test]
    fn requests_have_the_size_of_their_structures() {
        assert_eq!((super::PTP_SYS_OFFSET >> 16) & 0x3fff, size_of::<PtpSysOffset>() as libc::Ioctl);
        assert_eq!((super::RTC_SET_TIME >> 16) & 0x3fff, 36);
    }

    #[test]
    fn clocks_go_forward() {
        let clock = System { host: None };
        let (now, monotonic, boottime) = (clock.now(), clock.monotonic(), clock.boottime());
        assert!(clock.now() >= now && clock.monotonic() >= monotonic && boottime >= monotonic);
        assert_eq!(clock.host_offset(), None);
    }
}
