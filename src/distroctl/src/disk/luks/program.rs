//! cryptsetup(8), which does all that touches a container. Keys go through its standard input and nowhere else.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use contract::paths;

use super::key::Key;
use crate::modules;

const CRYPTSETUP: &str = "/usr/sbin/cryptsetup";
/// Keys may be made slow on purpose, for machines that are faster.
const LIMIT: Duration = Duration::from_secs(180);
/// Where it keeps its locks; without the folder it warns.
const LOCKS: &str = "/run/cryptsetup";
/// What the kernel does it with. It may still be loading them, or have them built in.
const MODULES: [&str; 4] = ["aesni_intel", "dm_crypt", "xts", "algif_skcipher"];

/// What became of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Attempt {
    Opened,
    WrongKey,
    /// No key would do; why.
    Hopeless(String),
}

/// Whether the image has it.
pub(crate) fn is_there() -> bool {
    Path::new(CRYPTSETUP).exists()
}

/// Opens a container as [`paths::DATA_OPENED`]. Not by the kernel's key ring: growing it later would ask for the key again.
pub(super) fn open(node: &Path, key: &Key) -> Result<Attempt> {
    for name in MODULES {
        modules::load(name);
    }
    let _ = std::fs::create_dir_all(LOCKS);
    let mut command = Command::new(CRYPTSETUP);
    command.args(["open", "--type", "luks2", "--disable-keyring", "--key-file=-"]).arg(node).arg(name());
    Ok(attempt(run(command, Some(key))?))
}

/// Grows the open container to the end of its partition.
pub(crate) fn resize() -> Result<()> {
    let mut command = Command::new(CRYPTSETUP);
    command.args(["resize", name()]);
    let status = run(command, None)?;
    ensure!(status.success(), "{CRYPTSETUP} resize ended with {status}");
    Ok(())
}

/// Closes the container, `when_unused`: as soon as nothing of it is mounted any more, which may be at shutdown.
pub(super) fn close(when_unused: bool) -> Result<()> {
    let mut command = Command::new(CRYPTSETUP);
    command.arg("close").args(when_unused.then_some("--deferred")).arg(name());
    let status = run(command, None)?;
    ensure!(status.success(), "{CRYPTSETUP} close ended with {status}");
    Ok(())
}

/// The name of the mapping.
fn name() -> &'static str {
    paths::DATA_OPENED.rsplit('/').next().unwrap_or(paths::DATA_OPENED)
}

/// Its messages go to the service's log; none of them has a key in it. Without udev the device nodes are its own business.
fn run(mut command: Command, key: Option<&Key>) -> Result<ExitStatus> {
    command.env("DM_DISABLE_UDEV", "1").stdout(std::io::stderr());
    command.stdin(if key.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command.spawn().with_context(|| format!("starting {CRYPTSETUP}"))?;
    if let (Some(mut stdin), Some(key)) = (child.stdin.take(), key) {
        // One that has ended already says why by its status.
        let _ = stdin.write_all(key.bytes());
    }
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().with_context(|| format!("waiting for {CRYPTSETUP}"))? {
            return Ok(status);
        }
        if begin.elapsed() >= LIMIT {
            let _ = child.kill();
            let _ = child.wait();
            anyhow::bail!("{CRYPTSETUP} has not ended after {} s", LIMIT.as_secs());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Of its exit status: 1 wrong parameters (of a device: no container that it can read), 2 no permission (bad passphrase), 3
/// out of memory, 4 wrong device, 5 device is busy (cryptsetup(8), "RETURN CODES").
fn attempt(status: ExitStatus) -> Attempt {
    const SLOT: &str =
        "\nhint: on the machine where it was made: \"cryptsetup luksConvertKey --pbkdf-memory 65536 DISK\"";
    match status.code() {
        Some(0) => Attempt::Opened,
        Some(2) => Attempt::WrongKey,
        Some(3) => Attempt::Hopeless(format!("this machine has too little memory for how its key is derived{SLOT}")),
        Some(1) => Attempt::Hopeless(
            "cryptsetup cannot read its header; \"distroctl logs data-disk\" tells why\n\
             hint: if it is damaged: \"sudo cryptsetup repair DISK\", or luksHeaderRestore with the copy that luksHeaderBackup made"
                .into(),
        ),
        Some(5) => Attempt::Hopeless("something else uses it".into()),
        Some(code) => Attempt::Hopeless(format!("cryptsetup ended with status {code}")),
        None if status.signal() == Some(libc::SIGKILL) => {
            Attempt::Hopeless(format!("cryptsetup was killed, probably for lack of memory{SLOT}"))
        }
        None => Attempt::Hopeless(format!("cryptsetup ended with {status}")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::{Attempt, attempt, name};

    #[test]
    fn reads_exit_statuses() {
        let of = |raw| attempt(ExitStatus::from_raw(raw));
        assert_eq!((of(0), of(2 << 8)), (Attempt::Opened, Attempt::WrongKey));
        for (raw, words) in [(1 << 8, "repair"), (3 << 8, "--pbkdf-memory"), (9, "lack of memory"), (5 << 8, "uses it")]
        {
            let Attempt::Hopeless(reason) = of(raw) else { panic!("{raw}") };
            assert!(reason.contains(words), "{reason}");
        }
        assert_eq!(of(11), Attempt::Hopeless("cryptsetup ended with signal: 11 (SIGSEGV)".into()));
        assert_eq!(name(), "data-disk");
    }
}
