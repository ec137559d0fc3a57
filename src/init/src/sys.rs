//! The system calls that rustix does not wrap, each a small safe function. Every `unsafe` of PID 1 is here, but for the
//! child's half of `fork` in [`crate::service::process`].
//!
//! Numbers and layouts: `linux/input.h`, `linux/if.h`, `linux/netlink.h`, `asm-generic/ioctls.h`
//! (Linux 6.12). Byte order is the machine's own.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use contract::loop_device::{LOOP_CONFIGURE, LOOP_CTL_GET_FREE, LoopConfig};

use crate::retained::Extent;

/// The error of a call that returned a negative number.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Blocks `signals` for this process and gives a descriptor that delivers them (`signalfd(2)`).
pub(crate) fn signal_fd(signals: &[i32]) -> io::Result<OwnedFd> {
    // SAFETY: `set` is initialised by sigemptyset before any other use; all pointers are to locals that outlive the calls.
    unsafe {
        let mut set = std::mem::zeroed::<libc::sigset_t>();
        check(libc::sigemptyset(&raw mut set))?;
        for &signal in signals {
            check(libc::sigaddset(&raw mut set, signal))?;
        }
        check(libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()))?;
        let fd = check(libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Lets all signals through again, for a child that is about to execute something.
pub(crate) fn unblock_signals() -> io::Result<()> {
    // SAFETY: as above.
    unsafe {
        let mut set = std::mem::zeroed::<libc::sigset_t>();
        check(libc::sigemptyset(&raw mut set))?;
        check(libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut())).map(|_| ())
    }
}

/// The next signal that waits in a [`signal_fd`].
pub(crate) fn next_signal(fd: BorrowedFd<'_>) -> Option<i32> {
    // SAFETY: the buffer is a plain-data struct of the size given; a short read is refused below.
    unsafe {
        let mut info = std::mem::zeroed::<libc::signalfd_siginfo>();
        let size = size_of::<libc::signalfd_siginfo>();
        let read = libc::read(fd.as_raw_fd(), (&raw mut info).cast(), size);
        (usize::try_from(read) == Ok(size)).then(|| info.ssi_signo.cast_signed())
    }
}

/// Sends a signal; `pid` -1 is every process but PID 1 itself, a negative one a process group (`kill(2)`).
pub(crate) fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: no memory is involved.
    check(unsafe { libc::kill(pid, signal) }).map(|_| ())
}

/// Makes the calling process's cgroup the root of a cgroup namespace of its own (`unshare(2)`).
pub(crate) fn new_cgroup_namespace() -> io::Result<()> {
    // SAFETY: no memory is involved, and there is one thread.
    check(unsafe { libc::unshare(libc::CLONE_NEWCGROUP) }).map(|_| ())
}

/// Runs `child` in a forked process, which then ends. PID 1 has one thread, so nothing is left locked in the child.
pub(crate) fn fork(child: impl FnOnce()) -> io::Result<i32> {
    // SAFETY: single-threaded process; the child never returns from here.
    match check(unsafe { libc::fork() })? {
        0 => {
            child();
            // SAFETY: ends the child at once, without the parent's exit handlers.
            unsafe { libc::_exit(0) }
        }
        pid => Ok(pid),
    }
}

/// Makes the descriptor available as `number` in a child that is about to execute something.
pub(crate) fn inherit_as(fd: RawFd, number: RawFd) -> io::Result<()> {
    // SAFETY: no memory is involved; the caller is a forked child, in which nothing owns `number`.
    check(unsafe { if fd == number { libc::fcntl(fd, libc::F_SETFD, 0) } else { libc::dup2(fd, number) } }).map(|_| ())
}

/// Makes the terminal the controlling one of this session leader, taken from another session if need be.
pub(crate) fn claim_terminal(fd: RawFd) -> io::Result<()> {
    // SAFETY: TIOCSCTTY takes an integer, not a pointer.
    check(unsafe { libc::ioctl(fd, libc::TIOCSCTTY, 1) }).map(|_| ())
}

/// Bytes the terminal has not sent yet.
pub(crate) fn unsent_bytes(fd: BorrowedFd<'_>) -> i32 {
    let mut count: libc::c_int = 0;
    // SAFETY: TIOCOUTQ writes one int.
    match unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCOUTQ, &raw mut count) } {
        0 => count,
        _ => 0,
    }
}

