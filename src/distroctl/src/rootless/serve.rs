//! What only root can do for users' containers while the machine runs, in a thread of `distroctl keep-containers`.

use std::fs::{DirBuilder, Permissions};
use std::io::{ErrorKind, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use contract::paths;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, set_parent_process_death_signal};

use super::users::{self, User};
use super::{cgroup, socket, spawn, store};
use crate::console::log;

/// The engine of a user that nobody asks anything for so many seconds ends. Podman takes its socket by the protocol of
/// sd_listen_fds(3), which wants the process's own number.
const ENGINE: &str = "export LISTEN_FDS=1 LISTEN_PID=$$; exec /usr/bin/podman system service --time=60";
/// Descriptor of that protocol.
const FIRST: i32 = 3;
/// An engine that failed is not started again at once: who waits for it still waits.
const RETRY: Duration = Duration::from_secs(5);
/// A list of containers with none in it.
const EMPTY_BYTES: u64 = 2;

/// Serves all users until the process ends.
pub(crate) fn serve() {
    let result = Server::new().and_then(|mut server| {
        loop {
            server.turn()?;
        }
    });
    let Err::<(), _>(error) = result else { return };
    log(&format!("{error:#}; users' containers are not kept, and have no limits"));
}

struct Server {
    moves: UnixListener,
    users: Vec<Served>,
}

/// A user and what runs for him.
struct Served {
    user: User,
    api: UnixListener,
    engine: Option<Process>,
    engine_from: Instant,
    keeper: Option<Process>,
}

struct Process {
    child: Child,
    /// To be polled: readable when the process has ended.
    end: OwnedFd,
}

impl Process {
    fn new(child: Child) -> Result<Self> {
        let pid = Pid::from_raw(child.id().cast_signed()).context("no process")?;
        Ok(Self { end: pidfd_open(pid, PidfdFlags::empty()).context("watching a process")?, child })
    }
}

impl Server {
    fn new() -> Result<Self> {
        let made = DirBuilder::new().recursive(true).mode(0o755).create(paths::USER_ENGINES);
        made.with_context(|| format!("making {}", paths::USER_ENGINES))?;
        let mut server = Self { moves: listen(paths::ROOTLESS, 0o666, None)?, users: Vec::new() };
        server.take_in();
        Ok(server)
    }

    /// Serves those users, too, who are not served yet.
    fn take_in(&mut self) {
        for user in users::all() {
            if self.users.iter().any(|served| served.user.uid == user.uid) {
                continue;
            }
            let api = match listen(&socket(user.uid), 0o600, Some((user.uid, user.gid))) {
                Ok(api) => api,
                Err(error) => {
                    log(&format!("{error:#}"));
                    continue;
                }
            };
            let mut served = Served { user, api, engine: None, engine_from: Instant::now(), keeper: None };
            if served.has_containers() {
                served.keep(&[]);
            }
            self.users.push(served);
        }
    }

    /// Waits for something to do, and does it.
    fn turn(&mut self) -> Result<()> {
        let now = Instant::now();
        let mut fds = vec![PollFd::new(&self.moves, PollFlags::IN)];
        let mut wake_at: Option<Instant> = None;
        for served in &self.users {
            if served.engine.is_none() && served.engine_from <= now {
                fds.push(PollFd::new(&served.api, PollFlags::IN));
            } else if served.engine.is_none() {
                wake_at = Some(wake_at.map_or(served.engine_from, |at| at.min(served.engine_from)));
            }
            for process in [&served.engine, &served.keeper].into_iter().flatten() {
                fds.push(PollFd::new(&process.end, PollFlags::IN));
            }
        }
        let timeout = wake_at.and_then(|at| Timespec::try_from(at.saturating_duration_since(now)).ok());
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("waiting for users"),
        }
        drop(fds);
        loop {
            match self.moves.accept() {
                Ok((stream, _)) => self.admit(&stream).unwrap_or_else(|error| log(&format!("{error:#}"))),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("taking a connection"),
            }
        }
        self.users.iter_mut().for_each(Served::tend);
        Ok(())
    }

    /// Moves who has connected into the group of containers' parents of its user: of nobody else, whatever it says.
    fn admit(&mut self, mut stream: &UnixStream) -> Result<()> {
        let peer = rustix::net::sockopt::socket_peercred(stream).context("asking who has connected")?;
        let uid = peer.uid.as_raw();
        if !self.users.iter().any(|served| served.user.uid == uid) {
            // Root connects when there are new ones ([`super::take_in`]).
            self.take_in();
        }
        let Some(served) = self.users.iter_mut().find(|served| served.user.uid == uid) else { return Ok(()) };
        let pid = peer.pid.as_raw_nonzero();
        // It has this number until it is waited for; one that has ended since is not replaced within these few lines, for
        // which four million others would have to be started.
        let owner = std::fs::metadata(format!("/proc/{pid}")).with_context(|| format!("looking at process {pid}"))?;
        if owner.uid() != uid {
            bail!("process {pid} is not that of user {uid}");
        }
        let group = cgroup::open(uid, cgroup::CONMON)?;
        (&group)
            .write_all(pid.to_string().as_bytes())
            .with_context(|| format!("moving process {pid} of user {uid}"))?;
        // Who does not wait for the answer does not want it.
        let _ = stream.set_nonblocking(true).and_then(|()| stream.write_all(b"1"));
        served.keep(&["--late"]);
        Ok(())
    }
}

