//! A registry over HTTP: OCI distribution specification 1.1, section "Pull", with Docker's token authentication.
//!
//! An answer's bytes are trusted for their digest alone. Credentials and tokens go to the server that asked for them and
//! are not sent on when it points elsewhere, as registries do for blobs.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use serde::Deserialize;

use super::challenge::{self, Challenge};
use super::credentials::Credentials;
use super::manifest;
use super::reference::Reference;
use crate::archive::http::{Body, Client, MAX_REDIRECTS, OpenError, Request, Response, redirect};
use crate::archive::proxy;
use crate::config::{Checked, Registry};
use crate::fetch::{Fetcher, Place};

/// A token is a few kilobytes.
const MAX_TOKEN_BYTES: u64 = 1 << 20;

/// An image's repository, on the registry and its mirrors.
pub(super) struct Repository<'a> {
    client: &'a Client,
    /// In the order in which they are asked.
    servers: Vec<Server>,
    /// What worked: server and `Authorization`.
    granted: Mutex<HashMap<String, String>>,
}

/// One place that has the repository.
struct Server {
    /// Scheme and host.
    origin: String,
    repository: String,
    credentials: Option<Credentials>,
    /// Whether plain HTTP was asked for.
    insecure: bool,
}

/// One file of a repository.
pub(super) struct RemoteFile<'a> {
    repository: &'a Repository<'a>,
    server: &'a Server,
    path: String,
}

impl<'a> Repository<'a> {
    /// The repository of a reference, as distro.toml and the command line say how to ask for it.
    ///
    /// # Errors
    /// Class `Config`: a file of credentials cannot be read.
    pub(super) fn open(checked: &Checked, fetcher: &'a Fetcher, reference: &Reference) -> Result<Self> {
        let settings = checked.distro.registry(&reference.host);
        let file = match (&fetcher.registry_auth, settings.auth_file.as_str()) {
            (Some(file), _) => Some(file.clone()),
            (None, "") => None,
            (None, file) => Some(checked.dir.join(file)),
        };
        Self::new(&fetcher.client, &settings, reference, file)
    }

    fn new(client: &'a Client, settings: &Registry, reference: &Reference, file: Option<PathBuf>) -> Result<Self> {
        let credentials = |host: &str, repository: &str| match &file {
            Some(file) => Credentials::find(file, host, repository),
            None => Ok(None),
        };
        let mut servers = Vec::new();
        for mirror in &settings.mirrors {
            let (scheme, rest) = mirror.split_once("://").unwrap_or(("https", mirror));
            let (host, folder) = rest.split_once('/').unwrap_or((rest, ""));
            let repository = format!("{folder}/{}", reference.repository).trim_start_matches('/').to_owned();
            servers.push(Server {
                origin: format!("{scheme}://{host}"),
                credentials: credentials(host, &repository)?,
                repository,
                insecure: scheme == "http",
            });
        }
        let scheme = if settings.insecure { "http" } else { "https" };
        // The API of Docker's registry has another name than the registry.
        let host = if reference.host == "docker.io" { "registry-1.docker.io" } else { &reference.host };
        servers.push(Server {
            origin: format!("{scheme}://{host}"),
            repository: reference.repository.clone(),
            credentials: credentials(&reference.host, &reference.repository)?,
            insecure: settings.insecure,
        });
        Ok(Self { client, servers, granted: Mutex::default() })
    }

