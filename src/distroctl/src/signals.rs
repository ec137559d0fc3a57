//! Signals as something to poll: a handler writes a byte into a pipe. A handler, unlike a blocked signal, is not passed on to
//! the programs that this one starts.

use std::io::{PipeReader, pipe};
use std::os::fd::IntoRawFd;
use std::sync::atomic::{AtomicI32, Ordering};

static WRITER: AtomicI32 = AtomicI32::new(-1);

/// A pipe from which a byte can be read when SIGTERM, SIGINT or SIGHUP has come: the signal's number.
pub(crate) fn requests() -> std::io::Result<PipeReader> {
    let (reader, writer) = pipe()?;
    WRITER.store(writer.into_raw_fd(), Ordering::Relaxed);
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        // SAFETY: the handler does nothing but one write(2), which is async-signal-safe (signal-safety(7)).
        if unsafe { libc::signal(signal, handler as *const () as libc::sighandler_t) } == libc::SIG_ERR {
            return Err(std::io::Error::last_os_error());
        }
    }
    Ok(reader)
}

extern "C" fn handler(signal: libc::c_int) {
    // SAFETY: the descriptor stays open for the life of the process, the buffer is one byte.
    unsafe { libc::write(WRITER.load(Ordering::Relaxed), [signal as u8].as_ptr().cast(), 1) };
}
