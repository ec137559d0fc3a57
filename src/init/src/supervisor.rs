//! The event loop: starts services, watches for readiness, reaps, starts again, and hears signals and the power button.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use contract::control::Verb;
use contract::paths::{INIT, MODULES_LOADED, MODULES_SERVICE, SERVICES};
use contract::service::{Exit, Listen, Place, Readiness, Service, State};
use rustix::event::{PollFd, PollFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::console;
use crate::container;
use crate::context::Context;
use crate::control::Control;
use crate::failure::Failure;
use crate::hand::Hand;
use crate::power::Buttons;
use crate::reap::{self, Reaped};
use crate::reload;
use crate::rescue;
use crate::service::backoff::MANY_FAILURES;
use crate::service::process::{self, NotStarted};
use crate::service::table::{Due, Outcome, Table};
use crate::service::{listen, log, notify, state};
use crate::shutdown::Leave;
use crate::signals::{Signals, timeout};
use crate::watchdog::Watchdog;

/// How often a socket or file is looked for while its service starts; later, for a slow one.
const PROBE_MS: u64 = 50;
const PROBE_LATER_MS: u64 = 250;
const LATER_MS: u64 = 15_000;

/// All services and what the loop listens to.
pub(crate) struct Supervisor<'a> {
    /// Settings and command line.
    pub(crate) context: &'a Context,
    /// Where signals come from.
    pub(crate) signals: &'a Signals,
    /// The services.
    pub(crate) table: Table,
    /// Sockets that services are handed at each start, by index.
    sockets: BTreeMap<usize, OwnedFd>,
    /// Sockets on which services say that they are ready, by index.
    notify: BTreeMap<usize, OwnedFd>,
    /// Restarts a machine that hangs.
    pub(crate) watchdog: Watchdog,
    control: Control,
    hand: Hand,
    buttons: Buttons,
    rescue_shells: Vec<i32>,
    /// Children that have ended are left, with nothing to wake for them.
    has_more_ended: bool,
    /// In a container: a required service has failed for good.
    is_failed: bool,
    next_log_check_ms: u64,
}

impl<'a> Supervisor<'a> {
    /// Reads the service table; what is wrong with it is printed and left out.
    pub(crate) fn new(context: &'a Context, signals: &'a Signals) -> Self {
        let text = std::fs::read_to_string(SERVICES).unwrap_or_else(|error| {
            console::say(&Failure::new("read", SERVICES, error).to_string());
            String::new()
        });
        let (mut services, problems) = contract::service::decode(&text);
        for problem in problems {
            console::say(&format!("{SERVICES}: {problem}"));
        }
        let here = if container::is_one() { Place::Container } else { Place::Machine };
        let mut left_out = container::leave_out(&mut services, here);
        if here == Place::Container {
            left_out.push(MODULES_SERVICE.into());
            container::forget(&mut services, &left_out);
        } else if !services.iter().any(|service| service.name == MODULES_SERVICE) {
            services.insert(0, modules_service());
        }
        let (mut table, problems) = Table::new(services);
        table.leave_out(left_out);
        for problem in problems {
            console::say(&problem);
        }
        table.units().iter().for_each(state::write);
        log::set_up(table.units().len());
        Self::with(context, signals, table)
    }

    /// One without services, for a machine that goes down before they start.
    pub(crate) fn empty(context: &'a Context, signals: &'a Signals) -> Self {
        Self::with(context, signals, Table::new(Vec::new()).0)
    }

    fn with(context: &'a Context, signals: &'a Signals, table: Table) -> Self {
        Self {
            context,
            signals,
            table,
            sockets: BTreeMap::new(),
            notify: BTreeMap::new(),
            watchdog: Watchdog::new(context),
            control: Control::closed(),
            hand: Hand::default(),
            buttons: Buttons::new(),
            rescue_shells: Vec::new(),
            has_more_ended: false,
            is_failed: false,
            next_log_check_ms: 0,
        }
    }

