//! `distroctl log-writer`, the service that fills the ring of all messages: kernel and PID 1 from `/dev/kmsg`, services from
//! their files. It copies the ring to the data disk and sends it to a remote syslog.
//!
//! Nobody waits for it. The kernel and the services' files keep what it has not taken yet; if it is gone, PID 1 cuts the
//! files as they grow.

use std::fmt::Write;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use contract::{cmdline, paths};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;

use super::disk::DiskLog;
use super::kmsg::Kmsg;
use super::line::{INFO, Line};
use super::ring::{Cursor, Ring};
use super::services::Services;
use super::syslog::{Sender, Target};
use super::time::{Clock, asleep_us, boot_us};
use crate::console::log;
use crate::guest::Guest;
use crate::{container, file, signals};

/// The ring has half of the tmpfs, in four segments.
const RING_SHARE: u64 = 8;
const SEGMENT_MIN_BYTES: u64 = 64 << 10;
const SEGMENT_MAX_BYTES: u64 = 1 << 20;
/// Kernel records taken at a time.
const RECORDS: usize = 500;
/// Messages come in bursts: they are taken together.
const BURST: Duration = Duration::from_millis(40);
/// How often the data disk and provisioned settings are looked for.
const LOOK: Duration = Duration::from_secs(2);

/// The service: runs until SIGTERM, then takes what is still there.
pub(crate) fn run() -> Result<ExitCode> {
    let stop = signals::requests().context("installing signal handlers")?;
    let mut writer = Writer::open()?;
    let folder = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)
        .context("making an inotify descriptor")?;
    let events = inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
    inotify::add_watch(&folder, paths::SERVICE_LOG_DIR, events)
        .with_context(|| format!("watching {}", paths::SERVICE_LOG_DIR))?;
    loop {
        let is_all = writer.take();
        writer.look();
        let timeout = if is_all { writer.wait() } else { Duration::ZERO };
        let timeout = Timespec::try_from(timeout).ok();
        let mut fds = vec![PollFd::from_borrowed_fd(stop.as_fd(), PollFlags::IN)];
        fds.push(PollFd::from_borrowed_fd(folder.as_fd(), PollFlags::IN));
        fds.extend(writer.kmsg.as_ref().map(|kmsg| PollFd::from_borrowed_fd(kmsg.as_fd(), PollFlags::IN)));
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("waiting for messages"),
        }
        let is_stop = fds.first().is_some_and(|fd| !fd.revents().is_empty());
        let mut buffer = [0u8; 4096];
        while rustix::io::read(&folder, &mut buffer).is_ok_and(|count| count > 0) {}
        if is_stop {
            break;
        }
        let second = Timespec::try_from(BURST).ok();
        let _ = poll(&mut [PollFd::from_borrowed_fd(stop.as_fd(), PollFlags::IN)], second.as_ref());
    }
    while !writer.take() {}
    writer.finish();
    Ok(ExitCode::SUCCESS)
}

enum Disk {
    /// It is not known yet whether there is one.
    Awaited,
    Open(Box<DiskLog>),
    None,
}

struct Writer {
    guest: Guest,
    ring: Ring,
    kmsg: Option<Kmsg>,
    services: Services,
    disk: Disk,
    disk_cursor: Cursor,
    senders: Vec<Sender>,
    is_continued: bool,
    settings_of: Option<SystemTime>,
    next_look: Instant,
}

impl Writer {
    fn open() -> Result<Self> {
        let guest = Guest::load();
        let folder = Path::new(paths::LOG_RING);
        let room = rustix::fs::statvfs(paths::SERVICE_LOG_DIR).map_or(0, |found| found.f_blocks * found.f_frsize);
        let segment_bytes = (room / RING_SHARE).clamp(SEGMENT_MIN_BYTES, SEGMENT_MAX_BYTES);
        let ring = Ring::open(folder, segment_bytes, guest.settings.uid)
            .with_context(|| format!("making {}", paths::LOG_RING))?;
        let is_continued = ring.is_continued();
        let open = || Kmsg::open(is_continued).inspect_err(|error| log(&format!("opening /dev/kmsg: {error}"))).ok();
        // In a container it is the host's.
        let kmsg = if container::is_one() { None } else { open() };
        let disk_cursor = if is_continued { Cursor::end(folder) } else { Cursor::first(folder) };
        Ok(Self {
            guest,
            ring,
            kmsg,
            services: Services::new(Path::new(paths::SERVICE_LOG_DIR)),
            disk: Disk::Awaited,
            disk_cursor,
            senders: Vec::new(),
            is_continued,
            settings_of: None,
            next_look: Instant::now(),
        })
    }

