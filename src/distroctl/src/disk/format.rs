//! Makes the file system of a data partition that the builder has left empty ([`contract::data_partition`]), or that
//! [`super::asked`] has made. Nothing else is ever formatted here.
//!
//! A power cut at any moment leaves either nothing that counts, or a finished file system, because the label comes last, set
//! by the kernel in the mounted file system. In between, a mark at the partition's end, where the file system does not reach
//! yet, allows the next boot to start over.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use contract::data_partition::{BLANK_BYTES, UNFINISHED_LABEL};
use contract::paths;
use rustix::mount::UnmountFlags;

use super::asked::Keys;
use super::block::{self, Device};
use super::partition::Place;
use super::search::{CLASS_BLOCK, Match};
use super::superblock::{self, Kind};
use crate::console::log;
use crate::file;
use crate::guest::Guest;

pub(super) const MKE2FS: &str = "/usr/sbin/mke2fs";
/// Smaller partitions are not worth a file system.
pub(super) const SMALLEST_BYTES: u64 = 16 << 20;

/// What there is in a partition that was set aside for data.
#[derive(Debug, PartialEq, Eq)]
enum State {
    /// Nothing.
    Blank,
    /// What an earlier boot has begun, or asks for it, with the user's keys.
    Begun(Keys),
    /// Something, and how one sees that.
    Taken(&'static str),
}

/// Formats the first partition that was set aside for `label`; `None` if there is none that may be formatted.
pub(super) fn format(guest: &Guest, label: &str) -> Option<Match> {
    for device in block::list(Path::new(CLASS_BLOCK)).into_iter().filter(|device| device.partition) {
        let node = device.node();
        let Some(mut place) = Place::of(&device, Path::new(CLASS_BLOCK)) else { continue };
        match place.is_set_aside(label) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(error) => {
                log(&format!("{}: {error:#}", node.display()));
                continue;
            }
        }
        match format_one(guest, &node, &mut place, label).and_then(|()| found(device, &node)) {
            Ok(made) => return Some(made),
            Err(error) => guest.warn(&format!("{} is not made the data disk: {error:#}", node.display())),
        }
    }
    None
}

fn format_one(guest: &Guest, node: &Path, place: &mut Place, label: &str) -> Result<()> {
    ensure!(place.size_bytes >= SMALLEST_BYTES, "it has {} MiB only", place.size_bytes >> 20);
    let open = |write| File::options().read(true).write(write).open(node).context("opening it");
    let keys = match state(&mut open(false)?, place.size_bytes).context("looking at its content")? {
        State::Taken(reason) => anyhow::bail!(
            "it was set aside for data, but {reason}\n\
             hint: if nothing in it is needed: \"sudo mkfs.ext4 -L {label} {}\", then reboot",
            node.display()
        ),
        State::Blank => Keys::default(),
        State::Begun(keys) => {
            log(&format!("{}: going on with what was not finished", node.display()));
            // Blank again before the end, and with it the mark's place, may move.
            write_at(&mut open(true)?, 0, &vec![0; BLANK_BYTES as usize]).context("clearing its start")?;
            keys
        }
    };
    // Keys wait at the end that the partition has; it grows when it is mounted the next time.
    if keys.0.is_empty()
        && let Err(error) = place.grow()
    {
        guest.warn(&format!("{} is not grown: {error:#}", node.display()));
    }
    log(&format!("formatting {} ({} MiB) as the data disk", node.display(), place.size_bytes >> 20));
    let mark_at = place.size_bytes - BLANK_BYTES;
    write_at(&mut open(true)?, mark_at, &keys.encode()).context("marking it")?;
    make(node, mark_at)?;
    super::mount_data(node, Kind::Ext, false)?;
    let labelled = keep(&keys).and_then(|()| set_label(label).with_context(|| format!("setting its label to {label}")));
    rustix::mount::unmount(paths::DATA_MOUNT, UnmountFlags::empty()).context("unmounting it")?;
    labelled?;
    write_at(&mut open(true)?, mark_at, &vec![0; BLANK_BYTES as usize]).context("clearing the mark")
}