    /// Runs services until somebody wants the machine to go down.
    pub(crate) fn run(&mut self) -> Leave {
        self.open_sockets();
        loop {
            self.take_requests();
            self.hear_ready();
            self.start_due();
            self.probe();
            self.start_due();
            self.wait();
            // Before the look at children: the signal of one that ends behind it is still there to wake the next wait.
            let wish = self.signals.take();
            self.reap();
            if self.is_failed {
                return Leave::Fail;
            }
            if let Some(leave) = wish {
                return leave;
            }
            if self.buttons.pressed() {
                console::say("the power button was pressed");
                return Leave::PowerOff;
            }
            self.watchdog.tend(console::now_ms());
            self.check_logs();
        }
    }

    /// Does what has been asked for on the control socket, and goes on with what has been before.
    fn take_requests(&mut self) {
        let now = console::now_ms();
        let Self { control, hand, table, .. } = self;
        let mut asked = Vec::new();
        control.take(now, |request| {
            asked.push(request.service.to_owned());
            if request.verb == Verb::Reload {
                return reload::run(table, hand, now);
            }
            hand.request(table, request, now)
        });
        let done = hand.tend(table, now);
        for (index, again) in done {
            if !again {
                self.close_socket(index);
            }
            match self.table.remove(index) {
                Some(name) => self.forget(index, &name),
                None => self.record(index),
            }
        }
        for name in asked {
            let index = self.table.units().iter().position(|unit| !name.is_empty() && unit.service.name == name);
            index.into_iter().for_each(|index| self.record(index));
        }
    }

    /// Nothing is left of a service whose place is free now.
    fn forget(&mut self, index: usize, name: &str) {
        console::step(format_args!("{name} is removed"));
        if self.notify.remove(&index).is_some() {
            let _ = std::fs::remove_file(notify::path(name));
        }
        state::remove(name);
    }

    /// Services that say that they are ready.
    fn hear_ready(&mut self) {
        let said = |(index, socket): (&usize, &OwnedFd)| notify::take(socket.as_fd()).then_some(*index);
        let said: Vec<usize> = self.notify.iter().filter_map(said).collect();
        for index in said {
            if self.table.unit(index).is_some_and(|unit| unit.state == State::Starting) {
                self.is_ready(index);
            }
        }
    }

    fn is_ready(&mut self, index: usize) {
        self.table.ready(index);
        self.record(index);
        console::step(format_args!("{} is ready", self.name(index)));
    }

    /// Makes all sockets before anything starts, so that every service finds those of the others. A service whose socket
    /// cannot be made has failed.
    fn open_sockets(&mut self) {
        match Control::open(self.context.settings.uid) {
            Ok(control) => self.control = control,
            Err(error) => console::say(&Failure::new("listen on", contract::paths::CONTROL, error).to_string()),
        }
        let asked: Vec<(usize, Listen)> =
            (0..).zip(self.table.units()).filter_map(|(at, unit)| Some((at, unit.service.listen.clone()?))).collect();
        for (index, listen) in asked {
            match listen::open(&listen) {
                Ok(socket) => {
                    self.sockets.insert(index, socket);
                    console::step(format_args!("listen on {} for {}", listen.path, self.name(index)));
                }
                Err(error) => {
                    self.table.not_started(index, false, console::now_ms());
                    self.failed(index, &Failure::new("listen on", listen.path, error).to_string());
                }
            }
        }
    }

    /// Closes the socket of a service that does not start again, so that clients are refused instead of waiting for it.
    pub(crate) fn close_socket(&mut self, index: usize) {
        self.sockets.remove(&index);
    }

    fn wait(&self) {
        let now = console::now_ms();
        let others = [self.table.next_ms(), self.hand.next_ms(), self.control.next_ms(now)];
        let mut next = self.next_log_check_ms.min(self.watchdog.next_ms());
        next = others.into_iter().flatten().fold(next, u64::min);
        if let Some(ran_ms) = self.table.probed(now).map(|(_, _, ran_ms)| ran_ms).min() {
            next = next.min(now + if ran_ms < LATER_MS { PROBE_MS } else { PROBE_LATER_MS });
        }
        if self.has_more_ended || self.is_failed {
            next = now;
        }
        let sockets = self.control.fds(now).chain(self.notify.values().map(AsFd::as_fd));
        let fds = [self.signals.as_fd()].into_iter().chain(self.buttons.fds()).chain(sockets);
        let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        let _ = rustix::event::poll(&mut fds, timeout(Some(next.saturating_sub(now))).as_ref());
    }

