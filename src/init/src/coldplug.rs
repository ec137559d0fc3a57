//! `init modules`: the service that loads modules for hardware. First for all that is there, then those of
//! [`LOAD_MODULES`], then for whatever appears.
//!
//! A process of its own, so that neither a driver that takes seconds to probe nor the text of the alias list is a matter
//! of PID 1. Loading a bus driver makes devices appear later (SCSI disks behind a controller); their uevents are heard
//! from before the first look at `/sys` on, so none is missed.

use std::collections::HashSet;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use contract::paths::{LOAD_MODULES, MODULES_LOADED};
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::alias::Aliases;
use crate::console;
use crate::context::Context;
use crate::failure::Failure;
use crate::modules::{Lists, Loader};
use crate::sysctl;
use crate::{sys, uevent};

/// Devices behind a controller that was just loaded should show up within this time after the last that did.
const QUIET_MS: u32 = 50;
/// Looks at the socket, each of up to [`QUIET_MS`], before the first round counts as done whatever happens.
const SETTLE_ROUNDS: u32 = 40;

/// Device nodes, below `/dev`, that users without rights may open, as udev's default rules have it elsewhere: each
/// checks by itself what its user may do. Containers of users need the first two, virtual machines in them the others.
const OPEN_TO_ALL: [&str; 4] = ["net/tun", "fuse", "kvm", "vsock"];

/// Loads modules until it is killed; returns only if it cannot hear uevents.
pub(crate) fn run(context: &Context) {
    let late_keys = sysctl::missing();
    let socket = match sys::uevent_socket() {
        Ok(socket) => socket,
        Err(error) => return console::say(&Failure::new("listen to", "uevents", error).to_string()),
    };
    let lists = Lists::read();
    let mut plug = Plug {
        aliases: Aliases::parse(&lists.aliases),
        loader: Loader::new(&lists, &context.command_line),
        seen: HashSet::new(),
        socket,
    };
    plug.all_devices();
    plug.waiting_uevents();
    plug.listed_modules();
    OPEN_TO_ALL.iter().for_each(|node| open_to_all(node));
    sysctl::apply(&late_keys);
    for _ in 0..SETTLE_ROUNDS {
        if !plug.wait(Some(QUIET_MS)) {
            break;
        }
        plug.waiting_uevents();
    }
    if let Err(error) = fs::write(MODULES_LOADED, "") {
        console::say(&Failure::new("write", MODULES_LOADED, error).to_string());
    }
    loop {
        plug.wait(None);
        plug.waiting_uevents();
    }
}

struct Plug<'a> {
    aliases: Aliases<'a>,
    loader: Loader<'a>,
    seen: HashSet<String>,
    socket: OwnedFd,
}

impl Plug<'_> {
    /// Every device of every bus. Its folders are flat, a tenth of what a walk through `/sys/devices` would open; of the
    /// classes only `input` and `dmi` have modaliases.
    fn all_devices(&mut self) {
        for bus in entries("/sys/bus") {
            self.devices_in(&format!("/sys/bus/{bus}/devices"));
        }
        for class in ["/sys/class/input", "/sys/class/dmi"] {
            self.devices_in(class);
        }
    }

    fn devices_in(&mut self, folder: &str) {
        for device in entries(folder) {
            if let Ok(modalias) = fs::read_to_string(Path::new(folder).join(device).join("modalias")) {
                self.load(modalias.trim_end());
            }
        }
    }

    fn load(&mut self, modalias: &str) {
        if modalias.is_empty() || !self.seen.insert(modalias.to_owned()) {
            return;
        }
        for module in self.aliases.modules(modalias) {
            match self.loader.load_for_device(module) {
                Ok(()) => console::step(format_args!("module {module} for {modalias}")),
                Err(failure) => console::say(&format!("{failure}, for {modalias}")),
            }
        }
    }

    fn listed_modules(&mut self) {
        let list = fs::read_to_string(LOAD_MODULES).unwrap_or_default();
        for name in list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            match self.loader.load_for_device(name) {
                Ok(()) => console::step(format_args!("module {name} of {LOAD_MODULES}")),
                Err(failure) => console::say(&format!("{failure}, of {LOAD_MODULES}")),
            }
        }
    }

    /// Waits for a uevent; false if none came in time.
    fn wait(&self, timeout_ms: Option<u32>) -> bool {
        let timeout = timeout_ms.map(|ms| Timespec { tv_sec: 0, tv_nsec: i64::from(ms) * 1_000_000 });
        let mut sockets = [PollFd::new(&self.socket, PollFlags::IN)];
        rustix::event::poll(&mut sockets, timeout.as_ref()).is_ok_and(|ready| ready > 0)
    }

    fn waiting_uevents(&mut self) {
        let mut buffer = [0u8; uevent::MESSAGE_BYTES];
        loop {
            match sys::receive_uevent(self.socket.as_fd(), &mut buffer) {
                Ok(message) => {
                    if let Some(modalias) = uevent::added_modalias(message) {
                        let modalias = modalias.to_owned();
                        self.load(&modalias);
                    }
                    if let Some(node) = uevent::added_node(message)
                        && OPEN_TO_ALL.contains(&node)
                    {
                        open_to_all(node);
                    }
                }
                // Some were lost: look at everything again, what is loaded stays so.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    self.all_devices();
                    OPEN_TO_ALL.iter().for_each(|node| open_to_all(node));
                }
                Err(_) => return,
            }
        }
    }
}

/// Lets everybody open a device, if the machine has it.
fn open_to_all(node: &str) {
    let path = format!("/dev/{node}");
    match fs::set_permissions(&path, fs::Permissions::from_mode(0o666)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            console::say(&Failure::new("set the mode of", path, error).to_string());
        }
        _ => {}
    }
}

/// Names in a folder, none if it cannot be read.
fn entries(folder: &str) -> Vec<String> {
    let Ok(folder) = fs::read_dir(folder) else { return Vec::new() };
    folder.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}
