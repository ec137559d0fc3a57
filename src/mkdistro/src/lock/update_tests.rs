//! What a new lock keeps of the old one, and what the suites have since.

use super::tests::{fetcher, files, mirrors, project, suites};
use super::*;
use crate::archive::testing::{MADE, NOW, Server, TestPackage, TestSuite};
use crate::fetch::Fetcher;
use crate::problem::exit_code;
use crate::progress::Silent;

/// An archive that moves on.
struct Archive {
    _dir: tempfile::TempDir,
    checked: Checked,
    server: Server,
    fetcher: Fetcher,
}

impl Archive {
    fn new() -> Self {
        let (dir, checked) = project();
        let server = Server::start(files(&suites()));
        let fetcher = fetcher(&dir.path().join("cache"), mirrors(&[&server.url]));
        Self { _dir: dir, checked, server, fetcher }
    }

    fn publish(&self, suites: &[TestSuite]) {
        files(suites).iter().for_each(|(path, bytes)| self.server.replace(path, bytes));
    }

    fn indices(&self) -> Indices {
        Indices::read(&self.checked, &self.fetcher, None, NOW, &Silent).unwrap()
    }

    fn lock(&self, previous: Option<(&Lock, &Update)>) -> Result<Lock> {
        resolve(&self.checked, &["isolinux"], &self.indices(), previous, &Silent)
    }
}

fn version<'a>(lock: &'a Lock, name: &str) -> &'a str {
    &lock.package(name).unwrap().version
}

/// A package of [`suites`] in another version.
fn set(suites: &mut [TestSuite], suite: usize, name: &str, version: &'static str) {
    let package = suites[suite].packages.iter_mut().find(|package| package.name == name).unwrap();
    package.version = version;
    package.content = format!("content of {name} {version}").into_bytes();
}

/// podman and busybox move; libassuan0 does in another suite; a kernel comes, and the old one goes.
fn later() -> Vec<TestSuite> {
    let mut suites = suites();
    set(&mut suites, 0, "busybox-static", "1:1.38");
    set(&mut suites, 0, "linux-image-amd64", "6.12.9");
    suites[0].packages.retain(|package| !package.name.starts_with("linux-image-6"));
    suites[0].packages.iter_mut().find(|package| package.name == "linux-image-amd64").unwrap().depends =
        "linux-image-6.12.9-amd64";
    let kernel = TestPackage {
        name: "linux-image-6.12.9-amd64",
        version: "6.12.9",
        content: b"kernel".to_vec(),
        ..TestPackage::default()
    };
    suites[2].packages.push(kernel);
    let library = suites[0].packages.iter().find(|package| package.name == "libassuan0").unwrap().clone();
    suites[1].packages.push(TestPackage { version: "3", content: b"libassuan0 3".to_vec(), ..library });
    set(&mut suites, 2, "podman", "5.4.2-1+deb13u1");
    let depends = suites[0].packages[0].depends;
    suites[2].packages.iter_mut().find(|package| package.name == "podman").unwrap().depends = depends;
    suites[2].date = MADE + 90;
    suites
}

#[test]
fn a_lock_keeps_what_it_has() {
    let archive = Archive::new();
    let old = archive.lock(None).unwrap();
    archive.publish(&later());
    let kept = archive.lock(Some((&old, &Update::Nothing))).unwrap();
    assert_eq!(kept.packages, old.packages);
    assert_eq!(kept.kernel, "linux-image-6.12.1-amd64");
    // podman's own version is no longer listed, and the new one wants another library.
    let mut superseded = later();
    superseded[0].packages.remove(0);
    superseded[2].packages.iter_mut().find(|package| package.name == "podman").unwrap().depends =
        "libc6 (>= 2.99), libassuan0, libz1";
    archive.publish(&superseded);
    assert_eq!(archive.lock(Some((&old, &Update::Nothing))).unwrap().packages, old.packages);
    archive.publish(&later());
    // The suites' dates do move: nothing older is taken from now on.
    assert_ne!(kept.suites, old.suites);
    let new = archive.lock(Some((&old, &Update::All))).unwrap();
    assert_eq!(new, archive.lock(None).unwrap());
    let sizes = |name: &str| (new.package(name).unwrap().size, old.package(name).unwrap().size);
    let (bytes, before) = sizes("podman");
    assert_eq!(
        new.diff(&old),
        [
            "changed busybox-static 1:1.37 → 1:1.38 (+0 B)".to_string(),
            "changed libassuan0 2 → 3 (-11 B)".into(),
            format!("removed linux-image-6.12.1-amd64 6.12.1 (-{} B)", old.package(&old.kernel).unwrap().size),
            "added linux-image-6.12.9-amd64 6.12.9 (+6 B)".into(),
            format!("changed podman 5.4.2-1 → 5.4.2-1+deb13u1 (+{} B)", bytes - before),
        ]
    );
}

#[test]
fn what_two_suites_have_stays_with_the_first() {
    let archive = Archive::new();
    let old = archive.lock(None).unwrap();
    let mut suites = suites();
    let library = suites[0].packages.iter().find(|package| package.name == "libassuan0").unwrap().clone();
    suites[2].packages.push(library);
    archive.publish(&suites);
    for update in [Update::Nothing, Update::All] {
        let new = archive.lock(Some((&old, &update))).unwrap();
        assert_eq!(new.package("libassuan0"), old.package("libassuan0"));
    }
    // Left by the first, it comes from the other one's pool.
    suites[0].packages.retain(|package| package.name != "libassuan0");
    archive.publish(&suites);
    let new = archive.lock(Some((&old, &Update::Nothing))).unwrap();
    let moved = new.package("libassuan0").unwrap();
    assert_eq!(moved.suite, "trixie-security");
    assert!(moved.path.starts_with("pool/updates/main/"), "{}", moved.path);
}

