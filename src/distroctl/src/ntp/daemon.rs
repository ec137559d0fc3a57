//! What is done when: a look at the clocks at every tick, a question to the servers now and then.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use contract::paths;

use super::clock::Clock;
use super::exchange::{self, Measurement};
use super::jump::{Jump, Watch};
use super::packet::Refusal;
use super::random;
use crate::console::log;
use crate::file;

const NANOS: i64 = 1_000_000_000;
/// Between looks at the clocks: reading the RTC leaves the virtual machine some ten times.
const TICK: Duration = Duration::from_secs(20);
/// The same before the first answer, for the first while: the network comes up about then.
const FIRST_TICK: Duration = Duration::from_secs(2);
const FIRST_WHILE: i64 = 90 * NANOS;
/// More than that is stepped: the kernel slews no more (`MAXPHASE` of `linux/timex.h`).
const STEP: i64 = NANOS / 2;
/// The same when the clock was not right before.
const FIRST_STEP: i64 = NANOS / 10;
/// Logarithms of the seconds between rounds.
const MIN_POLL: u32 = 6;
const MAX_POLL: u32 = 10;
/// Offsets that make rounds rarer, or more frequent.
const STEADY: i64 = NANOS / 100;
const UNSTEADY: i64 = NANOS / 20;
/// No image is older: a clock before it has never been set. 2025-01-01.
const EARLIEST: i64 = 1_735_689_600 * NANOS;

/// Addresses of servers that are given by name or address.
pub(super) type Lookup = Box<dyn Fn(&[String]) -> Vec<SocketAddr>>;

/// The state between rounds.
pub(super) struct Daemon {
    clock: Box<dyn Clock>,
    lookup: Lookup,
    watch: Watch,
    servers: Vec<String>,
    /// Those that do not want to be asked.
    denied: Vec<SocketAddr>,
    started: i64,
    /// When the next round is, on the boot-time clock.
    due: i64,
    poll: u32,
    failures: u32,
    /// What the clock was last set by has held since.
    settled: bool,
    jump: Option<Jump>,
}

impl Daemon {
    pub(super) fn new(mut clock: Box<dyn Clock>, lookup: Lookup) -> Self {
        // The kernel has read the RTC at the start; one whose driver came late it has not.
        if clock.now() < EARLIEST
            && let Some(rtc) = clock.rtc().filter(|rtc| *rtc * NANOS > EARLIEST)
        {
            let offset = rtc * NANOS - clock.now();
            step(&mut *clock, offset, "the RTC");
        }
        Self {
            watch: Watch::new(&*clock),
            started: clock.boottime(),
            due: clock.boottime(),
            clock,
            lookup,
            servers: Vec::new(),
            denied: Vec::new(),
            poll: MIN_POLL,
            failures: 0,
            settled: false,
            jump: None,
        }
    }

    /// The next round is now, and nothing is believed to be right.
    pub(super) fn begin(&mut self) {
        self.due = self.clock.boottime();
        self.poll = MIN_POLL;
        self.failures = 0;
        self.settled = false;
        self.denied.clear();
    }

    /// Looks at the clocks and does what is due; how long to wait for the next tick.
    pub(super) fn tick(&mut self, servers: &[String]) -> Duration {
        if self.servers != servers {
            self.servers = servers.to_vec();
            self.begin();
        }
        if let Some(jump) = self.watch.look(&*self.clock) {
            log(&match jump {
                Jump::Resumed => "the machine was suspended".into(),
                Jump::Paused(seconds) => format!("the RTC is {seconds} s ahead: the machine stood still"),
                Jump::Set => "the clock was set by somebody else".into(),
            });
            self.begin();
            self.jump = Some(jump);
        }
        if self.clock.boottime() >= self.due {
            self.round();
        }
        let young = self.clock.boottime() - self.started < FIRST_WHILE;
        if young && !self.settled { FIRST_TICK } else { TICK }
    }

