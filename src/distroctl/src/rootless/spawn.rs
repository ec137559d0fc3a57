//! Processes with a user's rights, in one of his control groups.

use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::Result;

use super::users::User;
use super::{cgroup, run_folder};

/// A command that runs as the user, at home, with the variables of a login. `group` is one of those of [`cgroup`].
pub(super) fn command(user: &User, program: &str, group: Option<&str>) -> Result<Command> {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).uid(user.uid).gid(user.gid);
    // The user's home may be missing.
    command.current_dir(if std::path::Path::new(&user.home).is_dir() { &user.home } else { "/" });
    command.env("HOME", &user.home).env("USER", &user.name).env("LOGNAME", &user.name);
    command.env("XDG_RUNTIME_DIR", run_folder(user.uid));
    for key in ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET"] {
        command.env_remove(key);
    }
    if let Some(group) = group {
        // Opened with root's rights, which count for what is written (`cgroup_file_open` of `kernel/cgroup/cgroup.c`).
        let group = cgroup::open(user.uid, group)?;
        let enter = move || {
            // SAFETY: a write of one byte that lives as long as the program.
            match unsafe { libc::write(group.as_raw_fd(), c"0".as_ptr().cast(), 1) } {
                1 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        };
        // SAFETY: between fork and exec only a system call is made, on a descriptor that exists before.
        unsafe { command.pre_exec(enter) };
    }
    Ok(command)
}
