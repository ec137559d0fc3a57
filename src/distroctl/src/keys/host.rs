//! The SSH host key: made once, kept on the data disk. A power cut while it is made leaves no key rather than an empty one.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::guest::Guest;
use crate::{console, file, overlay};

pub(super) const DROPBEARKEY: &str = "/usr/bin/dropbearkey";
const KEY_LIMIT_BYTES: u64 = 4096;

/// Makes the key if there is none that sshd could use. On a disk that cannot be written it is made in RAM: a machine that
/// its user can log in to, and repair, is worth more than a key that stays.
pub(super) fn ensure(guest: &Guest, path: &Path) -> Result<()> {
    ensure_with(path, generate, |error| {
        let folder = existing(path.parent().unwrap_or(path));
        guest.warn(&format!(
            "the SSH host key cannot be kept: {error:#}\n\
             it is made in RAM, so ssh will warn of a changed host key at each boot\n\
             hint: see \"df -h {0}\", make room on the data disk and boot again; until then changes in {0} are lost",
            folder.display()
        ));
        overlay::mount(folder, folder)
    })
}

fn ensure_with(
    path: &Path,
    generate: impl Fn(&Path) -> Result<()>,
    make_writable: impl FnOnce(&anyhow::Error) -> Result<()>,
) -> Result<()> {
    keep_or_make(path, &generate).or_else(|error| {
        make_writable(&error)?;
        keep_or_make(path, &generate)
    })
}

fn keep_or_make(path: &Path, generate: impl Fn(&Path) -> Result<()>) -> Result<()> {
    file::remove_leftovers(path);
    match file::read_limited(path, KEY_LIMIT_BYTES)? {
        Some(key) if is_ed25519(&key) => return Ok(()),
        Some(key) => {
            let bad = path.with_file_name(format!("{}.bad", path.file_name().unwrap_or_default().to_string_lossy()));
            console::log(&format!(
                "{}: no valid key in its {} bytes; keeping it as {} and making a new one",
                path.display(),
                key.len(),
                bad.display()
            ));
            std::fs::rename(path, &bad).with_context(|| format!("renaming {} to {}", path.display(), bad.display()))?;
        }
        None => {}
    }
    let folder = path.parent().context("host key without a folder")?;
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let temporary = file::temporary_name(path);
    let made = generate(&temporary).and_then(|()| {
        let key = file::read_limited(&temporary, KEY_LIMIT_BYTES)?.unwrap_or_default();
        if !is_ed25519(&key) {
            bail!("{DROPBEARKEY} made {} bytes that are no ed25519 key", key.len());
        }
        file::publish(&temporary, path)
    });
    // dropbearkey writes the public key beside it, and on a full disk an empty file.
    file::remove_leftovers(path);
    made?;
    console::log(&format!("made the host key {}", path.display()));
    Ok(())
}

fn generate(path: &Path) -> Result<()> {
    let output = Command::new(DROPBEARKEY)
        .args(["-t", "ed25519", "-f"])
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting {DROPBEARKEY}"))?;
    if !output.status.success() {
        bail!(
            "{DROPBEARKEY} -t ed25519 -f {}: {}\n{}",
            path.display(),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
    }
    Ok(())
}

/// The nearest folder there is. Nearest, so that as little as possible goes to RAM.
fn existing(folder: &Path) -> &Path {
    folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(folder)
}

/// dropbear's private key file: the type and then 64 bytes (private and public half), each a string of RFC 4251 section 5
/// (length as 32-bit big-endian, then the bytes).
fn is_ed25519(key: &[u8]) -> bool {
    const HEAD: &[u8] = b"\0\0\0\x0bssh-ed25519\0\0\0\x40";
    key.len() == HEAD.len() + 64 && key.starts_with(HEAD) && key[HEAD.len()..].iter().any(|&byte| byte != 0)
}

#[cfg(test)]
mod tests {
    use super::{ensure_with, existing, is_ed25519};
    use std::cell::Cell;
    use std::path::Path;

    fn key() -> Vec<u8> {
        let mut key = b"\0\0\0\x0bssh-ed25519\0\0\0\x40".to_vec();
        key.extend([7; 64]);
        key
    }

    fn generate(path: &Path) -> anyhow::Result<()> {
        std::fs::write(format!("{}.pub", path.display()), "public")?;
        Ok(std::fs::write(path, key())?)
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn makes_a_key_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("etc/ssh/k");
        ensure_with(&path, generate, |_| panic!("writable")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), key());
        ensure_with(&path, |_| panic!("there is one"), |_| panic!("readable")).unwrap();
        assert_eq!(names(path.parent().unwrap()), ["k"]);
    }

    #[test]
    fn a_broken_key_is_kept_aside_and_leftovers_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k");
        for (name, content) in [("k", "broken"), (".k.1", ""), (".k.12.pub", "x")] {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        ensure_with(&path, generate, |_| panic!("writable")).unwrap();
        assert_eq!(names(folder.path()), ["k", "k.bad"]);
        assert_eq!(std::fs::read(folder.path().join("k.bad")).unwrap(), b"broken");
    }

    #[test]
    fn a_disk_that_cannot_be_written_gets_its_key_in_ram() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k");
        let writable = Cell::new(false);
        // What a full disk leaves: a file without content, and an error or none.
        let generate = |path: &Path| if writable.get() { generate(path) } else { Ok(std::fs::write(path, "")?) };
        let make_writable = |error: &anyhow::Error| {
            assert_eq!(error.to_string(), "/usr/bin/dropbearkey made 0 bytes that are no ed25519 key");
            assert_eq!(names(folder.path()), Vec::<String>::new());
            writable.set(true);
            Ok(())
        };
        ensure_with(&path, generate, make_writable).unwrap();
        assert_eq!(names(folder.path()), ["k"]);
    }

    #[test]
    fn finds_the_nearest_folder() {
        assert_eq!(existing("/proc/self/none/ssh".as_ref()), Path::new("/proc/self"));
        assert_eq!(existing("/proc/self".as_ref()), Path::new("/proc/self"));
    }

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
