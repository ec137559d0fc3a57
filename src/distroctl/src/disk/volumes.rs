//! `distroctl volumes`, in a container: block devices that it was given ([`contract::container::VOLUMES`]) are checked, grown
//! and mounted; blank ones get an ext4 file system first. What holds anything else is left alone.
//!
//! Whatever goes wrong is an end: the service is required, so PID 1 ends with it. A container that starts without its data
//! looks healthy and is not.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail, ensure};
use contract::data_partition::BLANK_BYTES;
use contract::{container, paths};
use rustix::fs::OFlags;
use rustix::mount::MountFlags;

use super::check::{self, Verdict};
use super::format::{MKE2FS, SMALLEST_BYTES};
use super::superblock::{self, Kind};
use super::{grow, make_folder, mount_options};
use crate::console::log;
use crate::guest::Guest;
use crate::{container as here, file};

/// One `DEVICE:FOLDER`.
#[derive(Debug, PartialEq, Eq)]
struct Volume {
    device: PathBuf,
    folder: String,
}

/// Prepares all of them, or says why not.
pub(crate) fn volumes() -> Result<ExitCode> {
    let guest = Guest::load();
    let result = prepare_all();
    if let Err(error) = &result {
        guest.warn(&format!("{error:#}"));
        return Ok(ExitCode::FAILURE);
    }
    super::store_in_ram(&guest).unwrap_or_else(|error| guest.warn(&format!("{error:#}")));
    let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let state = match source(&mountinfo, paths::PERSISTED[1]) {
        Some(source) => format!("device {source}"),
        None => format!("none nothing is mounted at {}", paths::PERSISTED[1]),
    };
    log(&format!("data: {state}"));
    file::replace(Path::new(paths::DATA_STATE), format!("{state}\n").as_bytes(), 0o644, None)?;
    Ok(ExitCode::SUCCESS)
}

fn prepare_all() -> Result<()> {
    let given: Vec<(&str, String)> =
        container::VOLUMES.into_iter().filter_map(|name| Some((name, here::variable(name)?))).collect();
    let mut all = Vec::new();
    for (name, text) in &given {
        all.extend(parse(text).with_context(|| format!("{name}={text}"))?);
    }
    ensure_distinct(&all)?;
    for volume in &all {
        let what = || format!("volume {} for {}", volume.device.display(), volume.folder);
        prepare(volume).with_context(what)?;
    }
    Ok(())
}

/// Devices may be named without `/dev/`.
fn parse(text: &str) -> Result<Vec<Volume>> {
    let mut volumes = Vec::new();
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let Some((device, folder)) = word.rsplit_once(':') else {
            bail!("expected DEVICE:FOLDER, found {word:?}\nhint: for example /dev/vdb:/var/lib/containers");
        };
        let is_plain =
            |path: &Path| path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        let device = Path::new("/dev").join(device);
        ensure!(
            device.starts_with("/dev") && device != Path::new("/dev") && is_plain(&device),
            "expected a device such as /dev/vdb, found {:?}",
            device.display().to_string()
        );
        let path = Path::new(folder);
        ensure!(
            path.is_absolute() && path.components().count() > 1 && is_plain(path),
            "expected the absolute path of a folder after {:?}, found {folder:?}",
            device.display().to_string()
        );
        volumes.push(Volume { device, folder: path.components().collect::<PathBuf>().display().to_string() });
    }
    Ok(volumes)
}

fn ensure_distinct(volumes: &[Volume]) -> Result<()> {
    for (index, volume) in volumes.iter().enumerate() {
        for other in volumes.iter().take(index) {
            ensure!(volume.device != other.device, "{} is given twice", volume.device.display());
            ensure!(volume.folder != other.folder, "two devices are to be mounted at {}", volume.folder);
        }
    }
    Ok(())
}

