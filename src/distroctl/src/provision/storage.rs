//! Further file systems and paths kept on the data disk. Each is done once: what is mounted stays.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use contract::paths;
use document::{Document, Mount};

use super::changes::Changes;
use crate::{file, modules};

const BUSYBOX: &str = "/usr/bin/busybox";
/// Modules of file systems that need not be named, the likeliest and smallest first.
const DRIVERS: [&str; 4] = ["ext4", "vfat", "isofs", "xfs"];

/// Mounts and binds.
pub(super) fn apply(changes: &mut Changes, document: &Document) {
    let mounted = changes.root.text("/proc/self/mounts");
    for mount in document.mounts.iter().filter(|mount| !is_mounted(&mounted, &mount.path)) {
        let what = format!("mount {} at {}", mount.source, mount.path);
        if mount.required || changes.dry_run {
            changes.act(&what, || attach(mount));
        } else if let Err(error) = attach(mount) {
            crate::console::log(&format!("{what}: {error:#}"));
        }
    }
    for path in document.persist.iter().filter(|path| !is_mounted(&mounted, path)) {
        changes.act(&format!("keep {path} on the data disk"), || persist(path));
    }
}

/// proc_pid_mounts(5): the second field, with spaces as `\040`.
fn is_mounted(mounts: &str, path: &str) -> bool {
    let escaped = path.replace('\\', "\\134").replace(' ', "\\040");
    mounts.lines().any(|line| line.split(' ').nth(1) == Some(&escaped))
}

/// By busybox, which knows LABEL= and UUID=.
fn attach(mount: &Mount) -> Result<()> {
    std::fs::create_dir_all(&mount.path).with_context(|| format!("making {}", mount.path))?;
    let mut arguments = vec!["mount".to_string()];
    if let Some(kind) = &mount.kind {
        match kind.as_str() {
            "9p" => modules::load("9pnet_virtio"),
            _ => modules::load(kind),
        }
        arguments.extend(["-t".into(), kind.clone()]);
    }
    let mut options = mount.options.clone();
    if mount.kind.as_deref() == Some("9p") && !options.iter().any(|option| option.starts_with("trans=")) {
        options.push("trans=virtio".into());
    }
    if !options.is_empty() {
        arguments.extend(["-o".into(), options.join(",")]);
    }
    arguments.extend([mount.source.clone(), mount.path.clone()]);
    let mut result = busybox(&arguments);
    // It tries all drivers that the kernel has by then.
    for driver in DRIVERS.iter().filter(|_| mount.kind.is_none()) {
        if result.is_ok() {
            break;
        }
        modules::load(driver);
        result = busybox(&arguments);
    }
    result
}

fn data_disk() -> Result<()> {
    let state = file::first_line(paths::DATA_STATE);
    ensure!(state.starts_with("device "), "there is no data disk");
    ensure!(!state.ends_with(" read-only"), "the data disk is read-only");
    Ok(())
}

/// The disk's file or folder of the same path, at first a copy of the image's, over it.
fn persist(path: &str) -> Result<()> {
    data_disk()?;
    let kept = format!("{}{path}", paths::DATA_MOUNT);
    if std::fs::symlink_metadata(&kept).is_err() {
        let parent = Path::new(&kept).parent().unwrap_or(Path::new(paths::DATA_MOUNT));
        std::fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
        if Path::new(path).exists() {
            // Under another name until it is whole: a power cut must not leave half of it.
            let temporary = format!("{kept}.new");
            busybox(&["rm".into(), "-rf".into(), temporary.clone()])?;
            busybox(&["cp".into(), "-a".into(), path.into(), temporary.clone()])?;
            std::fs::rename(&temporary, &kept).with_context(|| format!("naming {kept}"))?;
        } else {
            std::fs::create_dir_all(&kept).with_context(|| format!("making {kept}"))?;
        }
    }
    if std::fs::symlink_metadata(path).is_err() {
        if Path::new(&kept).is_dir() {
            std::fs::create_dir_all(path).with_context(|| format!("making {path}"))?;
        } else {
            file::replace(Path::new(path), b"", 0o644, None)?;
        }
    }
    rustix::mount::mount_bind(&kept, path).with_context(|| format!("mounting {kept} at {path}"))
}

fn busybox(arguments: &[String]) -> Result<()> {
    let line = format!("busybox {}", arguments.join(" "));
    let output = Command::new(BUSYBOX)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting {line}"))?;
    if !output.status.success() {
        bail!("{line}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn sees_what_is_mounted() {
        let mounts = "overlay / overlay rw 0 0\n/dev/sda1 /mnt/a\\040b ext4 rw 0 0\n";
        assert!(super::is_mounted(mounts, "/mnt/a b"));
        assert!(!super::is_mounted(mounts, "/mnt/a"));
    }
}
