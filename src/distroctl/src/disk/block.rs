//! Block devices that may be the data disk, from `/sys/class/block` (kernel `Documentation/ABI/stable/sysfs-block`).

use std::path::{Path, PathBuf};

use crate::file::first_line;

/// Kernel names (and a number) of what is never a data disk: devices backed by files or RAM, CD drives, floppies.
const NEVER: [&str; 8] = ["loop", "ram", "zram", "sr", "scd", "fd", "mtdblock", "nbd"];

/// A disk or partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Device {
    /// The kernel's name, `sda1`.
    pub(crate) name: String,
    pub(crate) partition: bool,
    /// On a removable disk (a USB stick, a card).
    pub(crate) removable: bool,
}

impl Device {
    /// Its device node; the kernel writes `!` in names where the node has `/`.
    pub(crate) fn node(&self) -> PathBuf {
        node(&self.name)
    }
}

/// The device node of a name.
pub(crate) fn node(name: &str) -> PathBuf {
    Path::new("/dev").join(name.replace('!', "/"))
}

/// The names of all devices that may be somebody's volume, CDs among them, sorted.
pub(crate) fn volumes(class_block: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(class_block).into_iter().flatten().flatten();
    let has_medium = |name: &String| !matches!(first_line(class_block.join(name).join("size")).as_str(), "" | "0");
    let is_volume = |name: &String| never(name).is_none_or(|prefix| matches!(prefix, "sr" | "scd"));
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| is_volume(name) && has_medium(name)).collect();
    names.sort();
    names
}

/// The devices below `class_block`, sorted by [`preference`].
pub(crate) fn list(class_block: &Path) -> Vec<Device> {
    let Ok(entries) = std::fs::read_dir(class_block) else { return Vec::new() };
    let mut devices: Vec<Device> =
        entries.flatten().filter_map(|entry| describe(&entry.path(), &entry.file_name().into_string().ok()?)).collect();
    devices.sort_by(|a, b| preference(a).cmp(&preference(b)));
    devices
}

/// Among several data disks: what stays in the machine before what can be pulled out, partitions before whole disks, then
/// by name, so that each boot decides the same.
pub(crate) fn preference(device: &Device) -> (bool, bool, &str) {
    (device.removable, !device.partition, &device.name)
}

fn describe(entry: &Path, name: &str) -> Option<Device> {
    let size_sectors: u64 = first_line(entry.join("size")).parse().ok()?;
    let held = std::fs::read_dir(entry.join("holders")).is_ok_and(|mut holders| holders.next().is_some());
    // A path of a multipath NVMe disk has no node; the disk itself is another entry.
    let hidden = first_line(entry.join("hidden")) == "1";
    if never(name).is_some() || size_sectors == 0 || held || hidden {
        return None;
    }
    let partition = entry.join("partition").exists();
    if !partition && has_partitions(entry) {
        return None;
    }
    // The entry is a symbolic link into /sys/devices, where a partition is a folder in its disk's.
    let own = std::fs::canonicalize(entry).ok()?;
    let disk = if partition { own.parent()?.to_path_buf() } else { own };
    Some(Device { name: name.into(), partition, removable: first_line(disk.join("removable")) == "1" })
}

/// A disk with partitions holds no file system of its own, whatever an old superblock at its start says. The kernel may still
/// be reading the partition table; that is what the signatures of [`super::superblock`] are for.
fn has_partitions(entry: &Path) -> bool {
    std::fs::read_dir(entry)
        .is_ok_and(|children| children.flatten().any(|child| child.path().join("partition").exists()))
}

/// Which of [`NEVER`] it is.
fn never(name: &str) -> Option<&'static str> {
    NEVER.into_iter().find(|prefix| {
        name.strip_prefix(prefix).is_some_and(|rest| rest.chars().next().is_none_or(|c| c.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::{Device, list};
    use std::path::Path;

    fn device(root: &Path, path: &str, size: &str, extra: &[(&str, &str)]) {
        let folder = root.join("devices").join(path);
        std::fs::create_dir_all(folder.join("holders")).unwrap();
        std::fs::write(folder.join("size"), format!("{size}\n")).unwrap();
        for (name, value) in extra {
            std::fs::write(folder.join(name), format!("{value}\n")).unwrap();
        }
        let class = root.join("class");
        std::fs::create_dir_all(&class).unwrap();
        std::os::unix::fs::symlink(&folder, class.join(folder.file_name().unwrap())).unwrap();
    }

    #[test]
    fn lists_candidates_in_order_of_preference() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        device(root, "sdb", "100", &[("removable", "1")]);
        device(root, "sdb/sdb1", "50", &[("partition", "1")]);
        device(root, "vda", "100", &[("removable", "0")]);
        device(root, "nvme0n1", "100", &[("removable", "0")]);
        device(root, "nvme0n1/nvme0n1p2", "50", &[("partition", "2")]);
        device(root, "sr0", "100", &[("removable", "1")]);
        device(root, "loop0", "100", &[]);
        device(root, "zram0", "100", &[]);
        device(root, "fd0", "8", &[]);
        device(root, "sdc", "0", &[]);
        device(root, "nvme0c0n1", "100", &[("hidden", "1")]);
        device(root, "sdd", "100", &[]);
        device(root, "sde", "100", &[("removable", "1")]);
        std::fs::write(root.join("devices/sdd/holders/dm-0"), "").unwrap();
        let class = root.join("class");
        let names: Vec<String> = list(&class).into_iter().map(|device| device.name).collect();
        assert_eq!(names, ["nvme0n1p2", "vda", "sdb1", "sde"]);
        let volumes = super::volumes(&class);
        assert!(["sr0", "sdb", "sdb1", "vda"].iter().all(|name| volumes.iter().any(|volume| volume == name)));
        assert!(
            !volumes.iter().any(|volume| ["loop0", "zram0", "fd0", "sdc"].contains(&volume.as_str())),
            "{volumes:?}"
        );
        assert!(list(Path::new("/nonexistent")).is_empty());
    }

    #[test]
    fn names_with_a_folder_have_their_node() {
        let device = Device { name: "cciss!c0d0p1".into(), partition: true, removable: false };
        assert_eq!(device.node(), Path::new("/dev/cciss/c0d0p1"));
    }
}
