//! For tests: keys, a small signed archive, and an HTTP server that can misbehave.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, KeyType, SecretKeyParamsBuilder, SignedPublicKey, SignedSecretKey,
    SubkeyParamsBuilder,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{KeyFlags, SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::types::{Duration, KeyDetails, Password, SigningKey, Tag, Timestamp};
use sha2::{Digest, Sha256};

use super::date;
use crate::fetch::hex;

/// The present of the tests: 2026-09-20T00:00:00Z.
pub(crate) const NOW: u64 = 1_789_862_400;
/// When test keys and Release files are made: ten days before.
pub(crate) const MADE: u64 = NOW - 10 * 86_400;

pub(crate) fn sha256(bytes: &[u8]) -> String {
    let mut hasher = Sha256::new();
    hasher.update(bytes);
    hex(hasher)
}

/// A key with a signing subkey, both Ed25519.
pub(crate) struct TestKey(SignedSecretKey);

/// How a text is signed.
#[derive(Clone, Copy)]
pub(crate) struct Signing {
    pub(crate) created: u64,
    pub(crate) lifetime_secs: u32,
    pub(crate) subkey: bool,
}

impl Default for Signing {
    fn default() -> Self {
        Self { created: MADE, lifetime_secs: 0, subkey: false }
    }
}

fn timestamp(seconds: u64) -> Timestamp {
    Timestamp::from_secs(u32::try_from(seconds).unwrap())
}

fn regular(data: SubpacketData) -> Subpacket {
    Subpacket::regular(data).unwrap()
}

impl TestKey {
    pub(crate) fn new() -> Self {
        let mut subkey = SubkeyParamsBuilder::default();
        subkey.key_type(KeyType::Ed25519Legacy).can_sign(true).created_at(timestamp(MADE));
        let mut params = SecretKeyParamsBuilder::default();
        params
            .key_type(KeyType::Ed25519Legacy)
            .can_certify(true)
            .can_sign(true)
            .created_at(timestamp(MADE))
            .primary_user_id("Test <test@test>".into())
            .subkeys(vec![subkey.build().unwrap()]);
        Self(params.build().unwrap().generate(rand::thread_rng()).unwrap())
    }

    /// With an end of life, by a new self-signature.
    pub(crate) fn expiring_after(mut self, seconds: u32) -> Self {
        let key = &self.0.primary_key;
        let mut flags = KeyFlags::default();
        flags.set_certify(true);
        flags.set_sign(true);
        let mut config = SignatureConfig::v4(SignatureType::CertPositive, key.algorithm(), key.hash_alg());
        config.hashed_subpackets = vec![
            regular(SubpacketData::SignatureCreationTime(timestamp(MADE))),
            regular(SubpacketData::KeyFlags(flags)),
            regular(SubpacketData::KeyExpirationTime(Duration::from_secs(seconds))),
            regular(SubpacketData::IssuerFingerprint(key.fingerprint())),
        ];
        let user = &mut self.0.details.users[0];
        let signature =
            config.sign_certification(key, key.public_key(), &Password::empty(), Tag::UserId, &user.id).unwrap();
        user.signatures = vec![signature];
        self
    }

    /// Revoked by its owner.
    pub(crate) fn revoked(mut self) -> Self {
        let key = &self.0.primary_key;
        let mut config = SignatureConfig::v4(SignatureType::KeyRevocation, key.algorithm(), key.hash_alg());
        config.hashed_subpackets = vec![
            regular(SubpacketData::SignatureCreationTime(timestamp(MADE))),
            regular(SubpacketData::IssuerFingerprint(key.fingerprint())),
        ];
        let signature = config.sign_key(key, &Password::empty(), key.public_key()).unwrap();
        self.0.details.revocation_signatures.push(signature);
        self
    }

    pub(crate) fn public(&self) -> SignedPublicKey {
        SignedPublicKey::from(self.0.clone())
    }

    pub(crate) fn armoured(&self) -> String {
        self.public().to_armored_string(ArmorOptions::default()).unwrap()
    }

    pub(crate) fn fingerprint(&self) -> String {
        format!("{:X}", self.0.fingerprint())
    }

    fn signature(&self, text: &str, signing: Signing) -> pgp::packet::Signature {
        if signing.subkey {
            sign(&self.0.secret_subkeys[0].key, text, signing)
        } else {
            sign(&self.0.primary_key, text, signing)
        }
    }

    pub(crate) fn sign(&self, text: &str) -> String {
        sign_with(&[(self, Signing::default())], text)
    }
}

fn sign(key: &impl SigningKey, text: &str, signing: Signing) -> pgp::packet::Signature {
    let mut config = SignatureConfig::v4(SignatureType::Text, key.algorithm(), HashAlgorithm::Sha256);
    config.hashed_subpackets = vec![
        regular(SubpacketData::SignatureCreationTime(timestamp(signing.created))),
        regular(SubpacketData::IssuerFingerprint(key.fingerprint())),
    ];
    if signing.lifetime_secs > 0 {
        let lifetime = Duration::from_secs(signing.lifetime_secs);
        config.hashed_subpackets.push(regular(SubpacketData::SignatureExpirationTime(lifetime)));
    }
    config.sign(key, &Password::empty(), text.as_bytes()).unwrap()
}

/// A message with one signature by each key.
pub(crate) fn sign_with(keys: &[(&TestKey, Signing)], text: &str) -> String {
    let message = CleartextSignedMessage::new_many(text, |normalized| {
        Ok(keys.iter().map(|(key, signing)| key.signature(normalized, *signing)).collect())
    });
    message.unwrap().to_armored_string(ArmorOptions::default()).unwrap()
}

/// A package of the test archive.
#[derive(Clone, Default)]
pub(crate) struct TestPackage {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// `admin` if empty.
    pub(crate) section: &'static str,
    pub(crate) depends: &'static str,
    pub(crate) provides: &'static str,
    /// Source package; empty: of the same name.
    pub(crate) source: &'static str,
    /// Of the file.
    pub(crate) content: Vec<u8>,
}

impl TestPackage {
    /// Security suites have a pool of their own.
    fn path_in(&self, suite: &str) -> String {
        let pool = if suite.ends_with("-security") { "pool/updates/main" } else { "pool/main" };
        format!("{pool}/{}_{}_amd64.deb", self.name, self.version)
    }
}

/// Files of an archive by path below its base.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// What a suite of the test archive looks like.
#[derive(Clone)]
pub(crate) struct TestSuite {
    pub(crate) name: &'static str,
    pub(crate) date: u64,
    pub(crate) valid_until: Option<u64>,
    pub(crate) by_hash: bool,
    pub(crate) packages: Vec<TestPackage>,
}

impl TestSuite {
    pub(crate) fn new(name: &'static str, packages: Vec<TestPackage>) -> Self {
        Self { name, date: MADE, valid_until: None, by_hash: true, packages }
    }

    /// The unsigned text of its Release file.
    pub(crate) fn release(&self) -> String {
        let index = self.index();
        let packed = pack(index.as_bytes());
        let mut text = format!(
            "Origin: Test\nSuite: {0}-suite\nCodename: {0}\nDate: {1}\nAcquire-By-Hash: {2}\nComponents: main\n",
            self.name,
            release_date(self.date),
            if self.by_hash { "yes" } else { "no" },
        );
        if let Some(until) = self.valid_until {
            writeln!(text, "Valid-Until: {}", release_date(until)).unwrap();
        }
        text.push_str("SHA256:\n");
        for (bytes, suffix) in [(index.as_bytes(), ""), (packed.as_slice(), ".xz")] {
            writeln!(text, " {} {} main/binary-amd64/Packages{suffix}", sha256(bytes), bytes.len()).unwrap();
        }
        text
    }

    pub(crate) fn index(&self) -> String {
        self.packages.iter().fold(String::new(), |mut text, package| {
            let TestPackage { name, version, depends, provides, source, content, .. } = package;
            let section = if package.section.is_empty() { "admin" } else { package.section };
            write!(
                text,
                "Package: {name}\nVersion: {version}\nSource: {source}\nArchitecture: amd64\nSection: {section}\n\
                 Description: A {name}\nDepends: {depends}\nProvides: {provides}\nFilename: {}\nSize: {}\nSHA256: {}\n\n",
                package.path_in(self.name),
                content.len(),
                sha256(content),
            )
            .unwrap();
            text
        })
    }

    /// Its files, signed by the key.
    pub(crate) fn files(&self, key: &TestKey) -> Files {
        let packed = pack(self.index().as_bytes());
        let folder = format!("dists/{}/main/binary-amd64", self.name);
        let index = if self.by_hash {
            format!("{folder}/by-hash/SHA256/{}", sha256(&packed))
        } else {
            format!("{folder}/Packages.xz")
        };
        let mut files = Files::from([
            (format!("dists/{}/InRelease", self.name), key.sign(&self.release()).into_bytes()),
            (index, packed),
        ]);
        files.extend(self.packages.iter().map(|package| (package.path_in(self.name), package.content.clone())));
        files
    }
}

fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// `Thu, 10 Sep 2026 00:00:00 UTC`; the weekday is not looked at by readers.
pub(crate) fn release_date(seconds: u64) -> String {
    let text = date::format_rfc3339(seconds);
    let month = text[5..7].parse::<usize>().unwrap() - 1;
    let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    format!("Thu, {} {} {} {} UTC", &text[8..10], names[month], &text[..4], &text[11..19])
}

/// Writes an archive's files below a folder.
pub(crate) fn write_files(folder: &Path, files: &Files) {
    for (path, bytes) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// How the server treats the next request of a path.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// Announces all, sends this many bytes and closes.
    CutAfter(usize),
    /// Announces this length and sends all.
    LyingLength(usize),
    /// Sends the whole file though a part was asked for.
    NoRange,
    /// Answers with this status.
    Status(u16),
    /// No `Content-Length`, this many bytes too much, the end of the connection as the end.
    Endless(usize),
    /// Answers with a redirect to the same path with `moved/` in front.
    Redirect,
}

#[derive(Default)]
struct State {
    files: Files,
    faults: HashMap<String, Vec<Fault>>,
    requests: Vec<(String, Option<u64>)>,
}

/// A server of files on a port of its own. It also answers the requests that a proxy gets.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub(crate) fn start(files: Files) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { files, ..State::default() }));
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = shared.clone();
                std::thread::spawn(move || serve(&stream, &state));
            }
        });
        Self { url, state }
    }

    /// The next requests of the path are treated so, in this order.
    pub(crate) fn fault(&self, path: &str, faults: &[Fault]) {
        self.state.lock().unwrap().faults.insert(path.to_owned(), faults.iter().rev().copied().collect());
    }

    pub(crate) fn replace(&self, path: &str, bytes: &[u8]) {
        self.state.lock().unwrap().files.insert(path.to_owned(), bytes.to_vec());
    }

    pub(crate) fn remove(&self, path: &str) {
        self.state.lock().unwrap().files.remove(path).unwrap();
    }

    /// Offsets that were asked for, per request of the path.
    pub(crate) fn requests(&self, path: &str) -> Vec<Option<u64>> {
        let state = self.state.lock().unwrap();
        state.requests.iter().filter(|(requested, _)| requested == path).map(|(_, from)| *from).collect()
    }
}

