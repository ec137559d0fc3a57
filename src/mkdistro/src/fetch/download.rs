//! One file from cache or mirrors. Every byte is hashed while it streams; an interrupted download is resumed, also by a
//! later run; a mirror that fails is retried with growing pauses and then left for the next one.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use sha2::{Digest, Sha256};

use super::cache::{Cache, Part, hex};
use crate::archive::http::{Body, Client, OpenError};
use crate::archive::mirrors::{Mirror, Mirrors};

/// Attempts at a mirror without progress, until the next one is asked.
const ATTEMPTS: u32 = 4;
/// Bytes that count as progress.
const PROGRESS_BYTES: u64 = 1 << 20;

/// Where files come from, and where they are kept.
pub struct Fetcher {
    /// Keeps what has been verified.
    pub cache: Cache,
    /// Asked in order.
    pub mirrors: Mirrors,
    /// Uses the cache alone.
    pub offline: bool,
    /// Pause before the second attempt; doubled for each further one.
    pub first_pause: Duration,
    /// Credentials of registries, instead of the files that distro.toml names.
    pub registry_auth: Option<PathBuf>,
    /// Keeps connections open.
    pub(crate) client: Client,
    /// Bases of mirrors that were given up; these get one attempt only.
    failing: Mutex<BTreeSet<String>>,
}

/// A file that is known by its hash.
#[derive(Debug, Clone)]
pub(crate) struct Object<'a> {
    pub(crate) sha256: &'a str,
    pub(crate) size: u64,
    /// Decides which mirrors have it.
    pub(crate) suite: &'a str,
    /// Paths below a mirror's base, tried in order.
    pub(crate) paths: Vec<String>,
}

/// One place that may have a file.
pub(crate) trait Place {
    /// What is not asked as often any more once it has failed.
    fn base(&self) -> &str;
    /// The file, for messages.
    fn url(&self) -> String;
    /// Opens it from a byte on.
    fn open(&self, from: u64) -> Result<Body, OpenError>;
}

/// A path below a mirror's base.
struct MirrorFile<'a> {
    client: &'a Client,
    mirror: &'a Mirror,
    path: &'a str,
}

impl Place for MirrorFile<'_> {
    fn base(&self) -> &str {
        &self.mirror.base
    }

    fn url(&self) -> String {
        format!("{}/{}", self.mirror.base, self.path)
    }

    fn open(&self, from: u64) -> Result<Body, OpenError> {
        self.client.open(self.mirror, self.path, from)
    }
}

/// Why a file could not be had.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Not in the cache, and nothing may be asked.
    Offline,
    /// No mirror has it, or none could be reached: what each said.
    Unavailable { tried: Vec<String>, missing: bool },
    /// Something else than what was asked for.
    Mismatch { url: String, got: String, bytes: u64 },
    /// A problem of this machine.
    Local(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Local(error)
    }
}

/// What a file must be.
struct Wanted<'a> {
    sha256: &'a str,
    size: u64,
}

/// How one attempt ended.
enum Attempt {
    Missing(String),
    Transient(String),
    Fatal(String),
    Mismatch { got: String, bytes: u64 },
    Local(anyhow::Error),
}

impl From<OpenError> for Attempt {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Missing(reason) => Self::Missing(reason),
            OpenError::Transient(reason) => Self::Transient(reason),
            OpenError::Fatal(reason) => Self::Fatal(reason),
        }
    }
}

impl Fetcher {
    /// A fetcher with the usual pauses.
    pub fn new(cache: Cache, mirrors: Mirrors, offline: bool) -> Self {
        let first_pause = Duration::from_millis(500);
        Self {
            cache,
            mirrors,
            offline,
            first_pause,
            registry_auth: None,
            client: Client::default(),
            failing: Mutex::default(),
        }
    }

    /// A small file whose hash is not known, from one mirror.
    pub(crate) fn small(&self, mirror: &Mirror, path: &str, max_bytes: u64) -> Result<Vec<u8>, OpenError> {
        self.patiently(&|| self.client.open(mirror, path, 0)?.small(max_bytes))
    }

    /// Does something again that failed and may work a moment later.
    pub(crate) fn patiently<T>(&self, once: &dyn Fn() -> Result<T, OpenError>) -> Result<T, OpenError> {
        let mut attempt = 1;
        loop {
            match once() {
                Err(OpenError::Transient(_)) if attempt < ATTEMPTS => self.pause(attempt),
                Err(OpenError::Transient(reason)) => {
                    return Err(OpenError::Transient(format!("{reason} ({attempt} attempts)")));
                }
                result => return result,
            }
            attempt += 1;
        }
    }

    /// A file from the cache or from a mirror, verified. `progress` is told how many of its bytes are here.
    pub(crate) fn obtain(&self, object: &Object<'_>, progress: &dyn Fn(u64)) -> Result<PathBuf, Failure> {
        if let Some(path) = self.cache.verified(object.sha256, object.size)? {
            progress(object.size);
            return Ok(path);
        }
        if self.offline {
            return Err(Failure::Offline);
        }
        let client = &self.client;
        let of_mirror = |mirror| object.paths.iter().map(move |path| MirrorFile { client, mirror, path });
        let files: Vec<_> = self.mirrors.for_suite(object.suite)?.iter().flat_map(of_mirror).collect();
        let places: Vec<&dyn Place> = files.iter().map(|file| file as &dyn Place).collect();
        self.obtain_from(object.sha256, object.size, &places, progress)
    }

