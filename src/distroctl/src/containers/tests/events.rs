use std::path::Path;

use super::super::events::{Event, Follower, stores};
use super::id;

const EVENTS: &str = include_str!("../testdata/events.log");

#[test]
fn reads_what_podman_wrote() {
    let events: Vec<Event> = EVENTS.lines().filter_map(Event::parse).collect();
    let of = |name: &str| -> Vec<String> {
        let text = |event: &Event| match &event.health {
            Some(health) => format!("{}={health}", event.status),
            None => event.status.clone(),
        };
        events.iter().filter(|event| event.name == name).map(text).collect()
    };
    assert_eq!(of("by-hand"), ["create", "init", "start", "died", "cleanup"], "a stop without its event");
    let hangs = ["create", "init", "start", "health_status=unhealthy", "stop", "died", "remove"];
    assert_eq!(of("hangs"), hangs);
    assert_eq!(of("well")[3..], ["health_status=healthy", "health_status=healthy"]);
    assert!(of("sick").join(" ").contains("health_status=unhealthy died restart init start"));
}

#[test]
fn knows_what_changes_the_store() {
    let names = |line: &&str| document::json::parse(line).unwrap().table().unwrap().text("Status").unwrap();
    let mut kinds: Vec<String> = EVENTS.lines().filter(|line| stores(line)).map(|line| names(&line)).collect();
    kinds.sort();
    kinds.dedup();
    assert_eq!(kinds, ["create", "tag"]);
    assert!(!stores(r#"{"Name":"create","Status":"start","Type":"container"}"#));
    assert!(!stores("create"));
}

#[test]
fn passes_over_what_is_no_container() {
    for line in [
        "",
        "{\"container\"",
        "{\"Type\":\"container\"}",
        r#"{"ID":"x","Name":"n","Status":"start","Type":"container"}"#,
        r#"{"Name":"container","Status":"create","Type":"volume","Attributes":{"Type":"container"}}"#,
    ] {
        assert_eq!(Event::parse(line), None, "{line}");
    }
    let line = format!(
        r#"{{"ID":"{}","Name":"n","Status":"start","Time":"2026-11-22T17:00:00Z","Type":"container","Attributes":{{"Status":"x"}}}}"#,
        id('a')
    );
    assert_eq!(Event::parse(&line).unwrap().status, "start");
}

fn append(path: &Path, text: &str) {
    use std::io::Write;
    std::fs::File::options().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

#[test]
fn follows_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.log");
    let mut follower = Follower::new(&path);
    assert!(follower.read().unwrap().is_empty());
    append(&path, "one\ntwo\nthr");
    assert_eq!(follower.read().unwrap(), ["one", "two"]);
    assert!(follower.read().unwrap().is_empty());
    append(&path, "ee\n\nfour\n");
    assert_eq!(follower.read().unwrap(), ["three", "", "four"]);
}

#[test]
fn follows_into_the_next_file() {
    let folder = tempfile::tempdir().unwrap();
    let (path, next) = (folder.path().join("events.log"), folder.path().join("next"));
    let mut follower = Follower::new(&path);
    append(&path, "1\n2\n3\n");
    follower.read().unwrap();
    // Written between the last look and the rotation, and after it.
    append(&next, "begin\n2\n3\n4\nend\n5\n");
    std::fs::rename(&next, &path).unwrap();
    assert_eq!(follower.read().unwrap(), ["4", "end", "5"]);
    append(&path, "6\n");
    assert_eq!(follower.read().unwrap(), ["6"]);
    // So much that nothing known is left.
    append(&next, "begin\n20\nend\n");
    std::fs::rename(&next, &path).unwrap();
    assert_eq!(follower.read().unwrap(), ["begin", "20", "end"]);
    // Cut.
    std::fs::write(&path, "7\n").unwrap();
    assert_eq!(follower.read().unwrap(), ["7"]);
}
