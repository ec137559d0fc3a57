use std::path::Path;
use std::sync::OnceLock;

use super::*;
use crate::archive::mirrors::Mirrors;
use crate::archive::testing::{Fault, Server};
use crate::lock::Lock;
use crate::lock::tests::{fetcher, files, lock, mirrors, project, suites};
use crate::progress::Silent;

const PODMAN: &str = "pool/main/podman_5.4.2-1_amd64.deb";

/// A large podman, so that downloads can break in the middle.
fn big() -> Vec<u8> {
    static BIG: OnceLock<Vec<u8>> = OnceLock::new();
    BIG.get_or_init(|| (0..3_000_000_u32).map(|index| (index % 251) as u8).collect()).clone()
}

/// A locked project; the lock is written, as it is in a build.
fn locked(lock: Lock) -> (tempfile::TempDir, Locked) {
    let (dir, checked) = project();
    lock.write(dir.path()).unwrap();
    (dir, Locked { checked, lock })
}

/// A server, a locked project with the big podman, and its cache folder.
fn scene() -> (Server, tempfile::TempDir, Locked) {
    let server = Server::start(files(&suites()));
    server.replace(PODMAN, &big());
    let mut lock = lock();
    let podman = lock.packages.iter_mut().find(|package| package.name == "podman").unwrap();
    podman.size = big().len() as u64;
    podman.sha256 = crate::archive::testing::sha256(&big());
    let (dir, locked) = locked(lock);
    (server, dir, locked)
}

fn run(locked: &Locked, cache: &Path, mirrors: Mirrors) -> Result<Fetched> {
    fetch(locked.clone(), &fetcher(cache, mirrors), &Silent)
}

fn problem(result: Result<Fetched>) -> Problem {
    result.unwrap_err().downcast::<Problem>().unwrap()
}

fn assert_complete(fetched: &Fetched) {
    assert_eq!(fetched.files.len(), fetched.locked.lock.packages.len());
    assert_eq!(std::fs::read(&fetched.files["podman"]).unwrap(), big());
    assert_eq!(std::fs::read(&fetched.files["libc6"]).unwrap(), b"content of libc6 2.41-2");
}

#[test]
fn packages_are_fetched_once_and_then_cached() {
    let (server, dir, locked) = scene();
    assert_complete(&run(&locked, dir.path(), mirrors(&[&server.url])).unwrap());
    assert_eq!(server.requests(PODMAN), [None]);
    let mut offline = fetcher(dir.path(), mirrors(&[&server.url]));
    offline.offline = true;
    assert_complete(&fetch(locked, &offline, &Silent).unwrap());
    assert_eq!(server.requests(PODMAN), [None]);
    assert_eq!(std::fs::read_dir(dir.path().join("partial")).unwrap().count(), 0);
}

#[test]
fn broken_downloads_are_resumed() {
    let (server, dir, locked) = scene();
    server.fault(PODMAN, &[Fault::CutAfter(1000), Fault::Status(503), Fault::CutAfter(2_000_000)]);
    assert_complete(&run(&locked, dir.path(), mirrors(&[&server.url])).unwrap());
    assert_eq!(server.requests(PODMAN), [None, Some(1000), Some(1000), Some(2_001_000)]);
}

#[test]
fn later_run_resumes_and_servers_without_ranges_are_fine() {
    let (server, dir, locked) = scene();
    server.fault(PODMAN, &[Fault::CutAfter(1000), Fault::Status(500), Fault::Status(500), Fault::Status(500)]);
    let failed = problem(run(&locked, dir.path(), mirrors(&[&server.url])));
    assert_eq!(failed.class, Class::Network);
    assert!(failed.message.ends_with("HTTP status 500 (4 attempts)"), "{}", failed.message);
    assert!(failed.hint.contains("what has arrived is kept"));
    server.fault(PODMAN, &[Fault::NoRange]);
    assert_complete(&run(&locked, dir.path(), mirrors(&[&server.url])).unwrap());
    assert_eq!(server.requests(PODMAN).last(), Some(&Some(1000)));
}

#[test]
fn damaged_part_is_not_trusted() {
    for part in [vec![1; 1000], vec![1; big().len()], vec![1; big().len() + 5], big()] {
        let (server, dir, locked) = scene();
        let sha256 = &locked.lock.package("podman").unwrap().sha256;
        std::fs::create_dir(dir.path().join("partial")).unwrap();
        std::fs::write(dir.path().join(format!("partial/{sha256}.part")), part).unwrap();
        assert_complete(&run(&locked, dir.path(), mirrors(&[&server.url])).unwrap());
    }
}

#[test]
fn damaged_cache_file_is_fetched_again() {
    let (server, dir, locked) = scene();
    let fetched = run(&locked, dir.path(), mirrors(&[&server.url])).unwrap();
    for damaged in [b"short".to_vec(), vec![0; big().len()]] {
        std::fs::write(&fetched.files["podman"], damaged).unwrap();
        assert_complete(&run(&locked, dir.path(), mirrors(&[&server.url])).unwrap());
    }
    assert_eq!(server.requests(PODMAN).len(), 3);
}

