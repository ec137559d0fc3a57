//! `distroctl logs`: what kernel, PID 1 and services have said, from the ring that [`writer`] fills.

mod disk;
mod kmsg;
mod line;
mod ring;
mod services;
mod syslog;
mod time;
mod writer;

use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use contract::paths;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify;

use crate::console;
use line::Line;
use ring::Cursor;
use time::Clock;
pub(crate) use writer::run as write;

/// What PID 1 appends to the name when it cuts a log that has become long.
const OLDER: &str = ".1";
/// Messages that are no service's.
const OTHER_SOURCES: [&str; 2] = ["kernel", "init"];

/// What to print.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted<'a> {
    /// Only of this service, `kernel` or `init`.
    source: Option<&'a str>,
    /// And then what comes.
    follow: bool,
    /// Only so many of the last messages.
    count: Option<usize>,
    /// Only from this time on: see [`time::since`].
    since: Option<&'a str>,
    /// What is on the data disk, earlier boots too.
    kept: bool,
}

impl<'a> Wanted<'a> {
    /// Reads the command's words.
    pub(crate) fn of(words: &[&'a str]) -> Option<Self> {
        let mut wanted = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "-f" | "--follow" => wanted.follow = true,
                "--kept" => wanted.kept = true,
                "-n" | "--lines" => wanted.count = Some(words.next()?.parse().ok()?),
                "--since" => wanted.since = Some(words.next()?),
                option if option.starts_with('-') => return None,
                source if wanted.source.is_none() => wanted.source = Some(source),
                _ => return None,
            }
        }
        Some(wanted)
    }

    /// The last messages of one service.
    pub(crate) fn last(source: &'a str, count: usize) -> Self {
        Self { source: Some(source), count: Some(count), ..Self::default() }
    }
}

/// Prints them.
pub(crate) fn run(wanted: &Wanted<'_>) -> Result<ExitCode> {
    if wanted.kept {
        return kept(wanted);
    }
    let mut cursor = Cursor::first(Path::new(paths::LOG_RING));
    let (lines, is_known) = collect(wanted, &mut cursor)?;
    if let Some(source) = wanted.source.filter(|_| !is_known) {
        let names = services::names(Path::new(paths::SERVICE_LOG_DIR)).join(", ");
        bail!("no messages of {source:?}\nhint: there are messages of: {}, {names}", OTHER_SOURCES.join(", "));
    }
    console::print(&lines)?;
    if wanted.follow { follow(wanted, cursor) } else { Ok(ExitCode::SUCCESS) }
}

/// All messages of this boot, as text.
pub(crate) fn all() -> Result<String> {
    collect(&Wanted::default(), &mut Cursor::first(Path::new(paths::LOG_RING))).map(|(text, _)| text)
}

/// The messages, and whether the source is known.
fn collect(wanted: &Wanted<'_>, cursor: &mut Cursor) -> Result<(String, bool)> {
    let clock = Clock::now();
    let since = since(wanted, clock)?;
    let mut lines: VecDeque<String> = VecDeque::new();
    let mut is_known = wanted.source.is_some_and(|source| OTHER_SOURCES.contains(&source));
    let mut add = |line: &Line<'_>| {
        if wanted.source.is_some_and(|source| source != line.source) {
            return;
        }
        is_known = true;
        if line.boot_us >= since {
            lines.push_back(line.show(clock));
            if wanted.count.is_some_and(|count| lines.len() > count) {
                lines.pop_front();
            }
        }
    };
    cursor
        .read(|line| {
            if let Some(line) = Line::decode(line) {
                add(&line);
            }
        })
        .with_context(|| format!("reading {}", paths::LOG_RING))?;
    let folder = Path::new(paths::SERVICE_LOG_DIR);
    let now_us = time::boot_us();
    for name in services::names(folder) {
        for text in services::rest(folder, &name).lines().filter(|line| !line.is_empty()) {
            let (severity, text) = line::severity(text);
            add(&Line { boot_us: now_us, severity, source: &name, text });
        }
    }
    let is_known = is_known || wanted.source.is_some_and(|source| folder.join(source).is_file());
    Ok((lines.into_iter().collect(), is_known))
}

fn since(wanted: &Wanted<'_>, clock: Clock) -> Result<u64> {
    let Some(text) = wanted.since else { return Ok(0) };
    match time::since(text, clock.wall_us(time::boot_us())) {
        Some(wall_us) => Ok(clock.boot_us(wall_us)),
        None => bail!("--since {text}: expected a time such as 10m, 2h, 1d or 2026-11-22T10:26"),
    }
}

/// Prints what comes until somebody has enough.
fn follow(wanted: &Wanted<'_>, mut cursor: Cursor) -> Result<ExitCode> {
    let ring = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)
        .context("making an inotify descriptor")?;
    inotify::add_watch(&ring, paths::LOG_RING, inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE)
        .with_context(|| format!("watching {}\nhint: \"distroctl service status log\"", paths::LOG_RING))?;
    loop {
        let clock = Clock::now();
        let mut text = String::new();
        cursor
            .read(|line| {
                let line = Line::decode(line).filter(|line| wanted.source.is_none_or(|source| source == line.source));
                text.extend(line.map(|line| line.show(clock)));
            })
            .with_context(|| format!("reading {}", paths::LOG_RING))?;
        if !text.is_empty() && !console::print_on(&text)? {
            return Ok(ExitCode::SUCCESS);
        }
        let _ = poll(&mut [PollFd::from_borrowed_fd(ring.as_fd(), PollFlags::IN)], None);
        let mut buffer = [0u8; 4096];
        while rustix::io::read(&ring, &mut buffer).is_ok_and(|count| count > 0) {}
    }
}

/// What is on the data disk. Times stand in the lines there.
fn kept(wanted: &Wanted<'_>) -> Result<ExitCode> {
    let clock = Clock::now();
    let since = since(wanted, clock)?;
    let from = if since == 0 { String::new() } else { time::rfc3339(clock.wall_us(since), 3) };
    let mut lines: VecDeque<String> = VecDeque::new();
    let add = |text: &str| {
        for line in text.lines() {
            let (time, rest) = line.split_once(' ').unwrap_or_default();
            let of_source =
                wanted.source.is_none_or(|source| rest.split_once(": ").is_some_and(|(name, _)| name == source));
            if of_source && time >= from.as_str() {
                lines.push_back(format!("{line}\n"));
                if wanted.count.is_some_and(|count| lines.len() > count) {
                    lines.pop_front();
                }
            }
        }
    };
    disk::read_all(Path::new(paths::DATA_LOG), add).with_context(|| {
        format!(
            "reading {}\nhint: messages are kept there if there is a data disk; root may read them",
            paths::DATA_LOG
        )
    })?;
    console::print(&lines.into_iter().collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::Wanted;

    #[test]
    fn reads_its_options() {
        let wanted = Wanted { source: Some("sshd"), count: Some(5), since: Some("1h"), follow: true, kept: false };
        assert_eq!(Wanted::of(&["-n", "5", "sshd", "--since", "1h", "-f"]), Some(wanted));
        assert_eq!(Wanted::of(&[]), Some(Wanted::default()));
        for wrong in [&["-n"][..], &["-n", "x"], &["--since"], &["a", "b"], &["-x"]] {
            assert_eq!(Wanted::of(wrong), None, "{wrong:?}");
        }
    }
}