    /// A manifest, by tag or digest, wherever it is.
    pub(super) fn manifest(&'a self, asked: &str) -> Vec<RemoteFile<'a>> {
        self.files(format!("manifests/{asked}"))
    }

    /// A configuration or layer.
    pub(super) fn blob(&'a self, digest: &str) -> Vec<RemoteFile<'a>> {
        self.files(format!("blobs/{digest}"))
    }

    fn files(&'a self, path: String) -> Vec<RemoteFile<'a>> {
        self.servers.iter().map(|server| RemoteFile { repository: self, server, path: path.clone() }).collect()
    }

    /// Asks, and signs in if that is what it takes.
    fn ask(&self, server: &Server, url: &str, from: u64) -> Result<Response, OpenError> {
        let granted = || self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        let known = granted().get(&server.origin).cloned();
        let response = self.follow(server, url, known.as_deref(), from)?;
        if response.status != 401 {
            return Ok(response);
        }
        // A token that was good before may have run out.
        let authorization = self.sign_in(server, &response.authenticate)?;
        let response = self.follow(server, url, Some(&authorization), from)?;
        if response.status == 401 {
            let what =
                if server.credentials.is_some() { "does not accept the credentials" } else { "wants credentials" };
            return Err(OpenError::Fatal(format!("HTTP status 401: the registry {what}")));
        }
        granted().insert(server.origin.clone(), authorization);
        Ok(response)
    }

    /// Asks wherever the server points.
    fn follow(
        &self,
        server: &Server,
        url: &str,
        authorization: Option<&str>,
        from: u64,
    ) -> Result<Response, OpenError> {
        let mut url = url.to_owned();
        for _ in 0..=MAX_REDIRECTS {
            if !url.starts_with("https://") && !server.insecure {
                return Err(OpenError::Fatal(format!("it points to {url}, which is without TLS")));
            }
            let mut fields = vec![("accept", manifest::ACCEPT)];
            let is_own = url.strip_prefix(&server.origin).is_some_and(|rest| rest.starts_with('/'));
            fields.extend(authorization.filter(|_| is_own).map(|value| ("authorization", value)));
            let response = self.send(&url, from, &fields)?;
            if !response.is_redirect() {
                return Ok(response);
            }
            url = redirect(&url, response.location.as_deref())?;
        }
        Err(OpenError::Fatal(format!("more than {MAX_REDIRECTS} redirects")))
    }

    fn send(&self, url: &str, from: u64, fields: &[(&str, &str)]) -> Result<Response, OpenError> {
        let proxy = proxy::from_env(url, &|name| std::env::var(name).ok());
        self.client.send(&Request { url, proxy: proxy.as_deref(), from, fields })
    }

    /// What to send as `Authorization` after a refusal.
    fn sign_in(&self, server: &Server, fields: &[String]) -> Result<String, OpenError> {
        let basic = server.credentials.as_ref().map(Credentials::basic);
        let challenges: Vec<Challenge> = fields.iter().flat_map(|field| challenge::parse(field)).collect();
        for challenge in &challenges {
            match (challenge, &basic) {
                (Challenge::Bearer { realm, service, scope }, _) => {
                    let scope = scope.clone().unwrap_or_else(|| format!("repository:{}:pull", server.repository));
                    return self.token(server, realm, service.as_deref(), &scope, basic.as_deref());
                }
                (Challenge::Basic, Some(basic)) => return Ok(basic.clone()),
                (Challenge::Basic, None) => {}
            }
        }
        let reason = if challenges.is_empty() { "in a way that is not known here" } else { "with user and password" };
        Err(OpenError::Fatal(format!("HTTP status 401: the registry wants to be asked {reason}")))
    }

    fn token(
        &self,
        server: &Server,
        realm: &str,
        service: Option<&str>,
        scope: &str,
        basic: Option<&str>,
    ) -> Result<String, OpenError> {
        #[derive(Deserialize)]
        struct Token {
            token: Option<String>,
            access_token: Option<String>,
        }
        let is_url = realm.starts_with("https://") || realm.starts_with("http://") && server.insecure;
        if !is_url {
            return Err(OpenError::Fatal(format!("it gives tokens at {realm:?}, which is without TLS")));
        }
        let mut url =
            format!("{realm}{}scope={}", if realm.contains('?') { '&' } else { '?' }, challenge::encode(scope));
        url.extend(service.map(|service| format!("&service={}", challenge::encode(service))));
        let fields: Vec<(&str, &str)> = basic.map(|basic| ("authorization", basic)).into_iter().collect();
        let response = self.send(&url, 0, &fields)?;
        if matches!(response.status, 401 | 403) {
            let what = if basic.is_some() { "does not accept the credentials" } else { "wants credentials" };
            return Err(OpenError::Fatal(format!("{realm}: HTTP status {}: it {what}", response.status)));
        }
        let told = |error: OpenError| match error {
            OpenError::Transient(reason) => OpenError::Transient(format!("{realm}: {reason}")),
            OpenError::Missing(reason) | OpenError::Fatal(reason) => OpenError::Fatal(format!("{realm}: {reason}")),
        };
        let bytes = response.body(0).and_then(|body| body.small(MAX_TOKEN_BYTES)).map_err(told)?;
        let found: Option<Token> = serde_json::from_slice(&bytes).ok();
        let token = found.and_then(|found| found.token.or(found.access_token));
        let is_token = |token: &String| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        match token.filter(is_token) {
            Some(token) => Ok(format!("Bearer {token}")),
            None => Err(OpenError::Fatal(format!("{realm}: the answer has no token"))),
        }
    }
}

impl RemoteFile<'_> {
    /// All of it, if it is small; once more after failures that may pass.
    pub(super) fn read(&self, fetcher: &Fetcher) -> Result<Vec<u8>, OpenError> {
        fetcher.patiently(&|| self.open(0)?.small(manifest::MAX_BYTES))
    }
}

impl Place for RemoteFile<'_> {
    fn base(&self) -> &str {
        &self.server.origin
    }

    fn url(&self) -> String {
        format!("{}/v2/{}/{}", self.server.origin, self.server.repository, self.path)
    }

    fn open(&self, from: u64) -> Result<Body, OpenError> {
        let url = self.url();
        let response = self.repository.ask(self.server, &url, from)?;
        if response.status == 416 && from > 0 {
            return self.open(0);
        }
        response.body(from)
    }
}
