//! Volumes that are attached to tell the guest something: NoCloud's `cidata` and `MKDISTRO`. They are mounted read-only for
//! as long as it takes to read a few files of theirs.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, UnmountFlags};

use super::volume::{Volume, recognize};
use crate::{console, disk, file, modules};

const CLASS_BLOCK: &str = "/sys/class/block";
const MOUNT_POINT: &str = "/run/distro/media";
/// Hardware that is still looked for after this long is not waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// No file on a volume is larger.
const LIMIT_BYTES: u64 = document::MAX_BYTES as u64 + 1;

/// Label of NoCloud media, upper case.
const NO_CLOUD: &str = "CIDATA";
/// Label of media with a document, upper case.
const DOCUMENT: &str = "MKDISTRO";
/// Name of the document on such media.
const DOCUMENT_FILE: &str = "mkdistro.toml";

/// Names and contents of files.
pub(crate) type Files = Vec<(String, Vec<u8>)>;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Media {
    /// Of NoCloud media: the device's name, and name and content of its files.
    pub(super) no_cloud: Option<(String, Files)>,
    /// The document of a volume labelled MKDISTRO, and the device's name.
    pub(super) document: Option<(String, Vec<u8>)>,
    /// Volumes that could not be read.
    pub(super) problems: Vec<String>,
}

/// Looks at all volumes; `wait`: until the hardware that was there at start is known.
pub(super) fn find(wait: bool) -> Media {
    let begin = Instant::now();
    loop {
        // Asked before the look: what has ended by now has shown its disks.
        let busy = wait && disk::is_busy() && begin.elapsed() < PATIENCE;
        let found = look();
        if !busy || (found.no_cloud.is_some() && found.document.is_some()) {
            return found;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn look() -> Media {
    let mut media = Media::default();
    let mut names: Vec<String> = std::fs::read_dir(CLASS_BLOCK)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !["loop", "ram", "zram", "fd", "nbd", "mtd"].iter().any(|prefix| name.starts_with(prefix)))
        .collect();
    names.sort();
    for name in names {
        let node = Path::new("/dev").join(name.replace('!', "/"));
        if file::first_line(Path::new(CLASS_BLOCK).join(&name).join("size")) == "0" {
            continue;
        }
        // A drive without a disk in it, a disk that is dying: not ours to tell of.
        let Ok(Some(volume)) = File::open(&node).and_then(|mut device| recognize(&mut device)) else { continue };
        let result = match volume.label.as_str() {
            NO_CLOUD if media.no_cloud.is_none() => read(&node, &volume, &["meta-data", "user-data", "network-config"])
                .map(|files| media.no_cloud = Some((name.clone(), files))),
            DOCUMENT if media.document.is_none() => read(&node, &volume, &[DOCUMENT_FILE]).map(|mut files| {
                media.document = files.pop().map(|(_, content)| (name.clone(), content));
            }),
            _ => Ok(()),
        };
        if let Err(error) = result {
            media.problems.push(format!("{} ({}): {error:#}", node.display(), volume.label));
        }
    }
    media
}

/// Mounts a volume, reads these files as far as they are there, and unmounts it.
pub(crate) fn read(node: &Path, volume: &Volume, names: &[&str]) -> Result<Files> {
    if !std::fs::read_to_string("/proc/filesystems").unwrap_or_default().contains(volume.driver) {
        modules::load(volume.driver);
    }
    std::fs::create_dir_all(MOUNT_POINT).with_context(|| format!("making {MOUNT_POINT}"))?;
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    // Its journal would be replayed, which writes.
    let options = if volume.driver == "ext4" { c"noload" } else { c"" };
    rustix::mount::mount(node, MOUNT_POINT, volume.driver, flags, options)
        .with_context(|| format!("mounting {}", node.display()))?;
    let files = read_files(Path::new(MOUNT_POINT), names);
    if let Err(error) = rustix::mount::unmount(MOUNT_POINT, UnmountFlags::DETACH) {
        console::log(&format!("unmounting {}: {error}", node.display()));
    }
    files
}

fn read_files(folder: &Path, names: &[&str]) -> Result<Files> {
    let mut files = Vec::new();
    for name in names {
        let path: PathBuf = folder.join(name);
        // Not through links: they lead out of the volume.
        if std::fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file())
            && let Some(content) = file::read_limited(&path, LIMIT_BYTES)?
        {
            files.push(((*name).to_string(), content));
        }
    }
    Ok(files)
}
