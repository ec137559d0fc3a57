use std::fs;

use super::*;
use crate::lock::tests::{lock, project};
use crate::lock::{Lock, Request};

fn subject(folder: &Path) -> Subject {
    let mirrors = vec![format!("file://{}", folder.join("no-archive").display())];
    Subject { project: folder.to_path_buf(), cache: folder.join("cache"), mirrors, offline: true }
}

fn state(report: &Report, name: &str) -> State {
    report.checks.iter().find(|finding| finding.name == name).map(|finding| finding.state).unwrap()
}

#[test]
fn the_table_names_state_need_and_remedy() {
    let findings = vec![
        Finding::ok("lock", BUILD, "57 packages"),
        Finding::bad("QEMU", "run", State::Missing, "not found", "sudo apt-get install qemu-system-x86"),
        Finding::bad("disk space", BUILD, State::Broken, "3.0 MB free", ""),
    ];
    let report = Report::new(findings.clone());
    assert!(!report.ready);
    assert_eq!(
        report.to_text(),
        "ok       lock        57 packages\n\
         missing  QEMU        not found (for run)\n\
         \x20                    → sudo apt-get install qemu-system-x86\n\
         broken   disk space  3.0 MB free (for build)\n"
    );
    let report = Report::new(findings[..2].to_vec());
    assert!(report.ready, "what only run needs does not matter");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!((&json["schema"], &json["ready"]), (&1.into(), &true.into()));
    let expected = serde_json::json!({
        "name": "QEMU", "state": "missing", "found": "not found", "needed-by": "run",
        "fix": "sudo apt-get install qemu-system-x86",
    });
    assert_eq!(json["checks"][1], expected);
}

#[test]
fn a_folder_that_is_no_project() {
    let dir = tempfile::tempdir().unwrap();
    let report = examine(&subject(dir.path())).unwrap();
    assert_eq!(state(&report, "project"), State::Missing);
    assert!(report.ready, "{}", report.to_text());
    assert!(!dir.path().join("cache").exists(), "looking changes nothing");
}

#[test]
fn a_project_step_by_step() {
    let (dir, checked) = project();
    let distro = toml::to_string(&checked.distro).unwrap();
    fs::write(dir.path().join("distro.toml"), distro).unwrap();
    for (name, recipe) in &checked.recipes {
        let text = format!("schema = 1\nsummary = \"a test\"\npackages = {:?}\n", recipe.packages);
        fs::write(dir.path().join(format!("packages/{name}.toml")), text).unwrap();
    }
    let report = examine(&subject(dir.path())).unwrap();
    assert_eq!((state(&report, "project"), state(&report, "lock")), (State::Ok, State::Missing));
    assert!(report.ready, "a build makes the lock");

    let request = Request::of(&checked, crate::image::BOOT_PACKAGES).hash();
    let lock = Lock { request, ..lock() };
    lock.write(dir.path()).unwrap();
    let report = examine(&subject(dir.path())).unwrap();
    assert_eq!((state(&report, "lock"), state(&report, "key ring")), (State::Ok, State::Ok));
    let total: u64 = lock.packages.iter().map(|package| package.size).sum();
    let (known, _) = project::check(dir.path());
    let cache = dir.path().join("cache");
    assert_eq!(storage::missing_downloads(&cache, known.locked.as_ref()), Some(total));
    let first = &lock.packages[0];
    let path = cache.join("sha256").join(&first.sha256[..2]);
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join(&first.sha256), vec![0; first.size as usize]).unwrap();
    assert_eq!(storage::missing_downloads(&cache, known.locked.as_ref()), Some(total - first.size));

    fs::write(dir.path().join("packages/debian-archive-keyring.asc"), "no keys").unwrap();
    fs::write(dir.path().join("packages/lock.toml"), "schema = 1\n").unwrap();
    let report = examine(&subject(dir.path())).unwrap();
    assert_eq!((state(&report, "lock"), state(&report, "key ring")), (State::Broken, State::Broken));

    fs::write(dir.path().join("distro.toml"), "schema = 1\n").unwrap();
    let report = examine(&subject(dir.path())).unwrap();
    assert_eq!(state(&report, "project"), State::Broken);
    assert!(!report.ready);
}

#[test]
fn a_cache_without_room_or_permission() {
    let dir = tempfile::tempdir().unwrap();
    let finding = storage::cache(dir.path(), Some(u64::MAX));
    assert_eq!(finding.state, State::Broken);
    assert!(finding.found.ends_with("to come"), "{}", finding.found);
    fs::write(dir.path().join("file"), "").unwrap();
    assert_eq!(storage::cache(&dir.path().join("file/below"), None).state, State::Broken);
    assert_eq!(storage::cache(&dir.path().join("not/yet/there"), Some(5)).state, State::Ok);
}

#[test]
fn devices_and_firmware_that_are_not_there() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(host::kvm(&dir.path().join("kvm")).state, State::Missing);
    assert_eq!(host::kvm(dir.path()).state, State::Broken);
    assert_eq!(host::firmware(&[&dir.path().join("a"), dir.path()]).state, State::Ok);
    assert_eq!(host::firmware(&[&dir.path().join("a")]).state, State::Missing);
}
