//! `.timer` files: systemd.timer(5). When the next run is due is computed from clocks that are given.

use crate::calendar::Calendar;
use crate::names::{Kind, stem};
use crate::problem::{Place, Problem};
use crate::set::Loaded;
use crate::specifier::{Host, expand};
use crate::time_span;

/// A timer. Lengths of time are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Timer {
    /// File name without `.timer`.
    pub name: String,
    /// Service that it starts.
    pub service: String,
    /// `OnCalendar=`, as written.
    pub calendars: Vec<String>,
    /// `OnBootSec=`.
    pub on_boot_ms: Vec<u64>,
    /// `OnActiveSec=`, `OnStartupSec=`: after the timers' own start.
    pub on_start_ms: Vec<u64>,
    /// `OnUnitActiveSec=`, `OnUnitInactiveSec=`: after the last run began.
    pub on_run_ms: Vec<u64>,
    /// `Persistent=`: a run that was missed while the machine was off follows.
    pub persistent: bool,
    /// `RandomizedDelaySec=`.
    pub delay_ms: u64,
}

/// The clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// Seconds since 1970, UTC.
    pub unix: i64,
    /// Milliseconds since the kernel's start.
    pub boot_ms: u64,
}

/// What is known of a timer's past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Past {
    /// Runs at or before this time are done with, seconds since 1970.
    pub until: i64,
    /// When the timers were started, since the kernel's start.
    pub start_ms: u64,
    /// When the last run in this boot began, likewise.
    pub run_ms: Option<u64>,
}

/// When a timer is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Next {
    /// In so many milliseconds; 0 is now.
    In(u64),
    /// Never, as things are.
    Never,
}

impl Timer {
    /// When it is due. `offset` is as of [`Calendar::next`].
    pub fn next(&self, now: Clocks, past: Past, offset: &dyn Fn(i64) -> i64) -> Next {
        let calendars = self.calendars.iter().filter_map(|text| Calendar::parse(text).ok());
        // A clock that was set back does not bring back runs.
        let due = calendars.filter_map(|calendar| calendar.next(past.until.min(now.unix), offset));
        let by_calendar = due.map(|at| u64::try_from(at.saturating_sub(now.unix)).unwrap_or(0).saturating_mul(1000));
        let is_new = |at: &u64| past.run_ms.is_none_or(|run| *at > run);
        let boot = self.on_boot_ms.iter().copied().filter(is_new);
        let start = self.on_start_ms.iter().map(|ms| past.start_ms.saturating_add(*ms)).filter(is_new);
        let run = past.run_ms.into_iter().flat_map(|run| self.on_run_ms.iter().map(move |ms| run.saturating_add(*ms)));
        let by_boot = boot.chain(start).chain(run).filter(|at| *at != u64::MAX);
        let by_boot = by_boot.map(|at| at.saturating_sub(now.boot_ms));
        by_calendar.chain(by_boot).min().map_or(Next::Never, Next::In)
    }
}

/// The timers among the units that something wants, and what is wrong with them.
pub fn timers(loaded: &Loaded, host: &Host, is_service: &dyn Fn(&str) -> bool) -> (Vec<Timer>, Vec<Problem>) {
    let (mut timers, mut problems) = (Vec::new(), Vec::new());
    for unit in loaded.units.iter().filter(|unit| unit.kind == Kind::Timer) {
        let file = &unit.file;
        let is_wanted = ["WantedBy", "RequiredBy"].iter().any(|key| !file.all("Install", key).is_empty());
        match read(unit, loaded, host, is_service) {
            Ok(_) if !is_wanted => {}
            Ok(timer) => timers.push(timer),
            Err(problem) => problems.push(problem),
        }
    }
    (timers, problems)
}

