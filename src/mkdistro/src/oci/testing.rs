//! For tests: images as blobs, OCI layouts and Docker archives of them, and a registry that can misbehave.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::local::sha256_of;
use super::manifest::{Config, Document, Manifest};

/// Blobs by sha256.
pub(crate) type Blobs = BTreeMap<String, Vec<u8>>;

/// An image's parts.
#[derive(Clone)]
pub(crate) struct TestImage {
    pub(crate) blobs: Blobs,
    /// sha256 of the index, the manifest and the configuration.
    pub(crate) index: String,
    pub(crate) manifest: String,
    pub(crate) config: String,
    /// Uncompressed.
    pub(crate) layers: Vec<Vec<u8>>,
}

/// How an entry of a layer is made.
pub(crate) struct Entry {
    header: tar::Header,
    path: String,
    content: Vec<u8>,
    link: Option<String>,
    records: Vec<(String, Vec<u8>)>,
}

pub(crate) fn entry(path: &str, kind: tar::EntryType, mode: u32) -> Entry {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(1_600_000_000);
    header.set_size(0);
    header.set_uid(0);
    header.set_gid(0);
    Entry { header, path: path.into(), content: Vec::new(), link: None, records: Vec::new() }
}

pub(crate) fn file(path: &str, content: impl Into<Vec<u8>>, mode: u32) -> Entry {
    Entry { content: content.into(), ..entry(path, tar::EntryType::Regular, mode) }
}

pub(crate) fn folder(path: &str, mode: u32) -> Entry {
    entry(path, tar::EntryType::Directory, mode)
}

pub(crate) fn link(path: &str, kind: tar::EntryType, target: &str) -> Entry {
    Entry { link: Some(target.into()), ..entry(path, kind, 0o777) }
}

impl Entry {
    pub(crate) fn owner(mut self, uid: u64, gid: u64) -> Self {
        self.header.set_uid(uid);
        self.header.set_gid(gid);
        self
    }

    pub(crate) fn record(mut self, key: &str, value: &[u8]) -> Self {
        self.records.push((key.into(), value.to_vec()));
        self
    }

    pub(crate) fn device(mut self, major: u32, minor: u32) -> Self {
        self.header.set_device_major(major).unwrap();
        self.header.set_device_minor(minor).unwrap();
        self
    }
}

/// Manifest and configuration by the readers of other people's images; `blob` gives one by its sha256.
pub(crate) fn parse(manifest: &[u8], blob: impl Fn(&str) -> Vec<u8>) -> (Manifest, Config) {
    let Document::Manifest(manifest) = Document::parse(manifest).unwrap() else { panic!("an index") };
    let config = Config::parse(&blob(manifest.config.sha256().unwrap()), manifest.layers.len()).unwrap();
    (manifest, config)
}

/// A layer's archive.
pub(crate) fn layer(entries: Vec<Entry>) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for mut entry in entries {
        if !entry.records.is_empty() {
            let records = entry.records.iter().map(|(key, value)| (key.as_str(), value.as_slice()));
            builder.append_pax_extensions(records).unwrap();
        }
        entry.header.set_size(entry.content.len() as u64);
        match &entry.link {
            Some(target) => builder.append_link(&mut entry.header, &entry.path, target).unwrap(),
            None => builder.append_data(&mut entry.header, &entry.path, &entry.content[..]).unwrap(),
        }
    }
    builder.into_inner().unwrap()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An image of layers that are plain, gzip and zstd in turn, in an index with one for another platform.
pub(crate) fn image(layers: &[Vec<u8>]) -> TestImage {
    let mut blobs = Blobs::new();
    let mut add = |bytes: Vec<u8>| {
        let digest = sha256_of(&bytes);
        blobs.insert(digest.clone(), bytes);
        digest
    };
    let mut descriptors = Vec::new();
    for (number, layer) in layers.iter().enumerate() {
        let (suffix, blob) = match number % 3 {
            0 => ("", layer.clone()),
            1 => ("+gzip", gzip(layer)),
            _ => ("+zstd", zstd::encode_all(&layer[..], 1).unwrap()),
        };
        let media_type = format!("application/vnd.oci.image.layer.v1.tar{suffix}");
        descriptors.push(json!({
            "mediaType": media_type, "size": blob.len(), "digest": format!("sha256:{}", add(blob)),
        }));
    }
    let diff_ids: Vec<String> = layers.iter().map(|layer| format!("sha256:{}", sha256_of(layer))).collect();
    let config = json!({
        "architecture": "amd64", "os": "linux", "created": "2020-02-03T04:05:06Z",
        "config": {"Cmd": ["/bin/busybox"]}, "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config_bytes = config.to_string().into_bytes();
    let config_size = config_bytes.len();
    let config = add(config_bytes);
    let manifest_bytes = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": descriptors,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json", "size": config_size,
            "digest": format!("sha256:{config}"),
        },
    });
    let manifest_bytes = manifest_bytes.to_string().into_bytes();
    let manifest_size = manifest_bytes.len();
    let manifest = add(manifest_bytes);
    let of_platform = |architecture: &str, digest: &str, size: usize| {
        json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "size": size,
            "digest": format!("sha256:{digest}"), "platform": {"os": "linux", "architecture": architecture},
        })
    };
    let index = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [of_platform("arm64", &"0".repeat(64), 7), of_platform("amd64", &manifest, manifest_size)],
    });
    let index = add(index.to_string().into_bytes());
    TestImage { blobs, index, manifest, config, layers: layers.to_vec() }
}

