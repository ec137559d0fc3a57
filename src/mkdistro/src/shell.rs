//! A program inside a root, without booting it: the files of the tree in a temporary folder, new user, mount and process
//! namespaces (user_namespaces(7)), `pivot_root`. Needs no rights; all files are root's, and root is the caller.
//!
//! A namespace takes effect for the children of the process that makes it, and a user namespace only for a process with one
//! thread. So the program starts itself twice: [`outside`] makes the namespaces, [`inside`] mounts and becomes the program.

use std::ffi::{CStr, OsString};
use std::fs::{self, DirBuilder};
use std::io::{ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus};

use anyhow::{Context, Result};
use formats::tree::{Kind, Tree};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive};
use rustix::thread::UnshareFlags;

use crate::problem::{Class, Problem};

/// Devices that programs expect; an ordinary user cannot make them, only show those of the host.
const DEVICES: [&str; 6] = ["full", "null", "random", "tty", "urandom", "zero"];

/// Writes a tree into an empty folder as far as an ordinary user can: everything is the caller's, without set-uid bits, and
/// device nodes are left out.
///
/// # Errors
/// Class `Output`: it cannot be written.
pub fn extract(tree: &Tree, folder: &Path) -> Result<()> {
    for (path, node) in tree.iter().skip(1) {
        let target = folder.join(std::ffi::OsStr::from_bytes(path));
        let mode = u32::from(node.mode) & 0o777;
        let written = match &node.kind {
            // Parents come first, and must be written into.
            Kind::Directory => DirBuilder::new().mode(mode | 0o700).create(&target),
            Kind::File(content) => fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(mode)
                .open(&target)
                .and_then(|mut file| file.write_all(content)),
            Kind::Symlink(link) => symlink(std::ffi::OsStr::from_bytes(link), &target),
            Kind::CharDevice(..) | Kind::BlockDevice(..) | Kind::Fifo => Ok(()),
        };
        written.map_err(|error| Problem::error(Class::Output, format!("writing {}: {error}", target.display()), ""))?;
    }
    Ok(())
}

/// Runs `command` in the root in `folder` and waits for it. `entry` are the arguments by which this program calls
/// [`outside`] and, with `--inside` after them, [`inside`].
///
/// # Errors
/// This program cannot be started again.
pub fn run(entry: &[&str], folder: &Path, command: &[OsString]) -> Result<ExitCode> {
    // Ctrl-C is for the command: its caller has a folder to remove afterwards.
    handle_keys(libc::SIG_IGN);
    let status = again(entry, &["--outside"], folder, command).status();
    handle_keys(libc::SIG_DFL);
    Ok(exit_code(status.context("starting mkdistro again")?))
}

/// What Ctrl-C and Ctrl-\\ do to this process and, if they are ignored, to those it starts.
fn handle_keys(action: libc::sighandler_t) {
    for signal in [libc::SIGINT, libc::SIGQUIT] {
        // SAFETY: no handler is installed, only one of the two fixed actions.
        unsafe { libc::signal(signal, action) };
    }
}

/// Ends this process with the one that started it, however that ends.
fn end_with_parent() -> Result<()> {
    let signal = Some(rustix::process::Signal::KILL);
    rustix::process::set_parent_process_death_signal(signal).context("asking to end with the parent")
}

fn again(entry: &[&str], stage: &[&str], folder: &Path, command: &[OsString]) -> Command {
    let mut again = Command::new("/proc/self/exe");
    again.args(entry).args(stage).arg(folder).arg("--").args(command);
    again
}

/// First stage: makes the namespaces, and starts the second one in them.
///
/// # Errors
/// The kernel does not allow it.
pub fn outside(entry: &[&str], folder: &Path, command: &[OsString]) -> Result<ExitCode> {
    end_with_parent()?;
    let (uid, gid) = (rustix::process::getuid(), rustix::process::getgid());
    let flags = UnshareFlags::NEWUSER
        | UnshareFlags::NEWNS
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWIPC;
    // SAFETY: the descriptor table stays shared (no `UnshareFlags::FILES`).
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(|error| refused("making namespaces", &error.into()))?;
    // A group map may be written only after setgroups has been given up.
    for (file, content) in [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("0 {} 1", uid.as_raw())),
        ("gid_map", format!("0 {} 1", gid.as_raw())),
    ] {
        let path = format!("/proc/self/{file}");
        fs::write(&path, content).map_err(|error| refused(&format!("writing {path}"), &error))?;
    }
    let status = again(entry, &["--inside"], folder, command).status().context("starting mkdistro again")?;
    Ok(exit_code(status))
}

