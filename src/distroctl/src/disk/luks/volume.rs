//! Keys on a USB stick: a file with the data disk's label as name and `.key` behind it, on a FAT, ext or ISO 9660 volume that is
//! labelled for it. Volumes are mounted read-only, without replaying a journal, for as long as it takes to read the file.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Seek;
use std::path::Path;

use anyhow::Result;

use super::key::{Found, Key};
use crate::disk::block;
use crate::disk::search::CLASS_BLOCK;
use crate::disk::superblock::{self, Kind};
use crate::provision::{Volume, read_volume, recognize_volume};

/// Labels of volumes that may hold a key, upper case. FAT has room for 11 characters.
pub(super) const LABELS: [&str; 2] = ["MKDISTROKEY", "MKDISTRO"];

/// Volumes that may hold the key of the data disk with this label.
pub(super) struct Volumes {
    /// Name of the file.
    pub(super) file: String,
    /// Devices that have been looked at, and are still there.
    seen: BTreeSet<String>,
}

impl Volumes {
    pub(super) fn new(label: &str) -> Self {
        Self { file: format!("{}.key", label.replace('/', "_")), seen: BTreeSet::new() }
    }

    /// The next key; each device is looked at once, until it is pulled out and put in again.
    ///
    /// # Errors
    /// A volume with the label that cannot be read.
    pub(super) fn next(&mut self) -> Result<Option<Found>> {
        let names = block::volumes(Path::new(CLASS_BLOCK));
        self.seen.retain(|name| names.contains(name));
        for name in names {
            if !self.seen.insert(name.clone()) {
                continue;
            }
            let node = block::node(&name);
            let Some(volume) = recognize(&node) else { continue };
            for (_, content) in read_volume(&node, &volume, &[&self.file])? {
                if let Some(key) = Key::new(content)? {
                    let place = format!("{} of {} ({})", self.file, node.display(), volume.label);
                    return Ok(Some(Found { place, key }));
                }
            }
        }
        Ok(None)
    }
}

/// A volume with one of [`LABELS`]; what cannot be read is none.
fn recognize(node: &Path) -> Option<Volume> {
    let mut device = File::open(node).ok()?;
    let volume = recognize_volume(&mut device).ok().flatten().or_else(|| {
        device.rewind().ok()?;
        let found = superblock::read(&device, true).ok().flatten().filter(|found| found.kind == Kind::Ext)?;
        let label = String::from_utf8_lossy(&found.label).to_ascii_uppercase();
        Some(Volume { driver: Kind::Ext.driver(), label })
    })?;
    LABELS.contains(&volume.label.as_str()).then_some(volume)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{Volumes, recognize};

    #[test]
    fn knows_volumes_of_foreign_tools() {
        let folder = tempfile::tempdir().unwrap();
        let cases: [(&str, &[&str], Option<&str>); 4] = [
            ("mkfs.vfat", &["-n", "MKDISTROKEY"], Some("vfat")),
            ("mke2fs", &["-q", "-F", "-t", "ext4", "-L", "mkdistro"], Some("ext4")),
            ("mke2fs", &["-q", "-F", "-t", "ext2", "-L", "other"], None),
            ("mkfs.vfat", &["-n", "CIDATA"], None),
        ];
        for (number, (program, arguments, driver)) in cases.into_iter().enumerate() {
            let path = folder.path().join(number.to_string());
            std::fs::File::create(&path).unwrap().set_len(4 << 20).unwrap();
            let mut command = Command::new(program);
            command.env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin").args(arguments).arg(&path);
            let output = command.output().unwrap_or_else(|error| panic!("{program}: {error}"));
            assert!(output.status.success(), "{output:?}");
            assert_eq!(recognize(&path).map(|volume| volume.driver), driver, "{number}");
        }
        assert_eq!(Volumes::new("boot2podman-data").file, "boot2podman-data.key");
        assert_eq!(Volumes::new("../a").file, ".._a.key");
    }
}
