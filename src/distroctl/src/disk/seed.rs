//! The random seed: what one boot leaves on the data disk for the kernel's random number generator of the next. A machine
//! without a hardware generator has little else at its start (random(4), "Configuration"). The kernel mixes it in and counts
//! it as no entropy, so a seed that somebody knows, or a disk that was copied, does no harm.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::OFlags;

use crate::console::log;
use crate::file;

/// The kernel's pool of 4096 bits, the size that random(4) recommends.
const SEED_BYTES: usize = 512;

/// Gives the kernel the seed of `path` and replaces it, so that no two boots begin with the same one. `source` is
/// `/dev/random`: unlike `/dev/urandom` it says if the generator is not initialised yet, and then the old seed stays.
pub(super) fn renew(path: &Path, sink: &Path, source: &Path) -> Result<()> {
    file::remove_leftovers(path);
    if let Some(old) = file::read_limited(path, SEED_BYTES as u64)? {
        let give = || OpenOptions::new().write(true).open(sink)?.write_all(&old);
        give().with_context(|| format!("writing the random seed to {}", sink.display()))?;
    }
    match fresh(source) {
        Ok(seed) => file::replace(path, &seed, 0o600, None),
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            log("the kernel has no random numbers yet; the random seed stays as it is");
            Ok(())
        }
        Err(error) => Err(error).with_context(|| format!("reading {}", source.display())),
    }
}

fn fresh(source: &Path) -> std::io::Result<[u8; SEED_BYTES]> {
    let mut seed = [0; SEED_BYTES];
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(source)?.read_exact(&mut seed)?;
    Ok(seed)
}

#[cfg(test)]
mod tests {
    use super::renew;
    use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    #[test]
    fn gives_the_old_seed_and_keeps_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let (path, sink) = (folder.path().join("random-seed"), folder.path().join("sink"));
        std::fs::write(&sink, "").unwrap();
        renew(&path, &sink, Path::new("/dev/random")).unwrap();
        assert_eq!(std::fs::read(&sink).unwrap(), b"", "there was none");
        let first = std::fs::read(&path).unwrap();
        assert_eq!(first.len(), 512);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
        renew(&path, &sink, Path::new("/dev/random")).unwrap();
        assert_eq!(std::fs::read(&sink).unwrap(), first);
        assert_ne!(std::fs::read(&path).unwrap(), first);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn does_not_wait_for_random_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("random-seed"), "old").unwrap();
        std::fs::write(at("sink"), "").unwrap();
        // A pipe that somebody may yet write to.
        mknodat(CWD, at("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        let _writer = open(at("pipe"), OFlags::RDWR, Mode::empty()).unwrap();
        renew(&at("random-seed"), &at("sink"), &at("pipe")).unwrap();
        assert_eq!(std::fs::read(at("sink")).unwrap(), b"old");
        assert_eq!(std::fs::read(at("random-seed")).unwrap(), b"old");
        assert!(renew(&at("random-seed"), &at("sink"), &at("none")).is_err());
    }
}
