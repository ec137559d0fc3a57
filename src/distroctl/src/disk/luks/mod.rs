//! An encrypted data disk: a LUKS2 container whose label, or the name of whose partition, is the data disk's label. cryptsetup
//! opens it, if the image has it (recipe `cryptsetup`), with a key of QEMU's fw_cfg, of a volume, or of somebody at a console.
//! The file system in it is then treated as one that lies on the disk itself.
//!
//! The container is closed by the kernel when the file system is unmounted, at the latest when PID 1 does it at shutdown.

mod ask;
mod header;
mod key;
mod program;
mod volume;

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use contract::{cmdline, fw_cfg, paths};

pub(super) use header::{Header, recognize};
pub(super) use program::{is_there, resize};

use super::block::{self, Device};
use super::partition::Place;
use super::search::{CLASS_BLOCK, Match};
use super::superblock;
use crate::console::log;
use crate::guest::Guest;
use crate::provision::{self, Root};
use ask::Prompt;
use key::{Found, Key, Sources};
use volume::Volumes;

/// How long consoles ask if the command line does not say.
const ASK: Duration = Duration::from_secs(60);
/// A stick that was there at start shows up within this time.
const SLOW_VOLUMES: Duration = Duration::from_secs(5);
/// Hardware that is still looked for after this long is not waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// All consoles, at boot.
    Consoles,
    /// Whoever has called the program: its terminal, or what is piped into it.
    Caller,
}

/// Whether a container is the data disk by its label or its partition's name.
pub(super) fn is_ours(header: &Header, device: &Device, label: &str) -> bool {
    // Other labels say that it is somebody else's, whatever its partition is named.
    if !header.label.is_empty() {
        return header.label == label.get(..48).unwrap_or(label).as_bytes();
    }
    let place = Place::of(device, Path::new(CLASS_BLOCK)).filter(|_| device.partition);
    place.is_some_and(|place| place.is_named(label).unwrap_or(false))
}

/// Opens a container; the file system in it.
///
/// # Errors
/// It stays closed: why, and what to do.
pub(super) fn open(guest: &Guest, label: &str, device: &Device, asked: Asked) -> Result<Match> {
    let node = device.node();
    if !is_there() {
        bail!(
            "it is encrypted (LUKS), and this image cannot open it\n\
             hint: name the recipe \"cryptsetup\" in distro.toml, [root] recipes, and build again"
        );
    }
    let version = File::open(&node).and_then(superblock::head).ok().and_then(|head| recognize(&head));
    if version.is_some_and(|header| header.version == 1) {
        bail!(
            "it is encrypted by LUKS version 1\n\
             hint: on another machine: \"cryptsetup convert --type luks2 DISK\", then \"cryptsetup config --label {label} DISK\""
        );
    }
    log(&format!("{}: encrypted, looking for its key", node.display()));
    let mut sources = Places { guest, label, node: &node, asked, volumes: Volumes::new(label), prompt: None };
    let say = |text: &str| guest.warn(&format!("data disk {}: {text}", node.display()));
    let result = key::unlock(&mut sources, |key| program::open(&node, key), say);
    drop(sources);
    result?;
    log(&format!("{}: opened", node.display()));
    content(device, label).inspect_err(|_| close())
}

/// The file system in the open container. One with another label is not the data disk.
fn content(device: &Device, label: &str) -> Result<Match> {
    let file = File::open(paths::DATA_OPENED).with_context(|| format!("opening {}", paths::DATA_OPENED))?;
    let found = superblock::read(file, true).with_context(|| format!("reading {}", paths::DATA_OPENED))?;
    let Some(file_system) = found else {
        bail!(
            "there is no ext4 or xfs file system in it\n\
             hint: if it is new: \"sudo cryptsetup open {node} new && sudo mkfs.ext4 -L {label} /dev/mapper/new && \
             sudo cryptsetup close new\"",
            node = device.node().display()
        );
    };
    if !file_system.label.is_empty() && !file_system.is_labelled(label.as_bytes()) {
        bail!("the file system in it is labelled {}", String::from_utf8_lossy(&file_system.label));
    }
    Ok(Match { device: device.clone(), file_system, is_encrypted: true })
}

