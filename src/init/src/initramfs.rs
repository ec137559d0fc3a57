//! First stage, in the initramfs: mounts the SquashFS that lies in it, with a size-limited tmpfs over it, and makes that
//! the root (as switch_root(8) does). What was unpacked is deleted on the way, so that its RAM is free again; the SquashFS
//! stays where the boot loader put it, behind its loop device.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::Path;

use contract::paths::{BOOT_MODULE_DIR, BOOT_MODULES, IMAGE_STORE, INIT, ROOT_SUM};
use contract::sum::RootSum;
use rustix::mount::{MountFlags, UnmountFlags};

use crate::context::Context;
use crate::failure::Failure;
use crate::modules;
use crate::rescue::{self, Ask};
use crate::retained::{self, Extent, INITRD};
use crate::steps::{self, Action, Need, Step};
use crate::{console, sys};

const LOWER: &str = "/stage/lower";
const RW: &str = "/stage/rw";
const NEW_ROOT: &str = "/stage/root";

const NO_EXEC: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

/// The kernel does not mount devtmpfs for an initramfs.
const API: &[Step] = &[
    Step { what: "mount proc", path: "/proc", need: Need::Required, action: Action::Mount("proc", NO_EXEC, c"") },
    Step { what: "mount sysfs", path: "/sys", need: Need::Required, action: Action::Mount("sysfs", NO_EXEC, c"") },
    Step {
        what: "mount devtmpfs",
        path: "/dev",
        need: Need::Required,
        action: Action::Mount("devtmpfs", MountFlags::NOSUID, c"mode=0755"),
    },
    Step::call("open", "/dev/console", Need::Optional, |_| open_console()),
];

const ROOT: &[Step] = &[
    Step::call("load modules of", BOOT_MODULES, Need::Optional, load_modules),
    Step::call("mount squashfs of", INITRD, Need::Required, mount_image),
    Step::call("mount tmpfs", RW, Need::Required, mount_upper),
    Step::call("mount overlay", NEW_ROOT, Need::Required, mount_overlay),
    Step::call("mount container images at", IMAGE_STORE, Need::Optional, |_| show_images()),
    Step::call("detach", "/stage", Need::Required, |_| detach_stage()),
    Step::call("empty", "/", Need::Optional, |_| empty_initramfs()),
    Step::call("switch to", NEW_ROOT, Need::Required, |_| switch_root()),
];

/// Runs the stage. It ends in the root's PID 1, or in the rescue.
pub(crate) fn run() -> ! {
    let early = Context { settings: Default::default(), command_line: String::new() };
    // All are tried before the rescue, whose shell needs what can be had of them.
    let mut reasons = Vec::new();
    steps::run(API, &early, |reason| reasons.push(reason.to_owned()));
    let context = Context::read();
    if !reasons.is_empty() {
        rescue::last_resort(&reasons.join("\n"), Ask::First);
    }
    steps::run(ROOT, &context, |reason| rescue::last_resort(reason, Ask::First));
    // The descriptors are /dev/console; all others are close-on-exec.
    let error = std::process::Command::new(INIT).env_clear().exec();
    let failure = Failure::new("execute", INIT, error).with_hint("the image is damaged: write it to its medium again");
    rescue::last_resort(&failure.to_string(), Ask::First)
}

/// Standard input, output and error become the console.
fn open_console() -> Result<(), Failure> {
    let path = "/dev/console";
    let console = File::options().read(true).write(true).open(path).map_err(Failure::of("open", path))?;
    let copied = rustix::stdio::dup2_stdin(&console)
        .and_then(|()| rustix::stdio::dup2_stdout(&console))
        .and_then(|()| rustix::stdio::dup2_stderr(&console));
    copied.map_err(Failure::of("duplicate", path))
}

/// Loads every listed module; those that fail are printed, since the kernel may have the feature built in.
fn load_modules(context: &Context) -> Result<(), Failure> {
    let order = fs::read_to_string(BOOT_MODULES).map_err(Failure::of("read", BOOT_MODULES))?;
    for name in order.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let parameters = modules::parameters(&context.command_line, &modules::name_of(name));
        match modules::insert(&format!("{BOOT_MODULE_DIR}/{name}"), &parameters) {
            Ok(()) => console::step(format_args!("load module {name}")),
            Err(failure) => console::say(&failure.to_string()),
        }
    }
    Ok(())
}

/// Mounts the SquashFS through a loop device, which goes away with the mount.
fn mount_image(_: &Context) -> Result<(), Failure> {
    let image = File::open(INITRD).map_err(|error| {
        Failure::new("open", INITRD, error).with_hint("the kernel command line must have retain_initrd")
    })?;
    let part = find_image(&image)?;
    let (device, _open) = attach_image(&image, part)?;
    fs::create_dir_all(LOWER).map_err(Failure::of("create", LOWER))?;
    let flags = MountFlags::RDONLY | MountFlags::NODEV;
    let mounted = rustix::mount::mount(&device, LOWER, "squashfs", flags, None);
    mounted.map_err(|error| {
        let hint = match error {
            rustix::io::Errno::NODEV => "the kernel has no SquashFS: is its module in the initramfs?",
            _ => DAMAGED,
        };
        Failure::new(format!("mount squashfs of {} bytes at {} of", part.size, part.offset), INITRD, error)
            .with_hint(hint)
    })
}

const DAMAGED: &str = "write the image to its medium again, or use another medium";

