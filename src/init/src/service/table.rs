//! The life of every service as a state machine: no system calls, the clock is an argument (milliseconds).
//!
//! `Waiting → Starting → Ready`; an end leads to `Backoff` (and `Starting` again), `Stopped` or `Failed`, as the
//! service's restart policy says. A one-shot (`ready exit`) stays `Ready` after it ended with status 0.

use contract::service::{Exit, Readiness, Restart, Service, State, Status};

use super::backoff::{Backoff, MANY_FAILURES};
use super::graph::{Edges, resolve};

mod added;

/// After this long without readiness a service is reported.
const SLOW_MS: u64 = 60_000;

/// One service and where it is.
#[derive(Debug)]
pub(crate) struct Unit {
    /// What the table says.
    pub(crate) service: Service,
    /// Where it is in its life.
    pub(crate) state: State,
    /// Its process.
    pub(crate) pid: Option<i32>,
    /// How often it was started again.
    pub(crate) restarts: u32,
    /// How it ended last.
    pub(crate) exit: Option<Exit>,
    /// Stopped by hand, or on its way there: it does not start again until it is asked to.
    held: bool,
    edges: Edges,
    backoff: Backoff,
    started_ms: u64,
    retry_ms: u64,
    reported_slow: bool,
    /// Failed only because one that it needs has.
    blocked: bool,
    origin: Origin,
}

/// Where a service comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The image; it stays.
    Image,
    /// Added while PID 1 runs.
    Added,
    /// No longer wanted; nothing may be left of it before its place is free.
    Leaving,
    /// A free place.
    Nobody,
}

impl Unit {
    fn new(mut service: Service, edges: Edges) -> Self {
        // PID 1 listens there from the start: whether connecting succeeds says nothing about the service.
        if let (Some(listen), Readiness::Socket(path)) = (&service.listen, &service.ready)
            && listen.path == *path
        {
            service.ready = Readiness::Started;
        }
        let backoff =
            if service.tty.is_some() { Backoff::terminal() } else { Backoff::service(service.restart_delay_ms) };
        let manual = service.manual;
        Self {
            service,
            state: if manual { State::Stopped } else { State::Waiting },
            pid: None,
            restarts: 0,
            exit: None,
            held: manual,
            edges,
            backoff,
            started_ms: 0,
            retry_ms: 0,
            reported_slow: false,
            blocked: false,
            origin: Origin::Image,
        }
    }

    /// What its state file says.
    pub(crate) fn status(&self) -> Status {
        Status { state: self.state, pid: self.pid, restarts: self.restarts, exit: self.exit }
    }

    /// Services it waits for.
    pub(crate) fn edges(&self) -> &Edges {
        &self.edges
    }

    fn is_one_shot(&self) -> bool {
        self.service.ready == Readiness::Exit
    }

    /// Early ends so far.
    pub(crate) fn failures(&self) -> u32 {
        self.backoff.failures()
    }
}

/// What is to be done about a service now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Due {
    /// Start its process, then call [`Table::started`] or [`Table::not_started`].
    Start(usize),
    /// It has failed because another one, which it needs, has. Only to be reported.
    Blocked(usize, usize),
    /// It is not ready after a long time. Only to be reported.
    Slow(usize),
}

/// What follows from the end of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A one-shot is done.
    Done,
    /// Ended for good, as it should.
    Stopped,
    /// Starts again after so many milliseconds.
    Retry(u64),
    /// Ended for good after a failure.
    Failed,
}

/// All services.
#[derive(Debug)]
pub(crate) struct Table {
    units: Vec<Unit>,
    /// What has been said of them already.
    problems: Vec<String>,
    /// Services of the image that do not run here: nobody waits for them.
    left_out: Vec<String>,
}

