//! The search for the data disk while drivers are still finding disks: look, wait for the kernel to tell of something new,
//! look again; and know when nothing more is to be expected, because a guest without a data disk waits all of it.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};

use super::block::{Device, list};
use super::luks;
use super::superblock::{self, FileSystem};
use crate::console::log;
use crate::{file, modules};

/// Where the kernel lists block devices.
pub(super) const CLASS_BLOCK: &str = "/sys/class/block";
/// How often to look without being told: states of controllers come without an event.
const POLL: Duration = Duration::from_millis(100);
/// Subsystems whose events mean that a disk may follow.
const STORAGE: [&str; 12] =
    ["block", "module", "scsi", "pci", "usb", "nvme", "mmc", "mmc_host", "virtio", "ata_port", "xen", "vmbus"];

/// A device with the label that was looked for.
#[derive(Debug, Clone)]
pub(super) struct Match {
    pub(super) device: Device,
    pub(super) file_system: FileSystem,
    /// In an open container on the device.
    pub(super) is_encrypted: bool,
}

impl Match {
    /// The device node that the file system is on.
    pub(super) fn node(&self) -> PathBuf {
        if self.is_encrypted { contract::paths::DATA_OPENED.into() } else { self.device.node() }
    }
}

/// What a search found: the matches in order of preference, encrypted ones apart, and the names of all devices looked at.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) matches: Vec<Match>,
    pub(super) encrypted: Vec<Device>,
    pub(super) looked_at: Vec<String>,
}

/// How long to look for a disk that does not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// As long as something happens that a disk may follow from.
    WhileBusy,
    /// So long, whatever happens: the user knows of a disk that is slow.
    Exactly(Duration),
}

impl Patience {
    /// Whether to give up, `total` after the start and `quiet` after the last sign of a new disk.
    fn is_over(self, total: Duration, quiet: Duration, activity: Activity) -> bool {
        match self {
            Self::WhileBusy => quiet >= activity.allowance(),
            Self::Exactly(limit) => total >= limit,
        }
    }
}

/// What is known to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Activity {
    /// Modules are being loaded for the hardware that was there at start.
    Modules,
    /// A controller has not said yet which disks it has.
    Controller,
    /// Nothing, but USB devices come on their own.
    Usb,
    /// Nothing.
    None,
}

impl Activity {
    /// How long this may go on without any event. Slow, emulated machines need the first; the second is for controllers
    /// that never get a disk.
    fn allowance(self) -> Duration {
        Duration::from_millis(match self {
            Self::Modules => 30_000,
            Self::Controller => 5_000,
            Self::Usb => 1_000,
            Self::None => 250,
        })
    }

    /// Probing of PCI, ATA and virtio disks ends before their module's initialisation does (the kernel waits for its own
    /// asynchronous probing there). USB storage waits a second (`usb_storage.delay_use`) before it looks for disks, and NVMe
    /// looks for name spaces in the background.
    fn now() -> Self {
        let loaded = Path::new(contract::paths::MODULES_LOADED).exists();
        if !loaded || modules::any_loading(&std::fs::read_to_string("/proc/modules").unwrap_or_default()) {
            return Self::Modules;
        }
        let empty_usb = |host: PathBuf| {
            let driver = file::first_line(host.join("proc_name"));
            (driver == "usb-storage" || driver == "uas") && !has_child(&host.join("device"), "target")
        };
        if children("/sys/class/scsi_host").any(empty_usb)
            || children("/sys/class/nvme").any(|controller| !has_child(&controller, "nvme"))
        {
            return Self::Controller;
        }
        if children("/sys/bus/usb/devices").next().is_some() { Self::Usb } else { Self::None }
    }
}

/// Whether hardware that was there at start may still show a disk.
pub(crate) fn is_busy() -> bool {
    matches!(Activity::now(), Activity::Modules | Activity::Controller)
}

/// Looks for file systems and encrypted containers with this label until one is there or patience is over.
pub(super) fn find(label: &str, patience: Patience) -> Found {
    let events = subscribe().inspect_err(|error| log(&format!("listening for new disks: {error}"))).ok();
    let start = Instant::now();
    let mut last_event = start;
    let mut failed = BTreeSet::new();
    loop {
        // Asked before the look: what has ended by now has shown its disks.
        let activity = Activity::now();
        let found = look(label, &mut failed);
        if !found.matches.is_empty()
            || !found.encrypted.is_empty()
            || patience.is_over(start.elapsed(), last_event.elapsed(), activity)
        {
            return found;
        }
        if wait(events.as_ref()) {
            last_event = Instant::now();
            failed.clear();
        }
    }
}

