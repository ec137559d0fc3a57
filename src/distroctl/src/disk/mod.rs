//! `distroctl disk`: the data disk. A file system is ours if it has our label, a partition if it has our type and name; nothing
//! else is ever opened for writing, but the partition table of the disk it lies on, to grow it.
//!
//! Without a data disk the engine's store is a tmpfs: podman's overlay driver does not work on the overlay that the root is.

mod archive;
mod asked;
mod block;
mod care;
mod check;
mod format;
mod fresh;
mod gpt;
mod grow;
mod luks;
mod partition;
mod search;
mod seed;
mod superblock;
mod volumes;

use std::ffi::{CStr, CString};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use contract::{cmdline, paths};
use rustix::mount::{MountFlags, UnmountFlags};

pub(crate) use care::{repair, trim, trim_weekly};
pub(crate) use search::is_busy;
pub(crate) use volumes::volumes;

use crate::console::{self, log};
use crate::guest::Guest;
use crate::{file, modules, overlay};
use block::Device;
use check::Verdict;
use luks::Asked;
use search::{Found, Match, Patience};
use superblock::Kind;

/// The engine's store, the first of [`paths::PERSISTED`].
const STORE: &str = "/var/lib/containers";

/// What became of the data disk.
enum Outcome {
    Mounted { device: String, read_only: bool },
    None(String),
}

/// `distroctl disk mount`. A guest without a usable data disk works in RAM, so that is no failure.
pub(crate) fn mount() -> Result<ExitCode> {
    let guest = Guest::load();
    let outcome = match wanted_label(&guest) {
        None => Outcome::None(format!("{}=none on the kernel command line", cmdline::DATA)),
        Some(label) => {
            let mut found = search::find(&label, patience(&guest));
            if found.matches.is_empty() && found.encrypted.is_empty() {
                luks::tell_of_lost(&guest, &label);
                found.matches.extend(format::format(&guest, &label));
                if found.matches.is_empty() && asked::partition(&guest, &label) {
                    found.matches.extend(format::format(&guest, &label));
                }
            }
            use_found(&guest, &label, &found, Asked::Consoles)
        }
    };
    if matches!(outcome, Outcome::Mounted { read_only: false, .. }) {
        let (sink, source) = (Path::new("/dev/urandom"), Path::new("/dev/random"));
        seed::renew(Path::new(paths::RANDOM_SEED), sink, source)
            .unwrap_or_else(|error| guest.warn(&format!("random seed: {error:#}")));
    } else {
        store_in_ram(&guest).unwrap_or_else(|error| guest.warn(&format!("{error:#}")));
    }
    record(&outcome)?;
    Ok(ExitCode::SUCCESS)
}

/// `distroctl disk unlock`: an encrypted data disk whose key was missing at boot.
pub(crate) fn unlock() -> Result<ExitCode> {
    ensure!(rustix::process::geteuid().is_root(), "only root may open it\nhint: sudo distroctl disk unlock");
    let state = file::first_line(paths::DATA_STATE);
    ensure!(!state.starts_with("device "), "the data disk is in use: {state}");
    let guest = Guest::load();
    let label = wanted_label(&guest).unwrap_or_else(|| guest.settings.data_label.clone());
    let found = search::find(&label, Patience::Exactly(Duration::ZERO));
    ensure!(!found.encrypted.is_empty(), "there is no encrypted disk labelled {label}");
    let outcome = use_found(&guest, &label, &Found { matches: Vec::new(), ..found }, Asked::Caller);
    if let Outcome::None(reason) = &outcome {
        bail!("it stays closed: {reason}");
    }
    record(&outcome)?;
    console::print(
        "services that began without it go on without it; sudo reboot, or sudo distroctl service restart NAME\n",
    )
}

/// Keeps what became of it for the other programs.
fn record(outcome: &Outcome) -> Result<()> {
    let state = match outcome {
        Outcome::Mounted { device, read_only } => {
            format!("device {device}{}", if *read_only { " read-only" } else { "" })
        }
        Outcome::None(reason) => format!("none {reason}"),
    };
    log(&format!("data disk: {state}"));
    std::fs::create_dir_all(paths::RUN_DIR).with_context(|| format!("making {}", paths::RUN_DIR))?;
    file::replace(Path::new(paths::DATA_STATE), format!("{state}\n").as_bytes(), 0o644, None)
}

/// The label to look for; `None` if the command line forbids to look.
fn wanted_label(guest: &Guest) -> Option<String> {
    match guest.option(cmdline::DATA) {
        Some("none") => None,
        Some(label) if !label.is_empty() && label != cmdline::FORMAT_BLANK => Some(label.into()),
        _ => Some(guest.settings.data_label.clone()),
    }
}

/// `distro.waitdisk=SECONDS` is waited for in full; without it as long as disks may still appear.
fn patience(guest: &Guest) -> Patience {
    let Some(value) = guest.option(cmdline::WAIT_DISK) else { return Patience::WhileBusy };
    match value.parse() {
        Ok(seconds) => Patience::Exactly(Duration::from_secs(seconds)),
        Err(_) => {
            guest.warn(&format!("{}={value}: expected a number of seconds", cmdline::WAIT_DISK));
            Patience::WhileBusy
        }
    }
}

