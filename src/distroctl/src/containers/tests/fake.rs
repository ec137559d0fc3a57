//! An engine behind a socket that answers as a closure says, each request in a thread of its own.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// The engine, with the request lines (`GET /…`) it has had.
pub(super) struct FakeEngine {
    pub(super) socket: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl FakeEngine {
    /// `answer` gives status and body of a request line.
    pub(super) fn start(folder: &Path, answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> Self {
        let socket = folder.join("engine.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (requests.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (seen, answer) = (seen.clone(), answer.clone());
                std::thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let mut bytes = [0; 1024];
                    let length = stream.read(&mut bytes).unwrap();
                    let head = String::from_utf8_lossy(&bytes[..length]).into_owned();
                    let line = head.lines().next().unwrap().trim_end_matches(" HTTP/1.0").to_string();
                    seen.lock().unwrap().push(line.clone());
                    let (status, body) = answer(&line);
                    let _ = write!(stream, "HTTP/1.0 {status} X\r\n\r\n{body}");
                });
            }
        });
        Self { socket: socket.to_str().unwrap().into(), requests }
    }

    /// The request lines so far.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}
