//! File-system check before the data disk is mounted.

use std::path::Path;
use std::process::{Command, Stdio};

use super::superblock::Kind;

const E2FSCK: &str = "/usr/sbin/e2fsck";

/// Verdict of a check.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// May be written.
    Sound,
    /// Must not be written; the reason.
    Damaged(String),
    /// The check could not run; the reason.
    Unchecked(String),
}

/// Checks and repairs what is safe to repair. XFS replays its log when it is mounted and has no such check.
pub(super) fn check(kind: Kind, node: &Path) -> Verdict {
    if kind == Kind::Xfs {
        return Verdict::Sound;
    }
    let first = e2fsck(node);
    // Bit 1 (value 2): errors corrected, "the system should be rebooted", which is meant for a mounted root.
    match first {
        Ok(code) if code & 2 != 0 && code < 4 => verdict(e2fsck(node)),
        other => verdict(other),
    }
}

/// Exit status of `e2fsck -p`, a sum of bits (e2fsck(8), "EXIT CODE"); its output goes to the service's log.
fn e2fsck(node: &Path) -> Result<i32, String> {
    let status = Command::new(E2FSCK)
        .arg("-p")
        .arg(node)
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .map_err(|error| format!("starting {E2FSCK}: {error}"))?;
    status.code().ok_or_else(|| format!("{E2FSCK} -p {}: {status}", node.display()))
}

fn verdict(result: Result<i32, String>) -> Verdict {
    match result {
        Ok(code) if code < 4 => Verdict::Sound,
        Ok(code) if code & 4 != 0 => {
            Verdict::Damaged(format!("e2fsck -p ended with status {code}: errors left uncorrected"))
        }
        Ok(code) => Verdict::Damaged(format!("e2fsck -p ended with status {code}: operational error")),
        Err(error) => Verdict::Unchecked(error),
    }
}

#[cfg(test)]
mod tests {
    use super::{Verdict, verdict};

    #[test]
    fn reads_exit_statuses() {
        for code in [0, 1, 2, 3] {
            assert_eq!(verdict(Ok(code)), Verdict::Sound, "{code}");
        }
        for code in [4, 5, 8, 12, 16, 32, 128] {
            assert!(matches!(verdict(Ok(code)), Verdict::Damaged(_)), "{code}");
        }
        assert!(matches!(verdict(Err("x".into())), Verdict::Unchecked(_)));
    }
}
