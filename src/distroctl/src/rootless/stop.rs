//! Stopping users' containers, each user's by a process with his rights.

use std::process::Child;

use anyhow::{Context, Result};

use super::users::{self, User};
use super::{cgroup, spawn};
use crate::console::log;

/// The stops that are under way.
pub(crate) struct Stops(Vec<(String, Child)>);

impl Stops {
    /// Begins for all users who have containers that run.
    pub(crate) fn begin() -> Self {
        let users = users::all().into_iter().filter(|user| cgroup::has_processes(user.uid, cgroup::CONMON));
        let begun = users.filter_map(|user| match begin(&user) {
            Ok(child) => Some((user.name, child)),
            Err(error) => {
                log(&format!("{error:#}"));
                None
            }
        });
        Self(begun.collect())
    }

    /// Waits until they have ended, which they do within their own limits.
    pub(crate) fn wait(self) {
        for (name, mut child) in self.0 {
            match child.wait() {
                Ok(status) if status.success() => {}
                Ok(status) => log(&format!("stopping the containers of {name}: {status}")),
                Err(error) => log(&format!("stopping the containers of {name}: {error}")),
            }
        }
    }
}

fn begin(user: &User) -> Result<Child> {
    let mut command = spawn::command(user, "/usr/bin/distroctl", Some(cgroup::ENGINE))?;
    command.arg("stop-containers").spawn().with_context(|| format!("stopping the containers of {}", user.name))
}
