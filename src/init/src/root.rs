//! Second stage, in the root: file systems, cgroups, limits, name, loopback, kernel parameters; then the services.

use std::ffi::CString;
use std::fs;

use contract::cmdline;
use contract::paths::{SERVICE_LOG_DIR, SERVICE_STATE_DIR};
use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::process::{Resource, Rlimit};
use rustix::system::RebootCommand;

use crate::context::Context;
use crate::failure::Failure;
use crate::rescue::{self, Ask, Outcome};
use crate::shutdown;
use crate::signals::Signals;
use crate::steps::{self, Action, Need, Step};
use crate::supervisor::Supervisor;
use crate::{cgroup, sys, sysctl};

pub(crate) const SAFE: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);
pub(crate) const NO_EXEC: MountFlags = SAFE.union(MountFlags::NOEXEC);

/// Mounted already by the first stage; here for a root that is booted without one.
const API: &[Step] = &[
    mount("mount proc", "/proc", Need::Required, "proc", NO_EXEC, c""),
    mount("mount sysfs", "/sys", Need::Required, "sysfs", NO_EXEC, c""),
    mount("mount devtmpfs", "/dev", Need::Required, "devtmpfs", MountFlags::NOSUID, c"mode=0755"),
];

const STEPS: &[Step] = &[
    Step::call("make mounts shared below", "/", Need::Optional, |_| share_mounts()),
    mount("mount tmpfs", "/run", Need::Required, "tmpfs", SAFE, c"mode=0755,size=20%"),
    mount("mount tmpfs", "/tmp", Need::Optional, "tmpfs", SAFE, c"mode=1777,size=25%"),
    mount("mount devpts", "/dev/pts", Need::Optional, "devpts", DEVPTS, DEVPTS_DATA),
    mount("mount tmpfs", "/dev/shm", Need::Optional, "tmpfs", SAFE, c"mode=1777,size=25%"),
    mount("mount mqueue", "/dev/mqueue", Need::Optional, "mqueue", NO_EXEC, c""),
    mount("mount cgroup2", "/sys/fs/cgroup", Need::Required, "cgroup2", NO_EXEC, c"nsdelegate,memory_recursiveprot"),
    mount("mount securityfs", "/sys/kernel/security", Need::IfPresent, "securityfs", NO_EXEC, c""),
    mount("mount bpf", "/sys/fs/bpf", Need::IfPresent, "bpf", NO_EXEC, c"mode=0700"),
    mount("mount tracefs", "/sys/kernel/tracing", Need::IfPresent, "tracefs", NO_EXEC, c""),
    mount("mount pstore", "/sys/fs/pstore", Need::IfPresent, "pstore", NO_EXEC, c""),
    mount("mount efivarfs", "/sys/firmware/efi/efivars", Need::IfPresent, "efivarfs", NO_EXEC, c""),
    link("/dev/fd", "/proc/self/fd"),
    link("/dev/stdin", "/proc/self/fd/0"),
    link("/dev/stdout", "/proc/self/fd/1"),
    link("/dev/stderr", "/proc/self/fd/2"),
    Step { what: "create", path: SERVICE_STATE_DIR, need: Need::Optional, action: Action::Folder },
    LOGS,
    Step { what: "create", path: "/run/lock", need: Need::Optional, action: Action::Folder },
    Step::call("mount tmpfs", "/run/user", Need::Optional, mount_user_folder),
    Step::call("set up cgroups in", "/sys/fs/cgroup", Need::Optional, |_| cgroup::set_up()),
    Step::call("set limits of", "processes", Need::Optional, |_| set_limits()),
    Step::call("set", "hostname", Need::Optional, set_hostname),
    Step::call("set up", "lo", Need::Optional, |_| sys::interface_up("lo").map_err(Failure::of("set up", "lo"))),
    Step::call("set parameters of", "/etc/sysctl.d", Need::Optional, |_| {
        sysctl::apply_present();
        Ok(())
    }),
];

pub(crate) const DEVPTS: MountFlags = MountFlags::NOSUID.union(MountFlags::NOEXEC);
pub(crate) const DEVPTS_DATA: &std::ffi::CStr = c"gid=5,mode=620,ptmxmode=666";
pub(crate) const LOGS: Step = Step::call("mount tmpfs", SERVICE_LOG_DIR, Need::Optional, |_| mount_logs());

pub(crate) const fn mount(
    what: &'static str,
    path: &'static str,
    need: Need,
    kind: &'static str,
    flags: MountFlags,
    data: &'static std::ffi::CStr,
) -> Step {
    Step { what, path, need, action: Action::Mount(kind, flags, data) }
}

pub(crate) const fn link(path: &'static str, target: &'static str) -> Step {
    Step { what: "link", path, need: Need::Optional, action: Action::Link(target) }
}

