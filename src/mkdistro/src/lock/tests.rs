use std::sync::OnceLock;
use std::time::Duration;

use super::*;
use crate::archive::apt::Apt;
use crate::archive::mirrors::{Mirror, Mirrors};
use crate::archive::testing::{Fault, Files, MADE, NOW, Server, TestKey, TestPackage, TestSuite, write_files};
use crate::config::{Distro, KernelSource, Recipe};
use crate::fetch::{Cache, Fetcher};
use crate::progress::Silent;

pub(crate) fn key() -> &'static TestKey {
    static KEY: OnceLock<TestKey> = OnceLock::new();
    KEY.get_or_init(TestKey::new)
}

fn package(name: &'static str, version: &'static str, depends: &'static str) -> TestPackage {
    let content = format!("content of {name} {version}").into_bytes();
    TestPackage { name, version, depends, content, ..TestPackage::default() }
}

fn library(name: &'static str, version: &'static str, depends: &'static str) -> TestPackage {
    TestPackage { section: "libs", ..package(name, version, depends) }
}

/// What the suites of most tests hold.
pub(crate) fn suites() -> Vec<TestSuite> {
    vec![
        TestSuite::new(
            "trixie",
            vec![
                package("podman", "5.4.2-1", "libc6 (>= 2.38), libassuan9 | libassuan0, conmon, missing-tool, libz1"),
                package("conmon", "2.1", "libc6, libnotwanted1"),
                library("libc6", "2.41-1", "libgcc-s1"),
                library("libgcc-s1", "14", "libc6, gcc-14-base (= 14)"),
                package("gcc-14-base", "14", ""),
                library("libassuan0", "2", ""),
                TestPackage { provides: "libz1 (= 1.3), other", ..library("libz1t64", "1:1.3", "") },
                library("libnotwanted1", "1", ""),
                package("busybox-static", "1:1.37", ""),
                package("isolinux", "3:6.04", ""),
                package(
                    "linux-image-amd64",
                    "6.12.2",
                    "linux-image-6.12.1-amd64 (= 6.12.1) | x1, linux-image-6.12.2-amd64 (= 6.12.2)",
                ),
                package("linux-image-6.12.1-amd64", "6.12.1", "kmod, libc6"),
                package("linux-image-6.12.2-amd64", "6.12.2", "kmod"),
            ],
        ),
        TestSuite {
            date: MADE + 60,
            ..TestSuite::new("trixie-updates", vec![library("libc6", "2.41-2", "libgcc-s1")])
        },
        TestSuite {
            by_hash: false,
            ..TestSuite::new("trixie-security", vec![package("podman", "5.4.2-1~deb13u1", "")])
        },
    ]
}

pub(crate) fn files(suites: &[TestSuite]) -> Files {
    suites.iter().flat_map(|suite| suite.files(key())).collect()
}

/// A project folder that trusts the test key and asks for podman and busybox.
pub(crate) fn project() -> (tempfile::TempDir, Checked) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("packages")).unwrap();
    std::fs::write(dir.path().join("packages/debian-archive-keyring.asc"), key().armoured()).unwrap();
    let text = "schema = 1\n[distro]\nname = \"box\"\nversion = \"1\"\n[root]\nrecipes = [\"podman\", \"busybox\"]\n";
    let distro: Distro = toml::from_str(text).unwrap();
    let recipe = |packages: &[&str]| Recipe {
        schema: 1,
        packages: packages.iter().map(|name| (*name).to_owned()).collect(),
        ..Recipe::default()
    };
    let recipes = [("podman", recipe(&["podman"])), ("busybox", recipe(&["busybox-static"]))];
    let recipes = recipes.map(|(name, recipe)| (name.to_owned(), recipe)).into();
    let dir_path = dir.path().to_owned();
    (
        dir,
        Checked {
            dir: dir_path,
            distro,
            recipes,
            fragments: Vec::new(),
            overlay: Vec::new(),
            flavour: None,
            flavours: Vec::new(),
            flattened: None,
            others: Vec::new(),
        },
    )
}

pub(crate) fn mirrors(bases: &[&str]) -> Mirrors {
    let list: Vec<Mirror> = bases.iter().map(|base| Mirror { base: (*base).to_owned(), proxy: None }).collect();
    Mirrors { plain: list.clone(), security: list }
}

