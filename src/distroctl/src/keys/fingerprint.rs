//! Fingerprints of the host key, for those who log in the first time and look at the console.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use contract::paths;

use super::host::DROPBEARKEY;
use crate::file;

/// Publishes them where everybody may read them.
pub(super) fn publish(key: &Path) -> Result<()> {
    let output = Command::new(DROPBEARKEY)
        .args(["-y", "-f"])
        .arg(key)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting {DROPBEARKEY}"))?;
    let Some(line) = fingerprint(&String::from_utf8_lossy(&output.stdout)) else {
        bail!("{DROPBEARKEY} -y -f {}: {}, no fingerprint", key.display(), output.status);
    };
    file::replace(Path::new(paths::HOST_KEY_FINGERPRINTS), line.as_bytes(), 0o644, None)
}

/// `TYPE FINGERPRINT` of what dropbearkey(1) says: a line of the public key and one `Fingerprint: SHA256:…`.
fn fingerprint(output: &str) -> Option<String> {
    let print = output.lines().find_map(|line| line.strip_prefix("Fingerprint:"))?.split_whitespace().last()?;
    let kind = output.lines().find_map(|line| line.split(' ').next().filter(|word| word.starts_with("ssh-")))?;
    Some(format!("{kind} {print}\n"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn reads_what_dropbearkey_says() {
        let output = "Public key portion is:\nssh-ed25519 AAAAC3 root@box\nFingerprint: SHA256:abc/+\n";
        assert_eq!(super::fingerprint(output).as_deref(), Some("ssh-ed25519 SHA256:abc/+\n"));
        assert_eq!(super::fingerprint("ssh-ed25519 AAAA\n"), None);
    }
}
