//! What a container's health check is, and when it is due. Podman runs a check when it is asked to, counts failures, knows
//! start periods and start-up checks, and does what `--health-on-failure` says; it only never asks by itself without systemd
//! (podman 5.4.2, `libpod/healthcheck_linux.go`). It takes no notice of `--health-timeout` until the check has ended, either.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use document::Table;

/// podman-run(1), `--health-timeout`.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// Past the time-out, so that podman itself sees that it is over.
const GRACE: Duration = Duration::from_secs(1);
/// Checks at the same time: each is three processes for a moment.
const AT_ONCE: usize = 8;
/// After the engine did not answer.
const RETRY: Duration = Duration::from_secs(10);

/// A health check as the container has it. A zero interval: never by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Config {
    /// The command as it is run in the container.
    pub(super) command: Vec<String>,
    pub(super) interval: Duration,
    /// Docker's `--health-start-interval`, within the start period.
    pub(super) start_interval: Duration,
    pub(super) start_period: Duration,
    pub(super) timeout: Duration,
    /// Whether an unhealthy container is killed, stopped or restarted.
    pub(super) acts: bool,
    pub(super) startup: Option<Startup>,
    /// How long a stop may take.
    pub(super) stop_timeout: Duration,
}

/// Another check that runs first (`--health-startup-cmd`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Startup {
    pub(super) command: Vec<String>,
    pub(super) interval: Duration,
    /// Successes that end it; 0 is as good as 1.
    pub(super) successes: u32,
}

impl Config {
    /// From the `Config` of an inspected container; `None` if it has no check.
    pub(super) fn of(config: &Table) -> Option<Self> {
        let check = config.table("Healthcheck")?;
        let time = |table: &Table, key: &str| {
            Duration::from_nanos(table.integer(key).and_then(|time| u64::try_from(time).ok()).unwrap_or(0))
        };
        let command = command(&check.texts("Test"))?;
        let startup = config.table("StartupHealthCheck").and_then(|startup| {
            Some(Startup {
                command: command_of(startup)?,
                interval: time(startup, "Interval"),
                successes: startup.integer("Successes").and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
            })
        });
        let timeout = time(check, "Timeout");
        let seconds = config.integer("StopTimeout").and_then(|seconds| u64::try_from(seconds).ok());
        Some(Self {
            command,
            interval: time(check, "Interval"),
            start_interval: time(check, "StartInterval"),
            start_period: time(check, "StartPeriod"),
            timeout: if timeout.is_zero() { DEFAULT_TIMEOUT } else { timeout },
            acts: config.text("HealthcheckOnFailureAction").is_some_and(|action| action != "none"),
            startup,
            stop_timeout: Duration::from_secs(seconds.unwrap_or(10)),
        })
    }
}

impl Config {
    /// Whether it runs without being asked for (`--health-interval=disable`).
    pub(super) fn runs_by_itself(&self) -> bool {
        !self.startup.as_ref().map_or(self.interval, |startup| startup.interval).is_zero()
    }
}

fn command_of(check: &Table) -> Option<Vec<String>> {
    command(&check.texts("Test"))
}

/// The command of a `Test` (podman-inspect(1); the words are Docker's).
fn command(test: &[String]) -> Option<Vec<String>> {
    let (kind, rest) = test.split_first()?;
    match kind.as_str() {
        "" | "NONE" => None,
        "CMD" => Some(rest.to_vec()).filter(|rest| !rest.is_empty()),
        "CMD-SHELL" => Some(vec!["/bin/sh".into(), "-c".into(), rest.join(" ")]),
        _ => Some(test.to_vec()),
    }
}

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It ran, and the container is well.
    Passed,
    /// It ran, and the container is not.
    NotPassed,
    /// The container does not run or has no check.
    Gone,
    /// The engine did not answer.
    Unknown,
}

/// A run of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) id: String,
    pub(super) generation: u64,
    /// `None`: not asked for yet.
    pub(super) config: Option<Config>,
}

#[derive(Debug)]
struct Check {
    generation: u64,
    config: Option<Config>,
    since: Instant,
    due: Instant,
    running: Option<Instant>,
    /// The time-out of this run has been seen to.
    is_overdue: bool,
    /// Of the start-up check.
    successes: u32,
    has_started: bool,
}

/// All checks.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    checks: BTreeMap<String, Check>,
    generation: u64,
}

