//! `torment`: what the survival test does to PID 1 from inside a guest. It goes there as one static program that the test has
//! rustc make of this file alone, so nothing but std is used; the calls that std lacks are declared below.
//!
//! `torment orphans SECONDS` makes orphans as fast as it can and prints how many. `torment socket SECONDS PATH` does to a
//! `SOCK_SEQPACKET` socket what no client should, from four processes, and prints a line for each:
//! `connections N answers N closed N silent N wrong N`.

use std::ffi::c_void;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Orphans that one parent leaves.
const BATCH: usize = 50;
/// What one of them needs.
const STACK_BYTES: usize = 16 << 10;
const WORKERS: u64 = 4;
/// Connections that a worker holds without a word.
const HELD: usize = 200;
/// PID 1 answers at once.
const ANSWER_SECS: i64 = 10;

// Linux, x86_64: `linux/sched.h`, `asm-generic/signal.h`, `asm-generic/socket.h`, `bits/socket.h`, `unistd.h`.
const CLONE_VM: i32 = 0x100;
const SIGCHLD: i32 = 17;
const AF_UNIX: u16 = 1;
const SOCK_STREAM: i32 = 1;
const SOCK_DGRAM: i32 = 2;
const SOCK_SEQPACKET: i32 = 5;
const SOL_SOCKET: i32 = 1;
const SO_RCVTIMEO: i32 = 20;
const SO_SNDTIMEO: i32 = 21;
const MSG_NOSIGNAL: i32 = 0x4000;

/// `struct sockaddr_un` of unix(7).
#[repr(C)]
struct Address {
    family: u16,
    path: [u8; 108],
}