fn prepare(volume: &Volume) -> Result<()> {
    let node = &volume.device;
    let found = std::fs::metadata(node).context("looking for it\nhint: is it passed on (--device, --privileged)?")?;
    ensure!(found.file_type().is_block_device(), "it is no block device");
    // The kernel refuses this while it is mounted, is swap or belongs to an array: on the host, too.
    let exclusive = File::options().read(true).custom_flags(OFlags::EXCL.bits().cast_signed()).open(node);
    let mut device = exclusive.context("opening it for this container alone")?;
    let kind = match content(&mut device).context("looking at its content")? {
        Content::FileSystem(kind) => kind,
        Content::Blank(size_bytes) => {
            ensure!(size_bytes >= SMALLEST_BYTES, "it has {} MiB only", size_bytes >> 20);
            drop(device);
            log(&format!("{}: blank, making an ext4 file system", node.display()));
            make(node)?;
            Kind::Ext
        }
        Content::Taken(reason) => bail!(
            "{reason}; only a blank device is formatted\nhint: if nothing on it is needed: \"wipefs -a\" and \"mkfs.ext4\" on the host"
        ),
    };
    match check::check(kind, node) {
        Verdict::Sound => {}
        Verdict::Damaged(reason) | Verdict::Unchecked(reason) => bail!("{reason}"),
    }
    make_folder(&volume.folder)?;
    let flags = MountFlags::NOATIME | MountFlags::NODEV;
    rustix::mount::mount(node, volume.folder.as_str(), kind.driver(), flags, mount_options(kind, false))
        .with_context(|| format!("mounting it ({})", kind.driver()))?;
    if kind == Kind::Ext {
        grow::grow_ext(node).context("growing its file system")?;
    }
    log(&format!("{} is mounted at {}", node.display(), volume.folder));
    Ok(())
}