impl Schedule {
    /// The container has started, or its check is another one. The first check is due at once, as with podman's timers.
    pub(super) fn begin(&mut self, id: &str, now: Instant) {
        self.generation += 1;
        let check = Check {
            generation: self.generation,
            config: None,
            since: now,
            due: now,
            running: None,
            is_overdue: false,
            successes: 0,
            has_started: false,
        };
        self.checks.insert(id.into(), check);
    }

    /// The container does not run any more.
    pub(super) fn end(&mut self, id: &str) {
        self.checks.remove(id);
    }

    /// Whether podman stops the container when it is unhealthy.
    pub(super) fn acts(&self, id: &str) -> bool {
        self.checks.get(id).and_then(|check| check.config.as_ref()).is_some_and(|config| config.acts)
    }

    /// The checks to run now.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Run> {
        let running = self.checks.values().filter(|check| check.running.is_some()).count();
        let is_due = |check: &Check| check.running.is_none() && check.due <= now;
        let mut due: Vec<(&String, &mut Check)> = self.checks.iter_mut().filter(|(_, check)| is_due(check)).collect();
        due.sort_by_key(|(_, check)| check.due);
        let run = |(id, check): (&String, &mut Check)| {
            (check.running, check.is_overdue) = (Some(now), false);
            Run { id: id.clone(), generation: check.generation, config: check.config.clone() }
        };
        due.into_iter().take(AT_ONCE.saturating_sub(running)).map(run).collect()
    }

    /// What the check of a run is. From here its time counts.
    pub(super) fn configured(&mut self, run: &Run, config: Config, now: Instant) {
        if let Some(check) = self.current(run) {
            (check.config, check.running) = (Some(config), Some(now));
        }
    }

    /// Runs that should have ended: containers and the commands that hang in them. Each is named once.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<(String, Vec<String>)> {
        let mut overdue = Vec::new();
        for (id, check) in &mut self.checks {
            let over = check.overdue_at().is_some_and(|at| at <= now);
            if over && let Some(command) = check.command() {
                check.is_overdue = true;
                overdue.push((id.clone(), command));
            }
        }
        overdue
    }

    /// A run has ended.
    pub(super) fn ended(&mut self, run: &Run, outcome: &Outcome, now: Instant) {
        let Some(check) = self.current(run) else { return };
        check.running = None;
        match check.next_interval(outcome, now) {
            Some(interval) => check.due = now + interval,
            None => self.end(&run.id),
        }
    }

    /// When there is something to do next.
    pub(super) fn next(&self) -> Option<Instant> {
        let is_full = self.checks.values().filter(|check| check.running.is_some()).count() >= AT_ONCE;
        let of = |check: &Check| match check.running {
            Some(_) => check.overdue_at(),
            None => Some(check.due).filter(|_| !is_full),
        };
        self.checks.values().filter_map(of).min()
    }

    fn current(&mut self, run: &Run) -> Option<&mut Check> {
        self.checks.get_mut(&run.id).filter(|check| check.generation == run.generation)
    }
}

impl Check {
    /// Until the next run; `None`: there is none.
    fn next_interval(&mut self, outcome: &Outcome, now: Instant) -> Option<Duration> {
        match outcome {
            Outcome::Unknown => return Some(RETRY),
            Outcome::Gone => return None,
            Outcome::Passed | Outcome::NotPassed => {}
        }
        let config = self.config.as_ref()?;
        let in_start_period = now.saturating_duration_since(self.since) < config.start_period;
        let (interval, is_at_once) = match config.startup.as_ref().filter(|_| !self.has_started) {
            Some(startup) => {
                self.successes += u32::from(*outcome == Outcome::Passed);
                self.has_started = self.successes >= startup.successes.max(1);
                if self.has_started { (config.interval, true) } else { (startup.interval, false) }
            }
            None if in_start_period && !config.start_interval.is_zero() => (config.start_interval, false),
            None => (config.interval, false),
        };
        (!interval.is_zero()).then_some(if is_at_once { Duration::ZERO } else { interval })
    }

    fn overdue_at(&self) -> Option<Instant> {
        if self.is_overdue {
            return None;
        }
        Some(self.running? + self.config.as_ref()?.timeout + GRACE)
    }

    /// The command that runs now.
    fn command(&self) -> Option<Vec<String>> {
        let config = self.config.as_ref()?;
        let startup = config.startup.as_ref().filter(|_| !self.has_started);
        Some(startup.map_or(&config.command, |startup| &startup.command).clone())
    }
}
