//! Sockets that PID 1 makes for services: on disk with their final owner and rights before any service runs, open over
//! restarts of their services, and handed over by the protocol of sd_listen_fds(3).

use std::fs::DirBuilder;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use contract::service::Listen;
use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::sys;

/// Connections that wait for the service; the kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
/// Where the protocol's descriptors begin (`SD_LISTEN_FDS_START`).
const FIRST: RawFd = 3;

/// Makes the socket, and its folder if that is missing. Until it listens and has its owner nobody may connect.
pub(crate) fn open(listen: &Listen) -> io::Result<OwnedFd> {
    bind(listen, 0, SocketType::STREAM, SocketFlags::CLOEXEC)
}

/// The same with any kind of socket, and an owner.
pub(crate) fn bind(listen: &Listen, uid: u32, kind: SocketType, flags: SocketFlags) -> io::Result<OwnedFd> {
    let path = Path::new(&listen.path);
    let address = SocketAddrUnix::new(path.as_os_str().as_bytes())?;
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = rustix::net::socket_with(AddressFamily::UNIX, kind, flags, None)?;
    // Linux gives the file the mode of the descriptor, less the umask (`unix_bind_bsd` of `net/unix/af_unix.c`).
    rustix::fs::fchmod(&socket, Mode::empty())?;
    rustix::net::bind(&socket, &address)?;
    if kind != SocketType::DGRAM {
        rustix::net::listen(&socket, BACKLOG)?;
    }
    std::os::unix::fs::lchown(path, (uid != 0).then_some(uid), Some(listen.gid))?;
    std::fs::set_permissions(path, PermissionsExt::from_mode(listen.mode.into()))?;
    Ok(socket)
}

/// For [`CommandExt::pre_exec`], as the last one: makes `socket` the child's descriptor 3 and executes `child` itself, since
/// only now its process id, which must be in its environment, is known. The result is the error of the execution.
///
/// Descriptor 3 is never the pipe over which a failed start is reported: in PID 1 it is taken for good, since the descriptor
/// of signals is the first one opened and got the lowest free number.
pub(crate) fn hand_over(child: &Command, socket: &OwnedFd, name: &str) -> impl FnMut() -> io::Result<()> + use<> {
    let socket = socket.as_raw_fd();
    let mut program = Command::new(child.get_program());
    program.args(child.get_args()).env_clear();
    program.envs(child.get_envs().filter_map(|(key, value)| Some((key, value?))));
    program.env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", name);
    move || {
        sys::inherit_as(socket, FIRST)?;
        Err(program.env("LISTEN_PID", std::process::id().to_string()).exec())
    }
}

#[cfg(test)]
mod tests {
    use super::{hand_over, open};
    use contract::service::Listen;
    use std::io::Read;
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    use std::os::unix::net::UnixStream;
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    struct Folder(std::path::PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("init-listen-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn listen(&self, name: &str, mode: u16) -> Listen {
            let gid = std::fs::metadata(&self.0).unwrap().gid();
            Listen { path: self.0.join(name).to_str().unwrap().into(), mode, gid }
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn makes_a_socket_with_its_rights() {
        let folder = Folder::new("make");
        let listen = folder.listen("a/b/s", 0o666);
        let first = open(&listen).unwrap();
        let found = std::fs::symlink_metadata(&listen.path).unwrap();
        assert!(found.file_type().is_socket());
        assert_eq!((found.mode() & 0o7777, found.gid()), (0o666, listen.gid));
        UnixStream::connect(&listen.path).unwrap();
        // One left behind is replaced.
        drop(first);
        // A child that another test is just starting may hold it open until it has become its program.
        let is_refused = || UnixStream::connect(&listen.path).is_err();
        assert!((0..100).any(|_| is_refused() || {
            std::thread::sleep(std::time::Duration::from_millis(20));
            false
        }));
        let _second = open(&Listen { mode: 0o600, ..listen.clone() }).unwrap();
        assert_eq!(std::fs::metadata(&listen.path).unwrap().mode() & 0o7777, 0o600);
        UnixStream::connect(&listen.path).unwrap();
    }

    #[test]
    fn a_path_that_cannot_be_a_socket_is_an_error() {
        let folder = Folder::new("bad");
        std::fs::create_dir(folder.0.join("folder")).unwrap();
        std::fs::write(folder.0.join("file"), "").unwrap();
        let errno = |name: &str| open(&folder.listen(name, 0o600)).unwrap_err().raw_os_error();
        assert_eq!(errno("folder"), Some(libc::EISDIR));
        assert_eq!(errno("file/s"), Some(libc::EEXIST));
        assert_eq!(errno(&"x".repeat(108)), Some(libc::ENAMETOOLONG));
    }

    #[test]
    fn hands_a_socket_over() {
        let folder = Folder::new("hand");
        let listen = folder.listen("s", 0o600);
        let socket = open(&listen).unwrap();
        let mut child = Command::new("/bin/sh");
        child.args(["-c", "echo $LISTEN_FDS $LISTEN_PID $LISTEN_FDNAMES $A $HOME; readlink /proc/$$/fd/3"]);
        child.env_clear().env("A", "b").stdin(Stdio::null()).stdout(Stdio::piped());
        let hand_over = hand_over(&child, &socket, "x");
        // SAFETY: allocating in the child is safe, glibc's allocator expects a fork.
        unsafe {
            child.pre_exec(hand_over);
        }
        // Twice: the second start is that after a restart.
        for _ in 0..2 {
            let mut running = child.spawn().unwrap();
            let mut text = String::new();
            running.stdout.take().unwrap().read_to_string(&mut text).unwrap();
            let pid = running.id();
            running.wait().unwrap();
            let inode = rustix::fs::fstat(&socket).unwrap().st_ino;
            assert_eq!(text, format!("1 {pid} x b\nsocket:[{inode}]\n"));
        }
    }
}