fn read(unit: &crate::Unit, loaded: &Loaded, host: &Host, is_service: &dyn Fn(&str) -> bool) -> Result<Timer, Problem> {
    let file = &unit.file;
    let name = stem(&unit.file_name).to_owned();
    let place = |key: &str| -> Place { file.last("Timer", key).map_or(file.place(), |entry| &entry.place).clone() };
    let expanded = |key: &str, value: &str| {
        expand(value, &name, host).map_err(|text| Problem::error(&place(key), format!("{key}: {text}")))
    };
    let wanted = match file.filled("Timer", "Unit") {
        Some(unit) => expanded("Unit", unit)?,
        None => format!("{name}.service"),
    };
    let by_file = loaded.units.iter().find(|unit| unit.file_name == wanted && unit.kind.is_podmans());
    let service = by_file.map_or(wanted.strip_suffix(".service").unwrap_or(&wanted), |unit| &unit.service).to_owned();
    if !is_service(&service) {
        return Err(Problem::error(&place("Unit"), format!("there is no service {service} for this timer")));
    }
    let spans = |keys: &[&str]| -> Result<Vec<u64>, Problem> {
        let mut found = Vec::new();
        for entry in keys.iter().flat_map(|key| file.all("Timer", key)) {
            let wrong = |text: String| Problem::error(&entry.place, format!("{}: {text}", entry.key));
            found.push(time_span::milliseconds(&entry.value).map_err(wrong)?);
        }
        Ok(found)
    };
    let mut calendars = Vec::new();
    for entry in file.all("Timer", "OnCalendar") {
        Calendar::parse(&entry.value).map_err(|text| Problem::error(&entry.place, text))?;
        calendars.push(entry.value.trim_end().to_owned());
    }
    let timer = Timer {
        service,
        calendars,
        on_boot_ms: spans(&["OnBootSec"])?,
        on_start_ms: spans(&["OnActiveSec", "OnStartupSec"])?,
        on_run_ms: spans(&["OnUnitActiveSec", "OnUnitInactiveSec"])?,
        persistent: file.boolean("Timer", "Persistent").unwrap_or(false),
        delay_ms: spans(&["RandomizedDelaySec"])?.last().copied().unwrap_or(0),
        name: name.clone(),
    };
    let is_empty = [&timer.on_boot_ms, &timer.on_start_ms, &timer.on_run_ms].iter().all(|spans| spans.is_empty());
    if timer.calendars.is_empty() && is_empty {
        return Err(Problem::error(file.place(), "a timer without OnCalendar=, OnBootSec= or the like"));
    }
    Ok(timer)
}

/// The timers as text, for the guest's program that runs them: `KEY VALUE` lines.
pub fn encode(timers: &[Timer]) -> String {
    let mut out = String::new();
    for timer in timers {
        out.push_str(&format!("timer {}\nservice {}\n", timer.name, timer.service));
        timer.calendars.iter().for_each(|text| out.push_str(&format!("calendar {text}\n")));
        for (key, spans) in
            [("on-boot", &timer.on_boot_ms), ("on-start", &timer.on_start_ms), ("on-run", &timer.on_run_ms)]
        {
            spans.iter().for_each(|ms| out.push_str(&format!("{key} {ms}\n")));
        }
        if timer.persistent {
            out.push_str("persistent yes\n");
        }
        out.push_str(&format!("delay {}\n", timer.delay_ms));
    }
    out
}

/// Reads that text; lines that are none are passed over.
pub fn decode(text: &str) -> Vec<Timer> {
    let mut timers: Vec<Timer> = Vec::new();
    for (key, value) in text.lines().filter_map(|line| line.split_once(' ')) {
        if key == "timer" {
            timers.push(Timer { name: value.to_owned(), ..Timer::default() });
            continue;
        }
        let Some(timer) = timers.last_mut() else { continue };
        let number = value.parse::<u64>();
        match (key, number) {
            ("service", _) => timer.service = value.to_owned(),
            ("calendar", _) => timer.calendars.push(value.to_owned()),
            ("persistent", _) => timer.persistent = true,
            ("on-boot", Ok(ms)) => timer.on_boot_ms.push(ms),
            ("on-start", Ok(ms)) => timer.on_start_ms.push(ms),
            ("on-run", Ok(ms)) => timer.on_run_ms.push(ms),
            ("delay", Ok(ms)) => timer.delay_ms = ms,
            _ => {}
        }
    }
    timers
}

#[cfg(test)]
mod tests {
    use super::{Clocks, Next, Past, Timer, decode, encode, timers};
    use crate::{Host, Manager, Source, World, load};

