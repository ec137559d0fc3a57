//! Whether the guest is a container, and what it was told when it was started.

use std::path::Path;

use contract::service::Place;
use contract::{container, paths};

/// Whether PID 1 runs in a container: it says so before any service starts.
pub(crate) fn is_one() -> bool {
    Path::new(paths::CONTAINER).exists()
}

/// Where services run here.
pub(crate) fn place() -> Place {
    if is_one() { Place::Container } else { Place::Machine }
}

/// The value of a variable that the container was started with; only root may know it.
pub(crate) fn variable(name: &str) -> Option<String> {
    if !is_one() {
        return None;
    }
    container::variable(&std::fs::read("/proc/1/environ").ok()?, name)
}

/// The container's own log, as its manager shows it.
pub(crate) const LOG: &str = "/proc/1/fd/1";
