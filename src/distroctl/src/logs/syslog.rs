//! Messages to a remote syslog: RFC 5424 over UDP (RFC 5426, a datagram each) or TCP (RFC 6587, section 3.4.1: octet
//! counting). In a thread of its own with its own place in the ring, which is its queue: a server that is away or slow costs
//! nobody anything, and messages are lost only when the ring has gone round.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::line::Line;
use super::ring::Cursor;
use super::time::{Clock, rfc3339};

/// IANA's `syslog` for UDP; TCP has none of its own and commonly takes the same.
const PORT: u16 = 514;
const TIMEOUT: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Receivers must take 480 bytes and should take 2048 (RFC 5424, section 6.1).
const DATAGRAM_MAX: usize = 2048;

/// Where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    is_tcp: bool,
    host: String,
    port: u16,
}

impl Target {
    /// `udp://HOST[:PORT]` or `tcp://HOST[:PORT]`; an IPv6 address stands in brackets.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (is_tcp, rest) = match text.split_once("://")? {
            ("tcp", rest) => (true, rest),
            ("udp", rest) => (false, rest),
            _ => return None,
        };
        let (host, port) = match rest.strip_prefix('[').map(|rest| rest.split_once(']')) {
            Some(address) => {
                let (address, port) = address?;
                (address, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
            }
            None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map_or(Some(PORT), |port| port.parse().ok().filter(|port| *port != 0))?;
        let in_name = |c: char| c.is_ascii_alphanumeric() || ".-:_".contains(c);
        (!host.is_empty() && host.chars().all(in_name)).then(|| Self { is_tcp, host: host.into(), port })
    }
}

/// A message of RFC 5424, section 6, without a frame.
fn message(line: &Line<'_>, clock: Clock, host: &str) -> String {
    // Facilities 0, kernel, and 3, system daemons.
    let facility = if line.source == "kernel" { 0 } else { 3 };
    let priority = facility * 8 + u32::from(line.severity);
    let time = rfc3339(clock.wall_us(line.boot_us), 6);
    let name = |text: &str, most: usize| -> String {
        let name: String = text.chars().filter(char::is_ascii_graphic).take(most).collect();
        if name.is_empty() { "-".into() } else { name }
    };
    format!("<{priority}>1 {time} {} {} - - - {}", name(host, 255), name(line.source, 48), line.text)
}

