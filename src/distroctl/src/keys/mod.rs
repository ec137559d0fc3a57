//! `distroctl keys`, before sshd starts: the SSH host key, and the user's authorized keys from all their sources.

mod authorized;
mod base64;
mod fingerprint;
mod host;

use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use contract::{fw_cfg, paths};

use crate::guest::Guest;
use crate::{console, file, modules};

/// No source of keys is read further than this.
const SOURCE_LIMIT_BYTES: u64 = 256 * 1024;

/// Makes what is missing. Without authorized keys there is still a host key, and the other way round.
pub(crate) fn run() -> Result<ExitCode> {
    let guest = Guest::load();
    let authorized = authorize(&guest);
    if let Err(error) = &authorized {
        guest.warn(&format!("authorized keys: {error:#}"));
    }
    host::ensure(&guest, Path::new(paths::HOST_KEY_ED25519))?;
    if let Err(error) = fingerprint::publish(Path::new(paths::HOST_KEY_ED25519)) {
        console::log(&format!("fingerprint of the host key: {error:#}"));
    }
    Ok(if authorized.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Merges the sources into the user's `authorized_keys`.
fn authorize(guest: &Guest) -> Result<()> {
    let mut sources = Vec::new();
    for path in [PathBuf::from(paths::IMAGE_AUTHORIZED_KEYS), paths::DATA_AUTHORIZED_KEYS.into(), fw_cfg_keys()] {
        match file::read_limited(&path, SOURCE_LIMIT_BYTES) {
            Ok(Some(content)) => {
                sources.push((path.display().to_string(), String::from_utf8_lossy(&content).into_owned()));
            }
            Ok(None) => {}
            Err(error) => guest.warn(&format!("authorized keys: {error:#}")),
        }
    }
    let merged = authorized::merge(sources.iter().map(|(source, text)| (source.as_str(), text.as_str())));
    for problem in &merged.problems {
        guest.warn(&format!("authorized keys: {problem}; the line is skipped"));
    }
    console::log(&format!("{} authorized keys for {}", merged.keys, guest.settings.user));

    let uid = guest.settings.uid;
    let home = Path::new("/home").join(&guest.settings.user);
    let folder = home.join(".ssh");
    own_folder(&home, uid)?;
    own_folder(&folder, uid)?;
    file::replace(&folder.join("authorized_keys"), merged.text.as_bytes(), 0o600, Some(uid))
}

/// A folder of the user's that nobody else may write: sshd refuses the keys otherwise.
fn own_folder(path: &Path, uid: u32) -> Result<()> {
    let secure = || -> std::io::Result<()> {
        if !path.is_dir() {
            std::fs::DirBuilder::new().mode(0o700).recursive(true).create(path)?;
        }
        let metadata = std::fs::symlink_metadata(path)?;
        if metadata.uid() != uid || metadata.gid() != uid {
            chown(path, Some(uid), Some(uid))?;
        }
        let mode = if path.ends_with(".ssh") { 0o700 } else { metadata.mode() & 0o755 };
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
    };
    secure().with_context(|| format!("making {} for uid {uid}", path.display()))
}

/// Keys that QEMU passes to its guest. The module may not be there yet when hardware is still being recognized.
fn fw_cfg_keys() -> PathBuf {
    const ROOT: &str = "/sys/firmware/qemu_fw_cfg";
    let qemu = || {
        file::first_line("/sys/class/dmi/id/sys_vendor") == "QEMU"
            || Path::new("/sys/bus/acpi/devices/QEMU0002:00").exists()
    };
    if !Path::new(ROOT).join("by_name").exists() && qemu() {
        modules::load("qemu_fw_cfg");
    }
    Path::new(ROOT).join("by_name").join(fw_cfg::SSH_KEYS).join("raw")
}
