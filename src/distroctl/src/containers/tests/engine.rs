use std::time::Duration;

use super::super::engine::{cause, inspected, listed};
use super::super::health::Outcome;
use super::super::work::outcome;

const LIST: &str = include_str!("../testdata/list.json");
const INSPECT: &str = include_str!("../testdata/inspect.json");

const LISTED: [(&str, &str); 8] = [
    ("always", "running"),
    ("always-stopped", "exited"),
    ("well", "running"),
    ("db", "running"),
    ("web", "running"),
    ("back", "running"),
    ("front", "running"),
    ("recorded", "created"),
];

#[test]
fn reads_lists() {
    let list = listed(&document::json::parse(LIST).unwrap());
    let names: Vec<(&str, &str)> = list.iter().map(|found| (found.name.as_str(), found.state.as_str())).collect();
    assert_eq!(names, LISTED);
    let recorded = list.iter().find(|found| found.name == "recorded").unwrap();
    assert_eq!(recorded.label("app"), Some("a \"quoted\" <label>"));
    assert_eq!(recorded.label("none"), None);
    let front = list.iter().find(|found| found.name == "front").unwrap();
    assert_eq!(front.label("com.docker.compose.depends_on"), Some("back:service_started:true"));
    for none in ["[]", "null", "{}", r#"[{"Id":"../../x"}]"#] {
        assert!(listed(&document::json::parse(none).unwrap()).is_empty(), "{none}");
    }
}

#[test]
fn reads_containers() {
    let node = document::json::parse(INSPECT).unwrap();
    let found = inspected(node.table().unwrap());
    assert_eq!(found.dependencies.len(), 1);
    assert_eq!(found.stop_timeout, Duration::from_secs(3));
    let health = found.health.unwrap();
    assert_eq!(health.command, ["/bin/sh", "-c", "test -e /well"]);
    assert_eq!((health.interval, health.timeout), (Duration::from_secs(2), Duration::from_secs(5)));
    assert!(health.acts);
    assert_eq!(health.startup.unwrap().command, ["/bin/sh", "-c", "test -e /up"]);
}

#[test]
fn reads_the_end_of_a_check() {
    let passed = include_str!("../testdata/check.json");
    assert_eq!(outcome(passed), Outcome::Passed);
    for body in ["", "{}", r#"{"Status":"starting","FailingStreak":0,"Log":null}"#] {
        assert_eq!(outcome(body), Outcome::NotPassed, "{body}");
    }
}

#[test]
fn says_the_cause() {
    let body = include_str!("../testdata/check-409.json");
    assert!(cause(body).ends_with(" is not running") && cause(body).starts_with("container 6e868e11"), "{body}");
    assert_eq!(cause(r#"{"cause":"c","message":"a: c","response":500}"#), "a: c");
    assert_eq!(cause("no\n"), "no");
}
