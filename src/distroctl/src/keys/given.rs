//! An `authorized_keys` that was mounted into a container. It may be the host's own file, so it is never written: where sshd
//! would not take it, or other sources have more keys, a file of ours is mounted over it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};

use super::authorized::Merged;
use crate::{container, file};

/// What is mounted over it.
const OVER: &str = "/run/distro/authorized_keys";

/// Whether the file, or its folder, was mounted.
pub(super) fn is_mounted(path: &Path) -> bool {
    container::is_one() && is_in(&std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default(), path)
}

/// The fifth field of `/proc/self/mountinfo` is what something is mounted at (proc_pid_mountinfo(5)).
fn is_in(mountinfo: &str, path: &Path) -> bool {
    let mut targets = mountinfo.lines().filter_map(|line| line.split(' ').nth(4));
    targets.any(|target| Path::new(target) == path || Some(Path::new(target)) == path.parent())
}

/// Puts the keys in force. `own` is what the mounted file has of them.
pub(super) fn complete(path: &Path, own: &Merged, all: &Merged, uid: u32) -> Result<()> {
    let found = std::fs::metadata(path);
    if own.keys == all.keys && found.is_ok_and(|found| is_taken(found.uid(), found.mode(), uid)) {
        return Ok(());
    }
    file::replace(Path::new(OVER), all.text.as_bytes(), 0o600, Some(uid))?;
    if !path.exists() {
        // The folder was mounted, without the file.
        return file::replace(path, all.text.as_bytes(), 0o600, Some(uid));
    }
    rustix::mount::mount_bind(OVER, path).with_context(|| {
        let hint = "hint: let uid 1000 or root own the file, with mode 0600, or start the container with --privileged";
        format!("mounting all keys over {}\n{hint}", path.display())
    })
}

/// dropbear's rule (`checkfileperm` of `svr-authpubkey.c`): the user's or root's, and nobody else may write.
fn is_taken(owner: u32, mode: u32, uid: u32) -> bool {
    (owner == uid || owner == 0) && mode & 0o022 == 0
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{is_in, is_taken};

    #[test]
    fn sees_the_file_and_its_folder() {
        let at = |target: &str| {
            let mountinfo =
                format!("1 0 0:20 / / rw - overlay overlay rw\n2 1 8:1 /k {target} ro - ext4 /dev/sda rw\n");
            is_in(&mountinfo, Path::new("/home/core/.ssh/authorized_keys"))
        };
        assert!(at("/home/core/.ssh/authorized_keys") && at("/home/core/.ssh"));
        assert!(!at("/home/core") && !at("/home/core/.ssh/authorized_keys2") && !at("/"));
    }

    #[test]
    fn sshd_takes_what_nobody_else_may_write() {
        assert!(is_taken(1000, 0o100600, 1000) && is_taken(0, 0o100644, 1000));
        assert!(!is_taken(1001, 0o100600, 1000));
        assert!(!is_taken(1000, 0o100664, 1000) && !is_taken(1000, 0o100602, 1000));
    }
}