/// One request per connection.
fn serve(stream: &TcpStream, state: &Mutex<State>) -> Option<()> {
    let mut lines = BufReader::new(stream).lines();
    let target = lines.next()?.ok()?.split(' ').nth(1)?.to_owned();
    let mut from = None;
    for line in lines {
        let line = line.ok()?.to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(range) = line.strip_prefix("range: bytes=") {
            from = range.strip_suffix('-')?.parse::<u64>().ok();
        }
    }
    let path = target.strip_prefix("http://").map_or(target.as_str(), |rest| rest.split_once('/').unwrap().1);
    let path = path.trim_start_matches('/').to_owned();
    let (file, fault) = {
        let mut state = state.lock().unwrap();
        state.requests.push((path.clone(), from));
        let fault = state.faults.get_mut(&path).and_then(Vec::pop);
        (state.files.get(path.trim_start_matches("moved/")).cloned(), fault)
    };
    let mut out = stream;
    let mut send = |head: String, body: &[u8]| {
        let head = format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n");
        out.write_all(head.as_bytes()).and_then(|()| out.write_all(body)).ok()
    };
    let (Some(file), true) = (file, !matches!(fault, Some(Fault::Status(_) | Fault::Redirect))) else {
        return match fault {
            Some(Fault::Status(status)) => send(format!("{status} Fault\r\nContent-Length: 0"), b""),
            Some(Fault::Redirect) => send(format!("302 Found\r\nLocation: /moved/{path}\r\nContent-Length: 0"), b""),
            _ => send("404 Not Found\r\nContent-Length: 0".to_owned(), b""),
        };
    };
    let start = from.filter(|_| !matches!(fault, Some(Fault::NoRange))).unwrap_or(0) as usize;
    if start > file.len() || (start == file.len() && start > 0) {
        return send("416 Range Not Satisfiable\r\nContent-Length: 0".to_owned(), b"");
    }
    let (length, mut body) = (file.len() - start, file[start..].to_vec());
    let status = match start {
        0 => "200 OK".to_owned(),
        _ => format!("206 Partial\r\nContent-Range: bytes {start}-{}/{}", file.len() - 1, file.len()),
    };
    match fault {
        Some(Fault::CutAfter(count)) => body.truncate(count),
        Some(Fault::Endless(more)) => {
            body.extend(vec![0; more]);
            return send(status, &body);
        }
        _ => {}
    }
    let length = if let Some(Fault::LyingLength(length)) = fault { length } else { length };
    send(format!("{status}\r\nContent-Length: {length}"), &body)
}
