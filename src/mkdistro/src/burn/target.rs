//! The device that is to be written, as the kernel describes it below `/sys` and `/proc`
//! (`Documentation/ABI/stable/sysfs-block`, proc(5)).

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::image::megabytes;
use crate::problem::{Class, Problem};

/// A whole disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its device node.
    pub node: PathBuf,
    /// Maker and model, as it says itself.
    pub model: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Whether it can be pulled out: a USB device, a card, a drive with media.
    pub is_removable: bool,
    read_only: bool,
    /// What uses it, in words.
    uses: Vec<String>,
}

impl Target {
    /// Looks at a device.
    ///
    /// # Errors
    /// If it is no whole disk.
    pub fn inspect(node: &Path) -> Result<Self> {
        let found = fs::metadata(node).with_context(|| format!("looking for {}", node.display()))?;
        if !found.file_type().is_block_device() {
            let hint = "name a device such as /dev/sdb; \"lsblk\" lists them";
            return Err(refused(format!("{} is no block device", node.display()), hint));
        }
        let number = Number::of(found.rdev());
        let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
        let swaps = swaps.lines().skip(1).filter_map(|line| line.split_whitespace().next());
        let swaps = swaps.filter_map(|path| Some(Number::of(fs::metadata(path).ok()?.rdev()))).collect();
        let used = Used { mounts: fs::read_to_string("/proc/self/mountinfo").unwrap_or_default(), swaps };
        Self::read(node, &Path::new("/sys/dev/block").join(number.to_string()), &used)
    }

    /// From the device's folder below `/sys`.
    pub(super) fn read(node: &Path, sys: &Path, used: &Used) -> Result<Self> {
        let sys = fs::canonicalize(sys).with_context(|| format!("looking for {} in /sys", node.display()))?;
        if sys.join("partition").exists() {
            let disk = sys.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().replace('!', "/");
            return Err(refused(
                format!("{} is a partition, an image is for a whole disk", node.display()),
                &format!("name the disk, /dev/{disk}"),
            ));
        }
        let sectors: u64 =
            line(&sys.join("size")).parse().with_context(|| format!("reading the size of {}", node.display()))?;
        let is_card = line(&sys.join("device/type")) == "SD";
        let is_usb = sys.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"usb"));
        let names = ["vendor", "model", "name"].map(|name| line(&sys.join("device").join(name)));
        let names: Vec<&str> = names.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
        Ok(Self {
            node: node.to_path_buf(),
            model: if names.is_empty() { "unknown model".into() } else { names.join(" ") },
            size_bytes: sectors * 512,
            is_removable: line(&sys.join("removable")) == "1" || is_card || is_usb,
            read_only: line(&sys.join("ro")) == "1",
            uses: uses(&sys, used),
        })
    }

    /// Device, model and size, for a person who is to recognize it.
    pub fn describe(&self) -> String {
        format!("{}: {}, {}", self.node.display(), self.model, megabytes(self.size_bytes))
    }

    /// Why an image of this size must not be written to it. `force`: although it cannot be pulled out.
    pub fn refusal(&self, size_bytes: u64, force: bool) -> Option<anyhow::Error> {
        let what = self.describe();
        if let Some(first) = self.uses.first() {
            return Some(refused(format!("{what} is in use: {first}"), "unmount or stop it first"));
        }
        if self.read_only {
            return Some(refused(format!("{what} is write-protected"), ""));
        }
        if self.size_bytes < size_bytes {
            return Some(refused(format!("{what} is too small for {}", megabytes(size_bytes)), ""));
        }
        (!self.is_removable && !force).then(|| {
            refused(
                format!("{what} is a built-in disk, no stick or card"),
                "if it is the right one, and nothing on it is needed: --force",
            )
        })
    }
}

fn refused(message: String, hint: &str) -> anyhow::Error {
    Problem::error(Class::Output, message, hint)
}

/// A device's number as the kernel writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number(u32, u32);

impl Number {
    fn of(device: u64) -> Self {
        Self(rustix::fs::major(device), rustix::fs::minor(device))
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once(':')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.0, self.1)
    }
}

/// What the system uses devices for.
#[derive(Debug, Default)]
pub(super) struct Used {
    /// `/proc/self/mountinfo`.
    pub(super) mounts: String,
    pub(super) swaps: Vec<Number>,
}

/// What uses a disk or one of its partitions.
fn uses(sys: &Path, used: &Used) -> Vec<String> {
    let mut uses = Vec::new();
    let children = fs::read_dir(sys).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut parts: Vec<PathBuf> = children.filter(|path| path.join("partition").exists()).collect();
    parts.push(sys.to_path_buf());
    parts.sort();
    for part in parts {
        let name = part.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let number = Number::parse(&line(&part.join("dev")));
        // Fields: mount, parent, device's number, root, mount point, with octal escapes for spaces.
        for mount in used.mounts.lines() {
            let fields: Vec<&str> = mount.split(' ').collect();
            if number.is_some() && fields.get(2).and_then(|text| Number::parse(text)) == number {
                uses.push(format!("{name} is mounted at {}", fields.get(4).unwrap_or(&"?").replace("\\040", " ")));
            }
        }
        if number.is_some_and(|number| used.swaps.contains(&number)) {
            uses.push(format!("{name} is swap space"));
        }
        for holder in fs::read_dir(part.join("holders")).into_iter().flatten().flatten() {
            uses.push(format!("{} is made of {name}", holder.file_name().to_string_lossy()));
        }
    }
    uses
}

/// First line of a small file, trimmed; empty if there is none.
fn line(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default().lines().next().unwrap_or_default().trim().to_string()
}
