use std::time::Duration;

use super::super::engine::{cause, inspected, listed};

const LIST: &str = include_str!("../testdata/list.json");
const INSPECT: &str = include_str!("../testdata/inspect.json");

#[test]
fn reads_lists() {
    let list = listed(&document::json::parse(LIST).unwrap());
    let names: Vec<(&str, &str)> = list.iter().map(|found| (found.name.as_str(), found.state.as_str())).collect();
    assert_eq!(names, [("web", "exited")]);
    assert_eq!(list[0].label("app"), Some("a \"quoted\" <label>"));
    assert_eq!(list[0].label("none"), None);
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
fn says_the_cause() {
    assert_eq!(cause(r#"{"cause":"c","message":"a: c","response":500}"#), "a: c");
    assert_eq!(cause("no\n"), "no");
}
