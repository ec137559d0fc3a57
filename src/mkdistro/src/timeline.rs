//! When what ran, for charts: steps of a build (`mkdistro build --timings`), of a boot (`mkdistro run --bootchart`).
//!
//! As JSON: `{"title": "build", "events": [{"lane": "build", "name": "fetching packages", "start_ms": 12, "end_ms": 240}],
//! "figures": {"peak-memory-kib": 201344}}`. Times are milliseconds from the beginning of the whole, events are in the order
//! of their start; what takes no time has equal ends.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::progress::{Progress, Task};

/// A chart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// What it is of.
    pub title: String,
    /// In the order of their start.
    pub events: Vec<Event>,
    /// Numbers that belong to it, their unit in the name.
    #[serde(default)]
    pub figures: BTreeMap<String, u64>,
}

/// Something that took its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The row of the chart, or the group of rows: `build`; `kernel`, `init`, `service`.
    pub lane: String,
    /// What happened.
    pub name: String,
    /// Beginning in milliseconds.
    pub start_ms: u64,
    /// End in milliseconds.
    pub end_ms: u64,
}

impl Event {
    /// An event.
    pub fn new(lane: &str, name: impl Into<String>, start_ms: u64, end_ms: u64) -> Self {
        Self { lane: lane.into(), name: name.into(), start_ms, end_ms: end_ms.max(start_ms) }
    }
}

/// A table for people: start, duration, name.
impl Display for Timeline {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |ms: u64| format!("{}.{:03}", ms / 1000, ms % 1000);
        writeln!(out, "{:>9} {:>9}  {}", "start s", "took s", self.title)?;
        for event in &self.events {
            let took = event.end_ms - event.start_ms;
            writeln!(out, "{:>9} {:>9}  {}", seconds(event.start_ms), seconds(took), event.name)?;
        }
        for (name, value) in &self.figures {
            writeln!(out, "{name}: {value}")?;
        }
        Ok(())
    }
}

/// Progress that also notes when each step ran.
pub struct Recorder<'a> {
    shown: &'a dyn Progress,
    began: Instant,
    events: Arc<Mutex<Vec<Event>>>,
}

impl<'a> Recorder<'a> {
    /// Notes what it passes on to `shown`. Its time begins now.
    pub fn new(shown: &'a dyn Progress) -> Self {
        Self { shown, began: Instant::now(), events: Arc::default() }
    }

    /// What has been noted, with this process's peak memory.
    pub fn timeline(&self, title: &str) -> Timeline {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner).clone();
        events.sort_by_key(|event| event.start_ms);
        let mut figures = BTreeMap::from([("total-ms".to_owned(), millis(self.began))]);
        if let Some(peak) = peak_memory_kib() {
            figures.insert("peak-memory-kib".to_owned(), peak);
        }
        Timeline { title: title.into(), events, figures }
    }
}

impl Progress for Recorder<'_> {
    fn start(&self, what: &str, total: u64) -> Box<dyn Task> {
        let start_ms = millis(self.began);
        let shown = self.shown.start(what, total);
        Box::new(Step { shown, what: what.into(), start_ms, began: self.began, events: Arc::clone(&self.events) })
    }

    fn say(&self, message: &str) {
        self.shown.say(message);
    }

    fn warn(&self, message: &str) {
        self.shown.warn(message);
    }
}

struct Step {
    shown: Box<dyn Task>,
    what: String,
    start_ms: u64,
    began: Instant,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Task for Step {
    fn set(&self, done: u64) {
        self.shown.set(done);
    }

    fn finish(&self, result: &str) {
        let event = Event::new("build", self.what.as_str(), self.start_ms, millis(self.began));
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
        self.shown.finish(result);
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The most memory this process has had (`VmHWM`, proc(5)). Where there is no such file, nobody knows.
fn peak_memory_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    #[test]
    fn notes_steps() {
        let recorder = Recorder::new(&Silent);
        let outer = recorder.start("outer", 0);
        recorder.start("inner", 10).finish("1 MB");
        outer.finish("");
        recorder.start("never finished", 0);
        let timeline = recorder.timeline("build");
        let mut names: Vec<&str> = timeline.events.iter().map(|event| event.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["inner", "outer"]);
        assert!(timeline.figures["peak-memory-kib"] > 1000);
        assert!(timeline.events.iter().all(|event| event.lane == "build" && event.start_ms <= event.end_ms));
    }

    #[test]
    fn is_a_table_and_json() {
        let timeline = Timeline {
            title: "build".into(),
            events: vec![Event::new("build", "reading packages", 12, 1240), Event::new("build", "none", 1240, 0)],
            figures: BTreeMap::from([("total-ms".into(), 1240)]),
        };
        assert_eq!(
            timeline.to_string(),
            "  start s    took s  build\n    0.012     1.228  reading packages\n    1.240     0.000  none\ntotal-ms: 1240\n"
        );
        let json = serde_json::to_string(&timeline).unwrap();
        assert!(json.contains(r#"{"lane":"build","name":"reading packages","start_ms":12,"end_ms":1240}"#), "{json}");
        assert_eq!(serde_json::from_str::<Timeline>(&json).unwrap(), timeline);
    }
}
