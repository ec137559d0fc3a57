//! Services: their life as a state machine without system calls ([`table`], [`stop`]), and the calls that make it so.

pub(crate) mod added;
pub(crate) mod backoff;
pub(crate) mod ending;
mod environment;
pub(crate) mod graph;
pub(crate) mod listen;
pub(crate) mod log;
pub(crate) mod notify;
pub(crate) mod process;
pub(crate) mod state;
pub(crate) mod stop;
pub(crate) mod table;
#[cfg(test)]
mod tests;