/// Where the SquashFS is, every byte of it as it was built.
fn find_image(image: &File) -> Result<Extent, Failure> {
    let read_at = |buffer: &mut [u8], at| image.read_at(buffer, at);
    let damaged = |what: String| {
        let error = io::Error::other(format!("the boot medium is damaged: {what}"));
        Failure::new("check", INITRD, error).with_hint(DAMAGED)
    };
    let text = fs::read_to_string(ROOT_SUM).map_err(|_| damaged("the kernel could not unpack all of it".into()))?;
    let expected = RootSum::decode(&text).map_err(|problem| damaged(format!("{ROOT_SUM}: {problem}")))?;
    let part = retained::find(&read_at).map_err(Failure::of("read", INITRD))?;
    let part = part.ok_or_else(|| damaged("the root is not there".into()))?;
    let found = retained::sum(&read_at, part).map_err(Failure::of("read", INITRD))?;
    if found.size != expected.size {
        return Err(damaged(format!("of {} bytes of the root it has {}", expected.size, found.size)));
    }
    if found.xxh64 != expected.xxh64 {
        let (found, expected) = (found.xxh64, expected.xxh64);
        return Err(damaged(format!("the root's xxh64 is {found:016x}, expected {expected:016x}")));
    }
    console::step(format_args!("check {INITRD}: xxh64 {:016x}", found.xxh64));
    Ok(part)
}

/// A loop device over a part of the file, with a descriptor: it goes away when nobody uses it.
fn attach_image(image: &File, part: Extent) -> Result<(String, File), Failure> {
    const CONTROL: &str = "/dev/loop-control";
    let control = File::options().read(true).write(true).open(CONTROL).map_err(Failure::of("open", CONTROL))?;
    let number = sys::free_loop_device(control.as_fd()).map_err(Failure::of("find a loop device", CONTROL))?;
    let path = format!("/dev/loop{number}");
    let device = File::open(&path).map_err(Failure::of("open", &path))?;
    // Larger blocks make fewer requests; a device ends at its last whole block.
    let block_size = if part.size.is_multiple_of(4096) { 4096 } else { 512 };
    sys::attach_loop(device.as_fd(), image.as_fd(), part, block_size).map_err(Failure::of("attach", &path))?;
    Ok((path, device))
}

fn mount_upper(context: &Context) -> Result<(), Failure> {
    let percent = context.settings.overlay_percent.clamp(1, 100);
    let data = CString::new(format!("size={percent}%,mode=0755")).unwrap_or_default();
    fs::create_dir_all(RW).map_err(Failure::of("create", RW))?;
    rustix::mount::mount("overlay-upper", RW, "tmpfs", MountFlags::empty(), data.as_c_str())
        .map_err(Failure::of("mount tmpfs", RW))
}

fn mount_overlay(_: &Context) -> Result<(), Failure> {
    for folder in ["/stage/rw/upper", "/stage/rw/work", NEW_ROOT] {
        fs::create_dir_all(folder).map_err(Failure::of("create", folder))?;
    }
    let data = c"lowerdir=/stage/lower,upperdir=/stage/rw/upper,workdir=/stage/rw/work";
    rustix::mount::mount("overlay", NEW_ROOT, "overlay", MountFlags::empty(), data)
        .map_err(Failure::of("mount overlay", NEW_ROOT))
}

/// Puts the folder of the SquashFS with container images over what the overlay makes of it, see [`IMAGE_STORE`].
fn show_images() -> Result<(), Failure> {
    let store = format!("{LOWER}{IMAGE_STORE}");
    if !Path::new(&store).exists() {
        return Ok(());
    }
    let target = format!("{NEW_ROOT}{IMAGE_STORE}");
    rustix::mount::mount_bind(&store, &target).map_err(Failure::of("mount container images at", &target))
}

/// The overlay keeps private copies of the two mounts below it, so those are taken out of sight.
fn detach_stage() -> Result<(), Failure> {
    for path in [LOWER, RW] {
        rustix::mount::unmount(path, UnmountFlags::DETACH).map_err(Failure::of("detach", path))?;
    }
    Ok(())
}

/// Deletes all that was unpacked: its memory cannot be had back otherwise. Refuses if `/` is not RAM: a tmpfs, or, with
/// `rootfstype=ramfs` on the command line, a ramfs (`init_rootfs` of `init/do_mounts.c`).
fn empty_initramfs() -> Result<(), Failure> {
    // `linux/magic.h`
    const RAMFS_MAGIC: u64 = 0x8584_58f6;
    const TMPFS_MAGIC: u64 = 0x0102_1994;
    let kind = rustix::fs::statfs("/").map_err(Failure::of("stat", "/"))?.f_type.cast_unsigned();
    if kind != RAMFS_MAGIC && kind != TMPFS_MAGIC {
        return Err(Failure::new("empty", "/", io::Error::other("not a RAM file system")));
    }
    let device = fs::metadata("/").map_err(Failure::of("stat", "/"))?.dev();
    empty(Path::new("/"), device).map_err(Failure::of("empty", "/"))
}

fn empty(folder: &Path, device: u64) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let found = fs::symlink_metadata(&path)?;
        if found.dev() != device {
            continue;
        }
        if found.is_dir() {
            empty(&path, device)?;
            // Not empty if something is mounted in it.
            let _ = fs::remove_dir(&path);
        } else {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn switch_root() -> Result<(), Failure> {
    for path in ["/proc", "/sys", "/dev"] {
        let target = format!("{NEW_ROOT}{path}");
        rustix::mount::mount_move(path, &target).map_err(Failure::of("move mount to", &target))?;
    }
    rustix::process::chdir(NEW_ROOT).map_err(Failure::of("change to", NEW_ROOT))?;
    rustix::mount::mount_move(".", "/").map_err(Failure::of("move to /", NEW_ROOT))?;
    rustix::process::chroot(".").map_err(Failure::of("change root to", NEW_ROOT))?;
    rustix::process::chdir("/").map_err(Failure::of("change to", "/"))
}
