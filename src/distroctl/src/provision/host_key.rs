//! The SSH host key of the document, in OpenSSH's format (its PROTOCOL.key), written in dropbear's, which is what sshd reads:
//! the strings of RFC 4251 section 5 `ssh-ed25519` and the 64 bytes of seed and public key.

use anyhow::{Result, bail, ensure};
use contract::paths;
use document::{Document, base64};

use super::changes::Changes;

const KIND: &[u8] = b"ssh-ed25519";

/// Gives sshd the key if the document has one.
pub(super) fn apply(changes: &mut Changes, document: &Document) {
    let Some(text) = &document.host_key else { return };
    match dropbear(text) {
        Ok(key) => changes.write(paths::HOST_KEY_ED25519, &key, 0o600, "root"),
        Err(error) => changes.problem("ssh.host-key", &error),
    }
}

fn dropbear(text: &str) -> Result<Vec<u8>> {
    let body: String = text.lines().map(str::trim).filter(|line| !line.starts_with('-')).collect();
    let Some(bytes) = base64::decode(&body) else { bail!("the key is not base64") };
    let Some(mut rest) = bytes.strip_prefix(b"openssh-key-v1\0") else { bail!("no OpenSSH private key") };
    let cut = || anyhow::anyhow!("the key is cut off");
    let mut next = || string(&mut rest).ok_or_else(cut);
    ensure!(next()? == b"none", "the key has a passphrase: take it off with ssh-keygen -p");
    // Key derivation and its options.
    next()?;
    next()?;
    let count = take(&mut rest, 4).ok_or_else(cut)?;
    ensure!(count == [0, 0, 0, 1], "more than one key");
    string(&mut rest).ok_or_else(cut)?;
    let mut private = string(&mut rest).ok_or_else(cut)?;
    let (one, other) = (take(&mut private, 4), take(&mut private, 4));
    ensure!(one.is_some() && one == other, "the key is damaged");
    let kind = string(&mut private).ok_or_else(cut)?;
    ensure!(kind == KIND, "the key is of type {:?}, the server has ssh-ed25519 only", String::from_utf8_lossy(kind));
    let public = string(&mut private).ok_or_else(cut)?;
    let pair = string(&mut private).ok_or_else(cut)?;
    ensure!(pair.len() == 64 && pair.ends_with(public) && public.len() == 32, "the key is damaged");
    Ok([&[0, 0, 0, 11][..], KIND, &[0, 0, 0, 64], pair].concat())
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

/// A length of four bytes, the highest first, and so many bytes.
fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take(rest, 4)?.try_into().map(u32::from_be_bytes).ok()?;
    take(rest, usize::try_from(length).ok()?)
}

#[cfg(test)]
mod tests {
    use super::dropbear;
    use std::process::Command;

    #[test]
    fn converts_keys_of_ssh_keygen() {
        let folder = tempfile::tempdir().unwrap();
        let make = |kind: &str, passphrase: &str| {
            let path = folder.path().join(format!("{kind}{passphrase}"));
            let mut command = Command::new("ssh-keygen");
            command.args(["-q", "-t", kind, "-N", passphrase, "-f"]).arg(&path);
            let made = command.status().is_ok_and(|status| status.success());
            made.then(|| std::fs::read_to_string(path).unwrap())
        };
        let Some(key) = make("ed25519", "") else { return };
        let converted = dropbear(&key).unwrap();
        assert_eq!((converted.len(), &converted[4..15]), (83, &b"ssh-ed25519"[..]));
        assert!(dropbear(&make("ed25519", "secret").unwrap()).unwrap_err().to_string().contains("passphrase"));
        assert!(dropbear(&make("ecdsa", "").unwrap()).unwrap_err().to_string().contains("ecdsa-sha2"));
        assert!(dropbear(&key[..120]).is_err());
    }

    #[test]
    fn fuzz_host_key() {
        let text = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gt\n";
        fuzz::Fuzz::new("fuzz_host_key").seed(text).iterations(600).run(|bytes| {
            drop(std::hint::black_box(dropbear(&String::from_utf8_lossy(bytes))));
        });
    }
}
