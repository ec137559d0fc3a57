//! `distroctl keep-containers`: what podman leaves to systemd. Starts containers when the engine comes up, by their restart
//! policy and by what the user has stopped; runs health checks when they are due. Restarts while the machine runs are
//! podman's own: the parent of each container calls `podman container cleanup` when it ends, which starts it again.
//!
//! It follows the engine's log of events by inotify(7) and asks the engine over its API, from threads of their own, only
//! about containers that have a check or are to be started: otherwise the engine sleeps.

use std::collections::BTreeMap;
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;

use super::at_rest::{AtRest, Change};
use super::boot::{Boot, Failure, Step};
use super::engine::{Engine, Listed, short};
use super::events::{Event, Follower, stores};
use super::health::{Config, Outcome, Run, Schedule};
use super::place::Place;
use super::work;
use crate::console::log;
use crate::{file, rootless, signals};

/// How long a container that has ended waits to be written down: it may be removed at once (`--rm`).
const ENDED_DELAY: Duration = Duration::from_millis(500);
/// Threads that wait for an answer need little.
const STACK_BYTES: usize = 128 << 10;

/// Runs until SIGTERM, for root's containers or, with a user's rights, for his. `is_late`: the engine has come up before, so
/// that nothing is to be started. Root's also serves the users ([`crate::rootless`]).
pub(crate) fn run(is_late: bool) -> Result<ExitCode> {
    let requests = signals::requests().context("installing signal handlers")?;
    if rustix::process::geteuid().is_root() {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(rootless::serve);
        thread.context("making a thread")?;
    }
    let mut keeper = Keeper::new(Place::own())?;
    keeper.begin(Instant::now());
    if is_late {
        keeper.boot = Boot::done();
    }
    while keeper.wait(&requests)? {}
    keeper.read_events(Instant::now(), false)?;
    keeper.at_rest.save()?;
    Ok(ExitCode::SUCCESS)
}

/// What a thread has to say.
#[derive(Debug)]
pub(super) enum News {
    Listed(Result<[Vec<Listed>; 2]>),
    Started { id: String, name: String, result: Result<()> },
    Configured { run: Run, config: Config },
    Ended { run: Run, outcome: Outcome },
}

/// Where threads say it: a message, and a byte that wakes.
#[derive(Debug)]
pub(super) struct Teller {
    news: Sender<News>,
    wake: PipeWriter,
}

impl Teller {
    pub(super) fn tell(&mut self, news: News) {
        if self.news.send(news).is_ok() {
            let _ = self.wake.write_all(&[0]);
        }
    }
}

#[derive(Debug)]
pub(super) struct Keeper {
    place: Place,
    inotify: OwnedFd,
    follower: Follower,
    at_rest: AtRest,
    save_at: Option<Instant>,
    boot: Boot,
    schedule: Schedule,
    /// Name and last health of containers that have a check.
    health: BTreeMap<String, (String, String)>,
    /// By id.
    problems: BTreeMap<String, String>,
    told: (Sender<News>, Receiver<News>),
    wake: (PipeReader, PipeWriter),
}

impl Keeper {
    pub(super) fn new(place: Place) -> Result<Self> {
        let inotify = watch(&place.events)?;
        let at_rest = AtRest::load(&place.at_rest, &place.halted).unwrap_or_else(|error| {
            log(&format!("{error:#}; no container counts as stopped by hand"));
            AtRest::empty(&place.at_rest, &place.halted)
        });
        file::remove_leftovers(&place.at_rest);
        Ok(Self {
            follower: Follower::new(&place.events),
            inotify,
            at_rest,
            save_at: None,
            boot: Boot::default(),
            schedule: Schedule::default(),
            health: BTreeMap::new(),
            problems: BTreeMap::new(),
            told: channel(),
            wake: pipe().context("making a pipe")?,
            place,
        })
    }

    /// What there is already.
    pub(super) fn begin(&mut self, now: Instant) {
        for id in work::running_with_check(&self.place.runs) {
            self.schedule.begin(&id, now);
        }
        self.read_events(now, true).unwrap_or_else(|error| log(&format!("{error:#}")));
        let stored = std::fs::read_to_string(&self.place.stored).unwrap_or_default();
        self.at_rest.retain(|id| stored.contains(id));
        if !stored.contains("\"id\"") {
            self.boot = Boot::done();
        }
        self.write_problems();
    }