    /// Takes what has come into the ring and on to the disk; false if there may be more.
    fn take(&mut self) -> bool {
        let (now_us, asleep_us) = (boot_us(), asleep_us());
        let mut lines = String::new();
        let mut is_all = true;
        if let Some(kmsg) = &mut self.kmsg {
            is_all &= kmsg.read(RECORDS, |record| {
                let boot_us = record.clock_us.saturating_add(asleep_us).min(now_us);
                Line { boot_us, severity: record.severity, source: record.source, text: record.text }
                    .encode(&mut lines);
            });
        }
        is_all &= self.services.read(|source, severity, text| {
            Line { boot_us: now_us, severity, source, text }.encode(&mut lines);
        });
        if !lines.is_empty() {
            // Without room there is nobody to tell.
            let _ = self.ring.append(&lines);
        }
        self.copy();
        is_all
    }

    fn copy(&mut self) {
        let Disk::Open(disk) = &mut self.disk else { return };
        let clock = Clock::now();
        let (mut text, mut worst) = (String::new(), INFO);
        let _ = self.disk_cursor.read(|line| {
            if let Some(line) = Line::decode(line) {
                text.push_str(&line.show(clock));
                worst = worst.min(line.severity);
            }
        });
        if !text.is_empty()
            && let Err(error) = disk.append(&text, worst)
        {
            log(&format!("<4>writing to {}: {error}; trying again in a minute", paths::DATA_LOG));
        }
        disk.tend(false);
    }

    /// Looks for the data disk and for settings that were provisioned.
    fn look(&mut self) {
        if Instant::now() < self.next_look {
            return;
        }
        self.next_look = Instant::now() + LOOK;
        let changed = std::fs::metadata(paths::PROVISIONED_SETTINGS).and_then(|file| file.modified()).ok();
        if changed != self.settings_of {
            self.settings_of = changed;
            self.guest = Guest::load();
        }
        self.send();
        if matches!(self.disk, Disk::Awaited) {
            self.look_for_disk();
        }
    }

    fn look_for_disk(&mut self) {
        let limit_bytes = u64::from(self.guest.settings.log_disk_mib) << 20;
        let state = file::first_line(paths::DATA_STATE);
        self.disk = match state.strip_prefix("device ") {
            None if state.is_empty() => return,
            Some(device) if !device.ends_with(" read-only") && limit_bytes > 0 => {
                match DiskLog::open(Path::new(paths::DATA_LOG), limit_bytes) {
                    Ok(disk) => Disk::Open(Box::new(disk)),
                    Err(error) => {
                        log(&format!("<4>opening {}: {error}; messages are kept in RAM only", paths::DATA_LOG));
                        Disk::None
                    }
                }
            }
            _ => Disk::None,
        };
        if let Disk::Open(disk) = &mut self.disk
            && !self.is_continued
        {
            let text = begin(&self.guest);
            let line = Line { boot_us: 0, severity: INFO, source: "log", text: &text };
            let _ = disk.append(&line.show(Clock::now()), INFO);
        }
        self.copy();
    }

    /// Starts or ends sending as the settings say now; the command line weighs more.
    fn send(&mut self) {
        let asked = self.guest.option(cmdline::SYSLOG).unwrap_or(&self.guest.settings.log_remote);
        let targets: Vec<Target> = asked.split_whitespace().filter_map(Target::parse).collect();
        self.senders.retain(|sender| targets.contains(sender.target()));
        for target in targets {
            if self.senders.iter().any(|sender| *sender.target() == target) {
                continue;
            }
            match Sender::start(target, Path::new(paths::LOG_RING), self.is_continued) {
                Ok(sender) => self.senders.push(sender),
                Err(error) => log(&format!("<4>starting the thread that sends messages: {error}")),
            }
        }
    }

    fn wait(&self) -> Duration {
        let now = Instant::now();
        let sync = match &self.disk {
            Disk::Open(disk) => disk.due(),
            _ => None,
        };
        let is_settled = !matches!(self.disk, Disk::Awaited);
        let look = if is_settled { Duration::from_secs(10) } else { self.next_look.saturating_duration_since(now) };
        sync.map_or(look, |sync| sync.saturating_duration_since(now).min(look))
    }

    fn finish(&mut self) {
        if let Disk::Open(disk) = &mut self.disk {
            disk.tend(true);
        }
        // The last messages go out if the network is still there; nobody waits longer for them.
        if !self.senders.is_empty() {
            std::thread::sleep(Duration::from_secs(1));
        }
    }
}

/// The first line of a boot on the disk.
fn begin(guest: &Guest) -> String {
    let mut text = format!("begin of {} {}", guest.settings.name, guest.settings.version);
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    let _ = write!(text, ", kernel {kernel}, boot {}", file::first_line("/proc/sys/kernel/random/boot_id"));
    text
}
