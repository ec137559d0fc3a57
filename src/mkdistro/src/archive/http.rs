//! One request for one file: over HTTP, through a proxy or not, or from a folder of this machine. Retrying, verifying and
//! keeping is the business of `fetch`.
//!
//! TLS trusts the CA certificates of the operating system. Redirects are followed here, so that each step is checked.

use std::collections::HashMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use thiserror::Error;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::mirrors::Mirror;
use super::{ca, plain_proxy};

pub(super) const USER_AGENT: &str = concat!("mkdistro/", env!("CARGO_PKG_VERSION"));
/// To reach the server, with TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Of silence while something should arrive.
pub(super) const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a server may point elsewhere.
pub(crate) const MAX_REDIRECTS: usize = 5;

/// Why a file could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OpenError {
    /// The mirror does not have it.
    #[error("{0}")]
    Missing(String),
    /// May work a moment later.
    #[error("{0}")]
    Transient(String),
    /// Trying again is useless.
    #[error("{0}")]
    Fatal(String),
}

/// A file on its way.
pub struct Body {
    /// Offset that the first byte has in the file: what was asked for, or 0 if the server cannot.
    pub start: u64,
    /// Size of the whole file, if the server tells.
    pub total: Option<u64>,
    /// The bytes.
    pub reader: Box<dyn Read + Send>,
}

impl Body {
    /// All of it.
    ///
    /// # Errors
    /// It is cut short, or longer than `max_bytes`.
    pub(crate) fn small(self, max_bytes: u64) -> Result<Vec<u8>, OpenError> {
        let mut bytes = Vec::new();
        let read = self.reader.take(max_bytes + 1).read_to_end(&mut bytes);
        read.map_err(|error| OpenError::Transient(error.to_string()))?;
        match self.total {
            _ if bytes.len() as u64 > max_bytes => Err(OpenError::Fatal(format!("more than {max_bytes} bytes"))),
            Some(total) if total != bytes.len() as u64 => {
                Err(OpenError::Transient(format!("the connection ended after {} of {total} bytes", bytes.len())))
            }
            _ => Ok(bytes),
        }
    }
}

/// What is asked of an HTTP server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) url: &'a str,
    pub(crate) proxy: Option<&'a str>,
    /// The first byte wanted.
    pub(crate) from: u64,
    /// Further fields: name and value.
    pub(crate) fields: &'a [(&'a str, &'a str)],
}

/// What an HTTP server answered.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    pub(crate) content_length: Option<u64>,
    pub(super) content_range: Option<String>,
    /// How to sign in, each a challenge or several.
    pub(crate) authenticate: Vec<String>,
    pub(crate) reader: Box<dyn Read + Send>,
}

impl Response {
    /// The file in it, which was asked for from byte `from` on; by its status, why there is none.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub(crate) fn body(self, from: u64) -> Result<Body, OpenError> {
        match self.status {
            200 => Ok(Body { start: 0, total: self.content_length, reader: self.reader }),
            206 => partial(self, from),
            403 | 404 | 410 => Err(OpenError::Missing(format!("HTTP status {}", self.status))),
            408 | 425 | 429 | 500..=599 => Err(OpenError::Transient(format!("HTTP status {}", self.status))),
            status => Err(OpenError::Fatal(format!("HTTP status {status}"))),
        }
    }

    /// Whether the server says where else to ask.
    pub(crate) fn is_redirect(&self) -> bool {
        matches!(self.status, 301 | 302 | 303 | 307 | 308)
    }
}

/// Opens files of mirrors; keeps connections open between requests.
#[derive(Default)]
pub struct Client {
    /// By proxy, and by whether TLS is needed.
    agents: Mutex<HashMap<(Option<String>, bool), ureq::Agent>>,
}

