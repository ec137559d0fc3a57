//! `distroctl timers`: starts services when their `.timer` files say. `distroctl quadlet` leaves the timers at
//! [`contract::paths::TIMERS`] and has PID 1 run this only if there are any.

mod past;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use contract::control::{Request, Verb};
use contract::paths::{TIMER_STAMPS, TIMERS};
use contract::service::State;
use quadlet::Civil;
use quadlet::timer::{Clocks, Next, Past, Timer, decode};
use rustix::time::{ClockId, clock_gettime};

use crate::quadlet::relations::Relations;
use crate::{console, service};

/// The clock may be set, and the timers may be others, at any time: nothing is slept through for longer.
const LOOK_MS: u64 = 20_000;

/// One whose time has come, and that waits for its `RandomizedDelaySec=` to pass.
#[derive(Debug)]
struct Delayed {
    /// Since the boot.
    at_ms: u64,
    timer: Timer,
}

/// Runs timers for ever.
pub(crate) fn run() -> Result<ExitCode> {
    let start_ms = clocks().boot_ms;
    let mut pasts: BTreeMap<String, Past> = BTreeMap::new();
    let mut delayed: Vec<Delayed> = Vec::new();
    loop {
        let now = clocks();
        let mut sleep_ms = LOOK_MS;
        for Delayed { timer, .. } in delayed.extract_if(.., |delayed| delayed.at_ms <= now.boot_ms) {
            start(&timer);
            past::save(&timer, now.unix, Path::new(TIMER_STAMPS));
        }
        for timer in read() {
            let fresh = || {
                let until = past::load(&timer, Path::new(TIMER_STAMPS)).unwrap_or_else(|| {
                    past::save(&timer, now.unix, Path::new(TIMER_STAMPS));
                    now.unix
                });
                Past { until, start_ms, run_ms: None }
            };
            let past = pasts.entry(timer.name.clone()).or_insert_with(fresh);
            match timer.next(now, *past, &offset) {
                Next::In(0) => {
                    past.until = now.unix;
                    past.run_ms = Some(now.boot_ms);
                    delayed.push(Delayed { at_ms: now.boot_ms.saturating_add(random(timer.delay_ms)), timer });
                    sleep_ms = 0;
                }
                Next::In(ms) => sleep_ms = sleep_ms.min(ms),
                Next::Never => {}
            }
        }
        let due = delayed.iter().map(|delayed| delayed.at_ms.saturating_sub(now.boot_ms));
        sleep_ms = due.fold(sleep_ms, u64::min);
        // What is due at a second's begin is not to be looked for before it.
        std::thread::sleep(Duration::from_millis(sleep_ms.max(50)));
    }
}

/// Lists the timers: when they are due, when they ran last, what they start.
pub(crate) fn list() -> Result<ExitCode> {
    let now = clocks();
    let mut text = String::new();
    for timer in read() {
        let last = past::last(&timer, Path::new(TIMER_STAMPS));
        let past = Past { until: now.unix, start_ms: 0, run_ms: None };
        let next = Timer { on_boot_ms: Vec::new(), on_start_ms: Vec::new(), ..timer.clone() }.next(now, past, &offset);
        let next = match next {
            Next::In(ms) => utc(now.unix.saturating_add(i64::try_from(ms / 1000).unwrap_or(i64::MAX))),
            Next::Never => "-".into(),
        };
        let last = last.map_or("-".into(), utc);
        let _ = writeln!(text, "{:<20} next {next:<19}  last {last:<19}  starts {}", timer.name, timer.service);
    }
    console::print(&text)
}

fn read() -> Vec<Timer> {
    decode(&std::fs::read_to_string(TIMERS).unwrap_or_default())
}

/// With what it needs; one that runs already is left alone.
fn start(timer: &Timer) {
    console::log(&format!("{}: starting {}", timer.name, timer.service));
    let mut names = Relations::load().started_with(&timer.service);
    names.retain(|name| {
        let status = service::find(name).ok().and_then(|known| known.status);
        status.is_some_and(|status| matches!(status.state, State::Stopped | State::Failed))
    });
    names.push(timer.service.clone());
    for name in names {
        if let Err(error) = service::request(&Request { verb: Verb::Start, service: &name }) {
            console::log(&format!("{}: starting {name}: {error:#}", timer.name));
        }
    }
}

/// Below `limit_ms`, another one on each machine.
fn random(limit_ms: u64) -> u64 {
    let mut bytes = [0u8; 8];
    // SAFETY: the memory is as long as it says. A short answer leaves zeros.
    unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), libc::GRND_NONBLOCK) };
    u64::from_le_bytes(bytes).checked_rem(limit_ms).unwrap_or(0)
}

fn clocks() -> Clocks {
    let boot = clock_gettime(ClockId::Boottime);
    let boot_ms = boot.tv_sec.unsigned_abs() * 1000 + boot.tv_nsec.unsigned_abs() / 1_000_000;
    Clocks { unix: clock_gettime(ClockId::Realtime).tv_sec, boot_ms }
}

/// What local time is ahead of UTC: the environment's `TZ`.
fn offset(at: i64) -> i64 {
    // SAFETY: an all-zero `tm` is valid, and localtime_r writes nothing else; there is one thread.
    let mut fields: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    let done = unsafe { libc::localtime_r(&at, &mut fields) };
    if done.is_null() { 0 } else { fields.tm_gmtoff }
}

/// `2026-11-22 04:00:00`, UTC.
fn utc(at: i64) -> String {
    let (date, secs) = (Civil::of_day(at.div_euclid(86_400)), at.rem_euclid(86_400));
    let Civil { year, month, day } = date;
    format!("{year}-{month:02}-{day:02} {:02}:{:02}:{:02}", secs / 3600, secs / 60 % 60, secs % 60)
}

#[cfg(test)]
mod tests {
    use super::{random, utc};

    #[test]
    fn shows_times() {
        assert_eq!((utc(0).as_str(), utc(1_795_366_799).as_str()), ("1970-01-01 00:00:00", "2026-11-22 16:59:59"));
    }

    #[test]
    fn delays_are_below_their_limit() {
        assert_eq!(random(0), 0);
        let delays: Vec<u64> = (0..1000).map(|_| random(10)).collect();
        assert!((0..10).all(|delay| delays.contains(&delay)) && delays.iter().all(|delay| *delay < 10));
    }
}