pub(crate) fn fetcher(cache: &Path, mirrors: Mirrors) -> Fetcher {
    let mut fetcher = Fetcher::new(Cache::open(cache).unwrap(), mirrors, false);
    fetcher.first_pause = Duration::from_millis(1);
    fetcher
}

const BUILDER: &[&str] = &["isolinux"];

fn lock_with(checked: &Checked, fetcher: &Fetcher, previous: Option<&Lock>) -> Result<Lock> {
    let indices = Indices::read(checked, fetcher, previous, NOW, &Silent)?;
    resolve(checked, BUILDER, &indices, previous.map(|lock| (lock, &Update::All)), &Silent)
}

/// Locks against one server that holds the suites.
fn lock_suites(suites: &[TestSuite]) -> Result<Lock> {
    let (dir, checked) = project();
    let server = Server::start(files(suites));
    lock_with(&checked, &fetcher(&dir.path().join("cache"), mirrors(&[&server.url])), None)
}

pub(crate) fn lock() -> Lock {
    lock_suites(&suites()).unwrap()
}

fn problem(error: &anyhow::Error) -> (Class, String) {
    let problem = error.chain().find_map(|cause| cause.downcast_ref::<Problem>());
    let problem = problem.unwrap_or_else(|| panic!("no problem in {error:?}"));
    (problem.class, problem.message.clone())
}

#[test]
fn libraries_kernel_and_best_versions_are_locked() {
    let lock = lock();
    let names: Vec<String> = lock.packages.iter().map(|p| format!("{} {} {}", p.name, p.version, p.suite)).collect();
    assert_eq!(
        names,
        [
            "busybox-static 1:1.37 trixie",
            "isolinux 3:6.04 trixie",
            "libassuan0 2 trixie",
            "libc6 2.41-2 trixie-updates",
            "libgcc-s1 14 trixie",
            "libz1t64 1:1.3 trixie",
            "linux-image-6.12.1-amd64 6.12.1 trixie",
            "podman 5.4.2-1 trixie",
        ]
    );
    assert_eq!(lock.kernel, "linux-image-6.12.1-amd64");
    let dates: Vec<&str> = lock.suites.iter().map(|suite| suite.name.as_str()).collect();
    assert_eq!(dates, ["trixie", "trixie-security", "trixie-updates"]);
    assert_eq!(lock.suites[0].date, "2026-09-10T00:00:00Z");
    assert_eq!(lock.package("podman").unwrap().source, "podman (5.4.2-1)");
}

/// The fixture, and a flavour of it that has no podman.
fn two_flavours(checked: Checked) -> Checked {
    let mut small = Checked { flavour: Some("small".into()), ..checked.clone() };
    small.recipes.remove("podman");
    Checked { flavour: Some("whole".into()), others: vec![small], ..checked }
}

#[test]
fn a_lock_serves_all_flavours() {
    let (dir, checked) = project();
    let server = Server::start(files(&suites()));
    let fetcher = fetcher(&dir.path().join("cache"), mirrors(&[&server.url]));
    let alone = lock_with(&checked, &fetcher, None).unwrap();
    let whole = two_flavours(checked.clone());
    let lock = lock_with(&whole, &fetcher, None).unwrap();
    let of = |name: &str| lock.package(name).unwrap().flavours.join(" ");
    assert_eq!(
        (of("podman").as_str(), of("libassuan0").as_str(), of("busybox-static").as_str()),
        ("whole", "whole", "")
    );
    assert_eq!(Lock::parse(&lock.to_text().unwrap()).unwrap(), lock);

    // Of it a flavour has what it would have as a project of its own.
    assert_eq!(check(whole.clone(), lock.clone(), BUILDER).unwrap().lock, alone);
    let mut small = whole.others[0].clone();
    let lock_of_small = lock_with(&small, &fetcher, None).unwrap();
    small.others = vec![Checked { others: Vec::new(), ..whole.clone() }];
    assert_eq!(check(small, lock.clone(), BUILDER).unwrap().lock, lock_of_small);
    // A recipe that moves to another flavour asks for another lock, though all in all it is the same.
    let mut moved = whole.clone();
    moved.recipes.remove("podman");
    moved.others[0].recipes = checked.recipes.clone();
    assert_eq!(problem(&check(moved, lock, BUILDER).unwrap_err()).0, Class::Lock);
}

