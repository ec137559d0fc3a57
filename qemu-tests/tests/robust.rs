//! The builder where things go wrong around it: killed at any moment, no room, two at once, behind a proxy, offline.
//! Needs the cache that building the image under test has filled, as `builder` does.
#![expect(clippy::unwrap_used, reason = "in a test's own functions too, a panic is the verdict")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use contract::exit;

use crate::builder::{Project, program, run};

/// Kills in the gate; `cargo xtask soak kill` makes 30.
const ROUNDS: u32 = 6;
/// Builds of it are slow where several run at once, and nothing here depends on their speed.
const LIMIT: Duration = Duration::from_secs(600);

/// A project whose only mirror is a folder of its own, with what every file of it must be at the end.
struct Scene {
    project: Project,
    /// Of the image, from a build that nothing disturbed.
    sha256: String,
    /// All files of that build beside the project's own: the image, its bills of materials, sums.
    outputs: BTreeMap<String, Vec<u8>>,
    /// That build's time, from an empty cache.
    took: Duration,
}

impl Scene {
    fn new() -> Self {
        let project = Project::new();
        project.link_mirror();
        project.name_mirror(&format!("file://{}", project.path("mirror").display()));
        let before = names(&project.path(""));
        let begin = Instant::now();
        let outcome = run(&mut build(&project, "out.iso"));
        let took = begin.elapsed();
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        let sha256 = outcome.stdout.split(' ').next().unwrap().to_owned();
        assert_eq!(sha256, sha256_of(&project.path("out.iso")));
        let mut made = names(&project.path(""));
        made.retain(|name| !before.contains(name) && name != "cache");
        let content = |name: String| (name.clone(), fs::read(project.path(&name)).unwrap());
        let outputs: BTreeMap<String, Vec<u8>> = made.into_iter().map(content).collect();
        let scene = Self { project, sha256, outputs, took };
        scene.remove_outputs();
        scene
    }

    fn remove_outputs(&self) {
        for name in self.outputs.keys() {
            let _ = fs::remove_file(self.project.path(name));
        }
    }

    fn remove_cache(&self) {
        fs::remove_dir_all(self.project.path("cache")).unwrap();
    }

    /// Every file of the cache is what its name says.
    #[track_caller]
    fn assert_cache_is_sound(&self) {
        let folders = fs::read_dir(self.project.path("cache/sha256")).into_iter().flatten().flatten();
        for file in folders.flat_map(|folder| fs::read_dir(folder.path()).unwrap()) {
            let path = file.unwrap().path();
            assert_eq!(path.file_name().unwrap().to_str().unwrap(), sha256_of(&path));
        }
    }
}

/// A build of the project into `output`, with the project's own cache.
fn build(project: &Project, output: &str) -> Command {
    let mut command = Command::new(program());
    command.args(["build", "--cache", "cache", "--output", output]).current_dir(project.path(""));
    command
}

fn sha256_of(path: &Path) -> String {
    let outcome = run(Command::new("sha256sum").arg(path));
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    outcome.stdout.split(' ').next().unwrap().to_owned()
}

fn names(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// xorshift64 (Marsaglia, 2003).
fn next(random: &mut u64) -> u64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    *random
}