/// What a device holds.
#[derive(Debug, PartialEq, Eq)]
enum Content {
    FileSystem(Kind),
    /// Nothing, in so many bytes.
    Blank(u64),
    /// Something else, and how one sees that.
    Taken(&'static str),
}

/// In the middle nobody looks: it would take minutes.
fn content(device: &mut (impl Read + Seek)) -> std::io::Result<Content> {
    let size_bytes = device.seek(SeekFrom::End(0))?;
    let mut read = |at| {
        let mut bytes = Vec::new();
        device.seek(SeekFrom::Start(at))?;
        device.by_ref().take(BLANK_BYTES).read_to_end(&mut bytes).map(|_| bytes)
    };
    let (head, tail) = (read(0)?, read(size_bytes.saturating_sub(BLANK_BYTES))?);
    let is_zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    Ok(match superblock::recognize(&head, false) {
        Some(found) => Content::FileSystem(found.kind),
        None if superblock::is_claimed(&head) => Content::Taken("something else uses it as a whole"),
        None if !is_zero(&head) => Content::Taken("its first MiB is not empty"),
        None if !is_zero(&tail) => Content::Taken("its last MiB is not empty"),
        None => Content::Blank(size_bytes),
    })
}

/// Its output goes to the service's log.
fn make(node: &Path) -> Result<()> {
    let mut command = Command::new(MKE2FS);
    command.args(["-F", "-t", "ext4"]).arg(node).stdin(Stdio::null()).stdout(std::io::stderr());
    let status = command.status().with_context(|| format!("starting {MKE2FS}\nhint: recipe e2fsprogs"))?;
    ensure!(status.success(), "{MKE2FS} ended with {status}");
    Ok(())
}

/// What is mounted at a folder or above it, but for the root: fields 5 and, behind ` - `, 2 of `/proc/self/mountinfo`.
fn source<'a>(mountinfo: &'a str, folder: &str) -> Option<&'a str> {
    let found = mountinfo.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let target = left.split(' ').nth(4).filter(|target| *target != "/")?;
        Path::new(folder).starts_with(target).then_some((target.len(), right.split(' ').nth(1)?))
    });
    // The last mount at the deepest folder is the one in sight.
    found.max_by_key(|(length, _)| *length).map(|(_, source)| source)
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};
    use std::process::Command;

    use super::{Content, Kind, Volume, content, ensure_distinct, parse, source};

    fn volume(device: &str, folder: &str) -> Volume {
        Volume { device: device.into(), folder: folder.into() }
    }

    #[test]
    fn reads_the_variable() {
        let two = parse("/dev/vdb:/var/lib/containers, vdc:/data/,").unwrap();
        assert_eq!(two, [volume("/dev/vdb", "/var/lib/containers"), volume("/dev/vdc", "/data")]);
        assert_eq!(parse("/dev/disk/by-path/pci-0:1:/x").unwrap(), [volume("/dev/disk/by-path/pci-0:1", "/x")]);
        assert_eq!(parse("").unwrap(), []);
        for (text, expected) in [
            ("/dev/vdb", "expected DEVICE:FOLDER, found \"/dev/vdb\"\nhint: for example /dev/vdb:/var/lib/containers"),
            ("/dev/vdb:data", "expected the absolute path of a folder after \"/dev/vdb\", found \"data\""),
            ("vdb:/", "expected the absolute path of a folder after \"/dev/vdb\", found \"/\""),
            ("vdb:/a/../b", "expected the absolute path of a folder after \"/dev/vdb\", found \"/a/../b\""),
            ("/etc/x:/a", "expected a device such as /dev/vdb, found \"/etc/x\""),
            ("../x:/a", "expected a device such as /dev/vdb, found \"/dev/../x\""),
            (":/a", "expected a device such as /dev/vdb, found \"/dev/\""),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), expected, "{text}");
        }
        let check = |text: &str| ensure_distinct(&parse(text).unwrap()).map_err(|error| error.to_string());
        assert_eq!(check("a:/x,b:/y"), Ok(()));
        assert_eq!(check("a:/x,/dev/a:/y"), Err("/dev/a is given twice".into()));
        assert_eq!(check("a:/x,b:/x/"), Err("two devices are to be mounted at /x".into()));
    }

    #[test]
    fn only_zeros_are_blank_and_only_file_systems_are_mounted() {
        const SIZE: usize = 8 << 20;
        let with = |at: usize, bytes: &[u8]| {
            let mut disk = vec![0; SIZE];
            disk[at..at + bytes.len()].copy_from_slice(bytes);
            content(&mut Cursor::new(disk)).unwrap()
        };
        assert_eq!(with(0, b""), Content::Blank(SIZE as u64));
        assert_eq!(with(SIZE / 2, b"x"), Content::Blank(SIZE as u64), "in the middle nobody looks");
        assert_eq!(with(SIZE - 1, b"x"), Content::Taken("its last MiB is not empty"));
        assert_eq!(with(3, b"x"), Content::Taken("its first MiB is not empty"));
        assert_eq!(with(512, b"EFI PART"), Content::Taken("something else uses it as a whole"));
        assert_eq!(with(0, b"LUKS\xba\xbe"), Content::Taken("something else uses it as a whole"));
        assert_eq!(with(510, b"\x55\xaa"), Content::Taken("its first MiB is not empty"));
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(SIZE as u64).unwrap();
        let status = Command::new("mke2fs")
            .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
            .args(["-q", "-F", "-t", "ext4"])
            .arg(file.path())
            .status();
        assert!(status.unwrap().success());
        assert_eq!(content(file.as_file_mut()).unwrap(), Content::FileSystem(Kind::Ext));
        file.write_all(b"").unwrap();
    }

    #[test]
    fn finds_what_keeps_a_folder() {
        let mountinfo = "1 0 0:20 / / rw - overlay overlay rw\n2 1 0:30 / /var rw - tmpfs tmpfs rw\n\
                         3 1 8:1 / /var/lib/a rw shared:3 - ext4 /dev/sda1 rw\n4 1 8:2 / /data rw - ext4 /dev/vdb rw\n";
        assert_eq!(source(mountinfo, "/var/lib/a"), Some("/dev/sda1"));
        assert_eq!(source(mountinfo, "/var/lib/ab"), Some("tmpfs"));
        assert_eq!(source(mountinfo, "/data/x/y"), Some("/dev/vdb"));
        assert_eq!(source(mountinfo, "/srv"), None);
    }
}
