//! The daemon with clocks of the test's own and a small server over loopback.

use std::cell::RefCell;
use std::net::{SocketAddr, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use super::clock::Clock;
use super::daemon::Daemon;
use super::exchange::{Measurement, ask, choose};
use super::jump::{Jump, Watch};
use super::packet;

const NANOS: i64 = 1_000_000_000;
const START: i64 = 1_800_000_000 * NANOS;

/// Clocks that stand still unless they are told to go on.
#[derive(Clone, Default)]
struct Clocks(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    now: i64,
    monotonic: i64,
    boottime: i64,
    rtc: Option<i64>,
    host_offset: Option<i64>,
    steps: Vec<i64>,
    slews: Vec<(i64, u32)>,
}

impl Clocks {
    fn new() -> Self {
        let clocks = Self::default();
        {
            let mut state = clocks.0.borrow_mut();
            state.now = START;
            state.rtc = Some(START);
        }
        clocks
    }

    /// Time passes for the machine.
    fn run(&self, seconds: i64) {
        let mut state = self.0.borrow_mut();
        state.now += seconds * NANOS;
        state.monotonic += seconds * NANOS;
        state.boottime += seconds * NANOS;
        state.rtc = state.rtc.map(|rtc| rtc + seconds * NANOS);
    }

    /// Time passes for the world only.
    fn pause(&self, seconds: i64) {
        let mut state = self.0.borrow_mut();
        state.rtc = state.rtc.map(|rtc| rtc + seconds * NANOS);
    }

    fn steps(&self) -> Vec<i64> {
        std::mem::take(&mut self.0.borrow_mut().steps)
    }
}

impl Clock for Clocks {
    fn now(&self) -> i64 {
        self.0.borrow().now
    }
    fn monotonic(&self) -> i64 {
        self.0.borrow().monotonic
    }
    fn boottime(&self) -> i64 {
        self.0.borrow().boottime
    }
    fn rtc(&self) -> Option<i64> {
        self.0.borrow().rtc.map(|rtc| rtc / NANOS)
    }
    fn host_offset(&self) -> Option<i64> {
        self.0.borrow().host_offset
    }
    fn step(&mut self, offset: i64) -> std::io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.now += offset;
        state.steps.push(offset);
        Ok(())
    }
    fn slew(&mut self, offset: i64, poll: u32) -> std::io::Result<()> {
        self.0.borrow_mut().slews.push((offset, poll));
        Ok(())
    }
    fn set_rtc(&mut self) -> std::io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.rtc = Some(state.now);
        Ok(())
    }
}

/// A server whose time is what the test says; 0: it is silent.
struct Server {
    address: SocketAddr,
    time: Arc<AtomicI64>,
    end: Arc<AtomicBool>,
}

impl Server {
    fn start(time: i64) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let server = Self { address: socket.local_addr().unwrap(), time: Arc::new(time.into()), end: Arc::default() };
        let (time, end) = (server.time.clone(), server.end.clone());
        std::thread::spawn(move || {
            let mut request = [0; 100];
            while !end.load(Ordering::Relaxed) {
                let Ok((packet::LENGTH, client)) = socket.recv_from(&mut request) else { continue };
                let time = time.load(Ordering::Relaxed);
                if time != 0 {
                    // What somebody else has sent is passed over.
                    let mut forged = packet::answer(&request, 5, 5);
                    forged[24] ^= 1;
                    socket.send_to(&forged, client).unwrap();
                    socket.send_to(&packet::answer(&request, time, time), client).unwrap();
                }
            }
        });
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
    }
}

fn daemon(clocks: &Clocks, servers: &[&Server]) -> Daemon {
    let addresses: Vec<SocketAddr> = servers.iter().map(|server| server.address).collect();
    Daemon::new(Box::new(clocks.clone()), Box::new(move |_| addresses.clone()))
}

#[test]
fn steps_then_slews() {
    let clocks = Clocks::new();
    let server = Server::start(START + 3600 * NANOS);
    let names = ["server".to_string()];
    let mut daemon = daemon(&clocks, &[&server]);
    assert_eq!(daemon.tick(&names), Duration::from_secs(20));
    assert_eq!(clocks.steps(), [3600 * NANOS]);
    assert_eq!(clocks.now(), START + 3600 * NANOS);
    // Not due yet.
    clocks.run(20);
    daemon.tick(&names);
    assert_eq!(clocks.0.borrow().slews, [(0, 6)]);
    clocks.run(44);
    server.time.store(clocks.now() + 5_000_000, Ordering::Relaxed);
    daemon.tick(&names);
    clocks.run(128);
    server.time.store(clocks.now() - 300_000_000, Ordering::Relaxed);
    daemon.tick(&names);
    // The packet's fractions of a second are no nanoseconds.
    let micros = |slews: &[(i64, u32)]| -> Vec<(i64, u32)> {
        slews.iter().map(|(offset, poll)| ((offset + 500).div_euclid(1000), *poll)).collect()
    };
    assert_eq!(micros(&clocks.0.borrow().slews), [(0, 6), (5000, 6), (-300_000, 7)]);
    assert_eq!(clocks.steps(), []);
    // The RTC never told of it.
    daemon.end();
    assert_eq!(clocks.rtc(), Some(clocks.now() / NANOS));
}

