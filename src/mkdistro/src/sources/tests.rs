use std::collections::BTreeSet;
use std::path::Path;

use super::{Located, fetch, locate};
use crate::archive::date;
use crate::archive::testing::{Files, MADE, NOW, release_date, sha256, write_files};
use crate::lock::tests::{fetcher, key, mirrors, project};
use crate::lock::{Lock, Locked, LockedSuite};
use crate::problem::exit_code;
use crate::progress::Silent;
use crate::sbom::Source;

const DSC: &[u8] = b"Format: 3.0 (quilt)\n";
const TARBALL: &[u8] = b"not really";

/// An archive with one suite that has `libpod 5.4-1`, perhaps signed for a limited time.
fn archive(valid_until: Option<u64>) -> Files {
    let index = format!(
        "Package: libpod\nVersion: 5.4-1\nDirectory: pool/main/libp/libpod\nChecksums-Sha256:\n {} {} libpod_5.4-1.dsc\n \
         {} {} libpod_5.4.orig.tar.xz\n",
        sha256(DSC),
        DSC.len(),
        sha256(TARBALL),
        TARBALL.len()
    );
    let until = valid_until.map_or(String::new(), |until| format!("Valid-Until: {}\n", release_date(until)));
    let release = format!(
        "Origin: Test\nSuite: stable\nCodename: trixie\nDate: {}\n{until}Components: main\nSHA256:\n {} {} \
         main/source/Sources\n",
        release_date(MADE),
        sha256(index.as_bytes()),
        index.len()
    );
    Files::from([
        ("dists/trixie/InRelease".to_owned(), key().sign(&release).into_bytes()),
        ("dists/trixie/main/source/Sources".to_owned(), index.into_bytes()),
        ("pool/main/libp/libpod/libpod_5.4-1.dsc".to_owned(), DSC.to_vec()),
        ("pool/main/libp/libpod/libpod_5.4.orig.tar.xz".to_owned(), TARBALL.to_vec()),
    ])
}

/// Looks for a version of libpod and fetches it into `out` of the project's folder.
fn run(dir: &Path, files: &Files, version: &str) -> anyhow::Result<Vec<Located>> {
    let (_keep, checked) = project();
    write_files(&dir.join("mirror"), files);
    let fetcher = fetcher(&dir.join("cache"), mirrors(&[&format!("file://{}", dir.join("mirror").display())]));
    let suites = vec![LockedSuite { name: "trixie".into(), date: date::format_rfc3339(MADE) }];
    let lock = Lock {
        schema: 1,
        request: String::new(),
        kernel: String::new(),
        suites,
        packages: Vec::new(),
        images: Vec::new(),
    };
    let locked = Locked { checked, lock };
    let wanted = Source { name: "libpod".into(), version: version.into() };
    let located = locate(&locked, &BTreeSet::from([&wanted]), &fetcher, NOW, &Silent)?;
    fetch(&located, &dir.join("out"), &fetcher, &Silent)?;
    Ok(located)
}

#[test]
fn sources_are_found_and_fetched() {
    // A snapshot archive's Release files are long past their time.
    for valid_until in [None, Some(NOW + 60), Some(MADE + 60)] {
        let dir = tempfile::tempdir().unwrap();
        let located = run(dir.path(), &archive(valid_until), "5.4-1").unwrap();
        assert_eq!((located.len(), located[0].suite.as_str()), (1, "trixie"));
        let mut names: Vec<_> = std::fs::read_dir(dir.path().join("out"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["libpod_5.4-1.dsc", "libpod_5.4.orig.tar.xz"]);
        assert_eq!(std::fs::read(dir.path().join("out/libpod_5.4-1.dsc")).unwrap(), DSC);
    }
}

#[test]
fn an_archive_that_has_moved_on_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let error = run(dir.path(), &archive(None), "5.4-0").unwrap_err();
    assert_eq!(exit_code(&error), contract::exit::NETWORK);
    assert_eq!(
        error.to_string(),
        "the archive does not have the sources of these packages any more:\n  libpod 5.4-0: the suites have 5.4-1"
    );
    let hint = &error.downcast_ref::<crate::problem::Problem>().unwrap().hint;
    assert!(hint.contains("snapshot archive") && hint.contains("trixie of 2026-09-10T00:00:00Z"), "{hint}");
}

#[test]
fn what_is_not_signed_for_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = archive(None);
    files.insert("pool/main/libp/libpod/libpod_5.4.orig.tar.xz".into(), b"not reall!".to_vec());
    let error = run(dir.path(), &files, "5.4-1").unwrap_err();
    assert_eq!(exit_code(&error), contract::exit::VERIFY);
    assert!(error.to_string().starts_with("sha256 of libpod_5.4.orig.tar.xz of source libpod 5.4-1: "), "{error}");
    assert!(!dir.path().join("out/libpod_5.4.orig.tar.xz").exists());
}