impl Table {
    /// The table, and what is wrong with it.
    pub(crate) fn new(services: Vec<Service>) -> (Self, Vec<String>) {
        let mut problems = Vec::new();
        let mut unique: Vec<Service> = Vec::with_capacity(services.len());
        for service in services {
            if unique.iter().any(|other| other.name == service.name) {
                problems.push(format!("service {}: in the table twice, the first one counts", service.name));
            } else if service.command.is_empty() || service.name.is_empty() || service.name.contains('/') {
                problems.push(format!("service {:?}: no command, or a bad name", service.name));
            } else {
                unique.push(service);
            }
        }
        let (graph, more) = resolve(&unique);
        problems.extend(more);
        let units = unique.into_iter().zip(graph).map(|(service, edges)| Unit::new(service, edges)).collect();
        (Self { units, problems: problems.clone(), left_out: Vec::new() }, problems)
    }

    /// Takes over the names of services that do not run here.
    pub(crate) fn leave_out(&mut self, names: Vec<String>) {
        self.left_out = names;
    }

    /// All services, in the table's order.
    pub(crate) fn units(&self) -> &[Unit] {
        &self.units
    }

    /// The service at an index.
    pub(crate) fn unit(&self, index: usize) -> Option<&Unit> {
        self.units.get(index)
    }

    /// What is to be done now. Call it until it gives nothing.
    pub(crate) fn due(&mut self, now_ms: u64) -> Vec<Due> {
        let mut due = Vec::new();
        for index in 0..self.units.len() {
            let Some(unit) = self.units.get(index) else { continue };
            let next = match unit.state {
                State::Waiting => match unit.edges.needs.iter().find(|&&other| self.has_failed(other)) {
                    Some(&other) => Some(Due::Blocked(index, other)),
                    None => self.may_start(unit).then_some(Due::Start(index)),
                },
                State::Backoff => (unit.retry_ms <= now_ms).then_some(Due::Start(index)),
                State::Starting if !unit.reported_slow => {
                    (now_ms.saturating_sub(unit.started_ms) >= SLOW_MS).then_some(Due::Slow(index))
                }
                _ => None,
            };
            if let Some(unit) = self.units.get_mut(index) {
                match next {
                    Some(Due::Blocked(..)) => {
                        unit.state = State::Failed;
                        unit.blocked = true;
                    }
                    Some(Due::Slow(_)) => unit.reported_slow = true,
                    _ => {}
                }
            }
            due.extend(next);
        }
        due
    }

    fn has_failed(&self, index: usize) -> bool {
        self.units.get(index).is_some_and(|unit| unit.state == State::Failed)
    }

    fn may_start(&self, unit: &Unit) -> bool {
        let ready = |index: &usize| {
            self.units
                .get(*index)
                .is_none_or(|unit| unit.state == State::Ready || (unit.state == State::Stopped && !unit.held))
        };
        let given_up = |index: &usize| {
            self.units.get(*index).is_none_or(|unit| {
                unit.held
                    || unit.state == State::Failed
                    || (unit.state == State::Backoff && unit.failures() >= MANY_FAILURES)
            })
        };
        unit.edges.needs.iter().all(ready) && unit.edges.after.iter().all(|other| ready(other) || given_up(other))
    }

    /// Its process runs.
    pub(crate) fn started(&mut self, index: usize, pid: i32, now_ms: u64) {
        let Some(unit) = self.units.get_mut(index) else { return };
        if unit.state == State::Backoff {
            unit.restarts = unit.restarts.saturating_add(1);
        }
        unit.pid = Some(pid);
        unit.started_ms = now_ms;
        unit.blocked = false;
        unit.state = if unit.service.ready == Readiness::Started { State::Ready } else { State::Starting };
    }

    /// Its process could not be started; `again` says whether trying later makes sense.
    pub(crate) fn not_started(&mut self, index: usize, again: bool, now_ms: u64) -> Outcome {
        let Some(unit) = self.units.get_mut(index) else { return Outcome::Failed };
        if !again {
            unit.state = State::Failed;
            return Outcome::Failed;
        }
        let wait_ms = unit.backoff.ended(0);
        unit.retry_ms = now_ms.saturating_add(wait_ms);
        unit.state = State::Backoff;
        Outcome::Retry(wait_ms)
    }

    /// The machine has nothing this service could run on.
    pub(crate) fn skip(&mut self, index: usize) {
        if let Some(unit) = self.units.get_mut(index) {
            unit.state = State::Stopped;
        }
    }