#[test]
fn a_kernel_from_source_locks_source_and_configuration() {
    let mut suites = suites();
    suites[0].packages.extend([
        package("linux-source", "6.12.2", "linux-source-6.12 (= 6.12.2)"),
        package("linux-source-6.12", "6.12.2", "binutils, xz-utils"),
        package("linux-config-6.12", "6.12.2", ""),
    ]);
    // Of another version than the source.
    suites[2].packages.push(package("linux-config-6.11", "6.11.9", ""));
    let (dir, mut checked) = project();
    checked.distro.kernel.source = KernelSource::Source;
    let server = Server::start(files(&suites));
    let fetcher = fetcher(dir.path(), mirrors(&[&server.url]));
    let lock = lock_with(&checked, &fetcher, None).unwrap();
    let kernels: Vec<&str> =
        lock.packages.iter().map(|package| package.name.as_str()).filter(|name| name.starts_with("linux-")).collect();
    assert_eq!(kernels, ["linux-config-6.12", "linux-source-6.12"]);
    assert_eq!(lock.kernel, "linux-source-6.12");
    checked.distro.kernel.source_package = "linux-sauce".into();
    let (_, message) = problem(&lock_with(&checked, &fetcher, None).unwrap_err());
    assert!(message.starts_with("distro.toml: [kernel] source-package: no package \"linux-sauce\" in "), "{message}");
}

#[test]
fn unknown_packages_are_all_named() {
    let (dir, mut checked) = project();
    checked.recipes.get_mut("podman").unwrap().packages = vec!["podmann".into(), "zzzzzzzz".into()];
    let server = Server::start(files(&suites()));
    let error = lock_with(&checked, &fetcher(dir.path(), mirrors(&[&server.url])), None).unwrap_err();
    let (class, message) = problem(&error);
    assert_eq!(class, Class::Config);
    assert_eq!(
        message,
        "packages/podman.toml: no package \"podmann\" in trixie, trixie-updates, trixie-security (main); did you mean \
         \"podman\"?\npackages/podman.toml: no package \"zzzzzzzz\" in trixie, trixie-updates, trixie-security (main)"
    );
}

#[test]
fn unmet_library_versions_are_named() {
    let mut suites = suites();
    suites[0].packages[0].depends = "libc6 (>= 2.99)";
    let (class, message) = problem(&lock_suites(&suites).unwrap_err());
    assert_eq!(class, Class::Config);
    assert_eq!(message, "podman 5.4.2-1 of trixie depends on libc6 (>= 2.99), but trixie-updates has 2.41-2");
}

#[test]
fn missing_component_is_named() {
    let (dir, mut checked) = project();
    checked.distro.sources.components.push("contrib".into());
    let server = Server::start(files(&suites()));
    let error = lock_with(&checked, &fetcher(dir.path(), mirrors(&[&server.url])), None).unwrap_err();
    let expected = "suite trixie has no component \"contrib\" for amd64".to_owned();
    assert_eq!(problem(&error), (Class::Config, expected));
}

#[test]
fn second_mirror_is_asked_when_the_first_has_nothing_or_something_wrong() {
    let (dir, checked) = project();
    let good = Server::start(files(&suites()));
    let empty = Server::start(Files::new());
    let stranger = TestKey::new();
    let foreign = Server::start(suites().iter().flat_map(|suite| suite.files(&stranger)).collect());
    let moved = Server::start(files(&suites()));
    moved
        .fault("dists/trixie/InRelease", &[Fault::Redirect, Fault::Status(503), Fault::CutAfter(100), Fault::Redirect]);
    for (name, first) in [("empty", &empty), ("foreign", &foreign), ("moved", &moved)] {
        let fetcher = fetcher(&dir.path().join(name), mirrors(&[&first.url, &good.url]));
        assert_eq!(lock_with(&checked, &fetcher, None).unwrap(), lock(), "{name}");
    }
    let (class, message) =
        problem(&lock_with(&checked, &fetcher(dir.path(), mirrors(&[&empty.url, &foreign.url])), None).unwrap_err());
    assert_eq!(class, Class::Verify);
    assert!(message.contains(&stranger.fingerprint()), "{message}");
    let (class, message) =
        problem(&lock_with(&checked, &fetcher(dir.path(), mirrors(&[&empty.url])), None).unwrap_err());
    assert_eq!(class, Class::Network);
    assert!(message.ends_with("/dists/trixie/InRelease: HTTP status 404"), "{message}");
    let (class, _) = problem(&lock_with(&checked, &fetcher(dir.path(), mirrors(&[])), None).unwrap_err());
    assert_eq!(class, Class::Network);
    let mut offline = fetcher(dir.path(), mirrors(&[&good.url]));
    offline.offline = true;
    assert_eq!(problem(&lock_with(&checked, &offline, None).unwrap_err()).0, Class::Network);
}