/// Takes on a user's ids, without supplementary groups.
pub(crate) fn become_user(uid: u32) -> io::Result<()> {
    // SAFETY: one gid is passed with the count 1.
    unsafe {
        check(libc::setgroups(1, &raw const uid))?;
        check(libc::setgid(uid))?;
        check(libc::setuid(uid)).map(|_| ())
    }
}

/// The number of a loop device that is free.
pub(crate) fn free_loop_device(control: BorrowedFd<'_>) -> io::Result<i32> {
    // SAFETY: LOOP_CTL_GET_FREE takes no argument.
    check(unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE as _) })
}

/// Puts a part of `file` behind the loop device, read-only, until the device's last user closes it.
pub(crate) fn attach_loop(
    device: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    part: Extent,
    block_size: u32,
) -> io::Result<()> {
    let config = LoopConfig::read_only_part(file.as_raw_fd().cast_unsigned(), part.offset, part.size, block_size);
    // SAFETY: LOOP_CONFIGURE reads one struct loop_config, whose layout `config` has.
    check(unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE as _, &raw const config) }).map(|_| ())
}

/// Sets the interface up. The kernel gives the loopback interface its addresses when that happens.
pub(crate) fn interface_up(name: &str) -> io::Result<()> {
    // SAFETY: the socket is owned before it is used; `request` is plain data for which zero is valid; both ioctls take
    // one struct ifreq; `ifru_flags` is the member that SIOCGIFFLAGS fills.
    unsafe {
        let socket = check(libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0))?;
        let socket = OwnedFd::from_raw_fd(socket);
        let mut request = std::mem::zeroed::<libc::ifreq>();
        for (to, from) in request.ifr_name.iter_mut().take(libc::IFNAMSIZ - 1).zip(name.bytes()) {
            *to = from.cast_signed();
        }
        check(libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS as _, &raw mut request))?;
        request.ifr_ifru.ifru_flags |= libc::IFF_UP as libc::c_short;
        check(libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request)).map(|_| ())
    }
}

/// A socket that hears the kernel's uevents (`NETLINK_KOBJECT_UEVENT`, group 1), with room for a burst of them.
pub(crate) fn uevent_socket() -> io::Result<OwnedFd> {
    let room_bytes: libc::c_int = 4 << 20;
    // SAFETY: the socket is owned before it is used; the address and the option are locals passed with their sizes.
    unsafe {
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
        let socket = check(libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_KOBJECT_UEVENT))?;
        let socket = OwnedFd::from_raw_fd(socket);
        let size = size_of_val(&room_bytes) as libc::socklen_t;
        let option = (&raw const room_bytes).cast();
        let fd = socket.as_raw_fd();
        check(libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, option, size))?;
        let mut address = std::mem::zeroed::<libc::sockaddr_nl>();
        address.nl_family = libc::AF_NETLINK as u16;
        address.nl_groups = 1;
        let size = size_of_val(&address) as libc::socklen_t;
        check(libc::bind(fd, (&raw const address).cast(), size))?;
        Ok(socket)
    }
}

/// Receives one uevent without waiting; one that a process sent instead of the kernel comes back empty.
pub(crate) fn receive_uevent<'a>(socket: BorrowedFd<'_>, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
    // SAFETY: buffer and address are passed with their sizes; the kernel writes no more than those.
    let (received, sender) = unsafe {
        let mut address = std::mem::zeroed::<libc::sockaddr_nl>();
        let mut size = size_of_val(&address) as libc::socklen_t;
        let received = libc::recvfrom(
            socket.as_raw_fd(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            libc::MSG_DONTWAIT,
            (&raw mut address).cast(),
            &raw mut size,
        );
        (received, address.nl_pid)
    };
    let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    if sender != 0 {
        return Ok(&[]);
    }
    Ok(buffer.get(..received).unwrap_or_default())
}

/// Ends the use of a swap area; what is in it comes back into memory.
pub(crate) fn swap_off(path: &str) -> io::Result<()> {
    let path = std::ffi::CString::new(path)?;
    // SAFETY: the path is a string that outlives the call.
    check(unsafe { libc::swapoff(path.as_ptr()) }).map(|_| ())
}

