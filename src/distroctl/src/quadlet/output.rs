//! What a service's container says, copied to the service's log while podman keeps it for "podman logs": the runner follows
//! the file that the container's monitor (conmon) writes.
//!
//! Format of a line (podman's `k8s-file`): time, `stdout` or `stderr`, `F` (the line is complete) or `P` (the next one goes
//! on with it), text; one blank between them. When the file has reached its limit conmon puts a new one in its place.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use anyhow::{Context, Result};
use contract::paths::QUADLET_LOGS;
use quadlet::{Plan, Step};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use crate::console;

/// A line that is longer is passed on in parts.
const LINE_MAX: usize = 64 << 10;

/// Follows a container's output until it is dropped; then all that has been written is passed on, and the file goes with the
/// container.
pub(super) struct Output {
    path: PathBuf,
    /// Written to when it is to end.
    end: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

/// Begins to follow what the plan's container will say; `None` if its output goes elsewhere.
pub(super) fn follow(plan: &Plan) -> Option<Output> {
    let path = file_of(plan)?;
    let begun = Output::begin(&path).with_context(|| format!("following {}", path.display()));
    begun.map_err(|error| console::log(&format!("{error:#}"))).ok()
}

/// The file that podman is told to write, if it is one of ours.
fn file_of(plan: &Plan) -> Option<PathBuf> {
    let mut starts = plan.commands.iter().filter(|command| command.step == Step::Start);
    let path = starts.find_map(|command| command.argv.iter().find_map(|word| word.strip_prefix("path=")))?;
    Path::new(path).starts_with(QUADLET_LOGS).then(|| path.into())
}

impl Output {
    fn begin(path: &Path) -> Result<Self> {
        let folder = path.parent().context("a file without a folder")?;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        // What the last container has said is not said again.
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let mut follower = Follower::new(path)?;
        let end = eventfd(0, EventfdFlags::CLOEXEC)?;
        let ended = end.try_clone()?;
        let thread = std::thread::Builder::new().spawn(move || {
            if let Err(error) = follower.run(&ended) {
                console::log(&format!("following {}: {error:#}", follower.path.display()));
            }
        })?;
        Ok(Self { path: path.into(), end, thread: Some(thread) })
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        let _ = rustix::io::write(&self.end, &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = fs::remove_file(&self.path);
    }
}

struct Follower {
    path: PathBuf,
    file: File,
    /// Tells of what is written to the file, and of what takes its place.
    events: OwnedFd,
    lines: Lines,
}

impl Follower {
    fn new(path: &Path) -> Result<Self> {
        // It is there before the monitor is, so nothing is missed.
        let file = File::options().create_new(true).read(true).append(true).mode(0o600).open(path)?;
        let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let follower = Self { path: path.into(), file, events, lines: Lines::default() };
        follower.watch()?;
        Ok(follower)
    }

    fn watch(&self) -> Result<()> {
        inotify::add_watch(&self.events, &self.path, WatchFlags::MODIFY | WatchFlags::ATTRIB | WatchFlags::MOVE_SELF)?;
        Ok(())
    }

