//! Reads the timelines of builds and boots that `mkdistro build --timings=FILE` and `mkdistro run --bootchart=FILE` write.

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
        ensure!(start <= end, "{:?} is from {start} to {end} ms", event.name);
    }
    Ok(timeline)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn takes_events_that_make_sense() {
        let good = r#"{"title":"boot","events":[{"lane":"init","name":"mount","start_ms":1,"end_ms":25}]}"#;
        assert_eq!(parse(good).unwrap().events[0].end_ms, 25);
        assert_eq!(parse(r#"{"title":"","events":[]}"#).unwrap().events.len(), 0);
        let backwards = good.replace("25", "0");
        assert_eq!(parse(&backwards).unwrap_err().to_string(), "\"mount\" is from 1 to 0 ms");
        for wrong in ["", "[]", "{}", r#"{"title":"x","events":[{"name":"x"}]}"#] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
