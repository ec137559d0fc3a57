//! Log files of services: each `NAME` and one `NAME.1` before it, so that no service can fill the RAM with words.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

use contract::paths::SERVICE_LOG_DIR;

/// A log longer than this is moved to `.1`.
const LIMIT_BYTES: u64 = 1 << 20;
/// How often running services' logs are looked at.
pub(crate) const CHECK_MS: u64 = 15_000;

/// The service's log, to append to.
pub(crate) fn open(name: &str) -> io::Result<File> {
    let path = format!("{SERVICE_LOG_DIR}/{name}");
    if std::fs::metadata(&path).is_ok_and(|file| file.len() > LIMIT_BYTES) {
        let _ = std::fs::rename(&path, format!("{path}.1"));
    }
    OpenOptions::new().create(true).append(true).mode(0o640).open(path)
}

/// Cuts the log of a running service: its end is copied to `.1`, then the file is emptied. The service appends
/// (`O_APPEND`), so it goes on at the new end. Words written between the two calls are lost.
pub(crate) fn trim(name: &str) {
    let path = format!("{SERVICE_LOG_DIR}/{name}");
    let Ok(size) = std::fs::metadata(&path).map(|file| file.len()) else { return };
    if size <= LIMIT_BYTES {
        return;
    }
    let _ = cut(&path, size);
}

fn cut(path: &str, size: u64) -> io::Result<()> {
    let mut log = OpenOptions::new().read(true).write(true).open(path)?;
    log.seek(SeekFrom::Start(size.saturating_sub(LIMIT_BYTES)))?;
    let mut old = OpenOptions::new().create(true).truncate(true).write(true).mode(0o640).open(format!("{path}.1"))?;
    let copied = io::copy(&mut (&mut log).take(LIMIT_BYTES), &mut old);
    log.set_len(0)?;
    copied.map(|_| ())
}
