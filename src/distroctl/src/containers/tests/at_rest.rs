use std::path::Path;

use super::super::at_rest::{AtRest, Change, halt};
use super::super::events::Event;
use super::id;

fn event(status: &str) -> Event {
    Event { id: id('a'), name: "a".into(), status: status.into(), health: None }
}

/// What is at rest after these events, and how soon that is written.
fn after(statuses: &[&str], acts: bool) -> (bool, Change) {
    let mut at_rest = AtRest::empty(Path::new("/nonexistent/a"), Path::new("/nonexistent/b"));
    for status in statuses {
        let mut event = event(status);
        if let Some(health) = status.strip_prefix("health_status ") {
            (event.status, event.health) = ("health_status".into(), Some(health.into()));
        }
        at_rest.heed(&event, acts);
    }
    (at_rest.contains(&id('a')), at_rest.change())
}

#[test]
fn tells_the_users_hand_from_the_rest() {
    let by_hand = (true, Change::ByHand);
    assert_eq!(after(&["start", "died", "stop", "cleanup"], false), by_hand);
    assert_eq!(after(&["start", "kill", "died"], false), by_hand);
    // As podman mostly tells of a stop.
    assert_eq!(after(&["start", "died", "cleanup"], false), (true, Change::Ended));
    assert_eq!(after(&["start", "died", "restart", "init", "start"], false), (false, Change::None));
    assert_eq!(after(&["restart", "died", "stop", "cleanup"], false), (false, Change::None), "a start that failed");
    // A signal that ends nothing.
    assert_eq!(after(&["kill"], false), (false, Change::None));
    assert_eq!(after(&["stop", "start"], false), (false, Change::ByHand));
    assert_eq!(after(&["stop", "remove"], false), (false, Change::ByHand));
    let unhealthy = ["health_status healthy", "health_status unhealthy", "died", "stop", "cleanup"];
    assert_eq!(after(&unhealthy, true), (false, Change::None));
    assert_eq!(after(&unhealthy, false), by_hand);
    assert_eq!(after(&["health_status unhealthy", "stop", "start", "stop"], true), by_hand);
}

#[test]
fn is_kept_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let (path, halted) = (folder.path().join("new/at-rest"), folder.path().join("halted"));
    let mut at_rest = AtRest::load(&path, &halted).unwrap();
    at_rest.save().unwrap();
    assert!(!path.exists(), "written without need");
    at_rest.heed(&event("stop"), false);
    at_rest.save().unwrap();
    assert_eq!(at_rest.change(), Change::None);
    std::fs::write(&path, std::fs::read_to_string(&path).unwrap() + "../../x\n\n").unwrap();
    let mut again = AtRest::load(&path, &halted).unwrap();
    assert!(again.contains(&id('a')));
    again.retain(|id| id.starts_with('b'));
    assert_eq!((again.contains(&id('a')), again.change()), (false, Change::Ended));
    again.save().unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
}

#[test]
fn the_machines_own_stop_does_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let (path, halted) = (folder.path().join("at-rest"), folder.path().join("halted"));
    let ids = [id('a'), id('b')];
    halt(&halted, ids.iter().map(String::as_str)).unwrap();
    let mut at_rest = AtRest::load(&path, &halted).unwrap();
    ["died", "stop", "cleanup"].iter().for_each(|status| at_rest.heed(&event(status), false));
    assert_eq!(at_rest.change(), Change::None);
    // Started again, the next stop is the user's.
    ["start", "stop"].iter().for_each(|status| at_rest.heed(&event(status), false));
    assert!(at_rest.contains(&id('a')));
    assert_eq!(std::fs::read_to_string(&halted).unwrap(), format!("{}\n", id('b')));
}
