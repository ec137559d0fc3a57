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
use crate::archive::http::{Client, OpenError};
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
    client: Client,
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
        Self { cache, mirrors, offline, first_pause, client: Client::default(), failing: Mutex::default() }
    }

    /// A small file whose hash is not known, from one mirror.
    pub(crate) fn small(&self, mirror: &Mirror, path: &str, max_bytes: u64) -> Result<Vec<u8>, OpenError> {
        let once = || {
            let body = self.client.open(mirror, path, 0)?;
            let mut bytes = Vec::new();
            let read = body.reader.take(max_bytes + 1).read_to_end(&mut bytes);
            read.map_err(|error| OpenError::Transient(error.to_string()))?;
            match body.total {
                _ if bytes.len() as u64 > max_bytes => Err(OpenError::Fatal(format!("more than {max_bytes} bytes"))),
                Some(total) if total != bytes.len() as u64 => {
                    Err(OpenError::Transient(format!("the connection ended after {} of {total} bytes", bytes.len())))
                }
                _ => Ok(bytes),
            }
        };
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
        let mirrors = self.mirrors.for_suite(object.suite)?;
        let mut part = self.cache.part(object.sha256)?;
        // Another process may have had it while we waited for the lock.
        if let Some(path) = self.cache.verified(object.sha256, object.size)? {
            part.discard()?;
            progress(object.size);
            return Ok(path);
        }
        let mut tried = Vec::new();
        let mut all_missing = true;
        let mut mismatch = None;
        for mirror in mirrors {
            for path in &object.paths {
                let url = format!("{}/{path}", mirror.base);
                match self.ask_mirror(mirror, path, object, &mut part, progress) {
                    Ok(()) => return Ok(self.cache.keep(part, object.sha256)?),
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
        }
        Err(mismatch.unwrap_or(Failure::Unavailable { tried, missing: all_missing }))
    }

    fn ask_mirror(
        &self,
        mirror: &Mirror,
        path: &str,
        object: &Object<'_>,
        part: &mut Part,
        progress: &dyn Fn(u64),
    ) -> Result<(), Attempt> {
        let mut attempt = 1;
        loop {
            let mut begun = 0;
            let result = self.attempt(mirror, path, object, part, &mut begun, progress);
            let Err(Attempt::Transient(reason)) = result else { return result };
            if begun >= PROGRESS_BYTES {
                attempt = 1;
            } else if attempt >= self.attempts(mirror) {
                self.failing.lock().unwrap_or_else(PoisonError::into_inner).insert(mirror.base.clone());
                return Err(Attempt::Transient(format!("{reason} ({attempt} attempts)")));
            }
            self.pause(attempt);
            attempt += 1;
        }
    }

    /// How often a mirror is tried.
    fn attempts(&self, mirror: &Mirror) -> u32 {
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if failing.contains(&mirror.base) { 1 } else { ATTEMPTS }
    }

    fn pause(&self, attempt: u32) {
        std::thread::sleep(self.first_pause * 2_u32.saturating_pow(attempt.saturating_sub(1)));
    }

    /// One connection. `received` is how many bytes it brought.
    fn attempt(
        &self,
        mirror: &Mirror,
        path: &str,
        object: &Object<'_>,
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
        let mut body = self.client.open(mirror, path, have)?;
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
