//! File-system check before the data disk is mounted.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use super::superblock::Kind;

const E2FSCK: &str = "/usr/sbin/e2fsck";

/// Verdict of a check.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// May be written.
    Sound,
    /// Must not be written; the reason.
    Damaged(String),
    /// The check could not be started; the reason.
    Unchecked(String),
}

/// Checks and repairs what is safe to repair. XFS replays its log when it is mounted and has no such check.
pub(super) fn check(kind: Kind, node: &Path) -> Verdict {
    if kind == Kind::Xfs {
        return Verdict::Sound;
    }
    let first = e2fsck(node);
    // Value 2: errors corrected, "the system should be rebooted", which is meant for a mounted root.
    match &first {
        Ok(status) if status.code().is_some_and(|code| code & 2 != 0 && code < 4) => verdict(e2fsck(node)),
        _ => verdict(first),
    }
}

/// Runs `e2fsck -p`; its output goes to the service's log. An error is one of starting it.
fn e2fsck(node: &Path) -> std::io::Result<ExitStatus> {
    Command::new(E2FSCK).arg("-p").arg(node).stdin(Stdio::null()).stdout(std::io::stderr()).status()
}

/// The exit status is a sum: 1 and 2 errors corrected, 4 errors left, 8 operational error, 16 usage, 32 cancelled, 128 shared
/// library (e2fsck(8), "EXIT CODE"). What did not come to a good end has proved nothing.
fn verdict(result: std::io::Result<ExitStatus>) -> Verdict {
    let status = match result {
        Ok(status) => status,
        Err(error) => return Verdict::Unchecked(format!("starting {E2FSCK}: {error}")),
    };
    if let Some(signal) = status.signal() {
        return Verdict::Damaged(format!("e2fsck -p was killed by signal {signal}"));
    }
    match status.code() {
        Some(0..4) => Verdict::Sound,
        Some(code) if code & 4 != 0 => {
            Verdict::Damaged(format!("e2fsck -p ended with status {code}: errors left uncorrected"))
        }
        Some(code) if code & 8 != 0 => Verdict::Damaged(format!(
            "e2fsck -p ended with status {code}: operational error, such as too little memory, a disk that cannot be read, \
             or features of the file system that this e2fsck does not know"
        )),
        _ => Verdict::Damaged(format!("e2fsck -p did not end as it should: {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Verdict, verdict};
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    /// `raw` is a status of wait(2).
    fn damage(raw: i32) -> String {
        match verdict(Ok(ExitStatus::from_raw(raw))) {
            Verdict::Damaged(reason) => reason,
            other => panic!("{raw:#x}: {other:?}"),
        }
    }

    #[test]
    fn reads_exit_statuses() {
        for code in 0..4 {
            assert_eq!(verdict(Ok(ExitStatus::from_raw(code << 8))), Verdict::Sound, "{code}");
        }
        for code in [4, 5, 12] {
            assert_eq!(damage(code << 8), format!("e2fsck -p ended with status {code}: errors left uncorrected"));
        }
        assert!(
            damage(8 << 8).starts_with("e2fsck -p ended with status 8: operational error, such as too little memory")
        );
        for code in [16, 32, 128] {
            assert_eq!(damage(code << 8), format!("e2fsck -p did not end as it should: exit status: {code}"));
        }
    }

    #[test]
    fn a_check_that_was_killed_has_proved_nothing() {
        assert_eq!(damage(9), "e2fsck -p was killed by signal 9");
        assert_eq!(damage(0x80 | 11), "e2fsck -p was killed by signal 11");
    }

    #[test]
    fn a_check_that_cannot_start_is_none() {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        let Verdict::Unchecked(reason) = verdict(Err(missing)) else { panic!("not unchecked") };
        assert!(reason.starts_with("starting /usr/sbin/e2fsck: "), "{reason}");
    }
}
