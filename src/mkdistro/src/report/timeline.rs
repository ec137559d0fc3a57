//! Timelines of builds and boots: `{"events":[{"lane":"…","name":"…","start_ms":0.0,"end_ms":0.0}],
//! "figures":{}}`, as `mkdistro build --timings` and `mkdistro run --bootchart` write them.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::data::Timeline;

/// Reads such a file.
///
/// # Errors
/// If it cannot be read, is not of that form, or an event ends before it starts.
pub fn read(path: &Path) -> Result<Timeline> {
    let context = || format!("reading the timeline {}", path.display());
    let text = std::fs::read_to_string(path).with_context(context)?;
    parse(&text).with_context(context)
}

fn parse(text: &str) -> Result<Timeline> {
    let timeline: Timeline = serde_json::from_str(text)?;
    for event in &timeline.events {
        let (start, end) = (event.start_ms, event.end_ms);
        ensure!(start.is_finite() && end.is_finite() && start <= end, "{:?} is from {start} to {end} ms", event.name);
    }
    Ok(timeline)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn takes_events_that_make_sense() {
        let good = r#"{"events":[{"lane":"pid 1","name":"mount","start_ms":1,"end_ms":2.5}]}"#;
        assert_eq!(parse(good).unwrap().events[0].end_ms, 2.5);
        assert_eq!(parse(r#"{"events":[]}"#).unwrap().events.len(), 0);
        let backwards = good.replace("2.5", "0.5");
        assert_eq!(parse(&backwards).unwrap_err().to_string(), "\"mount\" is from 1 to 0.5 ms");
        for wrong in ["", "[]", "{}", r#"{"events":[{"name":"x"}]}"#] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
