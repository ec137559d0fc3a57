//! Services that say themselves when they are ready: a datagram with the line `READY=1` to the socket that their
//! environment's `NOTIFY_SOCKET` names (sd_notify(3)). Each has a socket of its own, which only its user may write to, so
//! who has sent it need not be found out. All other lines (`MAINPID=`, `STATUS=`, `WATCHDOG=`) mean nothing here.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use contract::paths::NOTIFY_DIR;
use contract::service::{Listen, Service};
use rustix::net::{RecvFlags, SocketFlags, SocketType};

use super::listen;

/// Datagrams taken at a time: whoever sends more must not keep PID 1 from its other work.
const AT_A_TIME: usize = 16;
/// The rest of a longer datagram is lost.
const DATAGRAM_MAX: usize = 4096;

/// The socket's path.
pub(crate) fn path(name: &str) -> String {
    format!("{NOTIFY_DIR}/{name}")
}

/// Makes the socket.
pub(crate) fn open(service: &Service) -> io::Result<OwnedFd> {
    let place = Listen { path: path(&service.name), mode: 0o600, gid: service.uid };
    listen::bind(&place, service.uid, SocketType::DGRAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)
}

/// Takes what has come; true if `READY=1` was among it.
pub(crate) fn take(socket: BorrowedFd<'_>) -> bool {
    let mut is_ready = false;
    let mut buffer = [0u8; DATAGRAM_MAX];
    for _ in 0..AT_A_TIME {
        let Ok((count, _)) = rustix::net::recv(socket.as_fd(), &mut buffer, RecvFlags::DONTWAIT) else { break };
        is_ready |= says_ready(buffer.get(..count).unwrap_or_default());
    }
    is_ready
}

fn says_ready(datagram: &[u8]) -> bool {
    datagram.split(|&byte| byte == b'\n').any(|line| line == b"READY=1")
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixDatagram;

    use super::{AT_A_TIME, DATAGRAM_MAX, says_ready, take};

    #[test]
    fn hears_ready_only() {
        for (datagram, expected) in [
            (&b"READY=1"[..], true),
            (b"STATUS=x\nREADY=1\nMAINPID=7", true),
            (b"READY=0", false),
            (b"XREADY=1", false),
            (b"READY=1 ", false),
            (b"", false),
            (b"\xff\0\n\n", false),
        ] {
            assert_eq!(says_ready(datagram), expected, "{}", datagram.escape_ascii());
        }
    }

    #[test]
    fn a_flood_is_taken_in_parts_and_never_waited_for() {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        assert!(!take(ours.as_fd()));
        let long = vec![b'x'; DATAGRAM_MAX * 4];
        let mut sent = 0;
        while sent < AT_A_TIME + 5 && theirs.send(&long).is_ok() {
            sent += 1;
        }
        assert!(!take(ours.as_fd()));
        while theirs.send(b"READY=1").is_err() {
            take(ours.as_fd());
        }
        assert!((0..3).any(|_| take(ours.as_fd())));
        fuzz::Fuzz::new("notify").seed("STATUS=a\nREADY=1\n").tokens(&["READY=1", "\n"]).run(|input| {
            says_ready(input);
        });
    }
}