impl Client {
    /// Opens a mirror's file from byte `from` on.
    ///
    /// # Errors
    /// See [`OpenError`]; each names what happened, without the URL.
    pub fn open(&self, mirror: &Mirror, path: &str, from: u64) -> Result<Body, OpenError> {
        let mut url = format!("{}/{path}", mirror.base);
        if let Some(path) = url.strip_prefix("file://") {
            return open_file(path, from);
        }
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send(&Request { url: &url, proxy: mirror.proxy.as_deref(), from, fields: &[] })?;
            match response.status {
                // The file is not longer than what we have: begin again.
                416 if from > 0 => return self.open(mirror, path, 0),
                _ if response.is_redirect() => url = redirect(&url, response.location.as_deref())?,
                _ => return response.body(from),
            }
        }
        Err(OpenError::Fatal(format!("more than {MAX_REDIRECTS} redirects")))
    }

    /// One request; redirects are not followed.
    ///
    /// # Errors
    /// There is no answer.
    pub(crate) fn send(&self, request: &Request<'_>) -> Result<Response, OpenError> {
        let &Request { url, proxy, .. } = request;
        match proxy {
            Some(proxy) if url.starts_with("http://") && proxy.starts_with("http://") => {
                plain_proxy::request(proxy, request)
            }
            _ => {
                let tls = [Some(url), proxy].into_iter().flatten().any(|url| url.starts_with("https://"));
                send(&self.agent(proxy, tls)?, request)
            }
        }
    }

    fn agent(&self, proxy: Option<&str>, tls: bool) -> Result<ureq::Agent, OpenError> {
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (proxy.map(str::to_owned), tls);
        if let Some(agent) = agents.get(&key) {
            return Ok(agent.clone());
        }
        let proxy = proxy
            .map(|proxy| ureq::Proxy::new(proxy).map_err(|e| OpenError::Fatal(format!("proxy {proxy}: {e}"))))
            .transpose()?;
        let trusted = if tls { trusted()? } else { Vec::new() };
        let agent = ureq::Agent::new_with_config(
            ureq::Agent::config_builder()
                .tls_config(
                    TlsConfig::builder()
                        .root_certs(RootCerts::Specific(Arc::new(trusted)))
                        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
                        .build(),
                )
                .proxy(proxy)
                .user_agent(USER_AGENT)
                .http_status_as_error(false)
                .max_redirects(0)
                .max_redirects_will_error(false)
                .max_idle_connections_per_host(16)
                .timeout_connect(Some(CONNECT_TIMEOUT))
                .timeout_recv_response(Some(STALL_TIMEOUT))
                .timeout_per_read(Some(STALL_TIMEOUT))
                .build(),
        );
        agents.insert(key, agent.clone());
        Ok(agent)
    }
}

fn trusted() -> Result<Vec<Certificate<'static>>, OpenError> {
    ca::of_system(&|name| std::env::var(name).ok()).map_err(OpenError::Fatal)
}

fn send(agent: &ureq::Agent, request: &Request<'_>) -> Result<Response, OpenError> {
    let mut get = agent.get(request.url);
    if request.from > 0 {
        get = get.header("range", format!("bytes={}-", request.from));
    }
    for (name, value) in request.fields {
        get = get.header(*name, *value);
    }
    let response = get.call().map_err(|error| match error {
        ureq::Error::Io(_) | ureq::Error::Timeout(_) | ureq::Error::ConnectionFailed => {
            OpenError::Transient(error.to_string())
        }
        ureq::Error::HostNotFound => OpenError::Fatal("the host name is unknown".to_owned()),
        error => OpenError::Fatal(error.to_string()),
    })?;
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Ok(Response {
        status: response.status().as_u16(),
        location: header("location"),
        content_length: header("content-length").and_then(|length| length.parse().ok()),
        content_range: header("content-range"),
        authenticate: response
            .headers()
            .get_all("www-authenticate")
            .iter()
            .filter_map(|value| value.to_str().ok().map(str::to_owned))
            .collect(),
        reader: Box::new(response.into_body().into_reader()),
    })
}

/// `Content-Range: bytes START-END/TOTAL`, RFC 9110, section 14.4.
fn partial(response: Response, from: u64) -> Result<Body, OpenError> {
    let range = response.content_range.unwrap_or_default();
    let read = || {
        let (span, total) = range.strip_prefix("bytes ")?.split_once('/')?;
        let (start, _end) = span.split_once('-')?;
        Some((start.parse::<u64>().ok()?, total.parse::<u64>().ok()))
    };
    match read() {
        Some((start, total)) if start == from => Ok(Body { start, total, reader: response.reader }),
        _ => Err(OpenError::Fatal(format!("asked for bytes from {from}, got Content-Range {range:?}"))),
    }
}

/// Where a redirect leads.
pub(crate) fn redirect(url: &str, location: Option<&str>) -> Result<String, OpenError> {
    let location = location.ok_or_else(|| OpenError::Fatal("a redirect to nowhere".to_owned()))?;
    if location.starts_with("http://") || location.starts_with("https://") {
        return Ok(location.to_owned());
    }
    let origin = || {
        let (scheme, rest) = url.split_once("://")?;
        Some(format!("{scheme}://{}", rest.split('/').next()?))
    };
    match (location.starts_with('/') && !location.starts_with("//"), origin()) {
        (true, Some(origin)) => Ok(origin + location),
        _ => Err(OpenError::Fatal(format!("a redirect to {location:?}"))),
    }
}

fn open_file(path: &str, from: u64) -> Result<Body, OpenError> {
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => OpenError::Missing("no such file".to_owned()),
        _ => OpenError::Fatal(error.to_string()),
    };
    let mut file = File::open(path).map_err(failed)?;
    let total = file.metadata().map_err(failed)?.len();
    let start = if from <= total { from } else { 0 };
    file.seek(SeekFrom::Start(start)).map_err(failed)?;
    Ok(Body { start, total: Some(total), reader: Box::new(file) })
}