#[test]
fn folder_is_a_mirror() {
    let (dir, checked) = project();
    let archive = dir.path().join("archive");
    write_files(&archive, &files(&suites()));
    let base = format!("file://{}", archive.display());
    assert_eq!(lock_with(&checked, &fetcher(dir.path(), mirrors(&[&base])), None).unwrap(), lock());
}

#[test]
fn proxy_is_asked_in_its_own_form() {
    let (dir, checked) = project();
    let proxy = Server::start(files(&suites()));
    let sources = crate::config::Sources {
        mirrors: vec!["http://mirror.invalid".into()],
        security_mirrors: vec!["http://mirror.invalid".into()],
        ..crate::config::Sources::default()
    };
    let env = |name: &str| (name == "http_proxy").then(|| proxy.url.clone());
    let mirrors = Mirrors::resolve(&sources, &Apt::default(), &env).unwrap();
    proxy.fault("dists/trixie/InRelease", &[Fault::CutAfter(10)]);
    assert_eq!(lock_with(&checked, &fetcher(dir.path(), mirrors), None).unwrap(), lock());
}

#[test]
fn releases_are_refused() {
    let changed = |change: fn(&mut TestSuite)| {
        let mut suites = suites();
        change(&mut suites[0]);
        let error = lock_suites(&suites).unwrap_err();
        let (class, message) = problem(&error);
        assert_eq!(class, Class::Verify, "{message}");
        message
    };
    assert!(changed(|suite| suite.valid_until = Some(NOW - 1)).contains("it was valid until"));
    assert!(changed(|suite| suite.date = NOW + 86_400).contains("it was made at"));

    // A suite under the name of another one.
    let (dir, checked) = project();
    let mut all = files(&suites());
    let updates = all["dists/trixie-updates/InRelease"].clone();
    all.insert("dists/trixie/InRelease".into(), updates);
    let server = Server::start(all);
    let (class, message) =
        problem(&lock_with(&checked, &fetcher(dir.path(), mirrors(&[&server.url])), None).unwrap_err());
    assert_eq!(class, Class::Verify);
    assert!(message.ends_with("it describes suite trixie-updates-suite (code name trixie-updates)"), "{message}");
}

#[test]
fn roll_back_is_refused() {
    let (dir, checked) = project();
    let server = Server::start(files(&suites()));
    let fetcher = fetcher(dir.path(), mirrors(&[&server.url]));
    let first = lock_with(&checked, &fetcher, None).unwrap();
    lock_with(&checked, &fetcher, Some(&first)).unwrap();
    let mut older = suites();
    older[1].date = MADE + 59;
    older.iter().flat_map(|suite| suite.files(key())).for_each(|(path, bytes)| server.replace(&path, &bytes));
    let (class, message) = problem(&lock_with(&checked, &fetcher, Some(&first)).unwrap_err());
    assert_eq!(class, Class::Verify);
    assert!(message.contains("Release file of trixie-updates at"), "{message}");
    assert!(message.contains("before the one that packages/lock.toml was made from"), "{message}");
}

#[test]
fn tampered_index_is_refused() {
    let (dir, checked) = project();
    let server = Server::start(files(&suites()));
    let all = files(&suites());
    let index = all.keys().find(|path| path.starts_with("dists/trixie/main/binary-amd64/by-hash")).unwrap();
    let mut bytes = all[index].clone();
    bytes[40] ^= 1;
    server.replace(index, &bytes);
    let (class, message) =
        problem(&lock_with(&checked, &fetcher(dir.path(), mirrors(&[&server.url])), None).unwrap_err());
    assert_eq!(class, Class::Verify);
    assert!(message.starts_with("package index of trixie: not what Release says"), "{message}");
}

