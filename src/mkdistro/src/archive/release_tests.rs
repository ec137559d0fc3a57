use std::sync::OnceLock;

use super::*;
use crate::archive::testing::{MADE, NOW, Signing, TestKey, TestSuite, release_date, sign_with};

fn key() -> &'static TestKey {
    static KEY: OnceLock<TestKey> = OnceLock::new();
    KEY.get_or_init(TestKey::new)
}

fn ring(keys: &[&TestKey]) -> Keyring {
    let armoured: Vec<String> = keys.iter().map(|key| format!("For people: a key.\n\n{}\n", key.armoured())).collect();
    Keyring::parse(armoured.concat().as_bytes()).unwrap()
}

fn expected() -> Expected<'static> {
    Expected { suite: "trixie", now: NOW, not_before: None }
}

fn suite() -> TestSuite {
    TestSuite::new("trixie", Vec::new())
}

fn verify(message: &str) -> Result<Release, ReleaseError> {
    Release::verify(message.as_bytes(), &ring(&[key()]), &expected())
}

#[test]
fn good_release_is_read() {
    let release = verify(&key().sign(&suite().release())).unwrap();
    assert_eq!((release.suite.as_str(), release.codename.as_str()), ("trixie-suite", "trixie"));
    assert_eq!(release.date, MADE);
    assert!(release.by_hash);
    assert_eq!(release.components, ["main"]);
    let paths: Vec<&str> = release.indices.keys().map(String::as_str).collect();
    assert_eq!(paths, ["main/binary-amd64/Packages", "main/binary-amd64/Packages.xz"]);
}

#[test]
fn suite_may_be_named_either_way() {
    let message = key().sign(&suite().release());
    let named = |suite| Release::verify(message.as_bytes(), &ring(&[key()]), &Expected { suite, ..expected() });
    assert!(named("trixie-suite").is_ok());
    assert!(matches!(named("forky"), Err(ReleaseError::WrongSuite { codename, .. }) if codename == "trixie"));
}

#[test]
fn one_good_signature_of_several_suffices() {
    let stranger = TestKey::new();
    let text = suite().release();
    let subkey = Signing { subkey: true, ..Signing::default() };
    for keys in [
        [(&stranger, Signing::default()), (key(), Signing::default())],
        [(key(), subkey), (&stranger, Signing::default())],
    ] {
        verify(&sign_with(&keys, &text)).unwrap();
    }
    let both = ring(&[&stranger, key()]);
    Release::verify(key().sign(&text).as_bytes(), &both, &expected()).unwrap();
}

#[test]
fn signatures_are_refused() {
    use SignatureError as E;
    let text = suite().release();
    let good = key().sign(&text);
    let name = key().fingerprint();
    let signed = |signing: Signing| sign_with(&[(key(), signing)], &text);
    let stranger = TestKey::new();
    let cases = [
        ("unsigned", text.clone(), E::Unsigned),
        ("changed text", good.replace("Components: main", "Components: evil"), E::Bad(name.clone())),
        ("changed hash", good.replacen(" 0 main", " 1 main", 1), E::Bad(name.clone())),
        ("unknown key", stranger.sign(&text), E::UnknownKey(vec![stranger.fingerprint()])),
        (
            "expired signature",
            signed(Signing { lifetime_secs: 60, ..Signing::default() }),
            E::ExpiredSignature(name.clone()),
        ),
        ("from the future", signed(Signing { created: NOW + 86_400, ..Signing::default() }), E::FutureSignature(name)),
    ];
    for (case, message, error) in cases {
        assert_eq!(verify(&message), Err(ReleaseError::Signature(error)), "{case}");
    }
}

#[test]
fn bad_signature_beside_a_good_one_is_refused() {
    let (other, text) = (TestKey::new(), suite().release());
    let of_other_text = sign_with(&[(&other, Signing::default())], &text.replace("main", "evil"));
    let both = sign_with(&[(key(), Signing::default()), (&other, Signing::default())], &text);
    let ring = ring(&[key(), &other]);
    Release::verify(both.as_bytes(), &ring, &expected()).unwrap();
    // Text of one message, signature of the other.
    let (head, _) = both.split_once("-----BEGIN PGP SIGNATURE-----").unwrap();
    let (_, tail) = of_other_text.split_once("-----BEGIN PGP SIGNATURE-----").unwrap();
    let mixed = format!("{head}-----BEGIN PGP SIGNATURE-----{tail}");
    let result = Release::verify(mixed.as_bytes(), &ring, &expected());
    assert_eq!(result, Err(ReleaseError::Signature(SignatureError::Bad(other.fingerprint()))));
}

#[test]
fn text_outside_of_the_signature_is_refused() {
    let good = key().sign(&suite().release());
    let injected = "Codename: evil\n";
    for message in [
        format!("{injected}{good}"),
        format!("{good}{injected}"),
        good.replacen("\n\n", &format!("\n{injected}\n"), 1),
        good.replace("-----BEGIN PGP SIGNATURE-----", &format!("-----\n{injected}-----BEGIN PGP SIGNATURE-----")),
        good[..good.len() / 2].to_owned(),
        good[..good.len() - 60].to_owned(),
        "-----BEGIN PGP SIGNED MESSAGE-----\n".to_owned(),
    ] {
        assert!(matches!(verify(&message), Err(ReleaseError::Signature(_))), "{message}");
    }
    assert!(Release::verify(b"\xff\xfe", &ring(&[key()]), &expected()).is_err());
}

