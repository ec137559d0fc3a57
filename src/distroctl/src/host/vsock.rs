//! `distroctl vsock-shell [PORT]`: a shell of the login user for the host, over a socket that needs no network (vsock(7)).
//! On the host: `socat -,raw,echo=0 VSOCK-CONNECT:CID:PORT`. Only the host may connect; what it has of the machine anyway
//! (memory, disks, console) is more than this.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};

use crate::console::log;
use crate::guest::Guest;
use crate::modules;

/// Where it listens if nothing else is said.
pub(crate) const PORT: u32 = 2222;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Serves until the machine goes down.
pub(crate) fn run(port: u32) -> Result<ExitCode> {
    let guest = Guest::load();
    modules::load("vmw_vsock_virtio_transport");
    let listener = listen(port).with_context(|| format!("listening on vsock port {port}"))?;
    log(&format!("listening on vsock port {port}"));
    loop {
        let (socket, cid) = accept(&listener).context("accepting a connection")?;
        if cid != libc::VMADDR_CID_HOST {
            log(&format!("refused a connection from {cid}, which is not the host"));
            continue;
        }
        let (user, uid) = (guest.settings.user.clone(), guest.settings.uid);
        std::thread::spawn(move || {
            if let Err(error) = serve(socket, &user, uid) {
                log(&format!("shell: {error}"));
            }
        });
    }
}

fn address(cid: u32, port: u32) -> libc::sockaddr_vm {
    // SAFETY: sockaddr_vm is plain data for which zero is valid.
    let mut address = unsafe { std::mem::zeroed::<libc::sockaddr_vm>() };
    address.svm_family = libc::AF_VSOCK as libc::sa_family_t;
    address.svm_cid = cid;
    address.svm_port = port;
    address
}

fn listen(port: u32) -> io::Result<OwnedFd> {
    let address = address(libc::VMADDR_CID_ANY, port);
    // SAFETY: the socket is owned before it is used; the address is passed with its size.
    unsafe {
        let socket = check(libc::socket(libc::AF_VSOCK, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0))?;
        let socket = OwnedFd::from_raw_fd(socket);
        let size = size_of_val(&address) as libc::socklen_t;
        check(libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size))?;
        check(libc::listen(socket.as_raw_fd(), 4))?;
        Ok(socket)
    }
}

fn accept(listener: &OwnedFd) -> io::Result<(OwnedFd, u32)> {
    let mut address = address(0, 0);
    let mut size = size_of_val(&address) as libc::socklen_t;
    // SAFETY: the address is passed with its size; the new socket is owned at once.
    unsafe {
        let socket = libc::accept4(listener.as_raw_fd(), (&raw mut address).cast(), &raw mut size, libc::SOCK_CLOEXEC);
        Ok((OwnedFd::from_raw_fd(check(socket)?), address.svm_cid))
    }
}

/// A terminal of its own: master and slave.
fn terminal() -> io::Result<(File, File)> {
    let mut name = [0u8; 64];
    // SAFETY: the master is owned before it is used; the name's buffer is passed with its size.
    let master = unsafe {
        let master = File::from(OwnedFd::from_raw_fd(check(libc::posix_openpt(
            libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC,
        ))?));
        check(libc::grantpt(master.as_raw_fd()))?;
        check(libc::unlockpt(master.as_raw_fd()))?;
        match libc::ptsname_r(master.as_raw_fd(), name.as_mut_ptr().cast(), name.len()) {
            0 => master,
            number => return Err(io::Error::from_raw_os_error(number)),
        }
    };
    let path = std::ffi::CStr::from_bytes_until_nul(&name).map_err(io::Error::other)?.to_string_lossy().into_owned();
    let mut options = File::options();
    std::os::unix::fs::OpenOptionsExt::custom_flags(options.read(true).write(true), libc::O_NOCTTY);
    Ok((master, options.open(path)?))
}

/// A login shell behind a terminal, and its bytes to and from the socket until one of them ends.
fn serve(socket: OwnedFd, user: &str, uid: u32) -> io::Result<()> {
    let (master, slave) = terminal()?;
    let home = format!("/home/{user}");
    let mut shell = Command::new("/bin/sh");
    shell.arg("-l").env_clear();
    shell.envs([("USER", user), ("LOGNAME", user), ("HOME", home.as_str()), ("SHELL", "/bin/sh"), ("TERM", "vt220")]);
    shell.env("PATH", "/usr/local/bin:/usr/bin:/bin").current_dir(if std::path::Path::new(&home).is_dir() {
        &home
    } else {
        "/"
    });
    shell.stdin(slave.try_clone()?).stdout(slave.try_clone()?).stderr(Stdio::from(slave));
    shell.uid(uid).gid(uid);
    // SAFETY: only system calls, on no memory of this process.
    unsafe {
        shell.pre_exec(|| {
            check(libc::setsid())?;
            check(libc::ioctl(0, libc::TIOCSCTTY, 0)).map(drop)
        });
    }
    let mut child = shell.spawn()?;
    drop(shell);
    let socket = File::from(socket);
    let (mut from_host, mut to_shell) = (socket.try_clone()?, master.try_clone()?);
    std::thread::spawn(move || io::copy(&mut from_host, &mut to_shell));
    // Ends with EIO when the shell has closed its terminal.
    let _ = io::copy(&mut &master, &mut &socket);
    // SAFETY: the descriptor is open; no memory is involved.
    unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_RDWR) };
    drop(master);
    let _ = child.kill();
    child.wait().map(drop)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_shell_answers_over_a_socket() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let uid = rustix::process::getuid().as_raw();
        let served = std::thread::spawn(move || super::serve(OwnedFd::from(theirs), "nobody", uid));
        let mut ours = ours;
        ours.write_all(b"echo $((6*7))-$USER; tty; exit\n").unwrap();
        let mut text = String::new();
        ours.read_to_string(&mut text).unwrap();
        assert!(text.contains("42-nobody") && text.contains("/dev/pts/"), "{text}");
        served.join().unwrap().unwrap();
    }
}