    /// Somebody wants it stopped. What must be done for that is [`super::stop`]'s business; [`Table::stopped`] follows.
    pub(crate) fn hold(&mut self, index: usize) {
        if let Some(unit) = self.units.get_mut(index) {
            unit.held = true;
            unit.state = State::Stopping;
        }
    }

    /// The same for one that has ended by itself already.
    pub(crate) fn hold_stopped(&mut self, index: usize) {
        if let Some(unit) = self.units.get_mut(index) {
            unit.held = true;
        }
    }

    /// Nothing of it is left.
    pub(crate) fn stopped(&mut self, index: usize) {
        if let Some(unit) = self.units.get_mut(index) {
            unit.state = State::Stopped;
        }
    }

    /// Somebody wants it to run: it starts as soon as those it needs are ready, and those that have failed only because it
    /// had, too. Nothing changes where its process runs.
    pub(crate) fn release(&mut self, index: usize) {
        let Some(unit) = self.units.get_mut(index) else { return };
        if unit.pid.is_some() {
            return;
        }
        unit.held = false;
        unit.backoff.forget();
        unit.state = State::Waiting;
        unit.reported_slow = false;
        for unit in &mut self.units {
            if unit.state == State::Failed && unit.blocked && unit.edges.needs.contains(&index) {
                unit.state = State::Waiting;
            }
        }
    }

    /// It is ready: its socket or file is there.
    pub(crate) fn ready(&mut self, index: usize) {
        if let Some(unit) = self.units.get_mut(index) {
            unit.state = State::Ready;
        }
    }

    /// A process has ended: which service's it was, and what follows.
    pub(crate) fn ended(&mut self, pid: i32, exit: Exit, now_ms: u64) -> Option<(usize, Outcome)> {
        let index = self.units.iter().position(|unit| unit.pid == Some(pid))?;
        let unit = self.units.get_mut(index)?;
        unit.pid = None;
        unit.exit = Some(exit);
        let succeeded = exit == Exit::Code(0);
        let wait_ms = unit.backoff.ended(now_ms.saturating_sub(unit.started_ms));
        let many = unit.is_one_shot() && unit.backoff.failures() >= MANY_FAILURES;
        let outcome = match unit.service.restart {
            _ if unit.held => Outcome::Stopped,
            _ if succeeded && unit.is_one_shot() => Outcome::Done,
            Restart::No | Restart::OnFailure if succeeded => Outcome::Stopped,
            Restart::No => Outcome::Failed,
            Restart::OnFailure | Restart::Always if many => Outcome::Failed,
            Restart::OnFailure | Restart::Always => Outcome::Retry(wait_ms),
        };
        unit.state = match outcome {
            Outcome::Done => State::Ready,
            // What is left of its cgroup goes next; `Table::stopped` follows.
            Outcome::Stopped if unit.held => State::Stopping,
            Outcome::Stopped => State::Stopped,
            Outcome::Failed => State::Failed,
            Outcome::Retry(_) => State::Backoff,
        };
        unit.retry_ms = now_ms.saturating_add(wait_ms);
        Some((index, outcome))
    }

    /// Services whose socket or file is waited for, with the time they have been running.
    pub(crate) fn probed(&self, now_ms: u64) -> impl Iterator<Item = (usize, &Readiness, u64)> {
        self.units.iter().enumerate().filter_map(move |(index, unit)| {
            let is_asked = matches!(unit.service.ready, Readiness::Socket(_) | Readiness::File(_));
            let waits = unit.state == State::Starting && is_asked;
            waits.then(|| (index, &unit.service.ready, now_ms.saturating_sub(unit.started_ms)))
        })
    }

    /// When [`Table::due`] has something to do next, apart from ends and readiness.
    pub(crate) fn next_ms(&self) -> Option<u64> {
        let times = self.units.iter().filter_map(|unit| match unit.state {
            State::Backoff => Some(unit.retry_ms),
            State::Starting if !unit.reported_slow => Some(unit.started_ms.saturating_add(SLOW_MS)),
            _ => None,
        });
        times.min()
    }
}