#[test]
fn only_what_is_named_moves() {
    let archive = Archive::new();
    let old = archive.lock(None).unwrap();
    archive.publish(&later());
    let only = |names: &[&str]| Update::Only(names.iter().map(|name| (*name).to_owned()).collect());
    let new = archive.lock(Some((&old, &only(&["busybox-static"])))).unwrap();
    assert_eq!(new.diff(&old), ["changed busybox-static 1:1.37 → 1:1.38 (+0 B)"]);
    let new = archive.lock(Some((&old, &only(&["linux-image-6.12.1-amd64"])))).unwrap();
    assert_eq!((new.kernel.as_str(), new.diff(&old).len()), ("linux-image-6.12.9-amd64", 2));
    let error = archive.lock(Some((&old, &only(&["busybox-statik"])))).unwrap_err();
    assert_eq!(exit_code(&error), contract::exit::CONFIG);
    assert_eq!(error.to_string(), "updating busybox-statik: it is not in packages/lock.toml");
}

#[test]
fn what_is_needed_in_another_version_moves_too() {
    let archive = Archive::new();
    let old = archive.lock(None).unwrap();
    let mut suites = later();
    suites[2].packages.iter_mut().find(|package| package.name == "podman").unwrap().depends = "libassuan0 (>= 3)";
    archive.publish(&suites);
    // The library is kept, until the new podman wants another one.
    let new = archive.lock(Some((&old, &Update::Only(vec!["podman".into()])))).unwrap();
    assert_eq!((version(&new, "podman"), version(&new, "libassuan0")), ("5.4.2-1+deb13u1", "3"));
    assert_eq!(version(&new, "busybox-static"), "1:1.37");
    // podman is kept, until the new library is not what it wants.
    suites[0].packages[0].depends = "libassuan0 (= 2)";
    archive.publish(&suites);
    let new = archive.lock(Some((&old, &Update::Only(vec!["libassuan0".into()])))).unwrap();
    assert_eq!((version(&new, "podman"), version(&new, "libassuan0")), ("5.4.2-1+deb13u1", "3"));
}

#[test]
fn another_flavour_of_the_kernel_is_taken() {
    let mut archive = Archive::new();
    let old = archive.lock(None).unwrap();
    let mut suites = later();
    suites[0].packages.push(TestPackage {
        name: "linux-image-cloud-amd64",
        version: "6.12.9",
        content: b"cloud".to_vec(),
        ..TestPackage::default()
    });
    archive.publish(&suites);
    archive.checked.distro.kernel.package = "linux-image-cloud-amd64".into();
    let new = archive.lock(Some((&old, &Update::Nothing))).unwrap();
    assert_eq!(new.kernel, "linux-image-cloud-amd64");
    assert_eq!(
        outdated(&archive.checked, &old, &archive.indices()).unwrap().iter().find(|o| o.name == old.kernel),
        None
    );
}

#[test]
fn lower_versions_are_refused() {
    let archive = Archive::new();
    let old = archive.lock(None).unwrap();
    let mut suites = suites();
    set(&mut suites, 0, "busybox-static", "1:1.36");
    suites[0].date = MADE + 90;
    archive.publish(&suites);
    let error = archive.lock(Some((&old, &Update::All))).unwrap_err();
    assert_eq!(exit_code(&error), contract::exit::VERIFY);
    assert_eq!(
        error.to_string(),
        "versions went back:\n  busybox-static: packages/lock.toml has 1:1.37 of trixie, now 1:1.36 is the highest"
    );
    archive.lock(Some((&old, &Update::Nothing))).unwrap();
    archive.lock(None).unwrap();
    // libc6 is of trixie-updates: without that suite its version goes back, and is meant to.
    let mut fewer = archive;
    fewer.checked.distro.sources.suites.retain(|suite| suite != "trixie-updates");
    set(&mut suites, 0, "busybox-static", "1:1.37");
    fewer.publish(&suites);
    let new = fewer.lock(Some((&old, &Update::Nothing))).unwrap();
    assert_eq!((version(&old, "libc6"), version(&new, "libc6")), ("2.41-2", "2.41-1"));
}

#[test]
fn newer_versions_are_listed() {
    let archive = Archive::new();
    let old = archive.lock(None).unwrap();
    let found = |lock: &Lock| outdated(&archive.checked, lock, &archive.indices()).unwrap();
    assert_eq!(found(&old), []);
    let mut suites = later();
    // A point release has the security update too.
    set(&mut suites, 0, "podman", "5.4.2-1+deb13u1");
    archive.publish(&suites);
    let lines: Vec<String> = found(&old)
        .iter()
        .map(|newer| {
            format!("{} {} {} {} {:?}", newer.name, newer.newest, newer.suite, newer.security, newer.replaced_by)
        })
        .collect();
    assert_eq!(
        lines,
        [
            "busybox-static 1:1.38 trixie false None",
            "libassuan0 3 trixie-updates false None",
            "linux-image-6.12.1-amd64 6.12.9 trixie-security true Some(\"linux-image-6.12.9-amd64\")",
            "podman 5.4.2-1+deb13u1 trixie true None",
        ]
    );
    assert_eq!(found(&archive.lock(Some((&old, &Update::All))).unwrap()), []);
}
