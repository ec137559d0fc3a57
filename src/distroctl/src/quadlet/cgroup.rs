//! Cgroups of Quadlet services. A service's own group, which PID 1 kills as a whole, holds its runner in `main` beside the
//! container's group: a group with children that have limits may have no processes of its own (kernel
//! `Documentation/admin-guide/cgroup-v2.rst`, "No Internal Process Constraint").
//!
//! podman itself runs in a group that belongs to no service: what it leaves behind for all containers (the name server of
//! networks) must outlive the one that happened to be first.

use std::ffi::CString;
use std::fs;
use std::io;

/// Group of podman's own processes.
const SHARED: &str = "/sys/fs/cgroup/quadlet";

/// Moves this process into the service's group.
pub(super) fn enter(service: &str) {
    let group = format!("/sys/fs/cgroup/system/{service}/main");
    let moved = fs::create_dir_all(&group).and_then(|()| fs::write(format!("{group}/cgroup.procs"), "0"));
    if let Err(error) = moved {
        crate::console::log(&format!("moving to {group}: {error}"));
    }
}

/// The file by which a child moves itself into podman's group; `None` where there is none.
pub(super) fn shared() -> Option<CString> {
    match fs::create_dir(SHARED) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => None,
        _ => CString::new(format!("{SHARED}/cgroup.procs")).ok(),
    }
}
