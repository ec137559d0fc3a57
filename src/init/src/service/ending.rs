//! What [`super::stop`] asks for, done: the stop command, the stop signal, the kill.

use contract::service::Service;

use super::process::{self, NotStarted};
use super::table::Unit;
use crate::console;
use crate::failure::Failure;
use crate::{cgroup, sys};

/// Starts the stop command; its pid, or nothing if that failed, which is printed.
pub(crate) fn command(service: &Service) -> Option<i32> {
    console::say(&format!("stopping {}", service.name));
    match process::start_stop_command(service) {
        Ok(pid) => Some(pid),
        Err(why) => {
            if let NotStarted::Failed { error, .. } = why {
                let program = service.stop_command.first().cloned().unwrap_or_default();
                console::say(&Failure::new(format!("stop {} by", service.name), program, error).to_string());
            }
            None
        }
    }
}

/// Sends the stop signal.
pub(crate) fn signal(unit: &Unit) {
    let service = &unit.service;
    let Some(pid) = unit.pid else { return };
    if service.tty.is_some() {
        // Shells ignore SIGTERM; this is what a closed terminal sends.
        let _ = sys::kill(-pid, libc::SIGHUP);
        let _ = sys::kill(-pid, libc::SIGCONT);
    } else {
        console::say(&format!("stopping {}", service.name));
        let _ = sys::kill(pid, service.stop_signal);
    }
}

/// Kills all of its cgroup.
pub(crate) fn kill(unit: &Unit) {
    let service = &unit.service;
    if unit.pid.is_some() && service.tty.is_none() {
        console::say(&format!("{} does not stop: killing it", service.name));
    }
    cgroup::kill(&service.name);
    if let Some(pid) = unit.pid {
        let _ = sys::kill(pid, libc::SIGKILL);
    }
}