/// Sets the countdown of a watchdog device; gives the one it really has (`linux/watchdog.h`).
pub(crate) fn set_watchdog_timeout(device: BorrowedFd<'_>, secs: i32) -> io::Result<i32> {
    // _IOWR('W', 6, int) and _IOR('W', 7, int)
    const WDIOC_SETTIMEOUT: u32 = (3 << 30) | (4 << 16) | (0x57 << 8) | 6;
    const WDIOC_GETTIMEOUT: u32 = (2 << 30) | (4 << 16) | (0x57 << 8) | 7;
    let mut secs: libc::c_int = secs;
    // SAFETY: both read or write one int, which `secs` is.
    unsafe {
        let set = libc::ioctl(device.as_raw_fd(), WDIOC_SETTIMEOUT as _, &raw mut secs);
        if set < 0 {
            check(libc::ioctl(device.as_raw_fd(), WDIOC_GETTIMEOUT as _, &raw mut secs))?;
        }
    }
    Ok(secs)
}

/// Event types of `linux/input-event-codes.h`.
const EV_KEY: u32 = 1;
const EV_REL: u32 = 2;
const EV_ABS: u32 = 3;
const EV_MSC: u32 = 4;
/// Bytes of a bit map of all keys (KEY_MAX is 0x2ff).
const KEY_BYTES: usize = 96;

/// `struct input_mask` of `linux/input.h`: 16 bytes.
#[repr(C)]
struct InputMask {
    kind: u32,
    size_bytes: u32,
    codes: u64,
}

/// Whether an input device has the key (`EVIOCGBIT`).
pub(crate) fn has_key(device: BorrowedFd<'_>, key: u16) -> bool {
    let mut bits = [0u8; KEY_BYTES];
    // _IOC(_IOC_READ, 'E', 0x20 + EV_KEY, KEY_BYTES)
    let request = (2u32 << 30) | ((KEY_BYTES as u32) << 16) | (0x45 << 8) | (0x20 + EV_KEY);
    // SAFETY: the request carries the buffer's size.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), request as _, bits.as_mut_ptr()) };
    let byte = bits.get(usize::from(key / 8)).copied().unwrap_or(0);
    result >= 0 && byte & (1 << (key % 8)) != 0
}

/// Lets only this key's events through, so that typing does not wake PID 1 (`EVIOCSMASK`; best effort).
pub(crate) fn hear_only_key(device: BorrowedFd<'_>, key: u16) {
    // _IOW('E', 0x93, struct input_mask)
    const EVIOCSMASK: u32 = (1 << 30) | (16 << 16) | (0x45 << 8) | 0x93;
    let mut bits = [0u8; KEY_BYTES];
    if let Some(byte) = bits.get_mut(usize::from(key / 8)) {
        *byte = 1 << (key % 8);
    }
    for (kind, size) in [(EV_KEY, KEY_BYTES), (EV_REL, 0), (EV_ABS, 0), (EV_MSC, 0)] {
        let mask = InputMask { kind, size_bytes: size as u32, codes: bits.as_ptr() as u64 };
        // SAFETY: EVIOCSMASK reads one struct input_mask and `size_bytes` bytes at `codes`, which `bits` has.
        let _ = unsafe { libc::ioctl(device.as_raw_fd(), EVIOCSMASK as _, &raw const mask) };
    }
}

/// Reads one event; true if it is `key` going down.
pub(crate) fn key_pressed(device: BorrowedFd<'_>, key: u16) -> io::Result<Option<bool>> {
    // SAFETY: the buffer is a plain-data struct of the size given; a short read is refused below.
    let (read, event) = unsafe {
        let mut event = std::mem::zeroed::<libc::input_event>();
        let read = libc::read(device.as_raw_fd(), (&raw mut event).cast(), size_of::<libc::input_event>());
        (read, event)
    };
    if read < 0 {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::WouldBlock { Ok(None) } else { Err(error) };
    }
    if usize::try_from(read) != Ok(size_of::<libc::input_event>()) {
        return Ok(None);
    }
    Ok(Some(u32::from(event.type_) == EV_KEY && event.code == key && event.value == 1))
}

#[cfg(test)]
mod tests {
    use super::InputMask;

    #[test]
    fn structures_have_the_kernels_sizes() {
        assert_eq!(size_of::<InputMask>(), 16);
    }
}