#[test]
fn expired_and_revoked_keys_are_refused() {
    let text = suite().release();
    let check = |key: TestKey, signing: Signing, now: u64| {
        let message = sign_with(&[(&key, signing)], &text);
        let result = Release::verify(message.as_bytes(), &ring(&[&key]), &Expected { now, ..expected() });
        result.err().map(|error| error.to_string().replace(&key.fingerprint(), "KEY"))
    };
    let subkey = Signing { subkey: true, ..Signing::default() };
    assert_eq!(check(TestKey::new().expiring_after(3600), Signing::default(), MADE + 3599), None);
    let expired = check(TestKey::new().expiring_after(3600), Signing::default(), MADE + 3600);
    assert_eq!(expired.unwrap(), "signed by key KEY, which has expired");
    let subkey_expired = check(TestKey::new().expiring_after(3600), subkey, NOW).unwrap();
    assert!(subkey_expired.ends_with("which has expired"), "{subkey_expired}");
    assert_eq!(
        check(TestKey::new().revoked(), Signing::default(), NOW).unwrap(),
        "signed by key KEY, which has been revoked"
    );
}

#[test]
fn dates_are_checked() {
    let check = |suite: &TestSuite, expected: Expected<'_>| {
        Release::verify(key().sign(&suite.release()).as_bytes(), &ring(&[key()]), &expected).err()
    };
    let valid = TestSuite { valid_until: Some(NOW), ..suite() };
    assert_eq!(check(&valid, expected()), None);
    let late = Expected { now: NOW + 1, ..expected() };
    assert_eq!(check(&valid, late), Some(ReleaseError::Expired { until: NOW, now: NOW + 1 }));
    let ahead = TestSuite { date: NOW + 86_400, ..suite() };
    assert_eq!(check(&ahead, expected()), Some(ReleaseError::Future { made: NOW + 86_400, now: NOW }));
    assert_eq!(check(&suite(), Expected { not_before: Some(MADE), ..expected() }), None);
    let locked = MADE + 1;
    let older = Expected { not_before: Some(locked), ..expected() };
    assert_eq!(check(&suite(), older), Some(ReleaseError::RollBack { made: MADE, locked }));
}

#[test]
fn malformed_releases_are_refused() {
    let text = suite().release();
    for (find, replace) in [
        ("Date: ", "Data: "),
        ("Date: ", "Date: on "),
        ("Codename: trixie", "Codename: trixie\nCodename: trixie"),
        (" main/binary-amd64/Packages.xz", " main/binary-amd64/Packages.xz more"),
        ("Components: main", "Components main"),
    ] {
        let message = key().sign(&text.replace(find, replace));
        assert!(matches!(verify(&message), Err(ReleaseError::Malformed(_))), "{replace}");
    }
}

#[test]
fn problems_name_file_and_way_out() {
    let error =
        ReleaseError::Expired { until: MADE, now: NOW }.problem("http://m.test/dists/trixie/InRelease", "trixie");
    let problem = error.downcast_ref::<Problem>().unwrap();
    assert_eq!(problem.class, Class::Verify);
    assert_eq!(
        problem.message,
        "Release file of trixie at http://m.test/dists/trixie/InRelease: it was valid until 2026-09-10T00:00:00Z, and now \
         it is 2026-09-20T00:00:00Z"
    );
    assert!(problem.hint.contains("try another one"));
}

#[test]
fn key_rings_are_checked() {
    assert!(Keyring::parse(b"").is_err());
    assert!(Keyring::parse(b"not a key").is_err());
    assert!(Keyring::parse(&key().armoured().as_bytes()[..300]).is_err());
    let shipped =
        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../packages/debian-archive-keyring.asc")).unwrap();
    Keyring::parse(&shipped).unwrap();
}

/// The same verdicts as gpgv, where it is installed.
#[test]
fn verdicts_agree_with_gpgv() {
    use pgp::ser::Serialize;
    let dir = tempfile::tempdir().unwrap();
    let ring_path = dir.path().join("ring.gpg");
    std::fs::write(&ring_path, key().public().to_bytes().unwrap()).unwrap();
    let text = suite().release();
    let good = key().sign(&text);
    let subkey = sign_with(&[(key(), Signing { subkey: true, ..Signing::default() })], &text);
    let made_now = TestSuite { date: NOW, valid_until: Some(NOW + 1), ..suite() };
    let messages = [
        good.clone(),
        subkey,
        good.replace("Origin: Test", "Origin: Evil"),
        good.replace("\nSuite", "  \nSuite"),
        TestKey::new().sign(&text),
        key().sign(&format!("{}- dashed: {}\n", made_now.release(), release_date(NOW))),
        text,
    ];
    for message in messages {
        let path = dir.path().join("InRelease");
        std::fs::write(&path, &message).unwrap();
        let gpgv = std::process::Command::new("gpgv").arg("--keyring").arg(&ring_path).arg(&path).output();
        let Ok(gpgv) = gpgv else { return };
        let ours = ring(&[key()]).verify(&message, NOW).is_ok();
        assert_eq!(ours, gpgv.status.success(), "{message}\n{}", String::from_utf8_lossy(&gpgv.stderr));
    }
}

#[test]
fn fuzz_release() {
    let tokens = ["SHA256:\n", "Date: ", "\n ", ": ", "/binary-amd64/Packages", "UTC", "Valid-Until: "];
    let text = TestSuite::new("trixie", Vec::new()).release();
    fuzz::Fuzz::new("fuzz_release").seed(text).tokens(&tokens).run(|bytes| {
        drop(std::hint::black_box(Release::parse(&String::from_utf8_lossy(bytes))));
    });
}