#[test]
fn a_stopped_machine_is_right_within_a_tick() {
    let clocks = Clocks::new();
    let server = Server::start(START);
    let names = ["server".to_string()];
    let mut daemon = daemon(&clocks, &[&server]);
    daemon.tick(&names);
    clocks.run(20);
    clocks.pause(3600);
    server.time.store(START + 3620 * NANOS, Ordering::Relaxed);
    daemon.tick(&names);
    assert_eq!((clocks.steps(), clocks.now()), (vec![3600 * NANOS], START + 3620 * NANOS));
    // The same when the server is not reached: by the RTC.
    server.time.store(0, Ordering::Relaxed);
    clocks.run(20);
    clocks.pause(7200);
    daemon.tick(&names);
    assert_eq!((clocks.steps(), clocks.now()), (vec![7200 * NANOS], START + 10840 * NANOS));
    clocks.run(20);
    daemon.tick(&names);
    assert_eq!(clocks.steps(), []);
}

#[test]
fn without_servers() {
    let clocks = Clocks::new();
    // A hypervisor whose RTC has local time.
    clocks.0.borrow_mut().rtc = Some(START + 7200 * NANOS);
    let mut daemon = daemon(&clocks, &[]);
    for _ in 0..10 {
        clocks.run(20);
        daemon.tick(&[]);
    }
    assert_eq!(clocks.steps(), []);
    clocks.pause(60);
    daemon.tick(&[]);
    assert_eq!(clocks.steps(), [60 * NANOS]);
    // One that tells its time.
    clocks.0.borrow_mut().host_offset = Some(2 * NANOS);
    clocks.run(20);
    daemon.tick(&[]);
    clocks.0.borrow_mut().host_offset = Some(1000);
    clocks.run(20);
    daemon.tick(&[]);
    assert_eq!((clocks.steps(), &clocks.0.borrow().slews[..]), (vec![2 * NANOS], &[(0, 6), (1000, 6)][..]));
}

#[test]
fn a_clock_that_was_never_set_takes_the_rtc() {
    let clocks = Clocks::new();
    clocks.0.borrow_mut().now = 5 * NANOS;
    daemon(&clocks, &[]);
    assert_eq!(clocks.now(), START);
}

#[test]
fn tells_jumps_apart() {
    let clocks = Clocks::new();
    let mut watch = Watch::new(&clocks);
    clocks.run(20);
    assert_eq!(watch.look(&clocks), None);
    clocks.pause(1);
    assert_eq!(watch.look(&clocks), None);
    clocks.pause(1);
    assert_eq!(watch.look(&clocks), Some(Jump::Paused(2)));
    assert_eq!(watch.look(&clocks), None);
    // The RTC was set back.
    clocks.pause(-3600);
    assert_eq!(watch.look(&clocks), None);
    {
        // Suspended: the kernel sets its clock by the RTC.
        let mut state = clocks.0.borrow_mut();
        state.boottime += 3600 * NANOS;
        state.now += 3600 * NANOS;
        state.rtc = state.rtc.map(|rtc| rtc + 3600 * NANOS);
    }
    assert_eq!(watch.look(&clocks), Some(Jump::Resumed));
    clocks.0.borrow_mut().now -= 10 * NANOS;
    assert_eq!(watch.look(&clocks), Some(Jump::Set));
    assert_eq!(watch.look(&clocks), None);
}

#[test]
fn one_false_server_of_three_decides_nothing() {
    let clocks = Clocks::new();
    let servers = [START + 7, START + 9_000_000_000_000, START + 5].map(Server::start);
    let silent = Server::start(0);
    let mut addresses: Vec<SocketAddr> = servers.iter().map(|server| server.address).collect();
    addresses.push(silent.address);
    let answers = ask(&addresses, &clocks, super::random);
    assert_eq!(answers.len(), 3);
    let chosen = choose(answers.into_iter().filter_map(|(_, answer)| answer.ok()).collect()).unwrap();
    assert!((0..NANOS).contains(&chosen.offset), "{chosen:?}");
    let measurement = |offset, distance| Measurement { server: silent.address, offset, distance };
    assert_eq!(choose(vec![measurement(1, 50), measurement(2, 10)]), Some(measurement(2, 10)));
    assert_eq!(choose(vec![]), None);
}
