//! `distroctl images`: mounts the container images that lie beside the root on the boot medium, CD or disk, where podman
//! looks for them.
//!
//! The medium is the one whose volume set identifier is this image's `BUILD_ID`. It is not mounted: the SquashFS on it is put
//! behind a loop device where it lies, so that its disk stays free for a data partition.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use contract::loop_device::{LOOP_CONFIGURE, LOOP_CTL_GET_FREE, LoopConfig};
use contract::paths;
use rustix::mount::MountFlags;

use crate::guest::Guest;
use crate::iso9660::{Descriptor, Extent, SECTOR, extent, read_at};
use crate::{console, disk};

const CLASS_BLOCK: &str = "/sys/class/block";
/// Hardware that is still looked for after this long is not waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// First bytes of a SquashFS (Linux `squashfs_fs.h`).
const MAGIC: &[u8] = b"hsqs";
/// No root folder of ours is larger.
const MAX_FOLDER_BYTES: u64 = 1 << 20;

/// Mounts them, if the image has such.
pub(crate) fn run() -> Result<ExitCode> {
    if !Path::new(paths::MEDIUM_STORE).is_dir() {
        return Ok(ExitCode::SUCCESS);
    }
    let os_release = std::fs::read_to_string("/etc/os-release").context("reading /etc/os-release")?;
    let build_id = os_release.lines().find_map(|line| line.strip_prefix("BUILD_ID=")).unwrap_or_default();
    let begin = Instant::now();
    loop {
        // Asked before the look: what has ended by now has shown its disks.
        let busy = disk::is_busy() && begin.elapsed() < PATIENCE;
        if let Some((node, part)) = look(build_id) {
            mount(&node, part).with_context(|| format!("mounting the container images of {node}"))?;
            console::log(&format!("container images of {node}: {} bytes at {}", part.size, part.offset));
            return Ok(ExitCode::SUCCESS);
        }
        if !busy {
            Guest::load_quietly().warn("the boot medium is not there: its container images are missing");
            return Ok(ExitCode::FAILURE);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The device with the medium, and where the SquashFS is on it.
fn look(build_id: &str) -> Option<(String, Extent)> {
    let entries = std::fs::read_dir(CLASS_BLOCK).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| !["loop", "ram", "zram", "fd", "nbd", "mtd"].iter().any(|prefix| name.starts_with(prefix)));
    names.sort();
    names.into_iter().find_map(|name| {
        let node = format!("/dev/{}", name.replace('!', "/"));
        // A drive without a disk in it cannot be opened.
        let part = File::open(&node).and_then(|mut device| find(&mut device, build_id)).ok().flatten()?;
        Some((node, part))
    })
}

/// Looks for the SquashFS in the root folder of an ISO 9660 volume of this volume set. A folder's records (ECMA-119 9.1) do not
/// cross sectors: length at 0, 0 ends the sector's; flags at 25, bit 1: a folder.
fn find(device: &mut (impl Read + Seek), build_id: &str) -> io::Result<Option<Extent>> {
    let Some(descriptor) = Descriptor::read(device)? else { return Ok(None) };
    if build_id.is_empty() || !descriptor.volume_set().eq_ignore_ascii_case(build_id) {
        return Ok(None);
    }
    let Some(root) = descriptor.root() else { return Ok(None) };
    let folder = read_at(device, root.offset, root.size.min(MAX_FOLDER_BYTES))?;
    for sector in folder.chunks(SECTOR as usize) {
        let mut rest = sector;
        while let Some(length @ 34..) = rest.first().map(|length| usize::from(*length)) {
            let Some((record, later)) = rest.split_at_checked(length) else { break };
            rest = later;
            if let Some(part) = extent(record).filter(|_| record.get(25).is_some_and(|flags| flags & 2 == 0))
                && read_at(device, part.offset, 4)? == MAGIC
            {
                return Ok(Some(part));
            }
        }
    }
    Ok(None)
}

fn mount(node: &str, part: Extent) -> Result<()> {
    let device = File::open(node).with_context(|| format!("opening {node}"))?;
    let (path, _open) = attach(&device, part)?;
    let flags = MountFlags::RDONLY | MountFlags::NODEV;
    rustix::mount::mount(&path, paths::MEDIUM_STORE, "squashfs", flags, None)
        .with_context(|| format!("mounting {path} at {}", paths::MEDIUM_STORE))
}

/// A loop device over a part of the device, with a descriptor: it goes away when nobody uses it.
fn attach(device: &File, part: Extent) -> Result<(String, File)> {
    const CONTROL: &str = "/dev/loop-control";
    let control = File::options().read(true).write(true).open(CONTROL).with_context(|| format!("opening {CONTROL}"))?;
    // SAFETY: LOOP_CTL_GET_FREE takes no argument.
    let number = check(unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE as _) });
    let path = format!("/dev/loop{}", number.context("finding a free loop device")?);
    let node = File::open(&path).with_context(|| format!("opening {path}"))?;
    let config = LoopConfig::read_only_part(device.as_raw_fd().cast_unsigned(), part.offset, part.size, 0);
    // SAFETY: LOOP_CONFIGURE reads one struct loop_config, whose layout `config` has.
    let done = check(unsafe { libc::ioctl(node.as_raw_fd(), LOOP_CONFIGURE as _, &raw const config) });
    done.with_context(|| format!("attaching {path}"))?;
    Ok((path, node))
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::{Extent, find};

    const ID: &str = "0123456789abcdef0123456789abcdef";

    /// A volume whose root folder has a folder, a text and a SquashFS.
    fn volume() -> Vec<u8> {
        let mut bytes = vec![0; 30 * 2048];
        let record = |extent: u32, size: u32, flags: u8| {
            let mut record = vec![0; 34];
            record[0] = 34;
            record[2..6].copy_from_slice(&extent.to_le_bytes());
            record[10..14].copy_from_slice(&size.to_le_bytes());
            record[25] = flags;
            record
        };
        let descriptor = 16 * 2048;
        bytes[descriptor..descriptor + 6].copy_from_slice(b"\x01CD001");
        bytes[descriptor + 156..descriptor + 190].copy_from_slice(&record(20, 2048, 2));
        bytes[descriptor + 190..descriptor + 318].copy_from_slice(format!("{ID:<128}").as_bytes());
        let folder = [record(22, 2048, 2), record(23, 9, 0), record(24, 4096, 0)].concat();
        bytes[20 * 2048..20 * 2048 + folder.len()].copy_from_slice(&folder);
        bytes[22 * 2048..22 * 2048 + 4].copy_from_slice(b"hsqs");
        bytes[24 * 2048..24 * 2048 + 4].copy_from_slice(b"hsqs");
        bytes
    }

    #[test]
    fn finds_the_images_of_this_build() {
        let found = |bytes: &[u8], id| find(&mut Cursor::new(bytes), id).unwrap();
        let bytes = volume();
        assert_eq!(found(&bytes, ID), Some(Extent { offset: 24 * 2048, size: 4096 }));
        assert_eq!(found(&bytes, "another"), None);
        assert_eq!(found(&bytes, ""), None);
        assert_eq!(found(&bytes[..20 * 2048], ID), None);
        assert_eq!(found(&[], ID), None);
    }

    #[test]
    fn fuzz_medium() {
        let mut seed = volume();
        seed.truncate(25 * 2048);
        fuzz::Fuzz::new("fuzz_medium").seed(seed).iterations(300).run(|bytes| {
            let _ = std::hint::black_box(find(&mut Cursor::new(bytes), ID));
        });
    }
}