/// Writes an OCI layout folder; `names` are the manifests' names.
pub(crate) fn write_layout(folder: &Path, image: &TestImage, names: &[&str]) {
    std::fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
    std::fs::write(folder.join("oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\"}").unwrap();
    for (digest, bytes) in &image.blobs {
        std::fs::write(folder.join("blobs/sha256").join(digest), bytes).unwrap();
    }
    let size = image.blobs[&image.manifest].len();
    let entry = |name: &&str| {
        json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "size": size,
            "digest": format!("sha256:{}", image.manifest), "annotations": {"org.opencontainers.image.ref.name": name},
        })
    };
    let entries: Vec<Value> = names.iter().map(entry).collect();
    std::fs::write(folder.join("index.json"), json!({"schemaVersion": 2, "manifests": entries}).to_string()).unwrap();
}

/// Writes what older versions of `docker save` write.
pub(crate) fn write_docker_archive(path: &Path, image: &TestImage, names: &[&str]) {
    let mut builder = tar::Builder::new(std::fs::File::create(path).unwrap());
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, bytes).unwrap();
    };
    let mut layers = Vec::new();
    for (number, layer) in image.layers.iter().enumerate() {
        let name = format!("{number}/layer.tar");
        add(&name, layer);
        layers.push(name);
    }
    let config = format!("{}.json", image.config);
    add(&config, &image.blobs[&image.config]);
    add("manifest.json", json!([{"Config": config, "RepoTags": names, "Layers": layers}]).to_string().as_bytes());
    builder.into_inner().unwrap();
}

/// What a registry answers to a path.
#[derive(Clone)]
pub(crate) enum Answer {
    Bytes(Vec<u8>),
    /// Says that it has more bytes than it sends.
    Cut(Vec<u8>, usize),
    Redirect(String),
    Status(u16),
}

/// A registry on the loopback.
pub(crate) struct Server {
    /// `127.0.0.1:PORT`.
    pub(crate) host: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    answers: BTreeMap<String, Vec<Answer>>,
    /// Requests: path, and `Authorization` if there was one.
    asked: Vec<(String, Option<String>)>,
    /// What must be sent as `Authorization`, and how a refusal says so.
    wants: Option<(String, String)>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || drop(serve(stream, &state)));
            }
        });
        Self { host, state }
    }

    /// One that has an image under a tag, behind its index.
    pub(crate) fn with(image: &TestImage, repository: &str, tag: &str) -> Self {
        let server = Self::start();
        for (digest, bytes) in &image.blobs {
            let kind = if [&image.index, &image.manifest].contains(&digest) { "manifests" } else { "blobs" };
            server.answer(&format!("/v2/{repository}/{kind}/sha256:{digest}"), Answer::Bytes(bytes.clone()));
        }
        let index = Answer::Bytes(image.blobs[&image.index].clone());
        server.answer(&format!("/v2/{repository}/manifests/{tag}"), index);
        server
    }

    /// What it answers from now on.
    pub(crate) fn answer(&self, path: &str, answer: Answer) {
        self.answers(path, &[answer]);
    }

    /// One after the other; the last one stays.
    pub(crate) fn answers(&self, path: &str, answers: &[Answer]) {
        self.state.lock().unwrap().answers.insert(path.into(), answers.to_vec());
    }

    /// Refuses whoever does not send this below `/v2/`, with that challenge.
    pub(crate) fn want(&self, authorization: &str, challenge: &str) {
        self.state.lock().unwrap().wants = Some((authorization.into(), challenge.into()));
    }

    /// What was asked for a path that has `part` in it.
    pub(crate) fn asked(&self, part: &str) -> Vec<Option<String>> {
        let state = self.state.lock().unwrap();
        state.asked.iter().filter(|(path, _)| path.contains(part)).map(|(_, sent)| sent.clone()).collect()
    }

    pub(crate) fn forget(&self) {
        self.state.lock().unwrap().asked.clear();
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut out = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut authorization = None;
        loop {
            let mut field = String::new();
            if reader.read_line(&mut field)? == 0 || field.trim().is_empty() {
                break;
            }
            if let Some((name, value)) =
                field.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("authorization"))
            {
                let _ = name;
                authorization = Some(value.trim().to_owned());
            }
        }
        let (answer, challenge) = {
            let mut state = state.lock().unwrap();
            state.asked.push((path.clone(), authorization.clone()));
            let refused = state
                .wants
                .clone()
                .filter(|(wanted, _)| path.starts_with("/v2/") && authorization.as_ref() != Some(wanted));
            let plain = path.split('?').next().unwrap_or_default();
            let answer = match (refused.is_some(), state.answers.get_mut(plain)) {
                (true, _) => Answer::Status(401),
                (false, Some(list)) if list.len() > 1 => list.remove(0),
                (false, Some(list)) => list[0].clone(),
                (false, None) => Answer::Status(404),
            };
            (answer, refused.map(|(_, challenge)| challenge))
        };
        let mut head = match &answer {
            Answer::Bytes(bytes) => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n", bytes.len()),
            Answer::Cut(bytes, _) => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n", bytes.len()),
            Answer::Redirect(url) => format!("HTTP/1.1 307 Elsewhere\r\nLocation: {url}\r\nContent-Length: 0\r\n"),
            Answer::Status(status) => format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n"),
        };
        head.extend(challenge.map(|challenge| format!("WWW-Authenticate: {challenge}\r\n")));
        out.write_all(format!("{head}\r\n").as_bytes())?;
        match answer {
            Answer::Bytes(bytes) => out.write_all(&bytes)?,
            Answer::Cut(bytes, count) => {
                out.write_all(&bytes[..count])?;
                return Ok(());
            }
            _ => {}
        }
    }
}
