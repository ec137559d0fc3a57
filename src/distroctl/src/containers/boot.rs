//! Which containers are started when the engine comes up: those with the restart policy `always`, and `unless-stopped` ones
//! that were not at rest. Those of `on-failure` are not, as with Docker. Those that a service owns are its business.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::engine::Listed;
use super::order;

/// Set by podman in a container that a unit or service has started (podman-generate-systemd(1), Quadlet).
pub(super) const OWNER_LABEL: &str = "PODMAN_SYSTEMD_UNIT";
/// A start that failed is tried again: what it needs may come later.
const DELAYS: [Duration; 3] = [Duration::from_secs(3), Duration::from_secs(15), Duration::from_secs(60)];
/// An engine that does not answer.
const LIST_DELAY: Duration = Duration::from_secs(10);

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    List,
    Start { id: String, name: String },
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    id: String,
    name: String,
    failures: usize,
}

/// The start of all, one container at a time: podman starts what each needs itself.
#[derive(Debug, Default)]
pub(super) struct Boot {
    is_listed: bool,
    /// The one that is being started, or the list that is being asked for.
    busy: Option<Option<Wanted>>,
    queue: VecDeque<Wanted>,
    later: Vec<(Instant, Wanted)>,
    list_at: Option<Instant>,
}

/// What became of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// It is tried again.
    Again,
    /// It is not.
    Final,
}

impl Boot {
    /// Nothing to do: there is no container.
    pub(super) fn done() -> Self {
        Self { is_listed: true, ..Self::default() }
    }

    /// The next step, if none is being taken.
    pub(super) fn next_step(&mut self, now: Instant) -> Option<Step> {
        if self.busy.is_some() {
            return None;
        }
        if !self.is_listed {
            if self.list_at.is_some_and(|at| at > now) {
                return None;
            }
            self.busy = Some(None);
            return Some(Step::List);
        }
        if let Some(at) = self.later.iter().position(|(at, _)| *at <= now) {
            let (_, wanted) = self.later.remove(at);
            self.queue.push_back(wanted);
        }
        let wanted = self.queue.pop_front()?;
        let step = Step::Start { id: wanted.id.clone(), name: wanted.name.clone() };
        self.busy = Some(Some(wanted));
        Some(step)
    }

    /// The engine's answer: containers of the two policies. How many are going to be started.
    pub(super) fn listed(
        &mut self,
        always: Vec<Listed>,
        unless_stopped: Vec<Listed>,
        is_at_rest: impl Fn(&str) -> bool,
    ) -> usize {
        (self.busy, self.is_listed) = (None, true);
        // One that was never started was not running before, either.
        let was_up = |container: &Listed| container.state != "created" && !is_at_rest(&container.id);
        let mut all = always;
        all.extend(unless_stopped.into_iter().filter(was_up));
        let is_down =
            |container: &Listed| matches!(container.state.as_str(), "created" | "initialized" | "exited" | "stopped");
        all.retain(|container| is_down(container) && container.label(OWNER_LABEL).is_none());
        let needs = order::needs(&all, |_| Vec::new());
        for container in order::sorted(&needs).into_iter().filter_map(|at| all.get(at)) {
            let wanted = Wanted { id: container.id.clone(), name: container.name.clone(), failures: 0 };
            self.queue.push_back(wanted);
        }
        self.queue.len()
    }

    /// The engine did not answer.
    pub(super) fn not_listed(&mut self, now: Instant) {
        (self.busy, self.list_at) = (None, Some(now + LIST_DELAY));
    }

    /// The start that was under way has succeeded, or is not wanted any more.
    pub(super) fn started(&mut self) {
        self.busy = None;
    }

    pub(super) fn failed(&mut self, now: Instant) -> Failure {
        let Some(mut wanted) = self.busy.take().flatten() else { return Failure::Final };
        let Some(delay) = DELAYS.get(wanted.failures) else { return Failure::Final };
        wanted.failures += 1;
        self.later.push((now + *delay, wanted));
        Failure::Again
    }

    /// Somebody else has started or removed it, or stopped it.
    pub(super) fn drop_wanted(&mut self, id: &str) {
        self.queue.retain(|wanted| wanted.id != id);
        self.later.retain(|(_, wanted)| wanted.id != id);
    }

    /// When [`Boot::next_step`] has something to do.
    pub(super) fn next(&self) -> Option<Instant> {
        match self.busy {
            Some(_) => None,
            None if !self.is_listed => self.list_at,
            None => self.later.iter().map(|(at, _)| *at).min(),
        }
    }
}