    /// One turn: does what is due, waits for what comes next. False when a signal asks to end.
    pub(super) fn wait(&mut self, requests: &impl AsFd) -> Result<bool> {
        let now = Instant::now();
        self.act(now);
        let due = [self.schedule.next(), self.boot.next(), self.save_at].into_iter().flatten().min();
        let timeout = due.and_then(|due| Timespec::try_from(due.saturating_duration_since(now)).ok());
        let mut fds = [
            PollFd::from_borrowed_fd(requests.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.inotify.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.wake.0.as_fd(), PollFlags::IN),
        ];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("waiting for events"),
        }
        let [asked, changed, told] = fds.map(|fd| !fd.revents().is_empty());
        if told {
            // As many bytes as news, or fewer: what is left wakes again.
            self.wake.0.read(&mut [0; 64]).context("reading the pipe of the threads")?;
        }
        // Before the events: what a check does to its container is known before that happens.
        while let Ok(news) = self.told.1.try_recv() {
            self.heed(news, Instant::now());
        }
        if changed {
            drain(&self.inotify)?;
            self.read_events(Instant::now(), false)?;
        }
        Ok(!asked)
    }

    fn act(&mut self, now: Instant) {
        while let Some(step) = self.boot.next_step(now) {
            match step {
                Step::Start { id, name } => {
                    self.thread(move |engine, teller| teller.tell(work::start(engine, id, name)));
                }
                Step::List => self.thread(|engine, teller| teller.tell(News::Listed(work::list(engine)))),
            }
        }
        for run in self.schedule.due(now) {
            self.thread(move |engine, teller| work::check(engine, run, teller));
        }
        for (id, command) in self.schedule.overdue(now) {
            let name = self.name(&id);
            log(&format!("{name}: the health check takes too long; ending it"));
            self.thread(move |engine, _| work::end_check(engine, &id, &command));
        }
        match self.at_rest.change() {
            Change::None => self.save_at = None,
            Change::Ended if *self.save_at.get_or_insert(now + ENDED_DELAY) > now => {}
            Change::Ended | Change::ByHand => {
                self.save_at = None;
                self.at_rest.save().unwrap_or_else(|error| log(&format!("{error:#}")));
            }
        }
    }

    fn thread(&self, work: impl FnOnce(&Engine, &mut Teller) + Send + 'static) {
        let engine = Engine { socket: self.place.socket.clone(), deadline: None };
        let wake = match self.wake.1.try_clone() {
            Ok(wake) => wake,
            Err(error) => return log(&format!("making a thread: {error}")),
        };
        let mut teller = Teller { news: self.told.0.clone(), wake };
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(move || work(&engine, &mut teller));
        if let Err(error) = thread {
            log(&format!("making a thread: {error}"));
        }
    }

    pub(super) fn read_events(&mut self, now: Instant, is_old: bool) -> Result<()> {
        let lines = self.follower.read()?;
        if !is_old && lines.iter().any(|line| stores(line)) {
            self.sync();
        }
        for event in lines.iter().filter_map(|line| Event::parse(line)) {
            self.take(&event, now, is_old);
        }
        self.write_problems();
        Ok(())
    }

    /// Writes the store's file system out. The engine syncs its lists, but not the files of layers: a power cut within the half
    /// minute that the kernel keeps those would leave a listed image or container whose files are empty.
    fn sync(&self) {
        let Some(store) = self.place.stored.ancestors().nth(2).map(Path::to_path_buf) else { return };
        self.thread(move |_, _| {
            let synced = std::fs::File::open(&store).and_then(|folder| Ok(rustix::fs::syncfs(folder)?));
            synced.unwrap_or_else(|error| log(&format!("syncing {}: {error}", store.display())));
        });
    }

    /// `is_old`: it happened before this service began.
    fn take(&mut self, event: &Event, now: Instant, is_old: bool) {
        let id = event.id.as_str();
        let acts = self.schedule.acts(id);
        self.at_rest.heed(event, acts);
        match event.status.as_str() {
            "start" | "restore" | "unpause" => {
                self.boot.drop_wanted(id);
                self.problems.remove(id);
                self.begin_checks(event, now);
            }
            "update" if work::is_running(&self.place.runs, id) => self.begin_checks(event, now),
            "died" | "pause" | "checkpoint" => {
                self.schedule.end(id);
                // One that its health check has stopped stays worth a look.
                if !acts {
                    self.problems.remove(id);
                }
            }
            "remove" => {
                self.schedule.end(id);
                self.boot.drop_wanted(id);
                self.health.remove(id);
                self.problems.remove(id);
            }
            "restart" if !is_old => log(&format!("{} is being restarted", event.name)),
            "health_status" => self.take_health(event, is_old),
            _ => {}
        }
    }

    fn begin_checks(&mut self, event: &Event, now: Instant) {
        self.schedule.end(&event.id);
        if work::may_have_check(&self.place.runs, &event.id) {
            self.schedule.begin(&event.id, now);
            self.health.insert(event.id.clone(), (event.name.clone(), String::new()));
        }
    }

    fn take_health(&mut self, event: &Event, is_old: bool) {
        let (id, Some(status)) = (event.id.as_str(), event.health.as_deref()) else { return };
        let known = self.health.entry(id.into()).or_default();
        if known.1 != status {
            *known = (event.name.clone(), status.into());
            if !is_old && status != "starting" {
                log(&format!("{} is {status}", event.name));
            }
        }
        match status {
            "unhealthy" => drop(self.problems.insert(id.into(), format!("{}: unhealthy", event.name))),
            _ => drop(self.problems.remove(id)),
        }
    }

    fn heed(&mut self, news: News, now: Instant) {
        match news {
            News::Listed(Ok([always, unless_stopped])) => {
                let at_rest = &self.at_rest;
                match self.boot.listed(always, unless_stopped, |id| at_rest.contains(id)) {
                    0 => {}
                    count => log(&format!("starting {count} containers by their restart policy")),
                }
            }
            News::Listed(Err(error)) => {
                log(&format!("{error:#}"));
                self.boot.not_listed(now);
            }
            News::Started { name, result: Ok(()), .. } => {
                log(&format!("{name} is started"));
                self.boot.started();
            }
            News::Started { id, name, result: Err(error) } => {
                let again = if self.boot.failed(now) == Failure::Again { "; trying again soon" } else { "" };
                let cause = error.root_cause();
                log(&format!("{name} was not started: {cause}{again}"));
                self.problems.insert(id, format!("{name}: not started: {cause}"));
                self.write_problems();
            }
            News::Configured { run, config } => self.schedule.configured(&run, config, now),
            News::Ended { run, outcome } => self.schedule.ended(&run, &outcome, now),
        }
    }

    fn name(&self, id: &str) -> String {
        self.health.get(id).map(|(name, _)| name.clone()).filter(|name| !name.is_empty()).unwrap_or(short(id).into())
    }

    fn write_problems(&self) {
        let text: String = self.problems.values().map(|line| format!("{}\n", line.replace('\n', " "))).collect();
        if std::fs::read_to_string(&self.place.problems).unwrap_or_default() != text {
            let written = file::replace(&self.place.problems, text.as_bytes(), 0o644, None);
            written.unwrap_or_else(|error| log(&format!("{error:#}")));
        }
    }
}