#[test]
fn lock_is_written_and_read_back() {
    let (dir, checked) = project();
    let missing = problem(&Lock::read(dir.path()).unwrap_err());
    assert_eq!(missing.0, Class::Lock);
    assert_eq!(Lock::read_if_present(dir.path()).unwrap(), None);
    let lock = lock();
    lock.write(dir.path()).unwrap();
    lock.write(dir.path()).unwrap();
    assert_eq!(Lock::read(dir.path()).unwrap(), lock);
    let text = std::fs::read_to_string(dir.path().join(PATH)).unwrap();
    assert!(text.starts_with("# Written by `mkdistro lock`"));
    assert!(text.contains("\n[[package]]\nname = \"podman\"\nversion = \"5.4.2-1\"\nsuite = \"trixie\"\n"), "{text}");
    assert_eq!(std::fs::read_dir(dir.path().join("packages")).unwrap().count(), 2);
    let line = line_of(dir.path(), &lock.package("podman").unwrap().sha256).unwrap();
    assert!(text.lines().nth(line - 1).unwrap().starts_with("sha256 = "));

    check(checked.clone(), lock.clone(), BUILDER).unwrap();
    let mut more = checked.clone();
    more.recipes.get_mut("podman").unwrap().packages.push("crun".into());
    let (class, message) = problem(&check(more, lock.clone(), BUILDER).unwrap_err());
    assert_eq!(class, Class::Lock);
    assert!(message.ends_with("; not in it: crun"), "{message}");
    let mut other_suite = checked;
    other_suite.distro.sources.suites.pop();
    assert_eq!(problem(&check(other_suite, lock, BUILDER).unwrap_err()).0, Class::Lock);
}

#[test]
fn locks_that_cannot_be_are_refused() {
    let text = lock().to_text().unwrap();
    let sha256 = lock().package("podman").unwrap().sha256.clone();
    let podman = "path = \"pool/main/podman_5.4.2-1_amd64.deb\"";
    for (find, replace, reason) in [
        ("schema = 1", "schema = 2", "schema 2"),
        ("schema = 1", "schema = 1\nmore = 1", "unknown field `more`"),
        (podman, "path = \"../../etc/passwd\"", "is not a path below a mirror"),
        (podman, "path = \"/etc/passwd\"", "is not a path below a mirror"),
        (podman, "path = \"pool/a b\"", "is not a path below a mirror"),
        (sha256.as_str(), "abc", "is not a sha256"),
        ("name = \"podman\"", "name = \"../podman\"", "malformed name"),
        ("name = \"podman\"", "name = \"isolinux\"", "package isolinux: listed twice or out of order"),
        ("version = \"5.4.2-1\"", "version = \"5 4\"", "malformed version"),
        ("name = \"trixie-updates\"", "name = \"trixie\"", "suite trixie: malformed date or second entry"),
        ("date = \"2026-09-10T00:00:00Z\"", "date = \"yesterday\"", "malformed date"),
        ("kernel = \"linux-image-6.12.1-amd64\"", "kernel = \"linux\"", "the kernel's package \"linux\" is not in it"),
        ("request = \"", "request = \"x", "request is not a sha256"),
    ] {
        assert!(text.contains(find), "{find}");
        let (class, message) = problem(&Lock::parse(&text.replace(find, replace)).unwrap_err());
        assert_eq!(class, Class::Lock);
        assert!(message.contains(reason), "{message}");
    }
    let (_, message) = problem(&Lock::parse(&text.replace(podman, "path = \"a//b\"")).unwrap_err());
    assert!(message.starts_with("reading packages/lock.toml: line "), "{message}");
    assert!(Lock::parse("").is_err());
    assert!(Lock::parse(&text[..text.len() / 2]).is_err());
}

#[test]
fn differences_are_told() {
    let old = lock();
    let mut new = old.clone();
    new.packages.retain(|package| package.name != "isolinux");
    new.packages.iter_mut().find(|package| package.name == "podman").unwrap().version = "5.5".into();
    new.packages.iter_mut().find(|package| package.name == "libc6").unwrap().sha256 = "0".repeat(64);
    new.packages.iter_mut().find(|package| package.name == "podman").unwrap().size += 2_000_000;
    let isolinux = old.package("isolinux").unwrap().size;
    let added = LockedPackage { name: "zz".into(), version: "1".into(), ..old.packages[0].clone() };
    new.packages.push(added);
    assert_eq!(
        new.diff(&old),
        [
            format!("removed isolinux 3:6.04 (-{isolinux} B)"),
            "changed libc6 2.41-2 (another file of the same version)".into(),
            "changed podman 5.4.2-1 → 5.5 (+2.0 MB)".into(),
            format!("added zz 1 (+{} B)", old.packages[0].size),
        ]
    );
    assert_eq!(old.diff(&old), Vec::<String>::new());
}
