//! The keys are made by openssl(1): one that this code made itself would prove nothing.

use bytes::Bytes;

use super::*;
use crate::image::tests::foreign;
use crate::problem::exit_code;

/// An EFI program with one section, as a stub: PE32+ with nothing in it that runs.
pub(crate) fn stub() -> Vec<u8> {
    let mut file = vec![0; 0x400];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x3c, &0x80_u32.to_le_bytes());
    put(0x80, b"PE\0\0\x64\x86\x01\0");
    put(0x84 + 16, &[240, 0, 0x22, 0]);
    put(0x98, &0x20b_u16.to_le_bytes());
    for (offset, number) in [(32, 0x1000_u32), (36, 0x200), (56, 0x2000), (60, 0x400), (108, 16)] {
        put(0x98 + offset, &number.to_le_bytes());
    }
    put(0x98 + 68, &10_u16.to_le_bytes());
    let at = 0x98 + 240;
    put(at, b".text");
    for (field, number) in [0x10_u32, 0x1000, 0x200, 0x400].into_iter().enumerate() {
        put(at + 8 + 4 * field, &number.to_le_bytes());
    }
    put(at + 36, &0x6000_0020_u32.to_le_bytes());
    file.resize(0x600, 0x90);
    file
}

/// A folder with two pairs, `db` and `other`, and the first key in the older format.
pub(crate) fn keys() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).into_os_string().into_string().unwrap();
    for name in ["db", "other"] {
        let (key, certificate) = (path(&format!("{name}.key")), path(&format!("{name}.crt")));
        let arguments = ["req", "-new", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-sha256"];
        let files = ["-keyout", &key, "-out", &certificate, "-subj", "/O=Toy/CN=toy db/"];
        foreign("openssl", &[&arguments[..], &files].concat(), None);
    }
    foreign("openssl", &["rsa", "-traditional", "-in", &path("db.key"), "-out", &path("db.pkcs1")], None);
    dir
}

fn pair(dir: &Path, key: &str, certificate: &str) -> Result<Pair> {
    Pair::parse(&std::fs::read(dir.join(key)).unwrap(), &std::fs::read(dir.join(certificate)).unwrap())
}

fn signed(signer: &Signer) -> Vec<u8> {
    let section = (".cmdline", Bytes::from_static(b"quiet"));
    let mut program = Program::append(&stub().into(), &[section]).unwrap();
    signer.sign(&mut program).unwrap();
    let mut out = Vec::new();
    program.write(&mut out).unwrap();
    out
}

#[test]
fn other_programs_accept_the_signature() {
    let dir = keys();
    let signer = |key: &str| Signer::Key(Box::new(pair(dir.path(), key, "db.crt").unwrap()));
    let file = signed(&signer("db.key"));
    assert!(file == signed(&signer("db.pkcs1")), "both formats of a key, and twice the same");

    let verify = |file: &[u8], certificate: &str| {
        let path = dir.path().join("signed.efi");
        std::fs::write(&path, file).unwrap();
        let mut command = std::process::Command::new("osslsigncode");
        command.args(["verify", "-CAfile"]).arg(dir.path().join(certificate)).arg("-in").arg(&path);
        let output = command.output().unwrap_or_else(|error| panic!("running osslsigncode: {error}; hint: install it"));
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (good, text) = verify(&file, "db.crt");
    assert!(good && text.contains("Signature verification: ok"), "{text}");
    assert!(!text.contains("MISMATCH"), "{text}");
    assert!(!verify(&file, "other.crt").0);
    for at in [0x90, 0x450, 0x800] {
        let mut bad = file.clone();
        bad[at] ^= 1;
        assert!(!verify(&bad, "db.crt").0, "{at:#x}");
    }

    // A signature that is there can be put on the same program again.
    let kept = formats::pe::signed_data(&file).unwrap().unwrap().to_vec();
    assert!(file == signed(&Signer::Kept(kept)));
}

#[test]
fn pairs_that_do_not_sign_are_refused() {
    let dir = keys();
    let path = |name: &str| dir.path().join(name).into_os_string().into_string().unwrap();
    let generate = |algorithm: &[&str], name: &str| {
        foreign("openssl", &[&["genpkey", "-out", &path(name)], algorithm].concat(), None);
    };
    generate(&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"], "short.key");
    generate(&["-algorithm", "ed25519"], "curve.key");
    let encrypt = ["rsa", "-aes256", "-passout", "pass:x", "-in", &path("db.key"), "-out", &path("locked.key")];
    foreign("openssl", &encrypt, None);
    std::fs::write(path("cut.crt"), "-----BEGIN CERTIFICATE-----\nMIIB\n").unwrap();
    std::fs::write(path("short.crt"), "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n").unwrap();
    let usable = "the key is not usable, expected RSA of 2048 to 4096 bits: ";
    for (key, certificate, expected) in [
        ("db.key", "other.crt", "the certificate is of another key"),
        ("db.crt", "db.crt", "expected PEM with \"-----BEGIN PRIVATE KEY-----\""),
        ("db.key", "db.key", "expected PEM with \"-----BEGIN CERTIFICATE-----\""),
        ("locked.key", "db.crt", "the key has a password; "),
        ("short.key", "db.crt", usable),
        ("curve.key", "db.crt", usable),
        ("db.key", "cut.crt", "the PEM has no \"-----END CERTIFICATE-----\""),
        ("db.key", "short.crt", "reading the certificate: it is "),
    ] {
        let error = pair(dir.path(), key, certificate).map(drop).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{key} {certificate}: {error}");
    }
}

#[test]
fn a_project_names_its_key() {
    let dir = crate::root::testing::whole_project();
    let mut checked = crate::config::load(dir.path()).unwrap();
    assert!(Signer::of(&checked).unwrap().is_none() && inputs(&checked).is_none());
    let names = crate::config::Signing { key: "db.key".into(), certificate: "db.crt".into() };
    checked.distro.boot.signing = Some(names);
    let error = Signer::of(&checked).map(drop).unwrap_err();
    assert!(error.to_string().starts_with("distro.toml: boot.signing: reading "), "{error}");
    assert_eq!(exit_code(&error), contract::exit::CONFIG);
    let before = inputs(&checked);
    for name in ["db.key", "db.crt"] {
        std::fs::copy(keys_once().join(name), dir.path().join(name)).unwrap();
    }
    assert!(Signer::of(&checked).unwrap().is_some());
    assert_ne!(inputs(&checked), before);
}

/// The same folder for the whole run.
fn keys_once() -> &'static Path {
    static KEYS: std::sync::OnceLock<tempfile::TempDir> = std::sync::OnceLock::new();
    KEYS.get_or_init(keys).path()
}
