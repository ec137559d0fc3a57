//! Quadlet files and timers without systemd: unit files (systemd.syntax(7)) of podman's kinds (podman-systemd.unit(5), podman
//! 5.4), `.service` and `.timer`, read and turned into what the guest's supervisor runs.
//!
//! Nothing here does any I/O: texts and facts come in, services, commands and problems (file, line, what) go out. What podman
//! itself would make of the same files is compared by `examples/fixtures.rs`.

mod argv;
mod calendar;
mod convert;
mod keys;
mod names;
mod plan;
mod problem;
mod relations;
mod set;
mod specifier;
pub mod time_span;
pub mod timer;
mod unit_file;
pub mod words;

pub use calendar::{Calendar, Civil, days_in_month};
pub use convert::{Command, Manager, Step, Unit, World};
pub use names::Kind;
pub use plan::{Main, Plan, Plans, RUNNER, plans};
pub use problem::{Place, Problem, Severity};
pub use set::{Loaded, Source, load};
pub use specifier::Host;
pub use unit_file::{Entry, FILE_MAX, UnitFile};

#[cfg(test)]
mod fuzz_tests;
#[cfg(test)]
mod tests;
