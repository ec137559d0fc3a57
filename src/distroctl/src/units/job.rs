//! What is done for a client: a service is started, stopped or started again, and looked at until it is known whether that
//! went well. Where systemd says "done" as soon as the process runs, this also waits for the container's health check:
//! podman goes back to the image before when the answer is not "done".

use std::time::{Duration, Instant};

use contract::control::Verb;
use contract::service::{State, Status};

use crate::containers::{Health, health_of};
use crate::{console, service};

/// A container that ends so soon after its start has not started.
const SETTLE: Duration = Duration::from_secs(3);
/// A check has come to an end by then; podman's own default gives it some two minutes.
const HEALTH_LIMIT: Duration = Duration::from_secs(600);
const LOOK: Duration = Duration::from_secs(1);

/// How a job ended, in systemd's words (org.freedesktop.systemd1(5), `JobRemoved()`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    Failed,
    Timeout,
}

impl Outcome {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
        }
    }
}

/// Does it; `unit` is the service's name with `.service`.
pub(super) fn run(verb: Verb, name: &str, unit: &str) -> Outcome {
    let outcome = match service::ask_all(verb, name) {
        Ok(_) if verb == Verb::Stop => Outcome::Done,
        Ok(_) => watch(name, unit),
        Err(error) => {
            console::log(&format!("{error:#}"));
            Outcome::Failed
        }
    };
    console::log(&format!("{} {name}: {}", verb.as_str(), outcome.as_str()));
    outcome
}

fn watch(name: &str, unit: &str) -> Outcome {
    let state = || service::find(name).ok().and_then(|known| known.status);
    let first = state();
    let began = Instant::now();
    loop {
        let health = health_of(unit).unwrap_or_else(|error| {
            console::log(&format!("the health of {name}: {error:#}"));
            Health::Starting
        });
        if let Some(outcome) = judge(first.as_ref(), state().as_ref(), health, began.elapsed()) {
            return outcome;
        }
        std::thread::sleep(LOOK);
    }
}

/// `None`: not known yet.
fn judge(first: Option<&Status>, now: Option<&Status>, health: Health, passed: Duration) -> Option<Outcome> {
    let Some(now) = now else { return Some(Outcome::Failed) };
    let has_died = now.restarts != first.map_or(0, |status| status.restarts);
    match (now.state, health) {
        (State::Failed | State::Backoff, _) | (_, Health::Unhealthy) => Some(Outcome::Failed),
        _ if has_died => Some(Outcome::Failed),
        (_, Health::Healthy) => Some(Outcome::Done),
        (_, Health::Unchecked) if passed >= SETTLE => Some(Outcome::Done),
        _ if passed >= HEALTH_LIMIT => Some(Outcome::Timeout),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{HEALTH_LIMIT, Health, Outcome, SETTLE, judge};
    use contract::service::Status;

    fn status(text: &str) -> Status {
        Status::decode(text).unwrap()
    }

    #[test]
    fn waits_for_the_health_check() {
        let ready = status("state ready\npid 7\nrestarts 2\n");
        let judge = |now: Option<&Status>, health, passed| judge(Some(&ready), now, health, passed);
        let now = Some(&ready);
        assert_eq!(judge(now, Health::Starting, Duration::from_secs(60)), None);
        assert_eq!(judge(now, Health::Starting, HEALTH_LIMIT), Some(Outcome::Timeout));
        assert_eq!(judge(now, Health::Healthy, Duration::ZERO), Some(Outcome::Done));
        assert_eq!(judge(now, Health::Unhealthy, Duration::ZERO), Some(Outcome::Failed));
        assert_eq!(judge(now, Health::Unchecked, Duration::ZERO), None);
        assert_eq!(judge(now, Health::Unchecked, SETTLE), Some(Outcome::Done));
    }

    #[test]
    fn one_that_dies_has_failed() {
        let ready = status("state ready\npid 7\nrestarts 2\n");
        for text in ["state ready\npid 9\nrestarts 3\n", "state backoff\nrestarts 2\n", "state failed\nrestarts 2\n"] {
            let now = status(text);
            let judged = judge(Some(&ready), Some(&now), Health::Healthy, SETTLE);
            assert_eq!(judged, Some(Outcome::Failed), "{text}");
        }
        // A job that has done its work.
        let stopped = status("state stopped\nrestarts 2\n");
        assert_eq!(judge(Some(&ready), Some(&stopped), Health::Unchecked, SETTLE), Some(Outcome::Done));
        assert_eq!(judge(Some(&ready), None, Health::Unchecked, SETTLE), Some(Outcome::Failed));
    }
}
