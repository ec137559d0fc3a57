//! A step that failed: what was done, to which path, and the errno by its name.

use std::io;

/// Why a step failed.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    path: String,
    error: io::Error,
    hint: Option<&'static str>,
}

impl Failure {
    /// `what` is a verb with its object ("mount squashfs"), `path` what it was done to.
    pub(crate) fn new(what: impl Into<String>, path: impl Into<String>, error: impl Into<io::Error>) -> Self {
        Self { what: what.into(), path: path.into(), error: error.into(), hint: None }
    }

    /// For `map_err`.
    pub(crate) fn of<E: Into<io::Error>>(what: &str, path: &str) -> impl FnOnce(E) -> Self {
        move |error| Self::new(what, path, error)
    }

    /// Adds what the user can do about it.
    pub(crate) fn with_hint(self, hint: &'static str) -> Self {
        Self { hint: Some(hint), ..self }
    }

    /// The error number, if the kernel gave one.
    pub(crate) fn errno(&self) -> Option<i32> {
        self.error.raw_os_error()
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.what, self.path, describe(&self.error))?;
        self.hint.map_or(Ok(()), |hint| write!(f, "\nhint: {hint}"))
    }
}

/// `ENOENT (No such file or directory)`.
fn describe(error: &io::Error) -> String {
    let Some(number) = error.raw_os_error() else {
        return error.to_string();
    };
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    match errno_name(number) {
        Some(name) => format!("{name} ({text})"),
        None => format!("errno {number} ({text})"),
    }
}

/// Names of `asm-generic/errno-base.h` and those of `errno.h` that mounts, modules and processes give.
fn errno_name(number: i32) -> Option<&'static str> {
    const NAMES: [&str; 40] = [
        "EPERM",
        "ENOENT",
        "ESRCH",
        "EINTR",
        "EIO",
        "ENXIO",
        "E2BIG",
        "ENOEXEC",
        "EBADF",
        "ECHILD",
        "EAGAIN",
        "ENOMEM",
        "EACCES",
        "EFAULT",
        "ENOTBLK",
        "EBUSY",
        "EEXIST",
        "EXDEV",
        "ENODEV",
        "ENOTDIR",
        "EISDIR",
        "EINVAL",
        "ENFILE",
        "EMFILE",
        "ENOTTY",
        "ETXTBSY",
        "EFBIG",
        "ENOSPC",
        "ESPIPE",
        "EROFS",
        "EMLINK",
        "EPIPE",
        "EDOM",
        "ERANGE",
        "EDEADLK",
        "ENAMETOOLONG",
        "ENOLCK",
        "ENOSYS",
        "ENOTEMPTY",
        "ELOOP",
    ];
    match number {
        libc::EPROTO => Some("EPROTO"),
        libc::EOVERFLOW => Some("EOVERFLOW"),
        libc::EUCLEAN => Some("EUCLEAN"),
        libc::EOPNOTSUPP => Some("EOPNOTSUPP"),
        libc::ETIMEDOUT => Some("ETIMEDOUT"),
        libc::ESTALE => Some("ESTALE"),
        libc::EBADMSG => Some("EBADMSG"),
        libc::ENOKEY => Some("ENOKEY"),
        libc::EKEYREJECTED => Some("EKEYREJECTED"),
        libc::ENOBUFS => Some("ENOBUFS"),
        libc::ENODATA => Some("ENODATA"),
        _ => NAMES.get(usize::try_from(number).ok()?.checked_sub(1)?).copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Failure, errno_name};

    #[test]
    fn names_errors() {
        assert_eq!(errno_name(libc::EPERM), Some("EPERM"));
        assert_eq!(errno_name(libc::EINVAL), Some("EINVAL"));
        assert_eq!(errno_name(libc::ELOOP), Some("ELOOP"));
        assert_eq!(errno_name(libc::ENOSYS), Some("ENOSYS"));
        assert_eq!(errno_name(libc::EUCLEAN), Some("EUCLEAN"));
        assert_eq!(errno_name(0), None);
        let failure = Failure::new("mount proc", "/proc", std::io::Error::from_raw_os_error(libc::ENODEV));
        assert_eq!(failure.to_string(), "mount proc /proc: ENODEV (No such device)");
        assert_eq!(failure.with_hint("do").to_string(), "mount proc /proc: ENODEV (No such device)\nhint: do");
    }
}
