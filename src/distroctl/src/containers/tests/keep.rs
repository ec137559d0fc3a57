use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use super::super::engine::API;
use super::super::keep::Keeper;
use super::super::place::Place;
use super::fake::FakeEngine;
use super::id;

fn place(folder: &Path, socket: &str) -> Place {
    Place {
        socket: socket.into(),
        events: folder.join("libpod/events/events.log"),
        runs: folder.join("runs"),
        stored: folder.join("containers.json"),
        at_rest: folder.join("at-rest"),
        halted: folder.join("halted"),
        problems: folder.join("problems"),
    }
}

fn write_event(place: &Place, c: char, status: &str, more: &str) {
    let line = format!(
        "{{\"ID\":\"{}\",\"Name\":\"{c}\",\"Status\":\"{status}\",\"Type\":\"container\"{more},\"Attributes\":{{}}}}\n",
        id(c)
    );
    let mut file = std::fs::File::options().append(true).create(true).open(&place.events).unwrap();
    file.write_all(line.as_bytes()).unwrap();
}

fn write_health_log(place: &Place, c: char, status: &str) {
    let folder = place.runs.join(id(c));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("healthcheck.log"), format!("{{\"Status\":\"{status}\",\"FailingStreak\":0}}")).unwrap();
}

/// Turns until it is so. The asked-for end keeps each turn from waiting.
fn turn_until(keeper: &mut Keeper, is_so: impl Fn() -> bool) {
    let limit = Instant::now() + Duration::from_secs(30);
    let (asked, mut ask) = std::io::pipe().unwrap();
    ask.write_all(&[15]).unwrap();
    while !is_so() {
        assert!(Instant::now() < limit, "it is not so after 30 s");
        keeper.wait(&asked).unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn runs_checks_only_where_there_are_some() {
    let folder = tempfile::tempdir().unwrap();
    let inspect =
        r#"{"Config":{"Healthcheck":{"Test":["CMD","c"],"Interval":1000000},"HealthcheckOnFailureAction":"stop"}}"#;
    let fake = FakeEngine::start(folder.path(), move |line| match line {
        line if line.ends_with("/json") => (200, inspect.into()),
        _ => (200, r#"{"Status":"unhealthy","FailingStreak":0,"Log":null}"#.into()),
    });
    let place = place(folder.path(), &fake.socket);
    let mut keeper = Keeper::new(place.clone()).unwrap();
    keeper.begin(Instant::now());
    write_health_log(&place, 'a', "reset");
    write_health_log(&place, 'b', "starting");
    write_event(&place, 'a', "start", "");
    write_event(&place, 'b', "start", "");
    let checks = || fake.requests().iter().filter(|line| line.ends_with("/healthcheck")).count();
    turn_until(&mut keeper, || checks() >= 3);
    let inspects = [format!("GET {API}/{}/json", id('b'))];
    let asked = fake.requests();
    assert_eq!(asked.iter().filter(|line| line.ends_with("/json")).cloned().collect::<Vec<_>>(), inspects);
    assert!(asked.iter().all(|line| line.contains(&id('b'))));

    // Podman says that it is unhealthy, and stops it.
    write_event(&place, 'b', "health_status", ",\"health_status\":\"unhealthy\"");
    write_event(&place, 'b', "stop", "");
    write_event(&place, 'b', "died", "");
    write_event(&place, 'a', "stop", "");
    turn_until(&mut keeper, || place.at_rest.exists());
    assert_eq!(std::fs::read_to_string(&place.at_rest).unwrap(), format!("{}\n", id('a')));
    assert_eq!(std::fs::read_to_string(&place.problems).unwrap(), "b: unhealthy\n");
    write_event(&place, 'b', "remove", "");
    turn_until(&mut keeper, || std::fs::read_to_string(&place.problems).is_ok_and(|text| text.is_empty()));
}

#[test]
fn starts_containers_once_the_engine_is_up() {
    let folder = tempfile::tempdir().unwrap();
    let container = |c: char| format!("{{\"Id\":\"{}\",\"Names\":[\"{c}\"],\"State\":\"exited\"}}", id(c));
    let fake = FakeEngine::start(folder.path(), move |line| match line {
        line if line.contains("always") => (200, format!("[{}]", container('a'))),
        line if line.contains("unless-stopped") => (200, format!("[{},{}]", container('b'), container('c'))),
        line if line.contains(&id('a')) => (500, "{\"message\":\"the port is in use\"}".into()),
        _ => (204, String::new()),
    });
    let place = place(folder.path(), &fake.socket);
    std::fs::write(&place.stored, format!("[{{\"id\":\"{}\"}},{{\"id\":\"{}\"}}]", id('a'), id('b'))).unwrap();
    std::fs::write(&place.at_rest, format!("{}\n{}\n", id('b'), id('d'))).unwrap();
    let mut keeper = Keeper::new(place.clone()).unwrap();
    keeper.begin(Instant::now());
    let starts = || fake.requests().into_iter().filter(|line| line.starts_with("POST")).collect::<Vec<_>>();
    turn_until(&mut keeper, || starts().len() == 2);
    assert_eq!(starts(), [format!("POST {API}/{}/start", id('a')), format!("POST {API}/{}/start", id('c'))]);
    turn_until(&mut keeper, || std::fs::read_to_string(&place.problems).is_ok_and(|text| !text.is_empty()));
    assert_eq!(std::fs::read_to_string(&place.problems).unwrap(), "a: not started: the port is in use\n");
    // Of one that is no more nothing is kept.
    turn_until(&mut keeper, || std::fs::read_to_string(&place.at_rest).is_ok_and(|text| text == id('b') + "\n"));
}

#[test]
fn asks_nothing_where_there_is_no_container() {
    let folder = tempfile::tempdir().unwrap();
    let place = place(folder.path(), "/nonexistent");
    std::fs::write(&place.stored, "[]").unwrap();
    let mut keeper = Keeper::new(place).unwrap();
    keeper.begin(Instant::now());
    let (asked, mut ask) = std::io::pipe().unwrap();
    ask.write_all(&[15]).unwrap();
    assert!(!keeper.wait(&asked).unwrap());
}