/// Closes the container again.
pub(super) fn close() {
    program::close(false).unwrap_or_else(|error| log(&format!("closing {}: {error:#}", paths::DATA_OPENED)));
}

/// Has the kernel close the container when it is unmounted.
pub(super) fn close_when_unmounted() {
    program::close(true).unwrap_or_else(|error| log(&format!("closing {} later: {error:#}", paths::DATA_OPENED)));
}

/// Tells of containers of ours that have lost their first header. Nothing is written to them.
pub(super) fn tell_of_lost(guest: &Guest, label: &str) {
    for device in block::list(Path::new(CLASS_BLOCK)) {
        let node = device.node();
        if File::open(&node).ok().and_then(|mut device| header::lost(&mut device)).as_deref() == Some(label.as_bytes())
        {
            guest.warn(&format!(
                "{node} was an encrypted data disk labelled {label}; what it begins with has been overwritten, the second copy \
                 of its header is there; it is not used\n\
                 hint: if nothing else uses it: \"sudo cryptsetup repair --type luks2 {node}\" (recipe cryptsetup), then reboot",
                node = node.display()
            ));
        }
    }
}

/// Where keys of this machine come from.
struct Places<'a> {
    guest: &'a Guest,
    label: &'a str,
    node: &'a Path,
    asked: Asked,
    volumes: Volumes,
    prompt: Option<Prompt>,
}

impl Places<'_> {
    /// `distro.data-key-wait=SECONDS`.
    fn limit(&self) -> Duration {
        let Some(value) = self.guest.option(cmdline::DATA_KEY_WAIT) else { return ASK };
        value.parse().map(Duration::from_secs).unwrap_or_else(|_| {
            self.guest.warn(&format!("{}={value}: expected a number of seconds", cmdline::DATA_KEY_WAIT));
            ASK
        })
    }
}

impl Sources for Places<'_> {
    fn firmware(&mut self) -> Result<Option<Found>> {
        if self.asked == Asked::Caller {
            return Ok(None);
        }
        let key = Key::read(&provision::fw_cfg(&Root::system(), fw_cfg::DATA_KEY))?;
        Ok(key.map(|key| Found { place: format!("the key of fw_cfg {}", fw_cfg::DATA_KEY), key }))
    }

    fn volume(&mut self) -> Result<Option<Found>> {
        if self.asked == Asked::Caller {
            return Ok(None);
        }
        let begin = Instant::now();
        loop {
            // Asked before the look: what has ended by now has shown its disks.
            let busy = super::is_busy() && begin.elapsed() < PATIENCE;
            let found = self.volumes.next()?;
            if found.is_some() || (!busy && begin.elapsed() >= SLOW_VOLUMES) {
                return Ok(found);
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn somebody(&mut self, tries_left: usize) -> Result<Option<Found>> {
        let what = format!("The data disk {} ({}) is encrypted.", self.node.display(), self.label);
        if self.asked == Asked::Caller {
            return if tries_left == key::TRIES { ask::standard_input(&what) } else { Ok(None) };
        }
        let limit = self.limit();
        if limit.is_zero() {
            return Ok(None);
        }
        let ways = format!(
            "Type its passphrase, or put in a volume labelled {} with the file {}: {} s, {tries_left} of {} tries left.",
            volume::LABELS[0],
            self.volumes.file,
            limit.as_secs(),
            key::TRIES,
        );
        let prompt = self.prompt.get_or_insert_with(|| Prompt::new(&self.guest.settings.consoles, limit));
        prompt.ask(&format!("{what} {ways}"), || self.volumes.next())
    }
}
