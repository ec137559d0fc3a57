//! `distroctl keys`, before sshd starts: the SSH host key, and the user's authorized keys from all their sources.

mod authorized;
mod fingerprint;
mod given;
mod host;

use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use contract::{fw_cfg, paths};

use crate::guest::Guest;
use crate::provision::{self, Root};
use crate::{console, container, file};

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
pub(crate) fn authorize(guest: &Guest) -> Result<()> {
    let mut sources = Vec::new();
    let fw_cfg_keys = provision::fw_cfg(&Root::system(), fw_cfg::SSH_KEYS);
    for path in [PathBuf::from(paths::IMAGE_AUTHORIZED_KEYS), paths::DATA_AUTHORIZED_KEYS.into(), fw_cfg_keys] {
        match file::read_limited(&path, SOURCE_LIMIT_BYTES) {
            Ok(Some(content)) => {
                sources.push((path.display().to_string(), String::from_utf8_lossy(&content).into_owned()));
            }
            Ok(None) => {}
            Err(error) => guest.warn(&format!("authorized keys: {error:#}")),
        }
    }
    let provisioned = provision::login_keys(&provision::effective(), &guest.settings.user).join("\n");
    sources.push((paths::CONFIG.to_string(), provisioned));
    let name = contract::container::AUTHORIZED_KEYS;
    sources.extend(container::variable(name).map(|text| (name.to_string(), text)));
    let home = Path::new("/home").join(&guest.settings.user);
    let folder = home.join(".ssh");
    let path = folder.join("authorized_keys");
    let own = if given::is_mounted(&path) { Some(mounted(&path)?) } else { None };
    if let Some(text) = &own {
        sources.insert(0, (path.display().to_string(), text.clone()));
    }
    let merged = authorized::merge(sources.iter().map(|(source, text)| (source.as_str(), text.as_str())));
    for problem in &merged.problems {
        guest.warn(&format!("authorized keys: {problem}; the line is skipped"));
    }
    console::log(&format!("{} authorized keys for {}", merged.keys, guest.settings.user));

    let uid = guest.settings.uid;
    own_folder(&home, uid)?;
    let Some(own) = own else {
        own_folder(&folder, uid)?;
        return file::replace(&path, merged.text.as_bytes(), 0o600, Some(uid));
    };
    // What is mounted may be read-only, and right as it is.
    own_folder(&folder, uid).unwrap_or_else(|error| console::log(&format!("{error:#}")));
    given::complete(&path, &authorized::merge([("", own.as_str())]), &merged, uid)
}

/// The text of a file that was mounted; empty if only its folder was.
fn mounted(path: &Path) -> Result<String> {
    let content = file::read_limited(path, SOURCE_LIMIT_BYTES)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&content).into_owned())
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
