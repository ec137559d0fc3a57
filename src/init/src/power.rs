//! The power button: every input device with a power key (`linux/input-event-codes.h`: `KEY_POWER`). New devices are
//! noticed by inotify on `/dev/input`, which devtmpfs reports for nodes the kernel makes.

use std::fs::{self, File, OpenOptions};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::inotify;

use crate::{container, sys};

const FOLDER: &str = "/dev/input";
const KEY_POWER: u16 = 116;

/// Open input devices.
#[derive(Debug)]
pub(crate) struct Buttons {
    watch: Option<OwnedFd>,
    has_folder: bool,
    devices: Vec<File>,
}

impl Buttons {
    /// Opens those that are there; in a container they are the host's.
    pub(crate) fn new() -> Self {
        if container::is_one() {
            return Self { watch: None, has_folder: false, devices: Vec::new() };
        }
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK).ok();
        let mut buttons = Self { watch, has_folder: false, devices: Vec::new() };
        buttons.scan();
        buttons
    }

    fn scan(&mut self) {
        if let Some(watch) = &self.watch
            && !self.has_folder
        {
            self.has_folder = inotify::add_watch(watch, FOLDER, inotify::WatchFlags::CREATE).is_ok();
            if !self.has_folder {
                let _ = inotify::add_watch(watch, "/dev", inotify::WatchFlags::CREATE);
            } else if let Ok(id) = inotify::add_watch(watch, "/dev", inotify::WatchFlags::CREATE) {
                let _ = inotify::remove_watch(watch, id);
            }
        }
        // A node may have been made anew under its old name, so all are opened anew.
        self.devices.clear();
        let Ok(folder) = fs::read_dir(FOLDER) else { return };
        for entry in folder.flatten() {
            if entry.file_name().as_encoded_bytes().starts_with(b"event") {
                self.devices.extend(open(&entry.path()));
            }
        }
    }

    /// Descriptors to wait for.
    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.watch.iter().map(AsFd::as_fd).chain(self.devices.iter().map(AsFd::as_fd))
    }

    /// Takes what waits in them; true if the button was pressed.
    pub(crate) fn pressed(&mut self) -> bool {
        let mut pressed = false;
        self.devices.retain(|device| {
            loop {
                match sys::key_pressed(device.as_fd(), KEY_POWER) {
                    Ok(Some(is_power)) => pressed |= is_power,
                    Ok(None) => return true,
                    // Unplugged.
                    Err(_) => return false,
                }
            }
        });
        if let Some(watch) = &self.watch {
            let mut buffer = [0u8; 1024];
            let mut has_news = false;
            while rustix::io::read(watch, &mut buffer).is_ok_and(|count| count > 0) {
                has_news = true;
            }
            if has_news {
                self.scan();
            }
        }
        pressed
    }
}

fn open(path: &Path) -> Option<File> {
    let flags = libc::O_NONBLOCK | libc::O_CLOEXEC;
    let device = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    if !sys::has_key(device.as_fd(), KEY_POWER) {
        return None;
    }
    sys::hear_only_key(device.as_fd(), KEY_POWER);
    Some(device)
}
