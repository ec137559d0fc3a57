//! What is wrong with containers, as those who keep them have written down ([`super::keep`]): root's containers and users'.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use contract::paths;
use rustix::fs::OFlags;

use super::place::Place;
use crate::rootless;

/// Of one user; his file is his to write.
const BYTES: u64 = 16 << 10;
const LINES: usize = 20;

/// All that the caller may read, a line each.
pub(crate) fn all() -> Vec<String> {
    let of_root = std::fs::read_to_string(paths::CONTAINER_PROBLEMS).unwrap_or_default();
    let mut problems: Vec<String> = of_root.lines().map(|line| format!("container {line}")).collect();
    for (uid, name) in rootless::users() {
        problems.extend(of_user(&Place::of_user(uid).problems, &name));
    }
    problems
}

/// Links are not followed and nothing is waited for, and what goes to a terminal has no control characters.
fn of_user(path: &Path, user: &str) -> Vec<String> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let Ok(file) = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path) else {
        return Vec::new();
    };
    let mut bytes = Vec::new();
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) || file.take(BYTES).read_to_end(&mut bytes).is_err() {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(&bytes);
    let clean = |line: &str| line.chars().filter(|c| !c.is_control()).collect::<String>();
    let tell = |line: String| match line.split_once(": ") {
        Some((name, what)) => format!("container {name} of {user}: {what}"),
        None => format!("container of {user}: {line}"),
    };
    text.lines().take(LINES).map(clean).map(tell).collect()
}

#[cfg(test)]
mod tests {
    use super::{BYTES, LINES, of_user};

    #[test]
    fn a_users_file_is_read_with_care() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("container-problems");
        assert_eq!(of_user(&path, "ann"), Vec::<String>::new());
        std::fs::write(&path, "web: unhealthy\nodd\u{1b}[2J\u{7f}\n").unwrap();
        assert_eq!(of_user(&path, "ann"), ["container web of ann: unhealthy", "container of ann: odd[2J"]);
        std::fs::write(&path, "x: y\n".repeat(10_000)).unwrap();
        assert_eq!(of_user(&path, "ann").len(), LINES);
        std::fs::write(&path, vec![b'x'; 1 << 20]).unwrap();
        assert!(of_user(&path, "ann").concat().len() as u64 <= BYTES + 30);
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        for other in [&link, &fifo, folder.path()] {
            assert_eq!(of_user(other, "ann"), Vec::<String>::new(), "{}", other.display());
        }
    }
}