impl Served {
    /// Takes note of what has ended, and starts the engine if somebody wants it.
    fn tend(&mut self) {
        if let Some(status) = ended(&mut self.engine)
            && !status.success()
        {
            log(&format!("engine of {}: {status}", self.user.name));
            self.engine_from = Instant::now() + RETRY;
        }
        if let Some(status) = ended(&mut self.keeper)
            && !status.success()
        {
            log(&format!("keeper of {}: {status}", self.user.name));
        }
        let is_wanted = || {
            let mut fds = [PollFd::new(&self.api, PollFlags::IN)];
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
        };
        if self.engine.is_none() && self.engine_from <= Instant::now() && is_wanted() {
            self.engine = self.start_engine().map_err(|error| log(&format!("{error:#}"))).ok();
            self.engine_from = Instant::now() + if self.engine.is_some() { Duration::ZERO } else { RETRY };
        }
    }

    fn start_engine(&self) -> Result<Process> {
        let mut command = spawn::command(&self.user, "/bin/sh", Some(cgroup::ENGINE))?;
        let api = self.api.as_raw_fd();
        let hand_over = move || {
            // SAFETY: no memory is involved; in the child nothing owns the descriptor.
            match unsafe { libc::dup2(api, FIRST) } {
                FIRST => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        };
        // SAFETY: between fork and exec only a system call is made.
        unsafe { command.pre_exec(hand_over) };
        let child = command.args(["-c", ENGINE]).spawn();
        Process::new(child.with_context(|| format!("starting the engine of {}", self.user.name))?)
    }

    /// Starts what keeps his containers, if it does not run.
    fn keep(&mut self, options: &[&str]) {
        if self.keeper.is_some() {
            return;
        }
        let start = || {
            let mut command = spawn::command(&self.user, "/usr/bin/distroctl", Some(cgroup::KEEPER))?;
            // It ends with this process, before the containers are stopped.
            // SAFETY: between fork and exec only a system call is made.
            unsafe { command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::TERM))?)) };
            let child = command.arg("keep-containers").args(options).spawn();
            Process::new(child.with_context(|| format!("keeping the containers of {}", self.user.name))?)
        };
        self.keeper = start().map_err(|error| log(&format!("{error:#}"))).ok();
    }

    /// Whether there were any before this boot. The file is the user's own, so only its size is looked at.
    fn has_containers(&self) -> bool {
        let list = format!("{}/storage/overlay-containers/containers.json", store(self.user.uid));
        std::fs::symlink_metadata(list).is_ok_and(|found| found.len() > EMPTY_BYTES)
    }
}

/// The status of a process that has ended, once.
fn ended(process: &mut Option<Process>) -> Option<std::process::ExitStatus> {
    let status = process.as_mut()?.child.try_wait().ok()??;
    *process = None;
    Some(status)
}

/// Until it has its owner and mode nobody but root can connect.
fn listen(path: &str, mode: u32, owner: Option<(u32, u32)>) -> Result<UnixListener> {
    let make = || -> std::io::Result<UnixListener> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        listener.set_nonblocking(true)?;
        rustix::net::listen(listener.as_fd(), 4096)?;
        if let Some((uid, gid)) = owner {
            chown(path, Some(uid), Some(gid))?;
        }
        std::fs::set_permissions(path, Permissions::from_mode(mode))?;
        Ok(listener)
    };
    make().with_context(|| format!("listening on {path}"))
}

#[cfg(test)]
mod tests {
    use super::listen;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixStream;

    #[test]
    fn sockets_have_their_mode_and_replace_old_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let path = path.to_str().unwrap();
        let _first = listen(path, 0o666, None).unwrap();
        let second = listen(path, 0o600, None).unwrap();
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o7777, 0o600);
        let _client = UnixStream::connect(path).unwrap();
        second.accept().unwrap();
        assert!(listen("/nonexistent/s", 0o600, None).unwrap_err().to_string().contains("/nonexistent/s"));
    }
}
