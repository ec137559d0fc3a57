//! Containers of users without root's rights. Podman expects systemd to give every user a control group, a run-time folder
//! and services; here it is done by
//!
//! - [`prepare`], once at boot: folders, control groups, the user's configuration;
//! - [`serve`], a thread of `distroctl keep-containers`: moves containers' parents ([`launch`]) into their user's group,
//!   starts a user's engine when somebody connects to its API, and what keeps his containers.
//!
//! Nothing of it takes memory for a user who has no containers.

mod cgroup;
pub(crate) mod launch;
mod prepare;
mod serve;
mod spawn;
mod stop;
mod users;

pub(crate) use prepare::{run as prepare, take_in};
pub(crate) use serve::serve;
pub(crate) use stop::Stops;

/// Users who may have containers: uid and name.
pub(crate) fn users() -> impl Iterator<Item = (u32, String)> {
    users::all().into_iter().map(|user| (user.uid, user.name))
}

/// Where a user's engine answers.
pub(crate) fn socket(uid: u32) -> String {
    format!("{}/{uid}.sock", contract::paths::USER_ENGINES)
}

/// The user's run-time folder.
pub(crate) fn run_folder(uid: u32) -> String {
    format!("/run/user/{uid}")
}

/// The folder of the user's containers.
pub(crate) fn store(uid: u32) -> String {
    format!("{}/{uid}", contract::paths::USER_STORES)
}