    /// The same of any places, which are asked in their order; the cache has been looked at.
    pub(crate) fn obtain_from(
        &self,
        sha256: &str,
        size: u64,
        places: &[&dyn Place],
        progress: &dyn Fn(u64),
    ) -> Result<PathBuf, Failure> {
        let mut part = self.cache.part(sha256)?;
        // Another process may have had it while we waited for the lock.
        if let Some(path) = self.cache.verified(sha256, size)? {
            part.discard()?;
            progress(size);
            return Ok(path);
        }
        let wanted = Wanted { sha256, size };
        let mut tried = Vec::new();
        let mut all_missing = true;
        let mut mismatch = None;
        for place in places {
            let url = place.url();
            match self.ask(*place, &wanted, &mut part, progress) {
                Ok(()) => return Ok(self.cache.keep(part, sha256)?),
                Err(Attempt::Local(error)) => return Err(Failure::Local(error)),
                Err(Attempt::Mismatch { got, bytes }) => {
                    mismatch = mismatch.or(Some(Failure::Mismatch { url, got, bytes }));
                }
                Err(Attempt::Missing(reason)) => tried.push(format!("{url}: {reason}")),
                Err(Attempt::Transient(reason) | Attempt::Fatal(reason)) => {
                    all_missing = false;
                    tried.push(format!("{url}: {reason}"));
                }
            }
        }
        Err(mismatch.unwrap_or(Failure::Unavailable { tried, missing: all_missing }))
    }

    fn ask(
        &self,
        place: &dyn Place,
        wanted: &Wanted<'_>,
        part: &mut Part,
        progress: &dyn Fn(u64),
    ) -> Result<(), Attempt> {
        let mut attempt = 1;
        loop {
            let mut begun = 0;
            let result = self.attempt(place, wanted, part, &mut begun, progress);
            let Err(Attempt::Transient(reason)) = result else { return result };
            if begun >= PROGRESS_BYTES {
                attempt = 1;
            } else if attempt >= self.attempts(place.base()) {
                self.failing.lock().unwrap_or_else(PoisonError::into_inner).insert(place.base().to_owned());
                return Err(Attempt::Transient(format!("{reason} ({attempt} attempts)")));
            }
            self.pause(attempt);
            attempt += 1;
        }
    }

    /// How often a mirror is tried.
    fn attempts(&self, base: &str) -> u32 {
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if failing.contains(base) { 1 } else { ATTEMPTS }
    }

    fn pause(&self, attempt: u32) {
        std::thread::sleep(self.first_pause * 2_u32.saturating_pow(attempt.saturating_sub(1)));
    }

    /// One connection. `received` is how many bytes it brought.
    fn attempt(
        &self,
        place: &dyn Place,
        object: &Wanted<'_>,
        part: &mut Part,
        received: &mut u64,
        progress: &dyn Fn(u64),
    ) -> Result<(), Attempt> {
        let mut hasher = Sha256::new();
        let mut have = part.resume(object.size, &mut hasher).map_err(Attempt::Local)?;
        if have == object.size {
            if hex(std::mem::take(&mut hasher)) == object.sha256 {
                progress(have);
                return Ok(());
            }
            part.clear().map_err(Attempt::Local)?;
            have = 0;
        }
        let mut body = place.open(have)?;
        if body.start != have {
            part.clear().map_err(Attempt::Local)?;
            hasher = Sha256::new();
            have = 0;
        }
        let resumed = have > 0;
        if let Some(total) = body.total.filter(|total| *total != object.size) {
            return Err(Attempt::Mismatch { got: "a file of another size".to_owned(), bytes: total });
        }
        let mut buffer = vec![0; 128 << 10];
        loop {
            let count = match body.reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) => {
                    return Err(Attempt::Transient(format!("after {have} of {} bytes: {error}", object.size)));
                }
            };
            have += count as u64;
            *received += count as u64;
            if have > object.size {
                part.clear().map_err(Attempt::Local)?;
                return Err(Attempt::Mismatch { got: "a longer file".to_owned(), bytes: have });
            }
            let bytes = buffer.get(..count).unwrap_or_default();
            hasher.update(bytes);
            part.file.write_all(bytes).map_err(|error| Attempt::Local(part.write_failed(&error)))?;
            progress(have);
        }
        if have < object.size {
            return Err(Attempt::Transient(format!("the connection ended after {have} of {} bytes", object.size)));
        }
        let got = hex(hasher);
        if got == object.sha256 {
            return Ok(());
        }
        part.clear().map_err(Attempt::Local)?;
        if resumed {
            // The part from an earlier run may be what is wrong: once more, from the beginning.
            return Err(Attempt::Transient("the resumed file does not have the right sha256".to_owned()));
        }
        Err(Attempt::Mismatch { got, bytes: have })
    }
}
