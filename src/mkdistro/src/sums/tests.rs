use std::process::Command;

use super::*;
use crate::progress::Silent;

const HASH: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const OTHER: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Remembers warnings.
#[derive(Default)]
struct Warnings(std::sync::Mutex<Vec<String>>);

impl Progress for Warnings {
    fn start(&self, what: &str, total: u64) -> Box<dyn crate::progress::Task> {
        Silent.start(what, total)
    }
    fn say(&self, _message: &str) {}
    fn warn(&self, message: &str) {
        self.0.lock().unwrap().push(message.into());
    }
}

/// A new key in a folder: `test.key` and `test.pub`.
fn key(dir: &Path) -> SecretKey {
    let key = SecretKey::generate().unwrap();
    assert_eq!(key.save(&dir.join("test.key")).unwrap(), dir.join("test.pub"));
    key
}

/// Runs a program in a folder: whether it succeeded, and what it said. None if it is not installed.
fn run(dir: &Path, program: &str, arguments: &[&str]) -> Option<(bool, String)> {
    match Command::new(program).args(arguments).current_dir(dir).env("LC_ALL", "C").output() {
        Ok(output) => {
            let text = [output.stdout, output.stderr].concat();
            Some((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("skipped: no {program}");
            None
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

#[test]
fn lists_are_read_and_written_as_by_coreutils() {
    for (text, set, expected) in [
        (String::new(), "a", format!("{HASH}  a\n")),
        (format!("{OTHER}  a\n"), "a", format!("{HASH}  a\n")),
        (format!("{OTHER}  b\n{OTHER} *c d\n"), "a", format!("{HASH}  a\n{OTHER}  b\n{OTHER}  c d\n")),
        (format!("{}  b", OTHER.to_uppercase()), "c", format!("{OTHER}  b\n{HASH}  c\n")),
        (format!("# by hand\n{OTHER}  b\n"), "a", format!("# by hand\n{HASH}  a\n{OTHER}  b\n")),
        (format!("{OTHER}\n{OTHER} x\nxyz  b\n"), "a", format!("{OTHER}\n{OTHER} x\nxyz  b\n{HASH}  a\n")),
        (format!("\\{OTHER}  x\\ny\\\\\n"), "b\r", format!("\\{HASH}  b\\r\n\\{OTHER}  x\\ny\\\\\n")),
        (format!("\\{OTHER}  bad\\t\n"), "a", format!("\\{OTHER}  bad\\t\n{HASH}  a\n")),
    ] {
        let mut list = List::parse(text.as_bytes());
        list.set(set.as_bytes(), HASH);
        assert_eq!(String::from_utf8(list.render()).unwrap(), expected, "{text}");
    }
}

#[test]
fn entries_are_merged_and_coreutils_accepts_them() {
    let dir = tempfile::tempdir().unwrap();
    let publish = |files: &[(&str, &str)]| {
        let outputs: Vec<_> = files.iter().map(|(name, hash)| (dir.path().join(name), (*hash).to_string())).collect();
        publish(dir.path(), &outputs, None, 0, &Silent).unwrap();
    };
    for (name, content) in [("out.iso", "abc"), ("line\nfeed\\.img", ""), ("other", "")] {
        fs::write(dir.path().join(name), content).unwrap();
    }
    fs::write(dir.path().join(FILE), format!("{OTHER}  gone\n{OTHER}  other\n")).unwrap();
    publish(&[]);
    publish(&[("out.iso", OTHER)]);
    publish(&[("out.iso", HASH), ("line\nfeed\\.img", OTHER)]);
    let text = fs::read_to_string(dir.path().join(FILE)).unwrap();
    assert_eq!(text, format!("\\{OTHER}  line\\nfeed\\\\.img\n{OTHER}  other\n{HASH}  out.iso\n"));
    if let Some((good, output)) = run(dir.path(), "sha256sum", &["--strict", "-c", FILE]) {
        assert!(good, "{output}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4);
}

#[test]
fn many_builds_at_once_lose_no_entry() {
    let dir = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for number in 0..16 {
            let path = dir.path().join(format!("{number}.iso"));
            fs::write(&path, "abc").unwrap();
            let folder = dir.path();
            scope.spawn(move || publish(folder, &[(path, HASH.into())], None, 0, &Silent).unwrap());
        }
    });
    assert_eq!(fs::read_to_string(dir.path().join(FILE)).unwrap().lines().count(), 16);
}

#[test]
fn a_signature_that_does_not_fit_any_more_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (output, signature) = (dir.path().join("out.iso"), dir.path().join(SIGNATURE));
    fs::write(&output, "abc").unwrap();
    let with = |hash: &str| [(output.clone(), hash.to_string())];
    let key = key(dir.path());
    publish(dir.path(), &with(HASH), Some(&key), 7, &Silent).unwrap();
    let first = fs::read(&signature).unwrap();
    let warnings = Warnings::default();
    // Nothing new: it still fits. With the key the same bytes come again.
    publish(dir.path(), &with(HASH), None, 8, &warnings).unwrap();
    publish(dir.path(), &with(HASH), Some(&key), 7, &warnings).unwrap();
    assert_eq!(fs::read(&signature).unwrap(), first);
    assert_eq!(warnings.0.lock().unwrap().len(), 0);
    publish(dir.path(), &with(OTHER), None, 8, &warnings).unwrap();
    assert!(!signature.exists());
    let warning = format!("{} is removed: it was of an older SHA256SUMS; sign again with --key", signature.display());
    assert_eq!(*warnings.0.lock().unwrap(), [warning]);
}

#[test]
fn minisign_accepts_what_we_sign() {
    let dir = tempfile::tempdir().unwrap();
    let key = key(dir.path());
    let output = dir.path().join("out.iso");
    fs::write(&output, "abc").unwrap();
    publish(dir.path(), &[(output, HASH.into())], Some(&key), 1_700_000_000, &Silent).unwrap();
    let verify = ["-Vm", FILE, "-p", "test.pub"];
    let Some((good, text)) = run(dir.path(), "minisign", &verify) else { return };
    assert!(good, "{text}");
    assert!(text.contains("timestamp:1700000000\tfile:SHA256SUMS\thashed"), "{text}");
    let line = key.public_line();
    assert!(run(dir.path(), "minisign", &["-Vm", FILE, "-P", &line]).unwrap().0);
    // Our secret key signs there too.
    assert!(run(dir.path(), "minisign", &["-S", "-s", "test.key", "-m", "out.iso"]).unwrap().0);
    assert!(run(dir.path(), "minisign", &["-Vm", "out.iso", "-p", "test.pub"]).unwrap().0);
    // Neither content nor comment may change.
    let signature = dir.path().join(SIGNATURE);
    let text = fs::read_to_string(&signature).unwrap();
    fs::write(&signature, text.replace("timestamp:17", "timestamp:18")).unwrap();
    assert!(!run(dir.path(), "minisign", &verify).unwrap().0);
    fs::write(&signature, text).unwrap();
    fs::write(dir.path().join(FILE), "other").unwrap();
    assert!(!run(dir.path(), "minisign", &verify).unwrap().0);
}

#[test]
fn keys_of_minisign_sign_here() {
    let dir = tempfile::tempdir().unwrap();
    let Some((good, text)) = run(dir.path(), "minisign", &["-G", "-W", "-p", "a.pub", "-s", "a.key"]) else { return };
    assert!(good, "{text}");
    let key = SecretKey::load(&dir.path().join("a.key")).unwrap();
    let public = fs::read_to_string(dir.path().join("a.pub")).unwrap();
    assert_eq!(public, key.public_text());
    fs::write(dir.path().join("f"), "content").unwrap();
    fs::write(dir.path().join("f.minisig"), key.sign(b"content", "hello")).unwrap();
    let (good, text) = run(dir.path(), "minisign", &["-Vm", "f", "-p", "a.pub"]).unwrap();
    assert!(good, "{text}");
    assert!(text.contains("Trusted comment: hello"), "{text}");
}

#[test]
fn keys_are_files_of_their_owner_and_are_never_replaced() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let key = key(dir.path());
    let path = dir.path().join("test.key");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(SecretKey::load(&path).unwrap().public_line(), key.public_line());
    let new = SecretKey::generate().unwrap();
    assert_eq!(new.save(&path).unwrap_err().to_string(), format!("writing {}", path.display()));
    // Not even half of a pair.
    assert!(new.save(&dir.path().join("test.other")).is_err());
    assert!(!dir.path().join("test.other").exists());
    assert!(new.save(&dir.path().join("new.pub")).is_err());
    assert_eq!(SecretKey::load(&path).unwrap().public_line(), key.public_line());
}

/// A key whose number begins with zeros: minisign writes it without them.
#[test]
fn the_key_s_number_is_minisign_s() {
    const TEXT: &str = "untrusted comment: x\nRWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAQAAAAAA\
                        AAA5DJ/IKaSic+AJGtIO87wxSUvv3MqYRUyafWolTCM9IDztRfgfU7FmwYsBw+9sfKHLQdyjBIIqZacqqSitVvtdAA\
                        AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
    let key = SecretKey::parse(TEXT).unwrap();
    assert_eq!(key.public_text().lines().next(), Some("untrusted comment: minisign public key 1"));
}

#[test]
fn bad_keys_are_named() {
    use base64::Engine;
    let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let dir = tempfile::tempdir().unwrap();
    let good = {
        key(dir.path());
        let text = fs::read_to_string(dir.path().join("test.key")).unwrap();
        base64::engine::general_purpose::STANDARD.decode(text.lines().nth(1).unwrap()).unwrap()
    };
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        format!("untrusted comment: x\n{}\n", encode(&bytes))
    };
    for (text, expected) in [
        (String::new(), "line 1: expected \"untrusted comment: …\""),
        ("untrusted comment: x\n".into(), "line 2: not base64"),
        ("untrusted comment: x\n*\n".into(), "line 2: not base64"),
        ("untrusted comment: x\nRWQ=\n".into(), "line 2: expected 158 bytes, found 2"),
        (with(1, b'e'), "line 2: not an Ed25519 key"),
        (with(3, 1), "line 2: unknown key derivation [0, 1]"),
        (with(100, good[100] ^ 1), "line 2: its public half does not fit"),
    ] {
        let error = SecretKey::parse(&text).err().unwrap();
        assert_eq!(error.to_string(), expected, "{text}");
    }
    let mut bytes = good.clone();
    bytes[2..4].copy_from_slice(b"Sc");
    let error = SecretKey::parse(&format!("untrusted comment: x\n{}\n", encode(&bytes))).err().unwrap();
    let problem = error.downcast_ref::<crate::problem::Problem>().unwrap();
    assert_eq!(problem.message, "it has a password, expected a key without one");
    assert_eq!(problem.hint, "take the password off a copy of it: \"minisign -C -W -s FILE\"");
}
