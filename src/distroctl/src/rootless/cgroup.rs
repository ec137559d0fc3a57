//! Control groups that belong to users: what systemd calls delegation (cgroup-v2.rst, "Delegation"). The user may make
//! groups below his own, move his processes between them, and limit them with the controllers that are handed down to him.
//! His own group's limits stay root's.
//!
//! Crun makes a container's group beside the one that it runs in itself if podman names none, which it does not for
//! users (crun 1.21, `cgroup-cgroupfs.c`): so all that starts containers runs in a group below the user's.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use contract::paths;

/// Of containers' parents.
pub(super) const CONMON: &str = "conmon";
/// Of the user's engine.
pub(super) const ENGINE: &str = "engine";
/// Of what keeps his containers.
pub(super) const KEEPER: &str = "keeper";

/// What a user gets with his group (`/sys/kernel/cgroup/delegate`, less what concerns memory pressure).
const DELEGATED: [&str; 3] = ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"];

/// The group of all users.
pub(super) fn make_root() -> Result<()> {
    let root = Path::new(paths::USER_CGROUPS);
    make(root)?;
    hand_down(root)
}

/// A user's group with those below it that are used here.
pub(super) fn delegate(uid: u32, gid: u32) -> Result<()> {
    let own = of_user(uid);
    make(&own)?;
    hand_down(&own)?;
    give(&own, uid, gid)?;
    for name in [CONMON, ENGINE, KEEPER] {
        let group = own.join(name);
        make(&group)?;
        give(&group, uid, gid)?;
    }
    Ok(())
}

/// Where a process id is written to move it to this group of a user.
pub(super) fn open(uid: u32, name: &str) -> Result<File> {
    let path = of_user(uid).join(name).join("cgroup.procs");
    OpenOptions::new().write(true).open(&path).with_context(|| format!("opening {}", path.display()))
}

/// Whether a process is in this group.
pub(super) fn has_processes(uid: u32, name: &str) -> bool {
    let path = of_user(uid).join(name).join("cgroup.procs");
    fs::read_to_string(path).is_ok_and(|text| !text.is_empty())
}

fn of_user(uid: u32) -> PathBuf {
    Path::new(paths::USER_CGROUPS).join(uid.to_string())
}

fn make(path: &Path) -> Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o755).create(path);
    made.with_context(|| format!("making control group {}", path.display()))
}

fn give(group: &Path, uid: u32, gid: u32) -> Result<()> {
    for path in DELEGATED.iter().map(|file| group.join(file)).chain([group.to_path_buf()]) {
        chown(&path, Some(uid), Some(gid)).with_context(|| format!("giving {} to {uid}", path.display()))?;
    }
    Ok(())
}

/// One by one: a controller that is refused costs only itself.
fn hand_down(group: &Path) -> Result<()> {
    let list = group.join("cgroup.controllers");
    let controllers = fs::read_to_string(&list).with_context(|| format!("reading {}", list.display()))?;
    for controller in controllers.split_whitespace() {
        let _ = fs::write(group.join("cgroup.subtree_control"), format!("+{controller}"));
    }
    Ok(())
}
