//! The watchdog device: hardware that restarts the machine unless it is fed. PID 1 feeds it from its own loop, so a PID 1
//! that hangs, or a kernel that does not run it any more, ends in a restart.
//!
//! Kernel `Documentation/watchdog/watchdog-api.rst`: opening starts the countdown, a write feeds it, `V` as the last write
//! before closing disarms it ("Magic Close"). A driver with `nowayout` cannot be disarmed.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::AsFd;

use contract::cmdline;

use crate::console;
use crate::container;
use crate::context::Context;
use crate::shutdown::Leave;
use crate::sys;

const DEVICE: &str = "/dev/watchdog";
/// Countdown that is asked for; a driver may know only others.
const TIMEOUT_SECS: i32 = 60;
/// For what comes after the services at a restart: writing to slow disks, unmounting. Longer than shutdown's own limits.
const LEAVING_SECS: i32 = 360;
/// The driver may be loaded late.
const LOOK_MS: u64 = 15_000;
/// Fed at least this often, even if the countdown is long.
const FEED_MS: u64 = 15_000;

/// The device, if there is one and it is wanted.
#[derive(Debug)]
pub(crate) struct Watchdog {
    /// `None`: not wanted.
    timeout_secs: Option<i32>,
    device: Option<File>,
    feed_ms: u64,
    next_ms: u64,
}

impl Watchdog {
    /// As the command line wants it; in a container it is the host's.
    pub(crate) fn new(context: &Context) -> Self {
        let asked = cmdline::value(&context.command_line, cmdline::WATCHDOG);
        let timeout_secs = if container::is_one() { None } else { wanted(asked) };
        let next_ms = if timeout_secs.is_some() { 0 } else { u64::MAX };
        Self { timeout_secs, device: None, feed_ms: FEED_MS, next_ms }
    }

    /// Feeds it when it is time, and looks for it while there is none.
    pub(crate) fn tend(&mut self, now_ms: u64) {
        let Some(timeout_secs) = self.timeout_secs else { return };
        if now_ms < self.next_ms {
            return;
        }
        match &mut self.device {
            Some(device) => {
                let _ = device.write_all(b"\0");
                self.next_ms = now_ms.saturating_add(self.feed_ms);
            }
            None => {
                self.next_ms = now_ms.saturating_add(LOOK_MS);
                if let Ok(device) = OpenOptions::new().write(true).open(DEVICE) {
                    let secs = sys::set_watchdog_timeout(device.as_fd(), timeout_secs).unwrap_or(timeout_secs);
                    self.feed_ms = feed_ms(secs);
                    self.next_ms = now_ms.saturating_add(self.feed_ms);
                    self.device = Some(device);
                    console::step(format_args!("feed {DEVICE}, which restarts a machine that hangs for {secs} s"));
                }
            }
        }
    }

    /// When [`Watchdog::tend`] has something to do.
    pub(crate) fn next_ms(&self) -> u64 {
        self.next_ms
    }

    /// No more feeding from here on: at a restart it watches over the end, if it can be told to wait long enough; a machine
    /// that is to stay off or halted is left alone.
    pub(crate) fn leave(&mut self, leave: Leave) {
        self.timeout_secs = None;
        let Some(mut device) = self.device.take() else { return };
        let is_long = |secs: i32| secs >= LEAVING_SECS / 2;
        if leave == Leave::Reboot
            && sys::set_watchdog_timeout(device.as_fd(), LEAVING_SECS).is_ok_and(is_long)
            && device.write_all(b"\0").is_ok()
        {
            // Closing without the letter keeps it armed.
            return;
        }
        let _ = device.write_all(b"V");
    }
}

fn wanted(value: Option<&str>) -> Option<i32> {
    match value {
        Some("off" | "0" | "no") => None,
        Some(value) => Some(value.parse().ok().filter(|secs| (5..=3600).contains(secs)).unwrap_or(TIMEOUT_SECS)),
        None => Some(TIMEOUT_SECS),
    }
}

fn feed_ms(timeout_secs: i32) -> u64 {
    (u64::from(timeout_secs.unsigned_abs()) * 1000 / 4).clamp(250, FEED_MS)
}

#[cfg(test)]
mod tests {
    use super::{feed_ms, wanted};

    #[test]
    fn is_fed_in_time() {
        let wanted_secs = [None, Some("off"), Some("30"), Some("2"), Some("x"), Some("")].map(wanted);
        assert_eq!(wanted_secs, [Some(60), None, Some(30), Some(60), Some(60), Some(60)]);
        assert_eq!([60, 30, 5, 1, 0, 600].map(feed_ms), [15_000, 7_500, 1_250, 250, 250, 15_000]);
    }
}
