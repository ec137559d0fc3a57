//! The control socket: takes requests ([`contract::control`]) from root and the login user.
//!
//! Nothing here waits, and nothing is kept of a connection but its descriptor and a deadline. Who may connect is the
//! socket file's mode (root, and the login user's group); the connection's credentials are looked at besides, for the case
//! that somebody opens up the file.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use contract::control::{ANSWER_MAX, OK, REQUEST_MAX, Request};
use contract::paths::CONTROL;
use contract::service::Listen;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::service::listen;

/// Open connections, and those accepted at a time; the oldest is closed for one more.
const CLIENTS_MAX: usize = 8;
/// A connection without a request is closed after this long.
const PATIENCE_MS: u64 = 5_000;
/// After the kernel had no descriptor or memory for a connection.
const PAUSE_MS: u64 = 1_000;

/// The socket and its connections.
#[derive(Debug)]
pub(crate) struct Control {
    listener: Option<OwnedFd>,
    clients: Vec<Client>,
    uid: u32,
    paused_until_ms: u64,
}

#[derive(Debug)]
struct Client {
    socket: OwnedFd,
    until_ms: u64,
}

impl Control {
    /// Makes the socket for root and the user of this uid (which is also the gid).
    pub(crate) fn open(uid: u32) -> io::Result<Self> {
        let place = Listen { path: CONTROL.into(), mode: 0o660, gid: uid };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        Ok(Self::with(listen::bind(&place, 0, SocketType::SEQPACKET, flags)?, uid))
    }

    fn with(listener: OwnedFd, uid: u32) -> Self {
        Self { listener: Some(listener), clients: Vec::new(), uid, paused_until_ms: 0 }
    }

    /// None, where it cannot be made.
    pub(crate) fn closed() -> Self {
        Self { listener: None, clients: Vec::new(), uid: 0, paused_until_ms: 0 }
    }

    /// Descriptors to wait for.
    pub(crate) fn fds(&self, now_ms: u64) -> impl Iterator<Item = BorrowedFd<'_>> {
        let listener = self.listener.as_ref().filter(|_| now_ms >= self.paused_until_ms);
        listener.into_iter().map(AsFd::as_fd).chain(self.clients.iter().map(|client| client.socket.as_fd()))
    }

    /// When a connection is to be closed, or looked for again.
    pub(crate) fn next_ms(&self, now_ms: u64) -> Option<u64> {
        let pause = Some(self.paused_until_ms).filter(|until| *until > now_ms);
        self.clients.iter().map(|client| client.until_ms).chain(pause).min()
    }

    /// Takes what has come; `answer` does what a request asks for, or says why not.
    pub(crate) fn take(&mut self, now_ms: u64, mut answer: impl FnMut(Request<'_>) -> Result<(), String>) {
        // Before others come: nobody who has asked is closed for them.
        self.answer(now_ms, &mut answer);
        self.accept(now_ms);
        self.answer(now_ms, &mut answer);
    }

    fn answer(&mut self, now_ms: u64, answer: &mut impl FnMut(Request<'_>) -> Result<(), String>) {
        self.clients.retain(|client| {
            if now_ms >= client.until_ms {
                return false;
            }
            // One byte more than a request has, to see that a packet is too long; the kernel drops the rest of it.
            let mut packet = [0u8; REQUEST_MAX + 1];
            match rustix::net::recv(&client.socket, &mut packet, RecvFlags::DONTWAIT) {
                Ok((0, _)) => false,
                Ok((count, _)) => {
                    let text = match Request::decode(packet.get(..count).unwrap_or_default()) {
                        None => "error not a request".into(),
                        Some(request) => match answer(request) {
                            Ok(()) => OK.into(),
                            Err(reason) => format!("error {reason}"),
                        },
                    };
                    send(client.socket.as_fd(), &text);
                    false
                }
                Err(error) => matches!(error, rustix::io::Errno::AGAIN | rustix::io::Errno::INTR),
            }
        });
    }

    fn accept(&mut self, now_ms: u64) {
        let Some(listener) = self.listener.as_ref().filter(|_| now_ms >= self.paused_until_ms) else { return };
        for _ in 0..CLIENTS_MAX {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            match rustix::net::accept_with(listener, flags) {
                Ok(socket) if is_allowed(&socket, self.uid) => {
                    if self.clients.len() >= CLIENTS_MAX {
                        self.clients.remove(0);
                    }
                    self.clients.push(Client { socket, until_ms: now_ms.saturating_add(PATIENCE_MS) });
                }
                Ok(socket) => send(socket.as_fd(), "error not allowed"),
                Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNABORTED) => {}
                Err(rustix::io::Errno::AGAIN) => return,
                Err(_) => {
                    self.paused_until_ms = now_ms.saturating_add(PAUSE_MS);
                    return;
                }
            }
        }
    }
}

/// Root, or the login user by user or group.
fn is_allowed(socket: &OwnedFd, uid: u32) -> bool {
    let Ok(peer) = rustix::net::sockopt::socket_peercred(socket) else { return false };
    let (peer_uid, peer_gid) = (peer.uid.as_raw(), peer.gid.as_raw());
    peer_uid == 0 || peer_uid == uid || peer_gid == uid
}