    fn make(text: &str) -> (Vec<Timer>, Vec<String>) {
        let source =
            |name: &str, text: &str| Source { path: format!("/q/{name}"), name: name.into(), text: text.into() };
        let sources = [source("job.timer", text), source("b.container", "[Container]\nImage=x\n")];
        let loaded = load(&sources, World { manager: Manager::Init, exists: &|_| true });
        let (timers, problems) = timers(&loaded, &Host::default(), &|name| ["job", "b"].contains(&name));
        let said = loaded.problems.iter().chain(&problems).map(ToString::to_string).collect();
        (timers, said)
    }

    #[test]
    fn reads_timers() {
        let text = "[Timer]\nOnCalendar=daily\nOnCalendar=Mon 10:00\nOnBootSec=5min\nOnUnitActiveSec=1h\nPersistent=true\n\
                    RandomizedDelaySec=10s\nUnit=b.service\nAccuracySec=1us\n[Install]\nWantedBy=timers.target\n";
        let (timers, said) = make(text);
        assert_eq!(said, Vec::<String>::new());
        let expected = Timer {
            name: "job".into(),
            service: "b".into(),
            calendars: vec!["daily".into(), "Mon 10:00".into()],
            on_boot_ms: vec![300_000],
            on_run_ms: vec![3_600_000],
            persistent: true,
            delay_ms: 10_000,
            ..Timer::default()
        };
        assert_eq!(timers, [expected]);
        assert_eq!(decode(&encode(&timers)), timers);
        let install = "[Install]\nWantedBy=timers.target\n";
        for (text, expected) in [
            ("[Timer]\nOnCalendar=never\n", "/q/job.timer:2: error: no calendar event: \"never\": never"),
            ("[Timer]\nOnBootSec=x\n", "/q/job.timer:2: error: OnBootSec: no length of time: \"x\""),
            ("[Timer]\nOnBootSec=1\nUnit=x.service\n", "/q/job.timer:3: error: there is no service x for this timer"),
            ("[Timer]\n", "/q/job.timer: error: a timer without OnCalendar=, OnBootSec= or the like"),
            (
                "[Timer]\nOnBootSec=1\nWakeSystem=1\n",
                "/q/job.timer:3: warning: unsupported key WakeSystem in section [Timer]",
            ),
        ] {
            assert_eq!(make(&format!("{text}{install}")).1, [expected], "{text}");
        }
        assert_eq!(make("[Timer]\nOnBootSec=1\n").0, []);
    }

    #[test]
    fn knows_when_it_is_due() {
        let timer = |text: &str| make(&format!("[Timer]\n{text}\n[Install]\nWantedBy=timers.target\n")).0.remove(0);
        let day = 86_400;
        let now = Clocks { unix: 10 * day + 100, boot_ms: 60_000 };
        let past = Past { until: now.unix, start_ms: 30_000, run_ms: None };
        let next = |text: &str, now: Clocks, past: Past| timer(text).next(now, past, &|_| 0);
        assert_eq!(next("OnCalendar=daily", now, past), Next::In((day as u64 - 100) * 1000));
        // Missed while the machine was off, or while the clock jumped.
        assert_eq!(next("OnCalendar=daily", now, Past { until: now.unix - day, ..past }), Next::In(0));
        // Set back by two days: the next midnight counts again, once.
        let back = Clocks { unix: 8 * day + 100, ..now };
        assert_eq!(next("OnCalendar=daily", back, past), Next::In((day as u64 - 100) * 1000));
        assert_eq!(next("OnBootSec=90", now, past), Next::In(30_000));
        assert_eq!(next("OnBootSec=10", now, past), Next::In(0));
        assert_eq!(next("OnBootSec=10", now, Past { run_ms: Some(50_000), ..past }), Next::Never);
        assert_eq!(next("OnActiveSec=40", now, past), Next::In(10_000));
        assert_eq!(next("OnUnitActiveSec=5", now, past), Next::Never);
        assert_eq!(next("OnUnitActiveSec=15", now, Past { run_ms: Some(50_000), ..past }), Next::In(5_000));
        assert_eq!(next("OnBootSec=infinity", now, past), Next::Never);
        assert_eq!(next("OnCalendar=2020-01-01\nOnBootSec=70", now, past), Next::In(10_000));
    }
}
