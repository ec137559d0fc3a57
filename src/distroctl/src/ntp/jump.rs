//! Notices that time has passed outside which the clock has not seen: the machine was suspended, or its hypervisor stopped it,
//! which it cannot feel. Then only the RTC, which goes on, tells.

use super::clock::Clock;

const NANOS: i64 = 1_000_000_000;
/// The RTC counts seconds, so two readings may differ from the clock by almost one each.
const RTC_TOLERANCE: i64 = 2;

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Jump {
    /// The machine slept; the kernel has set its clock by the RTC, roughly.
    Resumed,
    /// The RTC is so many seconds ahead of where it should be: the machine stood still.
    Paused(i64),
    /// Somebody else has set the clock.
    Set,
}

/// How the clocks stood to each other.
pub(super) struct Watch {
    suspended: i64,
    started: i64,
    rtc_ahead: Option<i64>,
}

impl Watch {
    /// Begins at the clocks as they are.
    pub(super) fn new(clock: &dyn Clock) -> Self {
        let (before, rtc, now) = (clock.now(), clock.rtc(), clock.now());
        Self {
            suspended: clock.boottime() - clock.monotonic(),
            started: now - clock.boottime(),
            rtc_ahead: rtc.map(|rtc| rtc - (before / 2 + now / 2) / NANOS),
        }
    }

    /// Compares; the next comparison is with now. A clock that drifts to its place moves by less than what counts here.
    pub(super) fn look(&mut self, clock: &dyn Clock) -> Option<Jump> {
        let new = Self::new(clock);
        let old = std::mem::replace(self, new);
        if self.suspended - old.suspended > NANOS {
            return Some(Jump::Resumed);
        }
        if (self.started - old.started).abs() > NANOS {
            return Some(Jump::Set);
        }
        let ahead = self.rtc_ahead? - old.rtc_ahead?;
        if ahead.abs() < RTC_TOLERANCE {
            // A slow drift must add up.
            self.rtc_ahead = old.rtc_ahead;
            return None;
        }
        // Back: somebody has set the RTC.
        (ahead > 0).then_some(Jump::Paused(ahead))
    }
}