    fn run(&mut self, ended: &OwnedFd) -> Result<()> {
        loop {
            let mut fds = [PollFd::new(&self.events, PollFlags::IN), PollFd::new(ended, PollFlags::IN)];
            match poll(&mut fds, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let is_over = fds[1].revents().contains(PollFlags::IN);
            let mut buffer = [MaybeUninit::uninit(); 4096];
            let mut reader = inotify::Reader::new(&self.events, &mut buffer);
            while reader.next().is_ok() {}
            self.pass_on()?;
            if is_over {
                self.lines.finish(&mut say);
                return Ok(());
            }
        }
    }

    /// All there is, of this file and of those that have taken its place.
    fn pass_on(&mut self) -> Result<()> {
        loop {
            let mut bytes = [0; 16 << 10];
            loop {
                match self.file.read(&mut bytes)? {
                    0 => break,
                    length => self.lines.add(bytes.get(..length).unwrap_or_default(), &mut say),
                }
            }
            let Ok(other) = File::open(&self.path) else { return Ok(()) };
            if other.metadata()?.ino() == self.file.metadata()?.ino() {
                return Ok(());
            }
            self.file = other;
            self.watch()?;
        }
    }
}

/// Whoever has closed our output does not want it.
fn say(stream: Stream, text: &[u8]) {
    let _ = match stream {
        Stream::Out => std::io::stdout().lock().write_all(text).and_then(|()| std::io::stdout().lock().flush()),
        Stream::Err => std::io::stderr().lock().write_all(text),
    };
}

/// Where a line was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Out,
    Err,
}

/// Lines of the file on their way.
#[derive(Default)]
struct Lines {
    /// A line of the file that has not come to its end.
    begun: Vec<u8>,
    /// What complete lines of the file, and none of them complete lines of the container, have said.
    parts: Vec<u8>,
}

impl Lines {
    fn add(&mut self, bytes: &[u8], say: &mut impl FnMut(Stream, &[u8])) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.begun);
                self.line(&line, say);
            }
        }
    }

    fn line(&mut self, line: &[u8], say: &mut impl FnMut(Stream, &[u8])) {
        let mut fields = line.splitn(4, |byte| *byte == b' ');
        let (Some(_time), Some(stream), Some(kind), Some(text)) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return;
        };
        let stream = if stream == b"stderr" { Stream::Err } else { Stream::Out };
        if kind == b"P" && self.parts.len() < LINE_MAX {
            self.parts.extend_from_slice(text.strip_suffix(b"\n").unwrap_or(text));
            return;
        }
        self.parts.extend_from_slice(text);
        say(stream, &std::mem::take(&mut self.parts));
    }

    /// The last line may have no end.
    fn finish(&mut self, say: &mut impl FnMut(Stream, &[u8])) {
        if !self.parts.is_empty() {
            self.parts.push(b'\n');
            say(Stream::Out, &std::mem::take(&mut self.parts));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Follower, LINE_MAX, Lines, Output, Stream};
    use std::io::Write;

    fn said(pieces: &[&[u8]]) -> Vec<(Stream, String)> {
        let mut said = Vec::new();
        let mut lines = Lines::default();
        let mut say = |stream, text: &[u8]| said.push((stream, String::from_utf8_lossy(text).into_owned()));
        pieces.iter().for_each(|piece| lines.add(piece, &mut say));
        lines.finish(&mut say);
        said
    }

    #[test]
    fn reads_lines_and_parts_of_lines() {
        let text = b"2026-11-23T03:00:00.1+00:00 stdout F one two\nT stderr F \nT stdout P par\nT stdout F t\nbroken\nT stdout P end\n";
        let expected =
            [(Stream::Out, "one two\n"), (Stream::Err, "\n"), (Stream::Out, "part\n"), (Stream::Out, "end\n")]
                .map(|(stream, text)| (stream, text.to_owned()));
        assert_eq!(said(&[text]), expected);
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(said(&bytes), expected, "in pieces");
        assert_eq!(said(&[b"T stdout"]), []);
        let long = format!("T stdout P {}\n", "x".repeat(LINE_MAX));
        assert_eq!(said(&[long.as_bytes(), long.as_bytes()]).len(), 1, "no line takes all memory");
    }

    #[test]
    fn follows_a_file_that_another_one_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let mut follower = Follower::new(&path).unwrap();
        std::fs::File::options().append(true).open(&path).unwrap().write_all(b"T stdout P 1").unwrap();
        follower.pass_on().unwrap();
        assert_eq!(follower.lines.begun, b"T stdout P 1");
        let other = folder.path().join("b.log");
        std::fs::write(&other, "2\nT stdout P 3\n").unwrap();
        std::fs::rename(&other, &path).unwrap();
        follower.pass_on().unwrap();
        assert_eq!(follower.lines.parts, b"123", "the rest of the new file");
        // It begins anew, and leaves nothing behind.
        let output = Output::begin(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
        drop(output);
        assert!(!path.exists());
    }
}