fn wait(child: &mut Child) -> std::process::ExitStatus {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > end {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert!(Instant::now() <= end, "the build does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn killed_at_random_moments() {
    let rounds = std::env::var("MKDISTRO_KILL_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let scene = Scene::new();
    let output = scene.project.path("out.iso");
    let mut before = names(&scene.project.path(""));
    before.remove("cache");
    let mut random = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 | 1;
    println!("seed {random}");
    for round in 0..rounds {
        // Fetching into an empty cache is the longer part of half of them.
        if round % 2 == 0 {
            let _ = fs::remove_dir_all(scene.project.path("cache"));
        }
        scene.remove_outputs();
        fs::write(&output, "old").unwrap();
        let (name, number) = [("KILL", 9), ("INT", 2), ("KILL", 9), ("TERM", 15)][(round % 4) as usize];
        let moment = scene.took.mul_f64((next(&mut random) % 1000) as f64 / 1000.0);
        let mut child = build(&scene.project, "out.iso").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(moment);
        // The build may be over, and its id is its own until it is waited for.
        let sent = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let status = wait(&mut child);
        let at = format!("SIG{name} after {moment:?}, round {round}: {status}");
        println!("{at}");
        assert!(status.success() || status.signal() == Some(number), "{at}");
        for (name, expected) in &scene.outputs {
            let is_whole = match fs::read(scene.project.path(name)) {
                Ok(found) => found == *expected || (!status.success() && name == "out.iso" && found == b"old"),
                Err(_) => !status.success() && name != "out.iso",
            };
            assert!(is_whole, "{at}: {name} is damaged");
        }
        let mut left = names(&scene.project.path(""));
        left.retain(|name| !scene.outputs.contains_key(name) && name != "cache");
        assert_eq!(left, before, "{at}");
        scene.assert_cache_is_sound();
    }
    let outcome = run(&mut build(&scene.project, "out.iso"));
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(sha256_of(&output), scene.sha256);
    assert_eq!(names(&scene.project.path("cache/partial")), BTreeSet::new());
}

#[test]
fn two_builds_at_once_share_a_cache() {
    let scene = Scene::new();
    scene.remove_cache();
    let start = |output| build(&scene.project, output).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap();
    let mut children = [start("one.iso"), start("two.iso")];
    for child in &mut children {
        assert!(wait(child).success());
    }
    for output in ["one.iso", "two.iso"] {
        assert_eq!(sha256_of(&scene.project.path(output)), scene.sha256, "{output}");
    }
    scene.assert_cache_is_sound();
    assert_eq!(names(&scene.project.path("cache/partial")), BTreeSet::new());
}

#[test]
fn a_full_cache_can_be_used_again() {
    let scene = Scene::new();
    scene.remove_cache();
    fs::create_dir(scene.project.path("cache")).unwrap();
    // A file system of its own in a mount namespace of its own, first with too little room.
    let script = "mount -t tmpfs -o size=40m none cache || exit 99; \"$0\" build --cache cache --quiet; code=$?; \
                  mount -o remount,size=400m cache && \"$0\" build --cache cache --quiet || exit 98; \
                  find cache/partial -type f; exit $code";
    let outcome = run(Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script])
        .arg(program())
        .current_dir(scene.project.path("")));
    assert_eq!(outcome.code, Some(i32::from(exit::OUTPUT)), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("cache: ") && outcome.stderr.contains("hint: make room"), "{}", outcome.stderr);
    assert_eq!(outcome.stdout, format!("{}  out.iso\n", scene.sha256));
}

#[test]
fn a_file_size_limit_is_an_error_like_others() {
    let scene = Scene::new();
    let names_before = names(&scene.project.path(""));
    // In blocks of 512 or 1024 bytes, by shell; packages are in the cache and larger.
    let outcome = run(Command::new("sh")
        .args(["-c", "ulimit -f 4000; exec \"$0\" build --cache cache"])
        .arg(program())
        .current_dir(scene.project.path("")));
    assert_eq!(outcome.code, Some(i32::from(exit::OUTPUT)), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("hint: a file-size limit (ulimit -f) stopped it"), "{}", outcome.stderr);
    assert_eq!(names(&scene.project.path("")), names_before);
}

#[test]
fn offline_needs_nothing_but_the_cache() {
    let scene = Scene::new();
    fs::remove_dir_all(scene.project.path("mirror")).unwrap();
    // No network at all in a namespace of its own.
    let outcome = run(Command::new("unshare")
        .args(["--map-root-user", "--net"])
        .arg(program())
        .args(["build", "--cache", "cache", "--offline"])
        .current_dir(scene.project.path("")));
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(outcome.stdout, format!("{}  out.iso\n", scene.sha256));
}

/// An HTTP proxy that knows one host, `mirror.invalid`, whose files are in a folder. Keeps what it was asked for.
struct Proxy {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start(folder: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (folder, seen) = (folder.clone(), Arc::clone(&seen));
                // A client that hangs up is its own business.
                std::thread::spawn(move || drop(answer(&stream, &folder, &seen)));
            }
        });
        Self { address, requests }
    }
}

fn answer(stream: &TcpStream, folder: &Path, seen: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().unwrap_or(Ok(String::new()))?;
    let mut password = String::new();
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("proxy-authorization")
        {
            password = format!(" {value}");
        }
    }
    seen.lock().unwrap().push(format!("{request}{password}"));
    let target = request.split(' ').nth(1).unwrap_or_default();
    let content =
        target.strip_prefix("http://mirror.invalid/debian/").and_then(|path| fs::read(folder.join(path)).ok());
    let (status, content) = match content {
        Some(content) => ("200 OK", content),
        None => ("403 Forbidden", Vec::new()),
    };
    let mut out = stream;
    out.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", content.len()).as_bytes())?;
    out.write_all(&content)
}

#[test]
fn builds_through_a_proxy() {
    let project = Project::new();
    project.link_mirror();
    project.name_mirror("http://mirror.invalid/debian");
    let proxy = Proxy::start(project.path("mirror"));
    let address = proxy.address.replace("http://", "http://user:p%40ss@");
    let outcome = run(build(&project, "out.iso").env("http_proxy", address).env_remove("no_proxy"));
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let requests = proxy.requests.lock().unwrap();
    assert_eq!(requests.len(), project.lock().packages.len());
    // RFC 7617: "user:p@ss" in base64.
    let end = " HTTP/1.0 Basic dXNlcjpwQHNz";
    for request in requests.iter() {
        assert!(request.starts_with("GET http://mirror.invalid/debian/pool/") && request.ends_with(end), "{request}");
    }
}

#[test]
fn https_goes_through_a_tunnel() {
    let project = Project::new();
    project.name_mirror("https://mirror.invalid/debian");
    let proxy = Proxy::start(project.path("mirror"));
    let outcome = run(build(&project, "out.iso").env("https_proxy", &proxy.address).env_remove("no_proxy"));
    outcome.assert_failed(exit::NETWORK, &["https://mirror.invalid/debian/pool/", "403", "hint:"]);
    let requests = proxy.requests.lock().unwrap();
    assert!(requests.iter().all(|request| request == "CONNECT mirror.invalid:443 HTTP/1.1"), "{requests:?}");
    assert!(!requests.is_empty());
    project.assert_no_output();
}