    fn round(&mut self) {
        let jump = self.jump.take();
        let found = if self.servers.is_empty() { None } else { self.ask() };
        let wait = match found {
            Some(measurement) => {
                self.failures = 0;
                self.adjust(measurement.offset, &measurement.server.ip().to_string());
                1 << self.poll
            }
            None => {
                self.fall_back(jump);
                self.failures += 1;
                // Without servers it costs nothing to look again at the next tick.
                if self.servers.is_empty() { 0 } else { 1_i64 << self.failures.min(8) }
            }
        };
        self.due = self.clock.boottime() + wait * NANOS;
        self.watch = Watch::new(&*self.clock);
    }

    fn ask(&mut self) -> Option<Measurement> {
        let mut servers = (self.lookup)(&self.servers);
        servers.retain(|server| !self.denied.contains(server));
        let mut measurements = Vec::new();
        for (server, answer) in exchange::ask(&servers, &*self.clock, random) {
            match answer {
                Ok(measurement) => measurements.push(measurement),
                Err(Refusal::TooOften) => self.poll = MAX_POLL,
                Err(Refusal::Denied) => {
                    log(&format!("{server}: it does not want to be asked"));
                    self.denied.push(server);
                }
                Err(Refusal::Foreign | Refusal::Unsynchronized) => {}
            }
        }
        exchange::choose(measurements)
    }

    /// No server has answered. The host's time is as good; the RTC tells only how long the machine stood still.
    fn fall_back(&mut self, jump: Option<Jump>) {
        match (self.clock.host_offset(), jump) {
            (Some(offset), _) => self.adjust(offset, "host"),
            (None, Some(Jump::Paused(seconds))) => step(&mut *self.clock, seconds * NANOS, "the RTC"),
            (None, _) if self.failures == 0 && !self.servers.is_empty() => {
                log(&format!("no answer from {}", self.servers.join(", ")));
            }
            (None, _) => {}
        }
    }

    /// Brings the clock to where a source has it.
    fn adjust(&mut self, offset: i64, source: &str) {
        let limit = if self.settled { STEP } else { FIRST_STEP };
        if offset.abs() > limit {
            step(&mut *self.clock, offset, source);
            // What is left of an earlier offset would still be slewed.
            let _ = self.clock.slew(0, self.poll);
            self.poll = MIN_POLL;
        } else if let Err(error) = self.clock.slew(offset, self.poll) {
            log(&format!("slewing the clock: {error}"));
        } else if offset.abs() < STEADY {
            self.poll = (self.poll + 1).min(MAX_POLL);
        } else if offset.abs() > UNSTEADY {
            self.poll = self.poll.saturating_sub(1).max(MIN_POLL);
        }
        if !self.settled {
            log(&format!("synchronized with {source}, offset {:+.3} s", seconds(offset)));
        }
        self.settled = true;
        let state = format!(
            "synchronized with {source}, offset {:+.6} s {} s after the start\n",
            seconds(offset),
            self.clock.boottime() / NANOS
        );
        if let Err(error) = file::replace(Path::new(paths::NTP_STATE), state.as_bytes(), 0o644, None) {
            log(&format!("{error:#}"));
        }
    }

    /// At the end the RTC is given what is known to be right, for the next start.
    pub(super) fn end(&mut self) {
        let off = |rtc: i64, now: i64| (rtc - now / NANOS).abs() > 1;
        if self.settled && self.clock.rtc().is_some_and(|rtc| off(rtc, self.clock.now())) {
            self.clock.set_rtc().unwrap_or_else(|error| log(&format!("setting the RTC: {error}")));
        }
    }
}

fn step(clock: &mut dyn Clock, offset: i64, source: &str) {
    match clock.step(offset) {
        Ok(()) => log(&format!("stepped the clock by {:+.3} s, as {source} says", seconds(offset))),
        Err(error) => log(&format!("stepping the clock by {:+.3} s: {error}", seconds(offset))),
    }
}

fn seconds(nanos: i64) -> f64 {
    nanos as f64 / NANOS as f64
}
