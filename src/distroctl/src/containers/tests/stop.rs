use std::path::Path;
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

use super::super::engine::{API, Engine};
use super::super::stop::stop;
use super::super::work::{count_processes, wait_until_gone};
use super::fake::FakeEngine;
use super::id;

fn engine(fake: &FakeEngine, limit: Duration) -> Engine {
    Engine { socket: fake.socket.clone(), deadline: Some(Instant::now() + limit) }
}

fn list(containers: &[(char, &str)]) -> String {
    let entries = containers.iter().map(|(c, state)| {
        format!("{{\"Id\":\"{}\",\"Names\":[\"{c}\"],\"State\":\"{state}\",\"Labels\":null}}", id(*c))
    });
    format!("[{}]", entries.collect::<Vec<_>>().join(","))
}

/// The stop requests, by the containers' letters.
fn stops(fake: &FakeEngine) -> String {
    let is_stop = |line: &String| line.ends_with("/stop");
    fake.requests().iter().filter(|line| is_stop(line)).filter_map(|line| line.chars().nth(6 + API.len())).collect()
}

#[test]
fn stops_at_once_what_is_independent_whatever_becomes_of_one() {
    let folder = tempfile::tempdir().unwrap();
    // No stop is answered before all three have been asked for.
    let all_asked = Arc::new(Barrier::new(3));
    let fake = FakeEngine::start(folder.path(), move |line| match line {
        line if line.contains("paused") => (200, list(&[('a', "paused")])),
        line if line.contains("running") => (200, list(&[('b', "running"), ('c', "running")])),
        line if line.ends_with("/stop") => {
            all_asked.wait();
            if line.contains(&id('b')) { (500, "{\"message\":\"no\"}".into()) } else { (204, String::new()) }
        }
        line if line.starts_with("GET") => (200, "{}".into()),
        _ => (204, String::new()),
    });
    let halted = folder.path().join("halted");
    let problems = stop(&engine(&fake, Duration::from_secs(30)), &halted).unwrap();
    assert_eq!(problems, [format!("POST {API}/{}/stop: status 500: no", id('b'))]);
    assert!(fake.requests().contains(&format!("POST {API}/{}/unpause", id('a'))));
    let expected = ['a', 'b', 'c'].map(id).join("\n") + "\n";
    assert_eq!(std::fs::read_to_string(halted).unwrap(), expected);
}

#[test]
fn stops_dependants_first() {
    let folder = tempfile::tempdir().unwrap();
    let gone: Arc<Mutex<String>> = Arc::default();
    let ended = gone.clone();
    // c needs b, b needs a.
    let fake = FakeEngine::start(folder.path(), move |line| match line {
        line if line.contains("running") => (200, list(&[('a', "running"), ('b', "running"), ('c', "running")])),
        line if line.contains("paused") => (200, "[]".into()),
        line if line.ends_with("/stop") => {
            let name = line.chars().nth(6 + API.len()).unwrap();
            std::thread::sleep(Duration::from_millis(20));
            ended.lock().unwrap().push(name);
            (204, String::new())
        }
        line => {
            let dependency = match line.chars().nth(5 + API.len()).unwrap() {
                'b' => format!("\"{}\"", id('a')),
                'c' => format!("\"{}\"", id('b')),
                _ => String::new(),
            };
            (200, format!("{{\"Dependencies\":[{dependency}],\"Config\":{{\"StopTimeout\":10}}}}"))
        }
    });
    let halted = folder.path().join("halted");
    assert!(stop(&engine(&fake, Duration::from_secs(60)), &halted).unwrap().is_empty());
    assert_eq!((stops(&fake).as_str(), gone.lock().unwrap().as_str()), ("cba", "cba"));
    // No time for one after the other: all at once.
    let before = fake.requests().len();
    assert!(stop(&engine(&fake, Duration::from_secs(5)), &halted).unwrap().is_empty());
    let asked = fake.requests().split_off(before);
    assert_eq!(asked.iter().filter(|line| line.ends_with("/stop")).count(), 3);
    assert_ne!(gone.lock().unwrap().len(), 3);
}

#[test]
fn an_engine_that_is_away_is_an_error() {
    let engine = Engine { socket: "/nonexistent".into(), deadline: Some(Instant::now()) };
    assert!(stop(&engine, Path::new("/nonexistent/halted")).is_err());
}

#[test]
fn waits_for_processes() {
    let own = std::fs::read_to_string("/proc/self/comm").unwrap();
    assert!(count_processes(Path::new("/proc"), own.trim()) > 0 || own.trim().is_empty());
    let proc = tempfile::tempdir().unwrap();
    for (pid, name) in [("7", "conmon"), ("8", "podman"), ("x", "conmon")] {
        std::fs::create_dir(proc.path().join(pid)).unwrap();
        std::fs::write(proc.path().join(pid).join("comm"), format!("{name}\n")).unwrap();
    }
    assert_eq!(wait_until_gone(proc.path(), "conmon", Duration::ZERO), 1);
    let ended = proc.path().join("7");
    let end = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        std::fs::remove_dir_all(ended).unwrap();
    });
    assert_eq!(wait_until_gone(proc.path(), "conmon", Duration::from_secs(30)), 0);
    end.join().unwrap();
}