/// What a client does not take is lost to it.
fn send(socket: BorrowedFd<'_>, text: &str) {
    let end = (0..=ANSWER_MAX.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let text = text.get(..end).unwrap_or_default();
    let _ = rustix::net::send(socket, text.as_bytes(), SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, OwnedFd};
    use std::time::Instant;

    use contract::control::{ANSWER_MAX, REQUEST_MAX};
    use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};

    use super::{CLIENTS_MAX, Control, PATIENCE_MS};

    struct Scene {
        control: Control,
        address: SocketAddrUnix,
    }

    impl Scene {
        fn new(name: &str, uid: u32) -> Self {
            let name = format!("init-control-{name}-{}", std::process::id());
            let address = SocketAddrUnix::new_abstract_name(name.as_bytes()).unwrap();
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
            rustix::net::bind(&socket, &address).unwrap();
            rustix::net::listen(&socket, 100).unwrap();
            Self { control: Control::with(socket, uid), address }
        }

        fn connect(&self) -> OwnedFd {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
            rustix::net::connect(&socket, &self.address).unwrap();
            socket
        }

        fn take(&mut self, now_ms: u64) -> Vec<String> {
            let mut seen = Vec::new();
            self.control.take(now_ms, |request| {
                seen.push(request.encode());
                if request.service == "none" { Err("no such service: none".into()) } else { Ok(()) }
            });
            seen
        }
    }

    fn send(socket: &OwnedFd, packet: &[u8]) {
        rustix::net::send(socket, packet, SendFlags::NOSIGNAL).unwrap();
    }

    fn answer(socket: &OwnedFd) -> Result<String, rustix::io::Errno> {
        let mut buffer = [0u8; ANSWER_MAX];
        let (count, _) = rustix::net::recv(socket.as_fd(), &mut buffer, RecvFlags::DONTWAIT)?;
        Ok(String::from_utf8(buffer[..count].to_vec()).unwrap())
    }

    #[test]
    fn answers_requests() {
        let own = rustix::process::getuid().as_raw();
        let mut scene = Scene::new("answers", own);
        let clients = [scene.connect(), scene.connect(), scene.connect(), scene.connect()];
        assert_eq!(scene.take(0), Vec::<String>::new());
        assert_eq!((scene.control.clients.len(), scene.control.next_ms(0)), (4, Some(PATIENCE_MS)));
        for (client, packet) in clients.iter().zip(["start sshd", "stop none", "rubbish", ""]) {
            send(client, packet.as_bytes());
        }
        assert_eq!(scene.take(1), ["start sshd", "stop none"]);
        let answers = [0, 1, 2].map(|at| answer(&clients[at]).unwrap());
        assert_eq!(answers, ["ok", "error no such service: none", "error not a request"]);
        assert_eq!(scene.control.clients.len(), 0, "each is closed, the empty packet's too");
    }

    #[test]
    fn who_says_nothing_is_left() {
        let mut scene = Scene::new("silent", rustix::process::getuid().as_raw());
        let clients: Vec<OwnedFd> = (0..CLIENTS_MAX + 3).map(|_| scene.connect()).collect();
        scene.take(0);
        scene.take(0);
        assert_eq!(scene.control.clients.len(), CLIENTS_MAX);
        assert_eq!(answer(&clients[0]).as_deref(), Ok(""), "closed for a later one");
        assert_eq!(answer(&clients[5]), Err(rustix::io::Errno::AGAIN));
        scene.take(PATIENCE_MS);
        assert_eq!(scene.control.clients.len(), 0);
    }

    #[test]
    fn a_crowd_is_answered() {
        let mut scene = Scene::new("crowd", rustix::process::getuid().as_raw());
        let silent: Vec<OwnedFd> = (0..CLIENTS_MAX).map(|_| scene.connect()).collect();
        scene.take(0);
        let clients: Vec<OwnedFd> = (0..CLIENTS_MAX * 3).map(|_| scene.connect()).collect();
        clients.iter().for_each(|client| send(client, b"start sshd"));
        (0..3).for_each(|_| assert_eq!(scene.take(0).len(), CLIENTS_MAX));
        assert!(clients.iter().all(|client| answer(client).as_deref() == Ok("ok")));
        assert!(silent.iter().all(|client| answer(client).as_deref() == Ok("")));
    }

    #[test]
    fn garbage_is_answered_and_forgotten() {
        let scene = Scene::new("garbage", rustix::process::getuid().as_raw());
        let begin = Instant::now();
        send(&scene.connect(), &vec![b'a'; 64 << 10]);
        send(&scene.connect(), &[b'a'; REQUEST_MAX + 1]);
        let scene = std::cell::RefCell::new(scene);
        fuzz::Fuzz::new("control").seed("start sshd").seed("restart a-b_c.d").tokens(&["stop ", "start ", "\0"]).run(
            |input| {
                let mut scene = scene.borrow_mut();
                let client = scene.connect();
                let sent = rustix::net::send(&client, input, SendFlags::NOSIGNAL);
                scene.take(0);
                // What is longer than a socket's buffer never arrives.
                assert_eq!(scene.control.clients.len(), usize::from(sent.is_err()));
                scene.control.clients.clear();
                if sent.is_ok() && !input.is_empty() {
                    let answer = answer(&client).unwrap();
                    assert!(answer == "ok" || answer.starts_with("error "), "{answer}");
                }
            },
        );
        assert!(begin.elapsed().as_secs() < 600, "never waits");
    }

    #[test]
    fn others_are_sent_away() {
        let own = rustix::process::getuid().as_raw();
        let mut scene = Scene::new("others", own + 1);
        let client = scene.connect();
        send(&client, b"start sshd");
        let seen = scene.take(0);
        if own == 0 {
            assert_eq!(seen, ["start sshd"], "root may");
        } else {
            assert_eq!((seen.len(), answer(&client).as_deref()), (0, Ok("error not allowed")));
        }
    }
}
