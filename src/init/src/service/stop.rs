//! Stopping in reverse order of dependencies, as a state machine without system calls.
//!
//! A service is stopped when all that wait for it are gone; those that do not depend on each other stop side by side.
//! Stop command, then stop signal, then SIGKILL for its whole cgroup; each has the service's time, all have the limit.

use contract::paths::LOG_SERVICE;

use super::table::Unit;

/// After SIGKILL a process that still does not go (it hangs in the kernel) is left behind.
const KILL_MS: u64 = 2_000;
/// A login shell has nothing to finish.
const TERMINAL_MS: u64 = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Command { until_ms: u64 },
    Asked { until_ms: u64 },
    Killed { until_ms: u64 },
    Gone,
}

/// What is to be done for the service at an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopAction {
    /// Run its stop command; tell [`Stop::command_ended`] when that ends or cannot be started.
    Command(usize),
    /// Send its stop signal.
    Signal(usize),
    /// Kill all of its cgroup, the stop command with it.
    Kill(usize),
}

#[derive(Debug)]
struct Stopping {
    phase: Phase,
    has_process: bool,
    has_command: bool,
    timeout_ms: u64,
    /// Those that wait for this one.
    dependents: Vec<usize>,
}

impl Stopping {
    fn new(unit: &Unit, dependents: Vec<usize>) -> Self {
        let has_process = unit.pid.is_some();
        // What it has set up outlives its process: that of a one-shot, and containers of an engine in its back-off.
        let has_run = has_process || unit.exit.is_some();
        let has_command = !unit.service.stop_command.is_empty() && has_run;
        let of_service = u64::from(unit.service.stop_timeout_secs).saturating_mul(1000);
        Self {
            phase: if has_process || has_command { Phase::Running } else { Phase::Gone },
            has_process,
            has_command,
            timeout_ms: if unit.service.tty.is_some() { TERMINAL_MS } else { of_service },
            dependents,
        }
    }
}

/// All services on their way down.
#[derive(Debug)]
pub(crate) struct Stop {
    units: Vec<Stopping>,
    until_ms: u64,
}

impl Stop {
    /// Starts from the state the table is in. `limit_ms` is for all together.
    pub(crate) fn new(units: &[Unit], now_ms: u64, limit_ms: u64) -> Self {
        let stopping = units.iter().enumerate().map(|(index, unit)| {
            // Messages are taken until the last service has ended.
            let is_log = unit.service.name == LOG_SERVICE;
            let waits_for_it = |(at, other): &(usize, &Unit)| {
                *at != index && (is_log || other.edges().all().any(|edge| edge == index))
            };
            let dependents = units.iter().enumerate().filter(waits_for_it).map(|(at, _)| at).collect();
            Stopping::new(unit, dependents)
        });
        Self { units: stopping.collect(), until_ms: now_ms.saturating_add(limit_ms) }
    }

    /// Stops one service, at the index 0; those that need it are not asked.
    pub(crate) fn one(unit: &Unit, now_ms: u64) -> Self {
        let limit_ms = u64::from(unit.service.stop_timeout_secs).saturating_mul(3000).saturating_add(KILL_MS);
        Self { units: vec![Stopping::new(unit, Vec::new())], until_ms: now_ms.saturating_add(limit_ms) }
    }

    /// What is to be done now. Call it until it gives nothing.
    pub(crate) fn due(&mut self, now_ms: u64) -> Vec<StopAction> {
        let mut actions = Vec::new();
        for index in 0..self.units.len() {
            let may_begin = self.may_begin(index) || now_ms >= self.until_ms;
            let is_late = now_ms >= self.until_ms;
            let Some(unit) = self.units.get_mut(index) else { continue };
            let ask_until = Phase::Asked { until_ms: now_ms.saturating_add(unit.timeout_ms) };
            let kill_until = Phase::Killed { until_ms: now_ms.saturating_add(KILL_MS) };
            let (phase, action) = match unit.phase {
                Phase::Running | Phase::Command { .. } | Phase::Asked { .. } if is_late => {
                    (kill_until, Some(StopAction::Kill(index)))
                }
                Phase::Running if may_begin && unit.has_command => {
                    let until_ms = now_ms.saturating_add(unit.timeout_ms);
                    (Phase::Command { until_ms }, Some(StopAction::Command(index)))
                }
                Phase::Running if may_begin && unit.has_process => (ask_until, Some(StopAction::Signal(index))),
                // Ended by itself, maybe in answer to a dependent's end: what it left behind goes too.
                Phase::Running if may_begin => (Phase::Gone, Some(StopAction::Kill(index))),
                Phase::Command { until_ms } if now_ms >= until_ms && unit.has_process => {
                    (ask_until, Some(StopAction::Signal(index)))
                }
                Phase::Command { until_ms } if now_ms >= until_ms => (kill_until, Some(StopAction::Kill(index))),
                Phase::Asked { .. } if !unit.has_process => (Phase::Gone, Some(StopAction::Kill(index))),
                Phase::Asked { until_ms } if now_ms >= until_ms => (kill_until, Some(StopAction::Kill(index))),
                Phase::Killed { until_ms } if !unit.has_process || now_ms >= until_ms => (Phase::Gone, None),
                same => (same, None),
            };
            unit.phase = phase;
            actions.extend(action);
        }
        actions
    }

    fn may_begin(&self, index: usize) -> bool {
        let is_gone = |other: &usize| self.units.get(*other).is_none_or(|unit| unit.phase == Phase::Gone);
        self.units.get(index).is_some_and(|unit| unit.dependents.iter().all(is_gone))
    }

    /// Its main process has ended.
    pub(crate) fn process_ended(&mut self, index: usize) {
        if let Some(unit) = self.units.get_mut(index) {
            unit.has_process = false;
        }
    }

    /// Its stop command has ended: what comes next is due at once.
    pub(crate) fn command_ended(&mut self, index: usize) {
        if let Some(unit) = self.units.get_mut(index)
            && let Phase::Command { .. } = unit.phase
        {
            unit.phase = Phase::Running;
            unit.has_command = false;
        }
    }

    /// Someone asked again: no more waiting.
    pub(crate) fn hurry(&mut self, now_ms: u64) {
        self.until_ms = now_ms;
    }

    /// Whether all are gone.
    pub(crate) fn is_done(&self) -> bool {
        self.units.iter().all(|unit| unit.phase == Phase::Gone)
    }

    /// When [`Stop::due`] has something to do next, apart from ends.
    pub(crate) fn next_ms(&self) -> Option<u64> {
        let times = self.units.iter().filter_map(|unit| match unit.phase {
            Phase::Command { until_ms } | Phase::Asked { until_ms } => Some(until_ms.min(self.until_ms)),
            Phase::Killed { until_ms } => Some(until_ms),
            Phase::Running => Some(self.until_ms),
            Phase::Gone => None,
        });
        times.min()
    }
}