    fn start_due(&mut self) {
        loop {
            let due = self.table.due(console::now_ms());
            if due.is_empty() {
                return;
            }
            for due in due {
                match due {
                    Due::Start(index) => self.start(index),
                    Due::Blocked(index, other) => {
                        let reason = format!("not started, {} has failed", self.name(other));
                        self.failed(index, &reason);
                    }
                    Due::Slow(index) => console::say(&format!("{} is not ready after a minute", self.name(index))),
                }
            }
        }
    }

    fn name(&self, index: usize) -> String {
        self.table.unit(index).map(|unit| unit.service.name.clone()).unwrap_or_default()
    }

    fn start(&mut self, index: usize) {
        let Some(unit) = self.table.unit(index) else { return };
        let service = &unit.service;
        let program = service.command.first().cloned().unwrap_or_default();
        if let Err(failure) = prepare(index, service, &mut self.sockets, &mut self.notify) {
            console::say(&failure.to_string());
        }
        match process::start(service, self.context.user_name(service.uid), self.sockets.get(&index)) {
            Ok(pid) => {
                console::step(format_args!("start {} as process {pid}", service.name));
                self.table.started(index, pid, console::now_ms());
                self.record(index);
            }
            Err(NotStarted::NoTerminal) => {
                self.table.skip(index);
                self.record(index);
            }
            Err(NotStarted::Failed { error, again }) => {
                let reason = Failure::new("start", program, error).to_string();
                match self.table.not_started(index, again, console::now_ms()) {
                    Outcome::Retry(wait_ms) => {
                        self.record(index);
                        self.say_retry(index, &reason, wait_ms);
                    }
                    _ => self.failed(index, &reason),
                }
            }
        }
    }

    /// Reports a failure for good; a required service's one opens the rescue shell, beside the running services.
    fn failed(&mut self, index: usize, reason: &str) {
        self.close_socket(index);
        self.record(index);
        let Some(unit) = self.table.unit(index) else { return };
        console::say(&format!("{}: {reason}", unit.service.name));
        if !unit.service.required || !self.rescue_shells.is_empty() {
            return;
        }
        if container::is_one() {
            console::say(&format!("{} is required: the container ends with status 1", unit.service.name));
            self.is_failed = true;
            return;
        }
        console::say(&format!("{} is required: a rescue shell follows where no login shell runs", unit.service.name));
        let mut terminals = console::usable();
        terminals.retain(|terminal| {
            let owns = |tty: &Option<String>| tty.as_ref() == Some(terminal);
            !self.table.units().iter().any(|unit| owns(&unit.service.tty) && unit.state != State::Failed)
        });
        self.rescue_shells = rescue::start(&terminals);
    }

    fn record(&self, index: usize) {
        if let Some(unit) = self.table.unit(index) {
            state::write(unit);
        }
    }

    fn probe(&mut self) {
        let found: Vec<usize> = self
            .table
            .probed(console::now_ms())
            .filter(|(_, readiness, _)| match readiness {
                Readiness::Socket(path) => answers(path),
                Readiness::File(path) => std::fs::exists(path).unwrap_or(false),
                Readiness::Started | Readiness::Exit | Readiness::Notify => true,
            })
            .map(|(index, ..)| index)
            .collect();
        for index in found {
            self.is_ready(index);
        }
    }

