//! Tests with an engine that only knows what it is told here.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

use super::{API, Engine, count_processes, ids, wait_until_gone};

#[test]
fn finds_ids() {
    let (a, b) = ("a1".repeat(32), "0f".repeat(32));
    let json = format!(
        r#"[{{"Command":["echo","\"Id\":\"{b}\""],"Id":"{a}","ImageID":"{b}","Labels":{{"Id":"x"}}}},{{"Id": "{b}"}}]"#
    );
    assert_eq!(ids(&json), [a, b]);
    for none in ["[]", "null", "", "\"Id\":", "\"Id\":\"", r#"{"Id":"../../x"}"#] {
        assert!(ids(none).is_empty(), "{none}");
    }
}

#[test]
fn stops_all_at_once_whatever_becomes_of_one() {
    let (paused, failing, fine) = ("aa".repeat(32), "bb".repeat(32), "cc".repeat(32));
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let listener = UnixListener::bind(&socket).unwrap();
    let requests = Arc::new(Mutex::new(Vec::new()));
    // No stop is answered before all three have been asked for.
    let all_asked = Arc::new(Barrier::new(3));
    let engine = {
        let (requests, paused, failing, fine) = (requests.clone(), paused.clone(), failing.clone(), fine.clone());
        move || {
            for stream in listener.incoming().take(6) {
                let (requests, all_asked) = (requests.clone(), all_asked.clone());
                let lists =
                    [format!(r#"[{{"Id":"{paused}"}}]"#), format!(r#"[{{"Id":"{failing}"}},{{"Id":"{fine}"}}]"#)];
                let failing = failing.clone();
                std::thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let mut bytes = [0; 512];
                    let length = stream.read(&mut bytes).unwrap();
                    let line = String::from_utf8_lossy(&bytes[..length]).lines().next().unwrap().to_string();
                    let (status, body) = match &line {
                        line if line.contains("paused") => ("200 OK", lists[0].as_str()),
                        line if line.contains("running") => ("200 OK", lists[1].as_str()),
                        line if line.contains(&failing) => ("500 Internal Server Error", "no"),
                        _ => ("204 No Content", ""),
                    };
                    let stop = line.contains("/stop");
                    requests.lock().unwrap().push(line);
                    if stop {
                        all_asked.wait();
                    }
                    write!(stream, "HTTP/1.0 {status}\r\n\r\n{body}").unwrap();
                });
            }
        }
    };
    let server = std::thread::spawn(engine);
    let engine = Engine { socket: socket.to_str().unwrap(), deadline: Instant::now() + Duration::from_secs(30) };
    assert_eq!(engine.stop_all().unwrap(), [format!("POST {API}/{failing}/stop: status 500: no")]);
    server.join().unwrap();
    let mut posts = requests.lock().unwrap().split_off(2);
    posts.sort();
    let post = |id: &str, action: &str| format!("POST {API}/{id}/{action} HTTP/1.0");
    assert_eq!(posts, [post(&paused, "stop"), post(&paused, "unpause"), post(&failing, "stop"), post(&fine, "stop")]);
}

#[test]
fn an_engine_that_is_away_is_an_error() {
    let engine = Engine { socket: "/nonexistent", deadline: Instant::now() };
    assert!(engine.stop_all().is_err());
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