/// The folder, not the file: podman replaces the file when it is too large. Made here if podman has not run yet, with the
/// modes it gives its own.
fn watch(events: &Path) -> Result<OwnedFd> {
    let folder = events.parent().unwrap_or(Path::new("/"));
    let make = |path: &Path, mode: u32| std::fs::DirBuilder::new().recursive(true).mode(mode).create(path);
    let made = folder.parent().map_or(Ok(()), |parent| make(parent, 0o751)).and_then(|()| make(folder, 0o700));
    made.with_context(|| format!("creating {}", folder.display()))?;
    let inotify = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
    let flags = inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
    // Without the folder there is nothing to follow: the supervisor starts this service again.
    let flags = flags | inotify::WatchFlags::DELETE_SELF | inotify::WatchFlags::ONLYDIR;
    inotify::add_watch(&inotify, folder, flags).with_context(|| format!("watching {}", folder.display()))?;
    Ok(inotify)
}

/// Only that something has happened counts.
fn drain(inotify: &OwnedFd) -> Result<()> {
    let mut space = [std::mem::MaybeUninit::uninit(); 4096];
    let mut reader = inotify::Reader::new(inotify, &mut space);
    loop {
        match reader.next() {
            Ok(event) if event.events().contains(inotify::ReadFlags::DELETE_SELF) => {
                anyhow::bail!("the folder of the engine's events is gone");
            }
            Ok(_) => {}
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(error).context("reading inotify events"),
        }
    }
}