enum Connection {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl Connection {
    fn open(target: &Target) -> io::Result<Self> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "no address");
        for address in (target.host.as_str(), target.port).to_socket_addrs()? {
            match Self::to(target.is_tcp, address) {
                Ok(connection) => return Ok(connection),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn to(is_tcp: bool, address: SocketAddr) -> io::Result<Self> {
        if is_tcp {
            let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
            stream.set_write_timeout(Some(TIMEOUT))?;
            return Ok(Self::Tcp(stream));
        }
        let any: SocketAddr = if address.is_ipv6() { ([0u16; 8], 0).into() } else { ([0u8; 4], 0).into() };
        let socket = UdpSocket::bind(any)?;
        socket.connect(address)?;
        Ok(Self::Udp(socket))
    }

    fn send(&mut self, messages: &[String]) -> io::Result<()> {
        match self {
            Self::Udp(socket) => {
                for message in messages {
                    let bytes = message.as_bytes();
                    match socket.send(bytes.get(..DATAGRAM_MAX).unwrap_or(bytes)) {
                        // The answer to an earlier datagram that nobody wanted; this one was not sent.
                        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                        other => drop(other?),
                    }
                }
                Ok(())
            }
            Self::Tcp(stream) => {
                let mut frames = String::new();
                for message in messages {
                    let _ = write!(frames, "{} {message}", message.len());
                }
                stream.write_all(frames.as_bytes())
            }
        }
    }
}

/// The thread that sends.
pub(super) struct Sender {
    target: Target,
    stop: Arc<AtomicBool>,
}

impl Sender {
    /// Starts it at a place of the ring.
    pub(super) fn start(target: Target, ring: &Path, from_now: bool) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let cursor = if from_now { Cursor::end(ring) } else { Cursor::first(ring) };
        let (of_thread, its_stop) = (target.clone(), Arc::clone(&stop));
        std::thread::Builder::new().stack_size(256 << 10).spawn(move || serve(&of_thread, cursor, &its_stop))?;
        Ok(Self { target, stop })
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn serve(target: &Target, mut cursor: Cursor, stop: &AtomicBool) {
    let mut connection: Option<Connection> = None;
    let mut pause = LOOK;
    while !stop.load(Ordering::Relaxed) {
        let before = cursor.clone();
        let messages = collect(&mut cursor);
        if messages.is_empty() {
            std::thread::sleep(LOOK);
            continue;
        }
        let sent = match &mut connection {
            Some(open) => open.send(&messages),
            None => Connection::open(target).and_then(|open| connection.insert(open).send(&messages)),
        };
        match sent {
            Ok(()) => pause = LOOK,
            Err(error) => {
                if pause == LOOK {
                    crate::console::log(&format!("<4>sending messages to {}: {error}; trying on", target.host));
                }
                connection = None;
                cursor = before;
                std::thread::sleep(pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

fn collect(cursor: &mut Cursor) -> Vec<String> {
    let clock = Clock::now();
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let mut messages = Vec::new();
    let _ = cursor.read(|line| messages.extend(Line::decode(line).map(|line| message(&line, clock, &host))));
    messages
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, UdpSocket};
    use std::time::Duration;

    use super::super::ring::Ring;
    use super::{Clock, Line, Sender, Target, message};

    #[test]
    fn reads_targets() {
        let target = |text: &str| Target::parse(text).map(|target| (target.is_tcp, target.host, target.port));
        assert_eq!(target("udp://10.0.2.2"), Some((false, "10.0.2.2".into(), 514)));
        assert_eq!(target("tcp://logs.example:601"), Some((true, "logs.example".into(), 601)));
        assert_eq!(target("tcp://[fd00::1]:601"), Some((true, "fd00::1".into(), 601)));
        assert_eq!(target("udp://[fd00::1]"), Some((false, "fd00::1".into(), 514)));
        for wrong in [
            "",
            "10.0.2.2",
            "http://a",
            "udp://",
            "udp://a:0",
            "udp://a:x",
            "udp://a b",
            "tcp://[fd00::1",
            "tcp://[::1]x",
        ] {
            assert_eq!(target(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn writes_rfc_5424() {
        let line = Line { boot_us: 1_795_343_185_123_456, severity: 4, source: "sshd", text: "a ä" };
        let clock = Clock::fixed(0);
        assert_eq!(message(&line, clock, "box"), "<28>1 2026-11-22T10:26:25.123456Z box sshd - - - a ä");
        let line = Line { severity: 2, source: "kernel", ..line };
        assert_eq!(message(&line, clock, ""), "<2>1 2026-11-22T10:26:25.123456Z - kernel - - - a ä");
    }

    fn ring() -> (tempfile::TempDir, Ring) {
        let folder = tempfile::tempdir().unwrap();
        let ring = Ring::open(folder.path(), 1 << 20, rustix::process::getgid().as_raw()).unwrap();
        (folder, ring)
    }

    #[test]
    fn sends_over_udp() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        server.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let (folder, mut ring) = ring();
        ring.append("1 6 a hello\n").unwrap();
        let port = server.local_addr().unwrap().port();
        let _sender = Sender::start(Target::parse(&format!("udp://127.0.0.1:{port}")).unwrap(), folder.path(), false);
        let mut buffer = [0u8; 4096];
        let mut next = || {
            let count = server.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..count].to_vec()).unwrap()
        };
        let first = next();
        assert!(first.starts_with("<30>1 ") && first.ends_with(" a - - - hello"), "{first}");
        ring.append(&format!("2 6 a {}\n", "x".repeat(3000))).unwrap();
        assert_eq!(next().len(), 2048);
    }

    #[test]
    fn counts_octets_over_tcp_and_comes_back() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let (folder, mut ring) = ring();
        let port = server.local_addr().unwrap().port();
        let _sender = Sender::start(Target::parse(&format!("tcp://127.0.0.1:{port}")).unwrap(), folder.path(), false);
        ring.append("1 6 a one ä\n2 6 b two\n").unwrap();
        let (mut stream, _) = server.accept().unwrap();
        let mut frame = || {
            let mut digits = String::new();
            let mut byte = [0u8; 1];
            loop {
                stream.read_exact(&mut byte).unwrap();
                if byte == *b" " {
                    break;
                }
                digits.push(char::from(byte[0]));
            }
            let mut text = vec![0; digits.parse().unwrap()];
            stream.read_exact(&mut text).unwrap();
            String::from_utf8(text).unwrap()
        };
        assert!(frame().ends_with(" a - - - one ä"));
        assert!(frame().ends_with(" b - - - two"));
        drop(stream);
        // What is sent into a connection that has just gone may be lost; the next ones come over a new one.
        let (mut again, _) = std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..20 {
                    ring.append(&format!("{number} 6 c again\n")).unwrap();
                    std::thread::sleep(Duration::from_millis(200));
                }
            });
            server.accept().unwrap()
        });
        let mut some = [0u8; 16];
        again.read_exact(&mut some).unwrap();
    }
}
