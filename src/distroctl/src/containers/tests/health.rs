use std::time::{Duration, Instant};

use super::super::health::{Config, Outcome, Run, Schedule, Startup};
use super::id;

const SECOND: Duration = Duration::from_secs(1);

fn config(json: &str) -> Option<Config> {
    Config::of(document::json::parse(json).unwrap().table().unwrap())
}

fn every(seconds: u32) -> Config {
    Config { command: vec!["c".into()], interval: SECOND * seconds, timeout: SECOND * 30, ..Config::default() }
}

fn scheduled(config: Config, now: Instant) -> (Schedule, Run) {
    let mut schedule = Schedule::default();
    schedule.begin(&id('a'), now);
    let run = schedule.due(now).remove(0);
    schedule.configured(&run, config, now);
    (schedule, run)
}

#[test]
fn reads_configurations() {
    let full = config(
        r#"{"Healthcheck":{"Test":["CMD-SHELL","curl -f x || exit 1"],"StartPeriod":5000000000,"StartInterval":1000000000,
            "Interval":30000000000,"Timeout":2000000000,"Retries":3},"StopTimeout":7,
            "StartupHealthCheck":{"Test":["CMD","true"],"Interval":3000000000,"Successes":2},"HealthcheckOnFailureAction":"restart"}"#,
    );
    let expected = Config {
        command: ["/bin/sh", "-c", "curl -f x || exit 1"].map(String::from).to_vec(),
        interval: SECOND * 30,
        start_interval: SECOND,
        start_period: SECOND * 5,
        timeout: SECOND * 2,
        acts: true,
        startup: Some(Startup { command: vec!["true".into()], interval: SECOND * 3, successes: 2 }),
        stop_timeout: SECOND * 7,
    };
    assert_eq!(full, Some(expected));
    let plain =
        config(r#"{"Healthcheck":{"Test":["test","-e","/x"],"Interval":-1},"HealthcheckOnFailureAction":"none"}"#);
    let plain = plain.unwrap();
    assert_eq!(
        (plain.command.len(), plain.acts, plain.timeout, plain.runs_by_itself()),
        (3, false, SECOND * 30, false)
    );
    for none in ["{}", r#"{"Healthcheck":null}"#, r#"{"Healthcheck":{}}"#, r#"{"Healthcheck":{"Test":["NONE"]}}"#] {
        assert_eq!(config(none), None, "{none}");
    }
}

#[test]
fn runs_at_once_and_then_at_its_interval_after_the_end() {
    let now = Instant::now();
    let (mut schedule, run) = scheduled(every(10), now);
    assert_eq!(run, Run { id: id('a'), generation: run.generation, config: None });
    assert!(schedule.due(now + SECOND * 60).is_empty(), "twice at the same time");
    schedule.ended(&run, &Outcome::Passed, now + SECOND * 4);
    assert_eq!(schedule.next(), Some(now + SECOND * 14));
    assert!(schedule.due(now + SECOND * 13).is_empty());
    let again = schedule.due(now + SECOND * 14);
    assert_eq!(again[0].config, Some(every(10)));
    schedule.ended(&again[0], &Outcome::NotPassed, now + SECOND * 14);
    assert_eq!(schedule.next(), Some(now + SECOND * 24));
    let third = schedule.due(now + SECOND * 24).remove(0);
    schedule.ended(&third, &Outcome::Gone, now + SECOND * 24);
    assert_eq!((schedule.next(), schedule.acts(&id('a'))), (None, false));
}

#[test]
fn a_run_of_an_earlier_start_does_not_count() {
    let now = Instant::now();
    let (mut schedule, old) = scheduled(every(10), now);
    schedule.end(&id('a'));
    schedule.begin(&id('a'), now);
    schedule.ended(&old, &Outcome::Gone, now);
    assert_eq!(schedule.due(now).len(), 1);
    schedule.end(&id('a'));
    assert_eq!(schedule.next(), None);
}

#[test]
fn says_once_what_hangs() {
    let now = Instant::now();
    let (mut schedule, run) = scheduled(every(10), now);
    assert_eq!(schedule.next(), Some(now + SECOND * 31));
    assert!(schedule.overdue(now + SECOND * 30).is_empty());
    assert_eq!(schedule.overdue(now + SECOND * 31), [(id('a'), vec!["c".to_string()])]);
    assert!(schedule.overdue(now + SECOND * 40).is_empty() && schedule.next().is_none());
    schedule.ended(&run, &Outcome::NotPassed, now + SECOND * 41);
    assert_eq!(schedule.due(now + SECOND * 51).len(), 1);
    assert_eq!(schedule.next(), Some(now + SECOND * 82), "the next run has its own time");
}

#[test]
fn a_startup_check_comes_first() {
    let now = Instant::now();
    let startup = Some(Startup { command: vec!["s".into()], interval: SECOND * 2, successes: 2 });
    let (mut schedule, run) = scheduled(Config { startup, ..every(10) }, now);
    assert_eq!(schedule.overdue(now + SECOND * 31), [(id('a'), vec!["s".to_string()])]);
    let mut at = now;
    let mut run = run;
    for outcome in [Outcome::Passed, Outcome::NotPassed] {
        schedule.ended(&run, &outcome, at);
        at += SECOND * 2;
        assert_eq!(schedule.next(), Some(at));
        run = schedule.due(at).remove(0);
    }
    schedule.ended(&run, &Outcome::Passed, at);
    run = schedule.due(at).remove(0);
    schedule.ended(&run, &Outcome::Passed, at);
    assert_eq!(schedule.next(), Some(at + SECOND * 10));
}

#[test]
fn a_start_interval_holds_in_the_start_period() {
    let now = Instant::now();
    let config = Config { start_interval: SECOND, start_period: SECOND * 5, ..every(10) };
    let (mut schedule, run) = scheduled(config, now);
    schedule.ended(&run, &Outcome::NotPassed, now + SECOND * 4);
    assert_eq!(schedule.next(), Some(now + SECOND * 5));
    let run = schedule.due(now + SECOND * 5).remove(0);
    schedule.ended(&run, &Outcome::NotPassed, now + SECOND * 5);
    assert_eq!(schedule.next(), Some(now + SECOND * 15));
}

#[test]
fn an_engine_that_is_away_is_asked_again_and_no_more_than_eight_run() {
    let now = Instant::now();
    let mut schedule = Schedule::default();
    for c in ('0'..='9').chain(['a']) {
        schedule.begin(&id(c), now);
    }
    let runs = schedule.due(now);
    assert_eq!((runs.len(), schedule.next()), (8, None));
    schedule.ended(&runs[0], &Outcome::Unknown, now);
    assert_eq!(schedule.due(now).len(), 1);
    for run in &runs[1..] {
        schedule.ended(run, &Outcome::Gone, now);
    }
    assert_eq!(schedule.due(now + SECOND * 10).len(), 3);
}
