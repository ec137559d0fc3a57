//! The start in a container: what its manager has not mounted, then the services. Nothing that would reach the host, which
//! a privileged container can: its kernel's parameters, modules, clock, watchdog, power button and disks.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use contract::paths::{CONTAINER, RUN_DIR, SERVICE_STATE_DIR};
use rustix::fs::{FileType, Mode, OFlags};

use crate::context::Context;
use crate::failure::Failure;
use crate::root::{self, NO_EXEC, SAFE, link, mount};
use crate::signals::Signals;
use crate::steps::{self, Action, Need, Step, is_mounted};
use crate::supervisor::Supervisor;
use crate::{cgroup, console, shutdown, unmount};

const STEPS: &[Step] = &[
    Step::call("make mounts shared below", "/", Need::Optional, |_| root::share_mounts()),
    Step::call("set up", "/run", Need::Optional, |_| set_up_run()),
    Step::call("write", CONTAINER, Need::Optional, |context| {
        fs::write(CONTAINER, format!("{}\n", context.command_line)).map_err(Failure::of("write", CONTAINER))
    }),
    mount("mount devpts", "/dev/pts", Need::Optional, "devpts", root::DEVPTS, root::DEVPTS_DATA),
    mount("mount tmpfs", "/dev/shm", Need::Optional, "tmpfs", SAFE, c"mode=1777,size=25%"),
    mount("mount mqueue", "/dev/mqueue", Need::Optional, "mqueue", NO_EXEC, c""),
    Step::call("make", "/dev/fuse", Need::Optional, |_| make_device("/dev/fuse", 10, 229)),
    Step::call("make", "/dev/net/tun", Need::Optional, |_| make_device("/dev/net/tun", 10, 200)),
    link("/dev/fd", "/proc/self/fd"),
    link("/dev/stdin", "/proc/self/fd/0"),
    link("/dev/stdout", "/proc/self/fd/1"),
    link("/dev/stderr", "/proc/self/fd/2"),
    Step { what: "create", path: SERVICE_STATE_DIR, need: Need::Optional, action: Action::Folder },
    root::LOGS,
    Step { what: "create", path: "/run/lock", need: Need::Optional, action: Action::Folder },
    Step::call("mount tmpfs", "/run/user", Need::Optional, root::mount_user_folder),
    Step::call("set up cgroups in", cgroup::ROOT, Need::Optional, |_| {
        cgroup::enter_namespace()?;
        cgroup::set_up()
    }),
    Step::call("set limits of", "processes", Need::Optional, |_| root::set_limits()),
];

/// Runs until the container is to end.
pub(crate) fn run() -> ! {
    unmount::remember();
    // A pipe that nobody reads from must not stop PID 1.
    if let Ok(flags) = rustix::fs::fcntl_getfl(rustix::stdio::stderr()) {
        let _ = rustix::fs::fcntl_setfl(rustix::stdio::stderr(), flags | OFlags::NONBLOCK);
    }
    let signals = match Signals::block() {
        Ok(signals) => signals,
        Err(error) => fail(&Failure::new("listen to", "signals", error).to_string()),
    };
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let context = Context::read();
    steps::run(STEPS, &context, |reason| fail(reason));
    let mut supervisor = Supervisor::new(&context, &signals);
    let leave = supervisor.run();
    shutdown::run(supervisor, leave)
}

/// Ends the container where PID 1 cannot go on.
pub(crate) fn fail(reason: &str) -> ! {
    console::say(reason);
    std::process::exit(1)
}

/// What is in `/run` is of this run alone: a root that is kept would have engine and services find what their last run has
/// left. What the manager has mounted below stays in sight.
fn set_up_run() -> Result<(), Failure> {
    if !is_mounted("/run") {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        if unmount::has_below(&mounts, "/run", &[".containerenv"]) {
            console::say("/run keeps what the last run has left: something is mounted below it");
        } else {
            rustix::mount::mount("tmpfs", "/run", "tmpfs", SAFE, c"mode=0755,size=20%")
                .map_err(Failure::of("mount tmpfs", "/run"))?;
        }
    }
    let _ = fs::remove_dir_all(RUN_DIR);
    fs::create_dir_all(RUN_DIR).map_err(Failure::of("create", RUN_DIR))
}

/// A device that engines need, where the manager has left it out. Whether it may be opened is the manager's business.
fn make_device(path: &str, major: u32, minor: u32) -> Result<(), Failure> {
    if fs::exists(path).unwrap_or(false) {
        return Ok(());
    }
    if let Some((folder, _)) = path.rsplit_once('/') {
        fs::create_dir_all(folder).map_err(Failure::of("create", folder))?;
    }
    let number = rustix::fs::makedev(major, minor);
    let mode = Mode::from_raw_mode(0o666);
    rustix::fs::mknodat(rustix::fs::CWD, path, FileType::CharacterDevice, mode, number)
        .map_err(Failure::of("make", path))?;
    fs::set_permissions(path, Permissions::from_mode(0o666)).map_err(Failure::of("set mode of", path))
}
