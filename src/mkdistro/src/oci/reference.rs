//! Names of container images: `HOST[:PORT]/REPOSITORY[:TAG][@sha256:DIGEST]`.
//!
//! Short names (`nginx`) are no references here: which registry they mean is a setting of each machine. Reference: the
//! grammar of github.com/distribution/reference, and the OCI distribution specification 1.1, "Pulling manifests".

use std::fmt;
use std::str::FromStr;

use crate::config::rules::is_registry;

/// A repository's path has no more bytes than this with its host.
const MAX_BYTES: usize = 255;

/// Where a registry has an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// Host with its port, in lower case.
    pub host: String,
    /// Path of the repository.
    pub repository: String,
    /// `latest` if neither a tag nor a digest is given.
    pub tag: Option<String>,
    /// sha256 of the manifest or index, hex.
    pub digest: Option<String>,
}

impl Reference {
    /// Host and repository.
    pub fn repository_name(&self) -> String {
        format!("{}/{}", self.host, self.repository)
    }

    /// What engines call the image: by its tag, or, without one, by its digest.
    pub fn name(&self) -> String {
        match (&self.tag, &self.digest) {
            (None, Some(digest)) => format!("{}@sha256:{digest}", self.repository_name()),
            (tag, _) => format!("{}:{}", self.repository_name(), tag.as_deref().unwrap_or("latest")),
        }
    }

    /// What a registry is asked for: the digest, or else the tag.
    pub fn asked(&self) -> String {
        match (&self.tag, &self.digest) {
            (_, Some(digest)) => format!("sha256:{digest}"),
            (tag, None) => tag.clone().unwrap_or_else(|| "latest".into()),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.repository_name())?;
        self.tag.iter().try_for_each(|tag| write!(out, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(out, "@sha256:{digest}"))
    }
}

impl FromStr for Reference {
    type Err = NoReference;

    fn from_str(text: &str) -> Result<Self, NoReference> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(sha256(digest).ok_or(NoReference)?.to_owned())),
            None => (text, None),
        };
        let (host, rest) = rest.split_once('/').ok_or(NoReference)?;
        let (path, tag) = match rest.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (rest, None),
        };
        let names_a_host = host == "localhost" || host.contains(['.', ':']);
        let valid = names_a_host && is_registry(host) && !host.contains(|c: char| c.is_ascii_uppercase());
        if !valid || !path.split('/').all(is_component) || !tag.is_none_or(is_tag) || text.len() > MAX_BYTES + 200 {
            return Err(NoReference);
        }
        let host = if host == "index.docker.io" { "docker.io" } else { host };
        if host == "docker.io" && !path.contains('/') {
            return Err(NoReference);
        }
        let tag = tag.map(str::to_owned).or_else(|| digest.is_none().then(|| "latest".into()));
        Ok(Self { host: host.into(), repository: path.into(), tag, digest })
    }
}

/// It is not a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoReference;

/// The hex digits of `sha256:…`.
pub(crate) fn sha256(digest: &str) -> Option<&str> {
    let hex = digest.strip_prefix("sha256:")?;
    let is_hex = hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_hex.then_some(hex)
}

/// Runs of letters and digits with separators (`.`, `_`, `__`, any number of `-`) between them.
fn is_component(text: &str) -> bool {
    let is_alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_separator = |text: &str| matches!(text, "" | "." | "_" | "__") || text.bytes().all(|byte| byte == b'-');
    text.starts_with(is_alphanumeric)
        && text.ends_with(is_alphanumeric)
        && text.split(is_alphanumeric).all(is_separator)
}

fn is_tag(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.len() <= 128 && text.starts_with(is_word) && text.chars().all(|c| is_word(c) || ".-".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn names_and_what_is_asked() {
        for (text, name, asked) in [
            ("docker.io/library/nginx:1.27", "docker.io/library/nginx:1.27", "1.27"),
            ("index.docker.io/library/nginx", "docker.io/library/nginx:latest", "latest"),
            ("localhost/web", "localhost/web:latest", "latest"),
            ("localhost:5000/a/b-c__d.e:V_1", "localhost:5000/a/b-c__d.e:V_1", "V_1"),
            ("quay.io/x/y@DIGEST", "quay.io/x/y@DIGEST", DIGEST),
            ("quay.io/x/y:1@DIGEST", "quay.io/x/y:1", DIGEST),
        ] {
            let full = |text: &str| text.replace("DIGEST", DIGEST);
            let reference: Reference = full(text).parse().unwrap();
            assert_eq!((reference.name(), reference.asked()), (full(name), asked.to_owned()), "{text}");
            assert_eq!(reference.to_string().parse(), Ok(reference));
        }
    }

    #[test]
    fn others_are_refused() {
        for text in [
            "",
            "nginx",
            "library/nginx",
            "docker.io/nginx",
            "Docker.io/library/nginx",
            "docker.io/Library/nginx",
            "docker.io/library/nginx:",
            "docker.io/library/nginx:-x",
            "docker.io//nginx",
            "docker.io/a/b..c",
            "docker.io/a/-b",
            "docker.io/a/b@sha256:12",
            "docker.io:0/a/b",
            "docker://docker.io/a/b",
            "docker.io/a/b c",
        ] {
            assert_eq!(text.parse::<Reference>(), Err(NoReference), "{text}");
        }
    }
}
