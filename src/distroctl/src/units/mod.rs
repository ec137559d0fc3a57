//! `distroctl units`: what `podman auto-update` asks systemd for, on the socket where it looks for systemd
//! ([`contract::paths::UNITS_SOCKET`], which PID 1 hands over): starting a container's service again with its new image, and
//! whether that went well. By D-Bus without a bus, as systemd(1) does there; the methods and the signal are those of
//! org.freedesktop.systemd1(5). Units are the services of Quadlet files, and all others of PID 1's.

mod job;
mod login;
mod message;

use std::io::{self, BufReader, Read, Write};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use contract::control::Verb;

use crate::{console, service};
use message::{Call, Value};

const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
/// Where sd_listen_fds(3) begins.
const SOCKET: RawFd = 3;
/// podman takes two; more than so many at once is nobody's need.
const CLIENTS_MAX: usize = 16;
const STACK_BYTES: usize = 128 << 10;
/// A client that does not read its answers is left.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

type Client = Arc<UnixStream>;

/// What all connections share.
#[derive(Debug, Default)]
struct Server {
    clients: Mutex<Vec<Client>>,
    serial: AtomicU32,
    job: AtomicU32,
}

/// Serves until it is ended.
pub(crate) fn run() -> Result<ExitCode> {
    if std::env::var("LISTEN_FDS").as_deref() != Ok("1") {
        bail!("no socket: PID 1 starts this as the service \"units\"");
    }
    // SAFETY: PID 1 has put the socket there for this process (sd_listen_fds(3)), and nothing else here uses the number.
    let listener = UnixListener::from(unsafe { OwnedFd::from_raw_fd(SOCKET) });
    listener.set_nonblocking(false).context("the socket")?;
    serve(&listener)
}

fn serve(listener: &UnixListener) -> Result<ExitCode> {
    let server = Arc::new(Server::default());
    loop {
        let (stream, _) = listener.accept().context("accepting a connection")?;
        let client = Arc::new(stream);
        {
            let mut clients = server.clients.lock().unwrap_or_else(PoisonError::into_inner);
            if clients.len() >= CLIENTS_MAX {
                continue;
            }
            clients.push(Arc::clone(&client));
        }
        let server = Arc::clone(&server);
        spawn(move || {
            if let Err(error) = talk(&server, &client) {
                console::log(&format!("a client: {error}"));
            }
            server.clients.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| !Arc::ptr_eq(other, &client));
        })?;
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) -> Result<()> {
    std::thread::Builder::new().stack_size(STACK_BYTES).spawn(work).context("starting a thread")?;
    Ok(())
}

/// One connection, to its end.
fn talk(server: &Arc<Server>, client: &Client) -> io::Result<()> {
    client.set_write_timeout(Some(WRITE_LIMIT))?;
    let mut input = BufReader::new(&**client);
    login::run(&mut input, &mut &**client)?;
    let mut bytes = Vec::new();
    let mut chunk = [0u8; 4096];
    loop {
        match message::read(&bytes) {
            message::Read::Message(call, length) => {
                bytes.drain(..length);
                if let Some(call) = call {
                    answer(server, client, &call)?;
                }
            }
            message::Read::Malformed(why) => return Err(io::Error::new(io::ErrorKind::InvalidData, why)),
            message::Read::Incomplete => match input.read(&mut chunk)? {
                0 => return Ok(()),
                count => bytes.extend(chunk.iter().take(count)),
            },
        }
    }
}

/// Answers a call; the job it asks for begins after the answer.
fn answer(server: &Arc<Server>, client: &Client, call: &Call) -> io::Result<()> {
    let (Some(verb), Some(unit)) = (verb(call), call.arguments.first()) else {
        return send(client, call, &without_job(server, call));
    };
    let name = unit.strip_suffix(".service").unwrap_or(unit).to_owned();
    if let Err(error) = service::find(&name) {
        let name = "org.freedesktop.systemd1.NoSuchUnit";
        return send(client, call, &message::error(server.serial(), call.serial, name, &format!("{error:#}")));
    }
    let number = server.job.fetch_add(1, Ordering::Relaxed) + 1;
    let path = format!("{MANAGER_PATH}/job/{number}");
    send(client, call, &message::reply(server.serial(), call.serial, &[Value::Path(&path)]))?;
    let (server, unit) = (Arc::clone(server), unit.clone());
    let work = move || {
        let outcome = job::run(verb, &name, &unit);
        server.tell_all(number, &path, &unit, outcome.as_str());
    };
    spawn(work).map_err(io::Error::other)
}

/// Signals come to everyone, so a client that asks for them has what it wants.
fn without_job(server: &Server, call: &Call) -> Vec<u8> {
    if matches!(call.member.as_str(), "AddMatch" | "RemoveMatch" | "Subscribe") {
        return message::reply(server.serial(), call.serial, &[]);
    }
    let text = format!("no method {} here", call.member);
    message::error(server.serial(), call.serial, "org.freedesktop.DBus.Error.UnknownMethod", &text)
}

fn verb(call: &Call) -> Option<Verb> {
    if !call.interface.is_empty() && call.interface != MANAGER {
        return None;
    }
    match call.member.as_str() {
        "StartUnit" => Some(Verb::Start),
        "StopUnit" => Some(Verb::Stop),
        "RestartUnit" => Some(Verb::Restart),
        _ => None,
    }
}

fn send(client: &Client, call: &Call, answer: &[u8]) -> io::Result<()> {
    if call.wants_reply { (&**client).write_all(answer) } else { Ok(()) }
}

impl Server {
    /// Of the next message; never 0.
    fn serial(&self) -> u32 {
        self.serial.fetch_add(1, Ordering::Relaxed).wrapping_add(1).max(1)
    }

    /// A job has ended.
    fn tell_all(&self, number: u32, path: &str, unit: &str, outcome: &str) {
        let body = [Value::Number(number), Value::Path(path), Value::Text(unit), Value::Text(outcome)];
        let signal = message::signal(self.serial(), MANAGER_PATH, MANAGER, "JobRemoved", &body);
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for client in clients {
            // One that has gone is noticed by its own thread.
            let _ = (&*client).write_all(&signal);
        }
    }
}