    /// Takes the status of children that have ended.
    fn reap(&mut self) {
        for _ in 0..reap::AT_A_TIME {
            let Reaped::Ended(pid, exit) = reap::next() else {
                self.has_more_ended = false;
                return;
            };
            self.rescue_shells.retain(|&shell| shell != pid);
            if self.hand.command_ended(pid) {
                continue;
            }
            if let Some((index, outcome)) = self.table.ended(pid, exit, console::now_ms()) {
                if self.hand.process_ended(index) {
                    self.record(index);
                } else {
                    self.service_ended(index, exit, outcome);
                }
            }
        }
        self.has_more_ended = true;
    }

    fn service_ended(&mut self, index: usize, exit: Exit, outcome: Outcome) {
        let how = format!("ended with {exit}");
        match outcome {
            Outcome::Done | Outcome::Stopped => {
                self.close_socket(index);
                self.record(index);
                console::step(format_args!("{}: {how}", self.name(index)));
            }
            Outcome::Failed => self.failed(index, &format!("{how}, failed for good; see {}", self.log_command(index))),
            Outcome::Retry(wait_ms) => {
                self.record(index);
                self.say_retry(index, &how, wait_ms);
            }
        }
    }

    fn log_command(&self, index: usize) -> String {
        format!("\"distroctl logs {}\"", self.name(index))
    }

    /// Reports an early end. A login shell's end is no news, and a loop that goes on is not printed for ever.
    fn say_retry(&self, index: usize, how: &str, wait_ms: u64) {
        let Some(unit) = self.table.unit(index) else { return };
        if unit.service.tty.is_some() || unit.failures() > MANY_FAILURES {
            return;
        }
        let name = &unit.service.name;
        let (seconds, tenths) = (wait_ms / 1000, wait_ms % 1000 / 100);
        if unit.failures() == MANY_FAILURES {
            let log = self.log_command(index);
            console::say(&format!("{name}: {how}, again; trying on up to every 30 s without a word, see {log}"));
        } else {
            console::say(&format!("{name}: {how}; starting again in {seconds}.{tenths} s"));
        }
    }

    fn check_logs(&mut self) {
        let now = console::now_ms();
        if now < self.next_log_check_ms {
            return;
        }
        let Some(room) = log::Room::now() else {
            self.next_log_check_ms = u64::MAX;
            return;
        };
        self.next_log_check_ms = now.saturating_add(room.next_check_ms());
        if !room.is_worth_a_look() {
            return;
        }
        for unit in self.table.units().iter().filter(|unit| unit.pid.is_some()) {
            log::trim(&unit.service.name);
        }
    }
}

/// Makes what a service is handed, if it is not there: its socket, which is closed while it is stopped by hand, and the one
/// on which it says that it is ready. What its last process said on that is forgotten.
fn prepare(
    index: usize,
    service: &Service,
    sockets: &mut BTreeMap<usize, OwnedFd>,
    notify: &mut BTreeMap<usize, OwnedFd>,
) -> Result<(), Failure> {
    if let (Some(listen), None) = (&service.listen, sockets.get(&index)) {
        let socket = listen::open(listen).map_err(Failure::of("listen on", &listen.path))?;
        sockets.insert(index, socket);
    }
    if service.ready != Readiness::Notify {
        return Ok(());
    }
    match notify.get(&index) {
        Some(socket) => {
            notify::take(socket.as_fd());
        }
        None => {
            let socket = notify::open(service).map_err(Failure::of("listen on", &notify::path(&service.name)))?;
            notify.insert(index, socket);
        }
    }
    Ok(())
}

/// PID 1's own service: see [`crate::coldplug`].
fn modules_service() -> Service {
    let mut service = Service::new(MODULES_SERVICE, vec![INIT.into(), MODULES_SERVICE.into()]);
    service.ready = Readiness::File(MODULES_LOADED.into());
    service
}

/// Whether a Unix socket accepts a connection. Does not wait: a full backlog counts as an answer, someone listens.
fn answers(path: &str) -> bool {
    let Ok(address) = SocketAddrUnix::new(std::ffi::OsStr::new(path).as_bytes()) else { return false };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let Ok(socket) = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None) else {
        return false;
    };
    matches!(rustix::net::connect(&socket, &address), Ok(()) | Err(rustix::io::Errno::AGAIN))
}