/// Puts the keys where `distroctl keys` looks for them.
fn keep(keys: &Keys) -> Result<()> {
    if keys.0.is_empty() {
        return Ok(());
    }
    let path = Path::new(paths::DATA_MOUNT).join(paths::DATA_AUTHORIZED_KEYS.trim_start_matches('/'));
    let folder = path.parent().unwrap_or(Path::new(paths::DATA_MOUNT));
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    file::replace(&path, &keys.0, 0o600, None)
}

fn found(device: Device, node: &Path) -> Result<Match> {
    let read = File::open(node).and_then(|file| superblock::read(file, true)).context("reading it again")?;
    let file_system = read.context("no file system is there after formatting")?;
    Ok(Match { device, file_system, is_encrypted: false })
}

fn state(partition: &mut (impl Read + Seek), size_bytes: u64) -> std::io::Result<State> {
    let mut read = |at| {
        let mut bytes = vec![0; BLANK_BYTES as usize];
        partition.seek(SeekFrom::Start(at))?;
        partition.read_exact(&mut bytes).map(|()| bytes)
    };
    let (head, tail) = (read(0)?, read(size_bytes - BLANK_BYTES)?);
    let is_zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    let keys = Keys::decode(&tail);
    Ok(match superblock::recognize(&head, true) {
        Some(other) if !(keys.is_some() && other.is_labelled(UNFINISHED_LABEL.as_bytes())) => {
            State::Taken("it holds a file system with another label")
        }
        _ if superblock::is_claimed(&head) => State::Taken("something else uses it as a whole"),
        _ => match keys {
            Some(keys) => State::Begun(keys),
            None if !is_zero(&head) => State::Taken("its first MiB is not empty"),
            None if !is_zero(&tail) => State::Taken("its last MiB is not empty"),
            None => State::Blank,
        },
    })
}

fn write_at(partition: &mut File, at: u64, bytes: &[u8]) -> std::io::Result<()> {
    partition.seek(SeekFrom::Start(at))?;
    partition.write_all(bytes)?;
    partition.sync_all()
}

/// Its output goes to the service's log. Twice `-F` would format what is mounted; once answers its questions.
fn make(node: &Path, size_bytes: u64) -> Result<()> {
    let mut command = Command::new(MKE2FS);
    command.args(["-F", "-t", "ext4", "-L", UNFINISHED_LABEL]).arg(node).arg(format!("{}k", size_bytes / 1024));
    let status = command.stdin(Stdio::null()).stdout(std::io::stderr()).status();
    let status = status.with_context(|| format!("starting {MKE2FS}"))?;
    ensure!(status.success(), "{MKE2FS} ended with {status}");
    Ok(())
}

