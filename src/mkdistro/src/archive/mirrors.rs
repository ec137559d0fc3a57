//! Which mirrors to ask, in which order: `[sources] mirrors` and `security-mirrors` of distro.toml, with `"system"`
//! replaced by what apt of the build host names.
//!
//! Of apt's configuration only Debian's own archives are used: a suite that is one of Debian's, an area `main`, and a key
//! ring (or, where none is named, a URI) with "debian" in it. Third parties are never asked.

use std::path::Path;

use anyhow::Result;

use super::apt::{Apt, Source};
use super::proxy::{self, Env};
use crate::config::Sources;
use crate::problem::{Class, Problem};

/// Debian's code and class names; what follows the first `-` or `/` (`-updates`, `-security`, `-backports`…) is cut off
/// before they are looked up.
const SUITES: &[&str] = &[
    "stretch",
    "buster",
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "sid",
    "oldoldstable",
    "oldstable",
    "stable",
    "testing",
    "unstable",
    "experimental",
];

/// One place to fetch from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// URL that paths of the archive are appended to, without a trailing `/`; `http`, `https` or `file`.
    pub base: String,
    /// URL of the proxy.
    pub proxy: Option<String>,
}

/// Mirrors by what they hold, each in the order to try.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mirrors {
    /// For all suites but the security ones.
    pub plain: Vec<Mirror>,
    /// For suites whose name ends in `-security`.
    pub security: Vec<Mirror>,
}

impl Mirrors {
    /// Resolves distro.toml's lists on this machine.
    ///
    /// # Errors
    /// A mirror that is neither `"system"` nor a URL of a known scheme.
    pub fn of_system(sources: &Sources) -> Result<Self> {
        Self::resolve(sources, &Apt::read(Path::new("/")), &|name| std::env::var(name).ok())
    }

    /// Resolves distro.toml's lists with the given apt configuration and environment.
    ///
    /// # Errors
    /// As [`Self::of_system`].
    pub fn resolve(sources: &Sources, apt: &Apt, env: Env<'_>) -> Result<Self> {
        let (system_security, system_plain) = of_apt(apt, &sources.suites);
        let through = |base: &String| Mirror { base: base.clone(), proxy: proxy::from_apt(base, &apt.options, env) };
        let list = |key: &str, wanted: &[String], system: &[String]| -> Result<Vec<Mirror>> {
            let mut mirrors: Vec<Mirror> = Vec::new();
            for entry in wanted {
                let found = match entry.as_str() {
                    "system" => system.iter().map(through).collect(),
                    url => vec![Mirror { base: check_url(key, url)?, proxy: proxy::from_env(url, env) }],
                };
                mirrors.extend(found);
            }
            let mut seen = std::collections::BTreeSet::new();
            mirrors.retain(|mirror| seen.insert(mirror.base.clone()));
            Ok(mirrors)
        };
        Ok(Self {
            plain: list("mirrors", &sources.mirrors, &system_plain)?,
            security: list("security-mirrors", &sources.security_mirrors, &system_security)?,
        })
    }

    /// Mirrors for a suite; at least one.
    ///
    /// # Errors
    /// There is none.
    pub fn for_suite(&self, suite: &str) -> Result<&[Mirror]> {
        let (key, mirrors) =
            if suite.ends_with("-security") { ("security-mirrors", &self.security) } else { ("mirrors", &self.plain) };
        if mirrors.is_empty() {
            return Err(Problem::error(
                Class::Network,
                format!("suite {suite}: no mirror to ask; apt's configuration of this machine names none of Debian's"),
                format!("set `{key} = [\"URL\"]` below [sources] in distro.toml"),
            ));
        }
        Ok(mirrors)
    }
}