#[test]
fn tampered_file_is_refused_and_named_by_line() {
    let (server, dir, locked) = scene();
    let mut bytes = big();
    bytes[77] ^= 1;
    server.replace(PODMAN, &bytes);
    let failed = problem(run(&locked, dir.path(), mirrors(&[&server.url])));
    assert_eq!(failed.class, Class::Verify);
    let text = std::fs::read_to_string(dir.path().join("packages/lock.toml")).unwrap();
    let wanted = crate::archive::testing::sha256(&big());
    let line = text.lines().position(|line| line.contains(&wanted)).unwrap() + 1;
    assert_eq!(
        failed.message,
        format!(
            "sha256 of podman_5.4.2-1_amd64.deb: packages/lock.toml:{line} says {wanted} (3000000 bytes), got {} (3000000 \
             bytes) from {}/{PODMAN}",
            crate::archive::testing::sha256(&bytes),
            server.url
        )
    );
    assert!(failed.hint.contains("mkdistro lock --update"));
    let cache = Cache::open(dir.path()).unwrap();
    assert!(!cache.path(&wanted).exists());
    // A good mirror behind it saves the build.
    let good = Server::start(files(&suites()));
    good.replace(PODMAN, &big());
    assert_complete(&run(&locked, dir.path(), mirrors(&[&server.url, &good.url])).unwrap());
}

#[test]
fn wrong_lengths_are_refused() {
    for (fault, expected) in [
        (Fault::LyingLength(2_999_999), "got a file of another size (2999999 bytes)"),
        (Fault::LyingLength(3_000_001), "got a file of another size (3000001 bytes)"),
        (Fault::Endless(500_000), "got a longer file"),
    ] {
        let (server, dir, locked) = scene();
        server.fault(PODMAN, &[fault; 8]);
        let failed = problem(run(&locked, dir.path(), mirrors(&[&server.url])));
        assert_eq!(failed.class, Class::Verify);
        assert!(failed.message.contains(expected), "{}", failed.message);
    }
}

#[test]
fn second_mirror_has_what_the_first_lacks() {
    let (server, dir, locked) = scene();
    let first = Server::start(files(&suites()));
    first.remove(PODMAN);
    first.fault("pool/main/libc6_2.41-2_amd64.deb", &[Fault::Redirect]);
    assert_complete(&run(&locked, dir.path(), mirrors(&[&first.url, &server.url])).unwrap());
    assert_eq!(first.requests(PODMAN), [None]);
    assert_eq!(server.requests("pool/main/libc6_2.41-2_amd64.deb"), []);
}

#[test]
fn vanished_package_names_both_ways_out() {
    let (server, dir, locked) = scene();
    server.remove(PODMAN);
    let failed = problem(run(&locked, dir.path(), mirrors(&[&server.url])));
    assert_eq!(failed.class, Class::Network);
    assert_eq!(
        failed.message,
        format!("podman 5.4.2-1: no mirror has it any more; tried\n  {}/{PODMAN}: HTTP status 404", server.url)
    );
    assert!(failed.hint.contains("snapshot archive") && failed.hint.contains("mkdistro lock --update"));
}

#[test]
fn unreachable_mirrors_and_none_at_all() {
    let (_, dir, locked) = scene();
    let failed = problem(run(&locked, dir.path(), mirrors(&["http://127.0.0.1:9"])));
    assert_eq!(failed.class, Class::Network);
    assert!(failed.message.contains("and 3 more packages"), "{}", failed.message);
    assert!(failed.message.contains("no mirror could deliver it"), "{}", failed.message);
    let none = run(&locked, dir.path(), mirrors(&[])).unwrap_err();
    assert_eq!(crate::problem::exit_code(&none), contract::exit::NETWORK);
}

#[test]
fn offline_names_all_that_is_missing() {
    let (server, dir, locked) = scene();
    let fetched = run(&locked, dir.path(), mirrors(&[&server.url])).unwrap();
    std::fs::write(&fetched.files["podman"], "damaged").unwrap();
    std::fs::remove_file(&fetched.files["libc6"]).unwrap();
    let mut offline = fetcher(dir.path(), mirrors(&[&server.url]));
    offline.offline = true;
    let failed = problem(fetch(locked, &offline, &Silent));
    assert_eq!(failed.class, Class::Network);
    assert_eq!(failed.message, "not in the cache, and --offline was given: libc6 2.41-2, podman 5.4.2-1");
}

#[test]
fn cache_that_cannot_be_written_is_a_problem_of_output() {
    let (server, dir, locked) = scene();
    let cache = dir.path().join("cache");
    let fetcher = fetcher(&cache, mirrors(&[&server.url]));
    std::fs::remove_dir(cache.join("partial")).unwrap();
    std::fs::write(cache.join("partial"), "in the way").unwrap();
    let error = fetch(locked, &fetcher, &Silent).unwrap_err();
    assert_eq!(crate::problem::exit_code(&error), contract::exit::OUTPUT);
    assert!(Cache::open(&cache.join("partial/below")).is_err());
}

#[test]
fn two_fetches_at_once_share_the_work() {
    let (server, dir, locked) = scene();
    server.fault(PODMAN, &[Fault::CutAfter(1_000_000)]);
    let results: Vec<Fetched> = std::thread::scope(|scope| {
        let start = || scope.spawn(|| run(&locked, dir.path(), mirrors(&[&server.url])).unwrap());
        let threads = [start(), start(), start()];
        threads.map(|thread| thread.join().unwrap()).into()
    });
    results.iter().for_each(assert_complete);
    assert_eq!(server.requests(PODMAN), [None, Some(1_000_000)]);
    assert_eq!(std::fs::read_dir(dir.path().join("partial")).unwrap().count(), 0);
}

#[test]
fn folder_is_a_mirror() {
    let (_, dir, locked) = scene();
    let archive = dir.path().join("archive");
    let mut all = files(&suites());
    all.insert(PODMAN.to_owned(), big());
    crate::archive::testing::write_files(&archive, &all);
    assert_complete(&run(&locked, dir.path(), mirrors(&[&format!("file://{}", archive.display())])).unwrap());
}
