//! The store under damage and company, and records of builds that must never be believed wrongly.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;

use super::unchanged::{Inputs, Output};
use super::*;
use crate::config;
use crate::root::testing::{project, write};

const KEY: Key = [7; 32];

fn put(store: &Store, key: &Key, content: &[u8]) -> Option<()> {
    store.keep(Kind::Piece, key, |out| out.write_all(content))
}

#[test]
fn keeps_what_it_is_given() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path());
    assert_eq!((store.read(Kind::Piece, &KEY), store.map(Kind::Piece, &KEY)), (None, None));
    for content in [&b""[..], b"x", &[3; 300_000]] {
        put(&store, &KEY, content).unwrap();
        assert_eq!(store.read(Kind::Piece, &KEY).unwrap(), content);
        assert_eq!(store.map(Kind::Piece, &KEY).unwrap(), content);
    }
    assert_eq!(store.read(Kind::Block, &KEY), None);
    assert_eq!(store.read(Kind::Piece, &[8; 32]), None);
    assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
    assert!(put(&Store::none(), &KEY, b"x").is_none() && Store::none().read(Kind::Piece, &KEY).is_none());
}

#[test]
fn what_is_damaged_is_absent_and_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path());
    let path = store.path(Kind::Piece, &KEY).unwrap();
    put(&store, &KEY, b"content").unwrap();
    let good = fs::read(&path).unwrap();
    let other = store.path(Kind::Piece, &[8; 32]).unwrap();
    fs::create_dir_all(other.parent().unwrap()).unwrap();
    fs::copy(&path, &other).unwrap();
    assert_eq!(store.read(Kind::Piece, &[8; 32]), None, "a file under another's name");
    for length in 0..good.len() {
        fs::write(&path, &good[..length]).unwrap();
        assert_eq!((store.read(Kind::Piece, &KEY), store.map(Kind::Piece, &KEY)), (None, None), "{length} bytes");
    }
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&path, &bad).unwrap();
        assert_eq!((store.read(Kind::Piece, &KEY), store.map(Kind::Piece, &KEY)), (None, None), "byte {at}");
    }
    put(&store, &KEY, b"content").unwrap();
    assert_eq!(fs::read(&path).unwrap(), good);
}

#[test]
fn a_failed_write_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path());
    let full = |out: &mut dyn Write| out.write_all(b"half").and(Err(io::Error::from(io::ErrorKind::StorageFull)));
    assert!(store.keep(Kind::Piece, &KEY, full).is_none());
    assert_eq!(store.read(Kind::Piece, &KEY), None);
    assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
    let blocked = dir.path().join("blocked");
    fs::write(&blocked, "a file where the cache should be").unwrap();
    assert!(put(&Store::open(&blocked), &KEY, b"x").is_none());
}

#[test]
fn writers_and_readers_do_not_meet() {
    let dir = tempfile::tempdir().unwrap();
    let (store, ended) = (Store::open(dir.path()), AtomicBool::new(false));
    let content = |key: u8| vec![key; 10_000 + usize::from(key)];
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    (0..5).for_each(|key| drop(put(&store, &[key; 32], &content(key))));
                }
            });
        }
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                let _ = fs::remove_file(store.path(Kind::Piece, &[2; 32]).unwrap());
            }
        });
        for round in 0..2000 {
            let key = (round % 5) as u8;
            let read = if round % 2 == 0 { store.read(Kind::Piece, &[key; 32]) } else { None };
            let mapped = store.map(Kind::Piece, &[key; 32]);
            assert!(read.is_none_or(|found| found == content(key)));
            assert!(mapped.is_none_or(|found| found == content(key)));
        }
        ended.store(true, Ordering::Relaxed);
    });
}

#[test]
fn use_is_noted_once_a_day() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path());
    put(&store, &KEY, b"x").unwrap();
    let path = store.path(Kind::Piece, &KEY).unwrap();
    for (hours, noted) in [(1, false), (23, false), (25, true), (24 * 20, true)] {
        let then = SystemTime::now() - Duration::from_secs(hours * 3600);
        File::options().write(true).open(&path).unwrap().set_modified(then).unwrap();
        store.read(Kind::Piece, &KEY).unwrap();
        let now = fs::metadata(&path).unwrap().modified().unwrap();
        assert_eq!(now != then, noted, "{hours} h");
    }
}

#[test]
fn parts_of_a_key_do_not_run_together() {
    assert_ne!(key(&[b"ab", b"c"]), key(&[b"a", b"bc"]));
    assert_ne!(key(&[b"a"]), key(&[b"a", b""]));
    assert!(builder().is_some());
}

/// A project with a cache and an output that was built from it.
struct Built {
    dir: TempDir,
    cache: TempDir,
}

impl Built {
    fn new() -> Self {
        let files = [("overlay/etc/motd", "hello"), ("overlay/bin/run", "x"), ("packages/lock.toml", "locked")];
        let built = Self { dir: project(&[("base", "")], &files), cache: tempfile::tempdir().unwrap() };
        built.build();
        built
    }

    fn inputs(&self, settings: &str) -> Inputs {
        let checked = config::load(self.dir.path()).unwrap();
        Inputs::take(self.cache.path(), &checked, &self.output(), vec![settings.into()]).unwrap()
    }