fn use_found(guest: &Guest, label: &str, found: &Found, asked: Asked) -> Outcome {
    let all: Vec<&Device> = found.encrypted.iter().chain(found.matches.iter().map(|found| &found.device)).collect();
    let Some(first) = all.first() else {
        let looked_at = if found.looked_at.is_empty() { "no disk".into() } else { found.looked_at.join(", ") };
        guest.warn(&format!(
            "no data disk: no file system labelled {label} (found: {looked_at}); containers and images are kept in RAM \
             and are lost at power off"
        ));
        return Outcome::None(format!("no file system labelled {label}"));
    };
    // What can be opened is preferred to what anybody could have put beside it, and not replaced by it without its key.
    let plain = found.matches.first().filter(|_| found.encrypted.is_empty() || !luks::is_there());
    let device = plain.map_or(*first, |chosen| &chosen.device);
    if all.len() > 1 {
        let nodes: Vec<String> = all.iter().map(|device| device.node().display().to_string()).collect();
        guest.warn(&format!("{} have the label {label}; using {}", nodes.join(" and "), device.node().display()));
    }
    let chosen = match plain {
        Some(chosen) => Ok(chosen.clone()),
        None => luks::open(guest, label, device, asked),
    };
    match chosen.and_then(|chosen| Ok((chosen.node(), mount_match(guest, &chosen)?))) {
        Ok((node, read_only)) => Outcome::Mounted { device: node.display().to_string(), read_only },
        Err(error) => {
            let device = device.node().display().to_string();
            guest.warn(&format!("data disk {device} is not used, everything is kept in RAM: {error:#}"));
            Outcome::None(format!("{device}: {}", first_line(&error)))
        }
    }
}

/// What happened, without what to do.
fn first_line(error: &anyhow::Error) -> String {
    format!("{error:#}").lines().next().unwrap_or_default().into()
}

/// Checks, grows and mounts; whether it had to be read-only. An encrypted one is closed when that fails, and else when it is
/// unmounted.
fn mount_match(guest: &Guest, found: &Match) -> Result<bool> {
    let result = check_and_mount(guest, found);
    match (&result, found.is_encrypted) {
        (Ok(_), true) => luks::close_when_unmounted(),
        (Err(_), true) => luks::close(),
        (_, false) => {}
    }
    result
}

fn check_and_mount(guest: &Guest, found: &Match) -> Result<bool> {
    let node = found.node();
    let kind = found.file_system.kind;
    let read_only = match check::check(kind, &node) {
        Verdict::Sound => false,
        Verdict::Unchecked(reason) => {
            guest.warn(&format!("data disk {} is not checked: {reason}", node.display()));
            false
        }
        Verdict::Damaged(reason) => {
            guest.warn(&format!(
                "data disk {} must not be written: {reason}; it is mounted read-only, changes are lost at power off\n\
                 hint: \"distroctl disk repair\" tells what to do",
                node.display(),
            ));
            true
        }
    };
    if !read_only {
        grow::partition(guest, &found.device);
        if found.is_encrypted
            && let Err(error) = luks::resize()
        {
            guest.warn(&format!("{} is not grown: {error:#}", node.display()));
        }
    }
    mount_data(&node, kind, read_only)?;
    if !read_only && kind == Kind::Ext {
        grow::file_system(guest, &node);
    }
    let attach = if read_only { shadow } else { bind };
    attach_all(&paths::PERSISTED, attach, detach).inspect_err(|_| detach(paths::DATA_MOUNT))?;
    Ok(read_only)
}

/// No `discard`: trimming as files are deleted makes cheap SATA disks slow; `fstrim` does it in one go.
fn mount_data(node: &Path, kind: Kind, read_only: bool) -> Result<()> {
    if !std::fs::read_to_string("/proc/filesystems").unwrap_or_default().contains(kind.driver()) {
        modules::load(kind.driver());
    }
    if read_only && let Err(error) = refuse_writes(node) {
        log(&format!("making {} read-only: {error}", node.display()));
    }
    let options = mount_options(kind, read_only);
    let access = if read_only { MountFlags::RDONLY } else { MountFlags::empty() };
    let flags = MountFlags::NOATIME | MountFlags::NODEV | access;
    make_folder(paths::DATA_MOUNT)?;
    let mount = || rustix::mount::mount(node, paths::DATA_MOUNT, kind.driver(), flags, options);
    let result = match mount() {
        // Both drivers want crc32c by request_module at mount, which needs the /sbin/modprobe that may not exist.
        Err(rustix::io::Errno::NOENT) => {
            modules::load("crypto-crc32c");
            mount()
        }
        other => other,
    };
    result.with_context(|| format!("mounting {} ({}) at {}", node.display(), kind.driver(), paths::DATA_MOUNT))
}