fn check_url(key: &str, url: &str) -> Result<String> {
    let known = ["http://", "https://", "file:///"].iter().any(|scheme| url.starts_with(scheme));
    if !known || url.contains(char::is_whitespace) {
        return Err(Problem::error(
            Class::Config,
            format!("distro.toml: [sources] {key}: {url:?} is not a mirror"),
            "write \"system\", or a URL that begins with http://, https:// or file:///",
        ));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

/// Base URLs of Debian's archives in apt's configuration: for security suites and for others. Those that name a wanted
/// suite come first, otherwise apt's order stays.
fn of_apt(apt: &Apt, wanted: &[String]) -> (Vec<String>, Vec<String>) {
    let mut security = Vec::new();
    let mut plain = Vec::new();
    for source in apt.sources.iter().filter(|source| is_debian(source)) {
        let Some(base) = base_url(&source.uri) else { continue };
        let later = !source.suites.iter().any(|suite| wanted.contains(suite));
        if source.suites.iter().any(|suite| is_security(suite)) {
            security.push((later, base.clone()));
        }
        if source.suites.iter().any(|suite| !is_security(suite)) {
            plain.push((later, base));
        }
    }
    security.sort_by_key(|(later, _)| *later);
    plain.sort_by_key(|(later, _)| *later);
    // A host without a security entry: mirrors have that archive beside the main one.
    if security.is_empty() {
        let beside =
            |(later, base): &(bool, String)| base.ends_with("/debian").then(|| (*later, format!("{base}-security")));
        security = plain.iter().filter_map(beside).collect();
    }
    let bases = |list: Vec<(bool, String)>| list.into_iter().map(|(_, base)| base).collect();
    (bases(security), bases(plain))
}

/// A suite of the security archive: `trixie-security`, and `buster/updates` before 2021.
fn is_security(suite: &str) -> bool {
    suite.ends_with("-security") || suite.ends_with("/updates")
}

fn is_debian(source: &Source) -> bool {
    let codename = |suite: &String| SUITES.contains(&suite.split(['-', '/']).next().unwrap_or_default());
    let origin = if source.signed_by.is_empty() { &source.uri } else { &source.signed_by };
    let embedded = source.signed_by.contains("BEGIN PGP");
    source.suites.iter().all(codename)
        && !source.suites.is_empty()
        && source.components.iter().any(|component| component == "main")
        && (origin.to_ascii_lowercase().contains("debian") || embedded && source.uri.contains("debian"))
}

/// apt's `file:/path` and `http(s)` URIs as URLs; other methods (cdrom, copy, tor, s3) are not for us.
fn base_url(uri: &str) -> Option<String> {
    if let Some(path) = uri.strip_prefix("file:") {
        return Some(format!("file:///{}", path.trim_start_matches('/')));
    }
    (uri.starts_with("http://") || uri.starts_with("https://")).then(|| uri.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::apt::{parse_deb822, parse_one_line};

    fn no_env(_: &str) -> Option<String> {
        None
    }

    fn bases(mirrors: &[Mirror]) -> Vec<&str> {
        mirrors.iter().map(|mirror| mirror.base.as_str()).collect()
    }

    #[test]
    fn debian_archives_of_apt_are_used_and_no_others() {
        let mut sources = parse_one_line(
            "deb http://old.test/debian bookworm main\n\
             deb http://m.test/debian trixie main\n\
             deb [signed-by=/usr/share/keyrings/vendor.gpg] http://vendor.test/debian trixie main\n\
             deb http://chrome.test/linux stable main\n\
             deb http://tools.test/debian nodistro main\n\
             deb http://docker.test/linux/debian trixie stable\n\
             deb http://flat.test/debian ./\n\
             deb cdrom:[Debian]/ trixie main\n\
             deb file:/srv/debian trixie-updates main\n\
             deb http://security.debian.test trixie-security main\n",
        );
        sources.extend(parse_deb822(
            "Types: deb\nURIs: https://both.test/x\nSuites: trixie trixie-security\nComponents: main\n\
             Signed-By: /usr/share/keyrings/debian-archive-keyring.pgp\n",
        ));
        let apt = Apt { sources, ..Apt::default() };
        let mirrors = Mirrors::resolve(&Sources::default(), &apt, &no_env).unwrap();
        assert_eq!(
            bases(mirrors.for_suite("trixie").unwrap()),
            ["http://m.test/debian", "file:///srv/debian", "https://both.test/x", "http://old.test/debian"]
        );
        assert_eq!(
            bases(mirrors.for_suite("trixie-security").unwrap()),
            ["http://security.debian.test", "https://both.test/x"]
        );
    }

    #[test]
    fn security_archive_is_looked_for_beside_the_main_one() {
        let apt = Apt { sources: parse_one_line("deb http://m.test/debian trixie main"), ..Apt::default() };
        let mirrors = Mirrors::resolve(&Sources::default(), &apt, &no_env).unwrap();
        assert_eq!(bases(&mirrors.security), ["http://m.test/debian-security"]);
    }

    #[test]
    fn lists_keep_their_order_and_duplicates_go() {
        let sources = Sources {
            mirrors: ["http://first.test/", "system", "file:///srv/debian", "http://m.test/debian"]
                .map(Into::into)
                .into(),
            security_mirrors: Vec::new(),
            ..Sources::default()
        };
        let apt = Apt {
            sources: parse_one_line("deb http://m.test/debian trixie main"),
            options: [("acquire::http::proxy".to_owned(), "http://proxy.test".to_owned())].into(),
        };
        let mirrors = Mirrors::resolve(&sources, &apt, &no_env).unwrap();
        assert_eq!(bases(&mirrors.plain), ["http://first.test", "http://m.test/debian", "file:///srv/debian"]);
        let proxies: Vec<Option<&str>> = mirrors.plain.iter().map(|mirror| mirror.proxy.as_deref()).collect();
        assert_eq!(proxies, [None, Some("http://proxy.test"), None]);
        let error = mirrors.for_suite("trixie-security").unwrap_err();
        assert_eq!(error.downcast_ref::<Problem>().unwrap().class, Class::Network);
    }

    #[test]
    fn other_mirrors_are_refused() {
        for url in ["ftp://m.test/debian", "m.test/debian", "http://m.test/a b", "file://srv"] {
            let sources = Sources { mirrors: vec![url.into()], ..Sources::default() };
            let error = Mirrors::resolve(&sources, &Apt::default(), &no_env).unwrap_err();
            assert_eq!(error.downcast_ref::<Problem>().unwrap().class, Class::Config, "{url}");
        }
    }
}