    fn output(&self) -> PathBuf {
        self.dir.path().join("out.iso")
    }

    fn build(&self) {
        let inputs = self.inputs("a");
        fs::write(self.output(), "image").unwrap();
        inputs.record(&[self.written()]);
    }

    fn written(&self) -> Output {
        Output { path: self.output(), sha256: crate::archive::testing::sha256(b"image") }
    }

    #[track_caller]
    fn assert_unchanged(&self, expected: bool) {
        assert_eq!(self.inputs("a").unchanged(), expected.then(|| vec![self.written()]));
    }

    /// Makes every stamp old enough to be trusted, and the record newer than that.
    fn settle(&self) {
        std::thread::sleep(Duration::from_millis(3100));
        self.assert_unchanged(true);
    }
}

#[test]
fn the_same_twice_is_unchanged() {
    let built = Built::new();
    built.assert_unchanged(true);
    assert_eq!(built.inputs("b").unchanged(), None, "other settings");
    built.assert_unchanged(true);
    // A copy of a file, a checkout: new stamps, old content.
    write(built.dir.path(), "overlay/etc/motd", "hello");
    built.assert_unchanged(true);
}

#[test]
fn every_change_counts() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 15] = [
        ("distro.toml", |dir| {
            let text = fs::read_to_string(dir.join("distro.toml")).unwrap();
            fs::write(dir.join("distro.toml"), text.replace("zstd:1", "zstd:2")).unwrap();
        }),
        ("the lock", |dir| write(dir, "packages/lock.toml", "Locked")),
        ("a new recipe", |dir| write(dir, "packages/other.toml", "schema = 1\nsummary = \"x\"\n")),
        ("a fragment", |dir| write(dir, "kernel-config/x.config", "CONFIG_X=y\n")),
        ("a file of the overlay, of the same length", |dir| write(dir, "overlay/etc/motd", "Hello")),
        ("its mode", |dir| fs::set_permissions(dir.join("overlay/bin/run"), Permissions::from_mode(0o755)).unwrap()),
        ("a file more", |dir| write(dir, "overlay/etc/issue", "")),
        ("a file less", |dir| fs::remove_file(dir.join("overlay/bin/run")).unwrap()),
        ("a folder more", |dir| fs::create_dir(dir.join("overlay/srv")).unwrap()),
        ("a link instead", |dir| {
            fs::remove_file(dir.join("overlay/etc/motd")).unwrap();
            std::os::unix::fs::symlink("issue", dir.join("overlay/etc/motd")).unwrap();
        }),
        ("no output", |dir| fs::remove_file(dir.join("out.iso")).unwrap()),
        ("an altered output", |dir| fs::write(dir.join("out.iso"), "Image").unwrap()),
        ("an empty output", |dir| fs::write(dir.join("out.iso"), "").unwrap()),
        ("a folder for an output", |dir| {
            fs::remove_file(dir.join("out.iso")).unwrap();
            fs::create_dir(dir.join("out.iso")).unwrap();
        }),
        ("an altered output with the old times", |dir| {
            let path = dir.join("out.iso");
            let time = fs::metadata(&path).unwrap().modified().unwrap();
            fs::write(&path, "imagE").unwrap();
            File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        }),
    ];
    // At once, when no stamp can be trusted, and later, when all are.
    for settled in [false, true] {
        let all: Vec<Built> = changes.iter().map(|_| Built::new()).collect();
        if settled {
            std::thread::sleep(Duration::from_millis(3100));
            all.iter().for_each(|built| built.assert_unchanged(true));
        }
        for ((what, change), built) in changes.iter().zip(&all) {
            change(built.dir.path());
            assert_eq!(built.inputs("a").unchanged(), None, "{what}, settled: {settled}");
        }
    }
}

#[test]
fn a_change_during_the_build_is_no_record() {
    let built = Built::new();
    let inputs = built.inputs("a");
    write(built.dir.path(), "overlay/etc/motd", "Hello");
    inputs.record(&[built.written()]);
    assert_eq!(built.inputs("a").unchanged(), None);
    write(built.dir.path(), "overlay/etc/motd", "hello");
    built.assert_unchanged(true);
}

#[test]
fn stamps_are_believed_once_they_are_old() {
    let built = Built::new();
    let record = || {
        let folder = fs::read_dir(built.cache.path().join("builds")).unwrap().next().unwrap().unwrap().path();
        serde_json::from_slice::<serde_json::Value>(&fs::read(folder).unwrap()).unwrap()
    };
    assert!(record()["outputs"][0]["stamp"].is_null(), "somebody may have written to it already");
    let first = record()["taken"].clone();
    built.settle();
    let later = record();
    assert!(later["outputs"][0]["stamp"].is_object());
    assert_ne!(later["taken"], first, "stamps were looked at again");
    built.assert_unchanged(true);
    assert_eq!(record(), later, "nothing more to learn");
}

#[test]
fn a_damaged_record_is_none() {
    let built = Built::new();
    let folder = built.cache.path().join("builds");
    let record = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let text = fs::read_to_string(&record).unwrap();
    for wrong in ["", "{}", &text[..text.len() / 2], &text.replace("\"schema\":1", "\"schema\":2")] {
        fs::write(&record, wrong).unwrap();
        assert_eq!(built.inputs("a").unchanged(), None, "{wrong}");
    }
}
