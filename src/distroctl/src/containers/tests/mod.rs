//! Tests of the containers' programs, with what podman 5.4.2 has really said (`testdata/`) and with an engine that only knows
//! what it is told here.

mod at_rest;
mod boot;
mod engine;
mod events;
mod fake;
mod health;
mod keep;
mod stop;

/// An id of one character.
fn id(c: char) -> String {
    c.to_string().repeat(64)
}