/// One look at all devices. `failed` keeps those that cannot be read, so that a dying disk is asked once per event only.
fn look(label: &str, failed: &mut BTreeSet<String>) -> Found {
    let mut found = Found::default();
    for device in list(Path::new(CLASS_BLOCK)) {
        found.looked_at.push(device.name.clone());
        if failed.contains(&device.name) {
            continue;
        }
        match File::open(device.node()).and_then(superblock::head) {
            Ok(head) => {
                if let Some(header) = luks::recognize(&head) {
                    if luks::is_ours(&header, &device, label) {
                        found.encrypted.push(device);
                    }
                } else if let Some(file_system) = superblock::recognize(&head, device.partition)
                    && file_system.is_labelled(label.as_bytes())
                {
                    found.matches.push(Match { device, file_system, is_encrypted: false });
                }
            }
            Err(error) => {
                log(&format!("reading {}: {error}", device.node().display()));
                failed.insert(device.name);
            }
        }
    }
    found
}

fn children(folder: &str) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn has_child(folder: &Path, prefix: &str) -> bool {
    std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
}

/// A socket with the kernel's events: group 1 of NETLINK_KOBJECT_UEVENT (kernel `lib/kobject_uevent.c`).
fn subscribe() -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(KOBJECT_UEVENT))?;
    bind(&socket, &SocketAddrNetlink::new(0, 1))?;
    Ok(socket)
}

/// Waits for events, at most [`POLL`]. Whether there was one of storage.
fn wait(events: Option<&OwnedFd>) -> bool {
    let Some(events) = events else {
        std::thread::sleep(POLL);
        return false;
    };
    let timeout = Timespec { tv_sec: 0, tv_nsec: POLL.as_nanos() as i64 };
    let _ = poll(&mut [PollFd::from_borrowed_fd(events.as_fd(), PollFlags::IN)], Some(&timeout));
    let mut storage = false;
    let mut message = [0; 8192];
    loop {
        match recv(events, &mut message[..], RecvFlags::empty()) {
            Ok((length, _)) => storage |= is_storage(message.get(..length).unwrap_or_default()),
            Err(rustix::io::Errno::INTR) => {}
            // More events than fit: some of them may have been of storage.
            Err(rustix::io::Errno::NOBUFS) => storage = true,
            Err(_) => return storage,
        }
    }
}

/// An event is `ACTION@PATH` and `KEY=value` fields, each ended by NUL.
fn is_storage(message: &[u8]) -> bool {
    message
        .split(|&byte| byte == 0)
        .filter_map(|field| field.strip_prefix(b"SUBSYSTEM="))
        .any(|subsystem| STORAGE.iter().any(|name| name.as_bytes() == subsystem))
}

#[cfg(test)]
mod tests {
    use super::{Activity, Patience, is_storage};
    use std::time::Duration;

    #[test]
    fn gives_up_when_nothing_more_is_expected() {
        let ms = Duration::from_millis;
        let over = |quiet, activity| Patience::WhileBusy.is_over(ms(60_000), ms(quiet), activity);
        assert!(over(250, Activity::None) && !over(200, Activity::None));
        assert!(over(1000, Activity::Usb) && !over(900, Activity::Usb));
        assert!(over(5000, Activity::Controller) && !over(4000, Activity::Controller));
        assert!(over(30_000, Activity::Modules) && !over(29_000, Activity::Modules));
        let exactly = Patience::Exactly(ms(2000));
        assert!(exactly.is_over(ms(2000), ms(0), Activity::Modules));
        assert!(!exactly.is_over(ms(1999), ms(1999), Activity::None));
    }

    #[test]
    fn knows_events_of_storage() {
        assert!(is_storage(b"add@/devices/x/block/vda\0ACTION=add\0DEVPATH=/x\0SUBSYSTEM=block\0DEVNAME=vda\0"));
        assert!(!is_storage(b"add@/devices/virtual/net/lo\0ACTION=add\0SUBSYSTEM=net\0"));
        assert!(!is_storage(b"add@/x\0SUBSYSTEM=blocks\0"));
        assert!(!is_storage(b""));
    }
}