/// Runs the stage until the machine goes down.
pub(crate) fn run() -> ! {
    let signals = match Signals::block() {
        Ok(signals) => signals,
        Err(error) => rescue::last_resort(&Failure::new("listen to", "signals", error).to_string(), Ask::No),
    };
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let early = Context { settings: Default::default(), command_line: String::new() };
    steps::run(API, &early, |reason| open_rescue(reason, &early, &signals));
    let context = Context::read();
    // From now on Ctrl-Alt-Del is a signal.
    let _ = rustix::system::reboot(RebootCommand::CadOff);
    // The kernel would drop messages of a verbose start: ten in five seconds are its default.
    let _ = fs::write("/proc/sys/kernel/printk_devkmsg", "on");
    steps::run(STEPS, &context, |reason| open_rescue(reason, &context, &signals));
    if context.has(cmdline::RESCUE) {
        open_rescue("a shell before the services, as distro.rescue asks", &context, &signals);
    }
    let mut supervisor = Supervisor::new(&context, &signals);
    let leave = supervisor.run();
    shutdown::run(supervisor, leave)
}

/// Opens the rescue shell and waits for its end; or goes down if its user asks for that.
fn open_rescue(reason: &str, context: &Context, signals: &Signals) {
    match rescue::run(reason, signals) {
        Outcome::GoOn => {}
        Outcome::Leave(leave) => shutdown::run(Supervisor::empty(context, signals), leave),
    }
}

/// Container engines want mounts to propagate; systemd does the same.
pub(crate) fn share_mounts() -> Result<(), Failure> {
    let shared = MountPropagationFlags::SHARED | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", shared).map_err(Failure::of("make mounts shared below", "/"))
}

/// The login user's run-time folder, `/run/user/UID`, with a limit of its own, as pam_systemd(8) has it elsewhere:
/// engines without rights keep their state there.
pub(crate) fn mount_user_folder(context: &Context) -> Result<(), Failure> {
    let uid = context.settings.uid;
    let path = format!("/run/user/{uid}");
    let data = CString::new(format!("mode=0700,uid={uid},gid={uid},size=10%")).unwrap_or_default();
    fs::create_dir_all(&path).map_err(Failure::of("create", &path))?;
    rustix::mount::mount("tmpfs", path.as_str(), "tmpfs", SAFE, data.as_c_str())
        .map_err(Failure::of("mount tmpfs", &path))
}

/// A file system of their own for services' logs, so that words cannot fill `/run`, where sockets and locks are made.
fn mount_logs() -> Result<(), Failure> {
    let ram = rustix::system::sysinfo();
    let size_bytes = log_room((ram.totalram as u64).saturating_mul(ram.mem_unit.into()));
    let data = CString::new(format!("mode=0755,size={size_bytes}")).unwrap_or_default();
    fs::create_dir_all(SERVICE_LOG_DIR).map_err(Failure::of("create", SERVICE_LOG_DIR))?;
    rustix::mount::mount("tmpfs", SERVICE_LOG_DIR, "tmpfs", NO_EXEC, data.as_c_str())
        .map_err(Failure::of("mount tmpfs", SERVICE_LOG_DIR))
}

/// 5 % of RAM, 16 MiB at most.
fn log_room(ram_bytes: u64) -> u64 {
    (ram_bytes / 20).min(16 << 20)
}

/// Limits of PID 1, which all services inherit.
///
/// `oom_score_adj` stays 0 everywhere. The kernel never picks PID 1 (`oom_unkillable_task` of `mm/oom_kill.c`), and every
/// child would inherit its value. What protects a daemon would protect what it starts: login sessions of sshd have its
/// value, and conmon gives containers the one it was started with by the engine. A container that takes all memory must
/// be the one to go; daemons are small and start again.
pub(crate) fn set_limits() -> Result<(), Failure> {
    const FILES: Option<u64> = Some(1 << 20);
    let limits = [
        ("nofile", Resource::Nofile, FILES, FILES),
        ("memlock", Resource::Memlock, None, None),
        ("nproc", Resource::Nproc, None, None),
        ("core", Resource::Core, Some(0), None),
    ];
    for (name, resource, current, maximum) in limits {
        rustix::process::setrlimit(resource, Rlimit { current, maximum }).map_err(Failure::of("set limit", name))?;
    }
    Ok(())
}

fn set_hostname(context: &Context) -> Result<(), Failure> {
    let asked = cmdline::value(&context.command_line, cmdline::HOSTNAME).filter(|name| !name.is_empty());
    let name = asked.unwrap_or(&context.settings.hostname);
    rustix::system::sethostname(name.as_bytes()).map_err(Failure::of("set hostname", name))
}