/// Second stage, as process 1 of the namespaces: mounts, changes the root and becomes the command.
///
/// # Errors
/// A mount fails, or the command is not there; it does not come back otherwise.
pub fn inside(folder: &Path, command: &[OsString]) -> Result<ExitCode> {
    end_with_parent()?;
    mounts(folder)?;
    handle_keys(libc::SIG_DFL);
    let term = std::env::var_os("TERM").unwrap_or_else(|| "dumb".into());
    let (program, arguments) = command.split_first().context("no command was given")?;
    let error = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs([("PATH", "/usr/local/bin:/usr/bin:/bin"), ("HOME", "/root"), ("SHELL", "/bin/sh"), ("LANG", "C.UTF-8")])
        .env("TERM", term)
        .exec();
    let problem = anyhow::Error::new(error).context(format!("running {} in the root", program.display()));
    Err(problem)
}

fn mounts(folder: &Path) -> Result<()> {
    let step = |what: &str, done: rustix::io::Result<()>| done.map_err(|error| refused(what, &error.into()));
    let all = MountPropagationFlags::REC | MountPropagationFlags::PRIVATE;
    step("making mounts private", rustix::mount::mount_change("/", all))?;
    // A new root must be a mount of its own.
    step("mounting the root", mount_bind(folder, folder))?;
    let at = |path: &str| folder.join(path);
    for path in ["proc", "dev", "tmp", "run"] {
        match fs::create_dir(at(path)) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| format!("making /{path} of the root"));
            }
            _ => {}
        }
    }
    let kernel = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let plain = MountFlags::NOSUID | MountFlags::NODEV;
    let no_options: Option<&CStr> = None;
    // Inside a container that hides parts of /proc, a new one is refused; the host's is better than none.
    step(
        "mounting /proc",
        mount("proc", at("proc"), "proc", kernel, no_options).or_else(|_| mount_bind_recursive("/proc", at("proc"))),
    )?;
    for (path, mode) in [("dev", c"mode=755"), ("tmp", c"mode=1777"), ("run", c"mode=755")] {
        step(&format!("mounting /{path}"), mount("tmpfs", at(path), "tmpfs", plain, mode))?;
    }
    for name in DEVICES.iter().filter(|name| Path::new("/dev").join(name).exists()) {
        let target = at("dev").join(name);
        fs::write(&target, "").with_context(|| format!("making /dev/{name} of the root"))?;
        step(&format!("mounting /dev/{name}"), mount_bind(Path::new("/dev").join(name), &target))?;
    }
    for (link, target) in [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")] {
        symlink(target, at("dev").join(link)).with_context(|| format!("making /dev/{link} of the root"))?;
    }
    std::env::set_current_dir(folder).context("entering the root")?;
    // Both names the same: the old root ends up on top of the new one and is taken off (pivot_root(2)).
    step("changing the root", rustix::process::pivot_root(".", "."))?;
    step("leaving the old root", rustix::mount::unmount(".", UnmountFlags::DETACH))?;
    std::env::set_current_dir("/").context("entering the root")
}

/// What the kernel did not allow, with the settings that decide it.
fn refused(action: &str, error: &std::io::Error) -> anyhow::Error {
    let limits = matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::StorageFull);
    let hint = if limits {
        "user namespaces are not allowed here: see the sysctls user.max_user_namespaces, \
         kernel.unprivileged_userns_clone and kernel.apparmor_restrict_unprivileged_userns, and the limits of the \
         container if this is one; \"mkdistro run\" boots the system instead"
    } else {
        ""
    };
    Problem::error(Class::Output, format!("{action}: {error}"), hint)
}

/// That of a shell: the status, or 128 and the signal.
fn exit_code(status: ExitStatus) -> ExitCode {
    let signal = status.signal().map(|signal| 128 + signal);
    ExitCode::from(status.code().or(signal).and_then(|code| u8::try_from(code).ok()).unwrap_or(contract::exit::FAILURE))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::problem::exit_code as class_code;
    use crate::root::testing::{file, folder, link, tree};

    #[test]
    fn extracts_what_a_user_can() {
        let tree = tree(&[
            ("proc", folder(0o555)),
            ("proc/x", file("x", 0o400)),
            ("usr/bin/sudo", file("ELF", 0o4755)),
            ("bin", link("usr/bin")),
        ]);
        let dir = tempfile::tempdir().unwrap();
        extract(&tree, dir.path()).unwrap();
        let mode = |path: &str| fs::symlink_metadata(dir.path().join(path)).unwrap().permissions().mode();
        assert_eq!(mode("proc") & 0o7700, 0o700);
        assert_eq!(mode("usr/bin/sudo") & 0o7700, 0o700);
        assert_eq!(fs::read_to_string(dir.path().join("bin/sudo")).unwrap(), "ELF");
        let again = extract(&tree, dir.path()).unwrap_err();
        assert_eq!(class_code(&again), contract::exit::OUTPUT);
    }

    #[test]
    fn a_refusal_names_the_settings() {
        let error = refused("making namespaces", &std::io::Error::from_raw_os_error(1));
        assert_eq!(error.to_string(), "making namespaces: Operation not permitted (os error 1)");
        assert!(error.downcast_ref::<Problem>().unwrap().hint.starts_with("user namespaces are not allowed here"));
        let other = refused("x", &std::io::Error::from_raw_os_error(22));
        assert_eq!(other.downcast_ref::<Problem>().unwrap().hint, "");
    }
}