/// A read-only mount replays the journal unless it is told not to.
fn mount_options(kind: Kind, read_only: bool) -> &'static CStr {
    match (kind, read_only) {
        (Kind::Ext, false) => c"errors=remount-ro",
        (Kind::Ext, true) => c"noload",
        (Kind::Xfs, false) => c"",
        (Kind::Xfs, true) => c"norecovery",
    }
}

/// Makes the kernel refuse writes to a device until it is reset or the machine starts anew: ext4 cleans up deleted files
/// that were still open even when it is mounted read-only, unless the device is.
fn refuse_writes(node: &Path) -> std::io::Result<()> {
    /// `BLKROSET`, `_IO(0x12, 93)` of the kernel's `include/uapi/linux/fs.h`.
    const BLKROSET: libc::c_int = 0x125d;
    let device = std::fs::File::open(node)?;
    let read_only: libc::c_int = 1;
    // SAFETY: the descriptor is open, and the kernel reads one int at the pointer, which outlives the call.
    match unsafe { libc::ioctl(device.as_raw_fd(), BLKROSET as _, &raw const read_only) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Attaches all folders or, with the first that cannot be, none: a disk that counts as absent must not be in use.
fn attach_all(targets: &[&str], attach: impl Fn(&str) -> Result<bool>, detach: impl Fn(&str)) -> Result<()> {
    let mut attached = Vec::new();
    for target in targets {
        match attach(target) {
            Ok(true) => attached.push(*target),
            Ok(false) => {}
            Err(error) => {
                attached.iter().rev().for_each(|target| detach(target));
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Binds the disk's folder of this path.
fn bind(target: &str) -> Result<bool> {
    let source = format!("{}{target}", paths::DATA_MOUNT);
    make_folder(&source)?;
    make_folder(target)?;
    rustix::mount::mount_bind(&source, target).with_context(|| format!("mounting {source} at {target}"))?;
    Ok(true)
}

/// A disk that must not be written still gives host keys and host name; changes stay in RAM. Not the store, and not what the
/// disk does not have: whether there was something to attach.
fn shadow(target: &str) -> Result<bool> {
    let source = format!("{}{target}", paths::DATA_MOUNT);
    if target == STORE || !Path::new(&source).is_dir() {
        return Ok(false);
    }
    make_folder(target)?;
    overlay::mount(Path::new(&source), Path::new(target))?;
    Ok(true)
}

/// Lazily: what still uses it keeps it, and nobody else gets to it.
fn detach(target: &str) {
    if let Err(error) = rustix::mount::unmount(target, UnmountFlags::DETACH) {
        log(&format!("unmounting {target}: {error}"));
    }
}

/// A tmpfs for the engine's store, limited as the root's upper layer is; not if something is mounted there already.
/// The default limit on inodes (half of the pages of RAM) is too low for images of many small files.
fn store_in_ram(guest: &Guest) -> Result<()> {
    const OVERLAYFS_SUPER_MAGIC: i64 = 0x794c_7630; // linux/magic.h
    make_folder(STORE)?;
    let file_system = rustix::fs::statfs(STORE).with_context(|| format!("asking for the file system of {STORE}"))?;
    if file_system.f_type != OVERLAYFS_SUPER_MAGIC {
        return Ok(());
    }
    let options = CString::new(format!("mode=755,size={}%,nr_inodes=1m", guest.settings.overlay_percent))?;
    rustix::mount::mount("tmpfs", STORE, "tmpfs", MountFlags::NODEV, options.as_c_str())
        .with_context(|| format!("mounting a tmpfs at {STORE}"))
}

fn make_folder(path: &str) -> Result<()> {
    std::fs::create_dir_all(path).with_context(|| format!("making {path}"))
}

#[cfg(test)]
mod tests {
    use super::{Kind, attach_all, mount_options};
    use std::cell::RefCell;

    #[test]
    fn a_disk_that_must_not_be_written_keeps_its_journal() {
        assert_eq!(mount_options(Kind::Ext, true), c"noload");
        assert_eq!(mount_options(Kind::Xfs, true), c"norecovery");
        assert_eq!(mount_options(Kind::Ext, false), c"errors=remount-ro");
        assert_eq!(mount_options(Kind::Xfs, false), c"");
    }

    #[test]
    fn a_folder_that_cannot_be_attached_takes_the_others_back() {
        let done = RefCell::new(Vec::new());
        let attach = |target: &str| {
            if target == "bad" {
                anyhow::bail!("no");
            }
            done.borrow_mut().push(format!("+{target}"));
            Ok(target != "absent")
        };
        let detach = |target: &str| done.borrow_mut().push(format!("-{target}"));
        assert!(attach_all(&["a", "absent", "b", "bad", "c"], attach, detach).is_err());
        assert_eq!(done.take(), ["+a", "+absent", "+b", "-b", "-a"]);
        assert!(attach_all(&["a", "b"], attach, detach).is_ok());
        assert_eq!(done.take(), ["+a", "+b"]);
    }
}