unsafe extern "C" {
    fn fork() -> i32;
    fn clone(
        child: extern "C" fn(*mut c_void) -> i32,
        stack: *mut c_void,
        flags: i32,
        argument: *mut c_void,
        ...
    ) -> i32;
    safe fn _exit(status: i32) -> !;
    fn waitpid(pid: i32, status: *mut i32, options: i32) -> i32;
    safe fn socket(domain: i32, kind: i32, protocol: i32) -> i32;
    fn connect(fd: i32, address: *const Address, length: u32) -> i32;
    fn setsockopt(fd: i32, level: i32, name: i32, value: *const c_void, length: u32) -> i32;
    fn send(fd: i32, buffer: *const u8, length: usize, flags: i32) -> isize;
    fn recv(fd: i32, buffer: *mut u8, length: usize, flags: i32) -> isize;
    safe fn close(fd: i32) -> i32;
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let length = words.get(1).and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
    match (&words[..], length) {
        (["orphans", _], Some(length)) => println!("{}", orphans(length)),
        (["socket", _, path], Some(length)) => crowd(length, path),
        _ => {
            eprintln!("usage: torment orphans SECONDS | socket SECONDS PATH");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Runs `child` in a process of its own; the pid.
fn forked(child: impl FnOnce()) -> Option<i32> {
    // SAFETY: this program has one thread, so nothing is left locked in the child, which never returns from here.
    match unsafe { fork() } {
        0 => {
            child();
            _exit(0)
        }
        pid => (pid > 0).then_some(pid),
    }
}

/// The exit status of a child, 0 if it has none.
fn waited(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: the pointer is to a local that outlives the call.
    unsafe { waitpid(pid, &raw mut status, 0) };
    status >> 8 & 0xff
}

extern "C" fn end(_: *mut c_void) -> i32 {
    0
}

/// Their parent ends at once and does not ask for them. They share its memory: copying it for each would cost more than all
/// the rest.
fn orphans(length: Duration) -> i64 {
    let end_of_all = Instant::now() + length;
    let mut stacks = vec![0_u128; BATCH * STACK_BYTES / 16];
    let mut made = 0;
    while Instant::now() < end_of_all {
        let parent = forked(|| {
            let mut made = 0;
            for stack in stacks.chunks_exact_mut(STACK_BYTES / 16) {
                // SAFETY: each has a stack of its own, which grows down from its end, and does nothing but end.
                let pid = unsafe {
                    clone(end, stack.as_mut_ptr_range().end.cast(), CLONE_VM | SIGCHLD, std::ptr::null_mut())
                };
                made += i32::from(pid > 0);
            }
            _exit(made)
        });
        match parent {
            Some(pid) => made += i64::from(waited(pid)),
            // As many processes as there may be.
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    made
}

fn crowd(length: Duration, path: &str) {
    let workers: Vec<i32> = (1..=WORKERS).filter_map(|seed| forked(|| worker(length, path, seed))).collect();
    workers.into_iter().for_each(|pid| {
        waited(pid);
    });
}

/// A connection, closed when it is dropped.
struct Connection(i32);

impl Connection {
    fn open(path: &str, kind: i32) -> Option<Self> {
        let connection = Self(socket(i32::from(AF_UNIX), kind, 0));
        let mut address = Address { family: AF_UNIX, path: [0; 108] };
        address.path.iter_mut().zip(path.bytes()).for_each(|(to, from)| *to = from);
        // `struct timeval`: seconds and microseconds.
        let patience: [i64; 2] = [ANSWER_SECS, 0];
        // SAFETY: all pointers are to locals that outlive the calls and are passed with their sizes.
        let connected = unsafe {
            for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
                setsockopt(connection.0, SOL_SOCKET, option, (&raw const patience).cast(), 16);
            }
            connect(connection.0, &raw const address, 110)
        };
        (connected == 0).then_some(connection)
    }

    fn send(&self, packet: &[u8]) {
        // SAFETY: the buffer is passed with its size. What cannot be sent is none of our business.
        unsafe { send(self.0, packet.as_ptr(), packet.len(), MSG_NOSIGNAL) };
    }

    /// What comes back; empty: the connection was closed.
    fn answer(&self) -> std::io::Result<Vec<u8>> {
        let mut buffer = [0; 4096];
        // SAFETY: the buffer is passed with its size.
        let length = unsafe { recv(self.0, buffer.as_mut_ptr(), buffer.len(), 0) };
        let Ok(length) = usize::try_from(length) else { return Err(std::io::Error::last_os_error()) };
        Ok(buffer[..length].to_vec())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        close(self.0);
    }
}

fn worker(length: Duration, path: &str, seed: u64) {
    /// What begins like a request, or has one in it.
    const HALF: [&[u8]; 10] = [
        b"s",
        b"start",
        b"start ",
        b"stop\n",
        b"reload ",
        b"reload sshd",
        b"restart \0sshd",
        b"START sshd",
        b"stop sshd\nstop ntp",
        b"stop ../../run/sshd",
    ];
    let end = Instant::now() + length;
    let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ seed << 32 | seed);
    let mut held = std::collections::VecDeque::new();
    let (mut connections, mut answers, mut closed, mut silent, mut wrong) = (0, 0, 0, 0, 0);
    while Instant::now() < end {
        let kind = match random.below(50) {
            0 => SOCK_STREAM,
            1 => SOCK_DGRAM,
            _ => SOCK_SEQPACKET,
        };
        let Some(connection) = Connection::open(path, kind) else { continue };
        connections += 1;
        let packet = match random.below(8) {
            // Held without a word.
            0 | 1 => {
                held.push_back(connection);
                if held.len() > HELD {
                    held.pop_front();
                }
                continue;
            }
            // Gone at once.
            2 => continue,
            // Many packets, and gone without a look at answers.
            3 => {
                (0..10).for_each(|_| connection.send(&random.bytes(100)));
                continue;
            }
            4 => [b"start ".to_vec(), vec![b'a'; 75 + random.below(100_000)]].concat(),
            5 => {
                let size = 81 + random.below(2_000);
                random.bytes(size)
            }
            6 => HALF[random.below(HALF.len())].to_vec(),
            _ => {
                let size = random.below(81);
                random.bytes(size)
            }
        };
        connection.send(&packet);
        match connection.answer() {
            Ok(answer) if answer.starts_with(b"error ") => answers += 1,
            Ok(answer) if answer.is_empty() => closed += 1,
            Ok(_) => wrong += 1,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => closed += 1,
            Err(_) => silent += 1,
        }
    }
    println!("connections {connections} answers {answers} closed {closed} silent {silent} wrong {wrong}");
}

/// xorshift64 (Marsaglia, 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or(0) % limit.max(1)
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.below(256).to_le_bytes()[0]).collect()
    }
}
