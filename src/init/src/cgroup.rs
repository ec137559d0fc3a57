//! cgroup v2: PID 1 and each service get a group of their own, all controllers are handed down.
//!
//! A group with processes of its own cannot hand controllers down (kernel `Documentation/admin-guide/cgroup-v2.rst`,
//! "No Internal Process Constraint"); for the root that matters as soon as an engine makes groups in it.

use std::fs::{self, File};
use std::io;

use contract::service::Limits;

use crate::failure::Failure;
use crate::root::NO_EXEC;
use crate::sys;

pub(crate) const ROOT: &str = "/sys/fs/cgroup";
const OWN: &str = "/sys/fs/cgroup/init";
const SERVICES: &str = "/sys/fs/cgroup/system";

/// Moves PID 1 into its own group and enables every controller for the root's and the services' children.
pub(crate) fn set_up() -> Result<(), Failure> {
    make(OWN)?;
    let procs = format!("{OWN}/cgroup.procs");
    fs::write(&procs, "0").map_err(Failure::of("move PID 1 to", &procs))?;
    // As little as PID 1 needs stays in memory whatever the others take (cgroup-v2.rst, "memory.min").
    let _ = fs::write(format!("{OWN}/memory.min"), "4M");
    make(SERVICES)?;
    hand_down(ROOT)?;
    hand_down(SERVICES)
}

/// In a container whose cgroup namespace is the host's: one of its own, so that the container's group is the root here, too.
/// Without cgroup v2 there is nothing to set up.
pub(crate) fn enter_namespace() -> Result<(), Failure> {
    let own = fs::read_to_string("/proc/self/cgroup").map_err(Failure::of("read", "/proc/self/cgroup"))?;
    if own.trim_end() != "0::/" {
        if !own.starts_with("0::/") || own.lines().count() != 1 {
            let error = io::Error::other("not only cgroup v2, services have no groups");
            return Err(Failure::new("use", "/proc/self/cgroup", error));
        }
        sys::new_cgroup_namespace().map_err(Failure::of("make cgroup namespace for", own.trim_end()))?;
        rustix::mount::mount("cgroup2", ROOT, "cgroup2", NO_EXEC, c"").map_err(Failure::of("mount cgroup2", ROOT))?;
    }
    // Written as files, groups would look as if they were there.
    const CGROUP2_MAGIC: rustix::fs::FsWord = 0x6367_7270;
    let found = rustix::fs::statfs(ROOT).map_err(Failure::of("look at", ROOT))?;
    if found.f_type != CGROUP2_MAGIC {
        rustix::mount::mount("cgroup2", ROOT, "cgroup2", NO_EXEC, c"").map_err(Failure::of("mount cgroup2", ROOT))?;
    }
    Ok(())
}

fn make(path: &str) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(Failure::of("create cgroup", path))
}

/// Enables all controllers at once; if the kernel refuses, one by one, so that one bad controller costs only itself.
fn hand_down(group: &str) -> Result<(), Failure> {
    let list = format!("{group}/cgroup.controllers");
    let control = format!("{group}/cgroup.subtree_control");
    let controllers = fs::read_to_string(&list).map_err(Failure::of("read", &list))?;
    let all: Vec<String> = controllers.split_whitespace().map(|name| format!("+{name}")).collect();
    if fs::write(&control, all.join(" ")).is_ok() {
        return Ok(());
    }
    let mut result = Ok(());
    for controller in all {
        if let Err(error) = fs::write(&control, &controller) {
            result = Err(Failure::new(format!("write {controller} to"), &control, error));
        }
    }
    result
}

/// The service's `cgroup.procs`, made if need be; `None` where there are no cgroups.
pub(crate) fn of_service(name: &str) -> Option<File> {
    let group = format!("{SERVICES}/{name}");
    if let Err(error) = fs::create_dir(&group)
        && error.kind() != io::ErrorKind::AlreadyExists
    {
        return None;
    }
    fs::OpenOptions::new().write(true).open(format!("{group}/cgroup.procs")).ok()
}

/// Sets the limits of the service's group, which must be there. A service that has reached its memory limit is killed
/// whole, so that it starts again instead of limping on.
pub(crate) fn limit(name: &str, limits: &Limits) -> Result<(), Failure> {
    let memory = limits.memory_mib.map(|mib| mib.saturating_mul(1 << 20));
    let text = |value: Option<u64>| value.map(|value| value.to_string());
    let files = [
        ("pids.max", text(limits.pids)),
        ("memory.max", text(memory)),
        ("memory.oom.group", text(memory.map(|_| 1))),
        ("cpu.max", limits.cpu_percent.map(cpu_max)),
    ];
    for (file, value) in files {
        let Some(value) = value else { continue };
        let path = format!("{SERVICES}/{name}/{file}");
        fs::write(&path, value).map_err(Failure::of("limit", &path))?;
    }
    Ok(())
}

/// Microseconds in each tenth of a second (cgroup-v2.rst, "cpu.max").
fn cpu_max(percent: u64) -> String {
    format!("{} 100000", percent.saturating_mul(1000))
}

/// Kills every process of the service's group.
pub(crate) fn kill(name: &str) {
    let _ = fs::write(format!("{SERVICES}/{name}/cgroup.kill"), "1");
}

#[cfg(test)]
mod tests {
    #[test]
    fn processor_time_is_a_share_of_a_tenth_of_a_second() {
        assert_eq!(super::cpu_max(50), "50000 100000");
        assert_eq!(super::cpu_max(250), "250000 100000");
    }
}
