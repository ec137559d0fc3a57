//! `distroctl rootless`: what users' containers need to be there before anybody logs in.

use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use contract::paths;

use super::users::{self, User};
use super::{cgroup, run_folder, socket, spawn, store};
use crate::console::log;

/// What the user's own rights make in his folders, since a link of his could lead root elsewhere. Layers are staged in
/// `storage/tmp`, and what a power cut left there is of no use. The configuration is rewritten at every boot; the user's
/// own is `containers.conf` beside it, or a later name.
const OWN_FOLDERS: &str = r#"
umask 077
mkdir -p "$STORE/storage" "$XDG_RUNTIME_DIR/podman" "$HOME/.config/containers/containers.conf.d"
rm -rf "$STORE/storage/tmp"
mkdir -p "$STORE/storage/tmp"
ln -sfn "$API" "$XDG_RUNTIME_DIR/podman/podman.sock"
cat > "$HOME/.config/containers/containers.conf.d/10-distro.conf" << END
[engine]
# Puts containers where their limits count, and where they outlive the session.
conmon_path = ["$HELPERS/conmon"]
helper_binaries_dir = ["$HELPERS", "/usr/lib/podman", "/usr/libexec/podman", "/usr/bin"]
END
"#;

/// Prepares all users. One who cannot be costs only himself.
pub(crate) fn run() -> Result<ExitCode> {
    open_devices();
    // Users find their own folder in it and see no other.
    folder(Path::new(paths::USER_STORES), 0o711, None)?;
    folder(Path::new("/run/user"), 0o755, None)?;
    cgroup::make_root().unwrap_or_else(|error| log(&format!("{error:#}; users' containers have no limits")));
    let failed = prepare_all(&users::all());
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prepares users who have come since the boot, and has them served. Where nobody is served there is nothing to do.
pub(crate) fn take_in() -> Result<()> {
    if !Path::new(paths::USER_ENGINES).exists() {
        return Ok(());
    }
    // One who could not be prepared is not served, and is tried again.
    let is_new = |user: &User| !Path::new(&socket(user.uid)).exists();
    let new: Vec<User> = users::all().into_iter().filter(is_new).collect();
    if prepare_all(&new) < new.len() {
        UnixStream::connect(paths::ROOTLESS).with_context(|| format!("connecting to {}", paths::ROOTLESS))?;
    }
    Ok(())
}

/// How many could not be prepared; each of them costs only himself.
fn prepare_all(users: &[User]) -> usize {
    let failed = users.iter().filter(|user| {
        let result = prepare(user);
        result.as_ref().is_err_and(|error| {
            log(&format!("containers of {}: {error:#}", user.name));
            true
        })
    });
    failed.count()
}

fn prepare(user: &User) -> Result<()> {
    let owner = Some((user.uid, user.gid));
    folder(Path::new(&store(user.uid)), 0o700, owner)?;
    folder(Path::new(&run_folder(user.uid)), 0o700, owner)?;
    cgroup::delegate(user.uid, user.gid).unwrap_or_else(|error| log(&format!("{error:#}")));
    let mut command = spawn::command(user, "/bin/sh", None)?;
    command.args(["-ec", OWN_FOLDERS]);
    command.env("STORE", store(user.uid)).env("API", socket(user.uid)).env("HELPERS", super::launch::FOLDER);
    let status = command.status().context("starting /bin/sh")?;
    if !status.success() {
        bail!("making folders: /bin/sh: {status}");
    }
    Ok(())
}

/// Made with its owner and mode; one that is there, from the data disk, gets them.
fn folder(path: &Path, mode: u32, owner: Option<(u32, u32)>) -> Result<()> {
    let what = || format!("making {}", path.display());
    if !path.is_dir() {
        DirBuilder::new().recursive(true).mode(mode).create(path).with_context(what)?;
    }
    std::fs::set_permissions(path, Permissions::from_mode(mode)).with_context(what)?;
    let Some((uid, gid)) = owner else { return Ok(()) };
    chown(path, Some(uid), Some(gid)).with_context(what)
}

/// Everybody may open these elsewhere, too: what they let one do is decided by rights over a network namespace.
fn open_devices() {
    let _ = std::fs::set_permissions("/dev/net/tun", Permissions::from_mode(0o666));
}

#[cfg(test)]
mod tests {
    use super::folder;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn folders_have_their_mode() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b");
        for mode in [0o711, 0o700] {
            folder(&path, mode, None).unwrap();
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, mode);
        }
        assert!(folder("/proc/none".as_ref(), 0o700, None).unwrap_err().to_string().contains("/proc/none"));
    }
}
