//! The SSH host key: made once, kept on the data disk. A power cut while it is made leaves no key rather than an empty one.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::{console, file};

const DROPBEARKEY: &str = "/usr/bin/dropbearkey";

/// Makes the key if there is none that sshd could use.
pub(super) fn ensure(path: &Path) -> Result<()> {
    match file::read_limited(path, 4096)? {
        Some(key) if is_ed25519(&key) => return Ok(()),
        Some(key) => {
            console::log(&format!("{}: no valid key in its {} bytes; making a new one", path.display(), key.len()))
        }
        None => {}
    }
    let folder = path.parent().context("host key without a folder")?;
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    make(path)
}

fn make(path: &Path) -> Result<()> {
    let temporary = file::temporary_name(path);
    let _ = std::fs::remove_file(&temporary);
    let output = Command::new(DROPBEARKEY)
        .args(["-t", "ed25519", "-f"])
        .arg(&temporary)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting {DROPBEARKEY}"))?;
    if !output.status.success() {
        let _ = std::fs::remove_file(&temporary);
        bail!(
            "{DROPBEARKEY} -t ed25519 -f {}: {}\n{}",
            temporary.display(),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
    }
    // dropbearkey writes the public key beside it.
    let public =
        temporary.with_file_name(format!("{}.pub", temporary.file_name().unwrap_or_default().to_string_lossy()));
    let _ = std::fs::remove_file(public);
    let key = file::read_limited(&temporary, 4096)?.unwrap_or_default();
    if !is_ed25519(&key) {
        bail!("{DROPBEARKEY} made {} bytes that are no ed25519 key", key.len());
    }
    file::publish(&temporary, path)?;
    console::log(&format!("made the host key {}", path.display()));
    Ok(())
}

/// dropbear's private key file: the type and then 64 bytes (private and public half), each a string of RFC 4251 section 5
/// (length as 32-bit big-endian, then the bytes).
fn is_ed25519(key: &[u8]) -> bool {
    const HEAD: &[u8] = b"\0\0\0\x0bssh-ed25519\0\0\0\x40";
    key.len() == HEAD.len() + 64 && key.starts_with(HEAD) && key[HEAD.len()..].iter().any(|&byte| byte != 0)
}

#[cfg(test)]
mod tests {
    use super::is_ed25519;

    #[test]
    fn tells_keys_from_rubbish() {
        let mut key = b"\0\0\0\x0bssh-ed25519\0\0\0\x40".to_vec();
        key.extend([0; 64]);
        assert!(!is_ed25519(&key), "all zero");
        key[30] = 1;
        assert!(is_ed25519(&key));
        assert!(!is_ed25519(&key[..82]));
        assert!(!is_ed25519(&[0; 83]));
        assert!(!is_ed25519(b""));
    }
}