/// Sets the label of the file system at the data disk's mount point: `FS_IOC_SETFSLABEL`, `_IOW(0x94, 50, char[256])` of the
/// kernel's `include/uapi/linux/fs.h`, which ext4 knows since 5.17. It writes through the journal.
fn set_label(label: &str) -> Result<()> {
    const FS_IOC_SETFSLABEL: libc::c_int = 0x4100_9432;
    let mut text = [0_u8; 256];
    let place = text.get_mut(..label.len()).context("it is too long")?;
    place.copy_from_slice(label.as_bytes());
    let folder = File::open(paths::DATA_MOUNT)?;
    rustix::fs::syncfs(&folder)?;
    // SAFETY: the descriptor is open, and the kernel reads 256 bytes at the pointer, which outlive the call.
    match unsafe { libc::ioctl(folder.as_raw_fd(), FS_IOC_SETFSLABEL as _, text.as_ptr()) } {
        0 => rustix::fs::syncfs(&folder).map_err(Into::into),
        _ => Err(std::io::Error::last_os_error().into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::Path;
    use std::process::Command;

    use contract::data_partition::FORMATTING_MARK;

    use super::{BLANK_BYTES, Keys, State, UNFINISHED_LABEL, state, write_at};

    const SIZE: u64 = 32 << 20;

    fn partition() -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(SIZE).unwrap();
        file
    }

    fn put(path: &Path, at: u64, bytes: &[u8]) {
        write_at(&mut File::options().write(true).open(path).unwrap(), at, bytes).unwrap();
    }

    fn mke2fs(path: &Path, label: &str, size_bytes: u64) {
        let mut command = Command::new("mke2fs");
        command.env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin").args(["-q", "-F", "-t", "ext4", "-L", label]);
        assert!(command.arg(path).arg(format!("{}k", size_bytes / 1024)).status().unwrap().success());
    }

    fn found(path: &Path) -> State {
        state(&mut File::open(path).unwrap(), SIZE).unwrap()
    }

    #[test]
    fn only_zeros_are_blank() {
        let file = partition();
        assert_eq!(found(file.path()), State::Blank);
        for (at, reason) in [
            (0, "its first MiB is not empty"),
            (BLANK_BYTES - 1, "its first MiB is not empty"),
            (SIZE - BLANK_BYTES, "its last MiB is not empty"),
            (SIZE - 1, "its last MiB is not empty"),
        ] {
            put(file.path(), at, b"x");
            assert_eq!(found(file.path()), State::Taken(reason), "{at}");
            put(file.path(), at, &[0]);
        }
        // In the middle nobody looks: it would take minutes.
        put(file.path(), SIZE / 2, b"x");
        assert_eq!(found(file.path()), State::Blank);
        assert!(state(&mut File::open(file.path()).unwrap(), SIZE + 512).is_err(), "cut off");
    }

    #[test]
    fn what_was_begun_is_started_over_at_any_moment() {
        let file = partition();
        let end = SIZE - BLANK_BYTES;
        put(file.path(), end, FORMATTING_MARK);
        assert_eq!(found(file.path()), State::Begun(Keys::default()), "before mke2fs");
        put(file.path(), 4096, b"tables, no superblock yet");
        assert_eq!(found(file.path()), State::Begun(Keys::default()), "in it");
        mke2fs(file.path(), UNFINISHED_LABEL, end);
        assert_eq!(found(file.path()), State::Begun(Keys::default()), "after it: mke2fs keeps out of the last MiB");
        put(file.path(), 0, &vec![0; BLANK_BYTES as usize]);
        assert_eq!(found(file.path()), State::Begun(Keys::default()), "its start has been cleared");
        file.as_file().set_len(2 * SIZE).unwrap();
        let grown = state(&mut File::open(file.path()).unwrap(), 2 * SIZE).unwrap();
        assert_eq!(grown, State::Blank, "and the partition has grown");
    }

    #[test]
    fn what_somebody_else_made_is_theirs_even_with_the_mark() {
        let other = State::Taken("it holds a file system with another label");
        let claimed = State::Taken("something else uses it as a whole");
        for mark in [&b""[..], FORMATTING_MARK] {
            for label in ["", "photos"] {
                let file = partition();
                put(file.path(), SIZE - BLANK_BYTES, mark);
                mke2fs(file.path(), label, SIZE - BLANK_BYTES);
                assert_eq!(found(file.path()), other, "{label}");
            }
            let file = partition();
            put(file.path(), SIZE - BLANK_BYTES, mark);
            put(file.path(), 0, b"LUKS\xba\xbe");
            assert_eq!(found(file.path()), claimed);
        }
        let file = partition();
        mke2fs(file.path(), UNFINISHED_LABEL, SIZE - BLANK_BYTES);
        assert_eq!(found(file.path()), other, "no mark");
        let file = partition();
        put(file.path(), SIZE - BLANK_BYTES, &[FORMATTING_MARK, b"and more"].concat());
        assert_eq!(found(file.path()), State::Taken("its last MiB is not empty"));
    }
}
