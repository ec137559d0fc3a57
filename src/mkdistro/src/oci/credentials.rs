//! Files of registries' credentials, as `podman login` and `docker login` write them: containers-auth.json(5).
//!
//! Only a file that was named is read, and nothing of it goes into an image. Programs that keep credentials elsewhere
//! (`credsStore`, `credHelpers`) are not run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::problem::{Class, Problem};

/// What Docker calls its registry in such files, besides its name in references.
const DOCKER_HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// A user's name and password at a registry.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    /// `user:password`, base64: RFC 7617.
    basic: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Credentials")
    }
}

impl Credentials {
    /// The value of `Authorization`.
    pub(super) fn basic(&self) -> String {
        format!("Basic {}", self.basic)
    }

    /// Those that a file has for `host/repository`.
    pub(super) fn find(file: &Path, host: &str, repository: &str) -> Result<Option<Self>> {
        let text = fs::read_to_string(file).map_err(|error| {
            let hint = format!("\"podman login --authfile {} {host}\" writes it", file.display());
            Problem::error(Class::Config, format!("reading the credentials {}: {error}", file.display()), hint)
        })?;
        Self::parse(&text, host, repository).with_context(|| format!("reading the credentials {}", file.display()))
    }

    /// The most specific entry counts.
    fn parse(text: &str, host: &str, repository: &str) -> Result<Option<Self>> {
        #[derive(Deserialize)]
        struct File {
            #[serde(default)]
            auths: BTreeMap<String, Entry>,
        }
        #[derive(Deserialize)]
        struct Entry {
            #[serde(default)]
            auth: String,
        }
        // An error of serde shows no values, but the places of one may.
        let file: File = serde_json::from_str(text).ok().context("it is not what \"podman login\" writes")?;
        let entries: BTreeMap<String, Entry> =
            file.auths.into_iter().map(|(key, entry)| (place(&key), entry)).collect();
        let hosts: &[&str] = if host == "docker.io" { &DOCKER_HUB } else { &[host] };
        for host in hosts {
            let whole = format!("{host}/{repository}");
            let ends = whole.char_indices().rev().filter(|(_, c)| *c == '/').map(|(at, _)| at);
            for end in std::iter::once(whole.len()).chain(ends) {
                let Some(entry) = whole.get(..end).and_then(|place| entries.get(place)) else { continue };
                let plain = STANDARD.decode(&entry.auth).ok().filter(|plain| plain.contains(&b':'));
                plain.with_context(|| format!("the entry of {host} has no user and password in \"auth\""))?;
                return Ok(Some(Self { basic: entry.auth.clone() }));
            }
        }
        Ok(None)
    }
}

/// The place that an entry is for: Docker writes some as URLs of its API.
fn place(key: &str) -> String {
    let rest = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let rest = rest.trim_end_matches('/');
    rest.strip_suffix("/v1").or_else(|| rest.strip_suffix("/v2")).unwrap_or(rest).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_entry_counts() {
        let encoded = |text: &str| STANDARD.encode(text);
        let text = format!(
            "{{\"auths\":{{\"https://index.docker.io/v1/\":{{\"auth\":\"{}\"}},\"quay.test\":{{\"auth\":\"{}\"}},\
             \"quay.test/team/web\":{{\"auth\":\"{}\"}},\"empty.test\":{{}}}},\"credsStore\":\"x\"}}",
            encoded("hub:1"),
            encoded("quay:2"),
            encoded("web:3")
        );
        for (host, repository, expected) in [
            ("docker.io", "library/nginx", Some("hub:1")),
            ("quay.test", "other", Some("quay:2")),
            ("quay.test", "team/web", Some("web:3")),
            ("quay.test", "team/web/sub", Some("web:3")),
            ("quay.test", "team/webs", Some("quay:2")),
            ("other.test", "x", None),
        ] {
            let found = Credentials::parse(&text, host, repository).unwrap().map(|found| found.basic());
            assert_eq!(found, expected.map(|text| format!("Basic {}", encoded(text))), "{host}/{repository}");
        }
        let error = Credentials::parse(&text, "empty.test", "x").unwrap_err();
        assert_eq!(error.to_string(), "the entry of empty.test has no user and password in \"auth\"");
        assert!(Credentials::parse("[", "a", "b").is_err());
        assert_eq!(format!("{:?}", Credentials { basic: "secret".into() }), "Credentials");
    }
}
