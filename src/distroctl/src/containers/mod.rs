//! Containers, as far as the engine leaves them to others: stopping all ([`stop`]), and what podman needs systemd for
//! ([`keep`]).

mod at_rest;
mod boot;
mod engine;
mod events;
mod health;
mod keep;
mod order;
mod place;
mod problems;
mod stop;
#[cfg(test)]
mod tests;
mod unit;
mod work;

pub(crate) use keep::run as keep;
pub(crate) use problems::all as problems;
pub(crate) use stop::stop_all;
pub(crate) use unit::{Health, health_of};

/// The parent of each container; it ends when its `podman container cleanup` has.
const CONMON: &str = "conmon";
