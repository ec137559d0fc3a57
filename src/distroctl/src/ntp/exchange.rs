//! One round: all servers are asked at once, the best answer is chosen.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::clock::Clock;
use super::packet::{self, Refusal};

/// How long answers are waited for.
const TIME_LIMIT: Duration = Duration::from_secs(2);
/// A server farther away tells the time too vaguely.
const MAX_DELAY_NANOS: i64 = 1_500_000_000;

/// What an answer tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Measurement {
    pub(super) server: SocketAddr,
    /// How much the server's time is ahead of ours, nanoseconds.
    pub(super) offset: i64,
    /// How far off that may be: half the way there and back, and the server's own distance.
    pub(super) distance: i64,
}

/// A request that is under way.
struct Pending {
    server: SocketAddr,
    socket: UdpSocket,
    nonce: u64,
    sent: i64,
}

/// Asks; what came of each server that has answered.
pub(super) fn ask(
    servers: &[SocketAddr],
    clock: &dyn Clock,
    random: impl Fn() -> u64,
) -> Vec<(SocketAddr, Result<Measurement, Refusal>)> {
    let mut pending: Vec<Pending> = servers.iter().filter_map(|server| send(*server, clock, random()).ok()).collect();
    let limit = Instant::now() + TIME_LIMIT;
    let mut answers = Vec::new();
    while !pending.is_empty() {
        let left = limit.saturating_duration_since(Instant::now());
        let mut fds: Vec<PollFd<'_>> =
            pending.iter().map(|pending| PollFd::from_borrowed_fd(pending.socket.as_fd(), PollFlags::IN)).collect();
        match poll(&mut fds, Timespec::try_from(left).ok().as_ref()) {
            Ok(0) => break,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => break,
        }
        let now = clock.now();
        pending.retain(|pending| match receive(pending, now) {
            None => true,
            Some(answer) => {
                answers.push((pending.server, answer));
                false
            }
        });
    }
    answers
}

/// A socket of its own for each server: the kernel passes on nobody else's packets, and the port is another each time.
fn send(server: SocketAddr, clock: &dyn Clock, nonce: u64) -> std::io::Result<Pending> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(server)?;
    socket.set_nonblocking(true)?;
    let sent = clock.now();
    socket.send(&packet::request(nonce))?;
    Ok(Pending { server, socket, nonce, sent })
}

/// What has come, if it ends the matter: a foreign packet does not, an ICMP error does.
fn receive(pending: &Pending, now: i64) -> Option<Result<Measurement, Refusal>> {
    let mut packet = [0; 512];
    let length = match pending.socket.recv(&mut packet) {
        Ok(length) => length,
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return None,
        Err(_) => return Some(Err(Refusal::Foreign)),
    };
    match packet::read(packet.get(..length)?, pending.nonce) {
        Err(Refusal::Foreign) => None,
        Err(refusal) => Some(Err(refusal)),
        Ok(reply) => {
            // RFC 5905 section 8: T1 sent, T2 received there, T3 sent there, T4 received. Halves, so that nothing runs over.
            let offset = (reply.receive / 2 - pending.sent / 2) + (reply.transmit / 2 - now / 2);
            let delay = (now - pending.sent).saturating_sub(reply.transmit - reply.receive).max(0);
            if delay > MAX_DELAY_NANOS {
                return Some(Err(Refusal::Unsynchronized));
            }
            Some(Ok(Measurement { server: pending.server, offset, distance: delay / 2 + reply.distance }))
        }
    }
}

/// Of three or more the one in the middle, so that a single false one decides nothing; of two the one that is less far off.
pub(super) fn choose(mut measurements: Vec<Measurement>) -> Option<Measurement> {
    match measurements.len() {
        0..=2 => measurements.into_iter().min_by_key(|measurement| measurement.distance),
        count => {
            measurements.sort_by_key(|measurement| measurement.offset);
            measurements.get(count / 2).copied()
        }
    }
}
