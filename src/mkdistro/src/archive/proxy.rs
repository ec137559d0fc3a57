//! Which proxy a URL is fetched through: apt's settings for mirrors of apt's configuration, else the environment.
//!
//! The environment is read as curl does: `http_proxy` (lower case only) for http, `https_proxy`/`HTTPS_PROXY` for https,
//! then `all_proxy`/`ALL_PROXY`; `no_proxy`/`NO_PROXY` lists hosts and domains that are reached directly.

use std::collections::BTreeMap;

/// Looks up an environment variable.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Scheme and host of a URL, in lower case; without user, port and path.
pub fn scheme_and_host(url: &str) -> Option<(String, String)> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_user, host)| host);
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.split_once(']')?.0,
        None => host.split_once(':').map_or(host, |(host, _port)| host),
    };
    Some((scheme.to_ascii_lowercase(), host.to_ascii_lowercase()))
}

/// The proxy that the environment names for a URL.
pub fn from_env(url: &str, env: Env<'_>) -> Option<String> {
    let (scheme, host) = scheme_and_host(url)?;
    let names: &[&str] = match scheme.as_str() {
        "http" => &["http_proxy", "all_proxy", "ALL_PROXY"],
        "https" => &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
        _ => return None,
    };
    if is_direct(&host, env) {
        return None;
    }
    names.iter().find_map(|name| env(name).filter(|value| !value.is_empty())).map(with_scheme)
}

/// `host:port` alone means an HTTP proxy.
fn with_scheme(proxy: String) -> String {
    if proxy.contains("://") { proxy } else { format!("http://{proxy}") }
}

/// The proxy for a URL of apt's configuration: `Acquire::http::Proxy::HOST`, `Acquire::http::Proxy`, the same of http for
/// https, the environment. `options` have lower-case names; `DIRECT` means none.
pub fn from_apt(url: &str, options: &BTreeMap<String, String>, env: Env<'_>) -> Option<String> {
    let (scheme, host) = scheme_and_host(url)?;
    let names = [
        format!("acquire::{scheme}::proxy::{host}"),
        format!("acquire::{scheme}::proxy"),
        format!("acquire::http::proxy::{host}"),
        "acquire::http::proxy".to_owned(),
    ];
    match names.iter().find_map(|name| options.get(name)) {
        Some(value) if value.is_empty() || value == "DIRECT" || value == "false" => None,
        Some(value) if !is_direct(&host, env) => Some(with_scheme(value.clone())),
        Some(_) => None,
        None => from_env(url, env),
    }
}

/// Whether `no_proxy` lists the host or a domain above it.
fn is_direct(host: &str, env: Env<'_>) -> bool {
    let list = env("no_proxy").or_else(|| env("NO_PROXY")).unwrap_or_default().to_ascii_lowercase();
    list.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        let domain = entry.trim_start_matches('*').trim_start_matches('.');
        entry == "*" || host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_found_in_urls() {
        for (url, expected) in [
            ("http://Mirror.test/debian", Some(("http", "mirror.test"))),
            ("https://user:pw@mirror.test:8080", Some(("https", "mirror.test"))),
            ("http://[::1]:80/x", Some(("http", "::1"))),
            ("mirror.test", None),
        ] {
            let found = scheme_and_host(url);
            assert_eq!(found, expected.map(|(scheme, host)| (scheme.to_owned(), host.to_owned())), "{url}");
        }
    }

    #[test]
    fn environment_as_curl_reads_it() {
        type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], Option<&'a str>);
        let cases: &[Case<'_>] = &[
            ("http://a.test/", &[], None),
            ("http://a.test/", &[("http_proxy", "http://p:1")], Some("http://p:1")),
            ("http://a.test/", &[("http_proxy", "p:1")], Some("http://p:1")),
            ("http://a.test/", &[("HTTP_PROXY", "http://p:1")], None),
            ("http://a.test/", &[("https_proxy", "http://p:1")], None),
            ("https://a.test/", &[("HTTPS_PROXY", "http://p:1")], Some("http://p:1")),
            ("https://a.test/", &[("http_proxy", "http://p:1"), ("ALL_PROXY", "http://q")], Some("http://q")),
            ("http://a.test/", &[("http_proxy", "http://p:1"), ("no_proxy", "b.test, a.test")], None),
            ("http://x.a.test/", &[("http_proxy", "http://p:1"), ("NO_PROXY", ".a.test")], None),
            ("http://xa.test/", &[("http_proxy", "http://p:1"), ("no_proxy", "a.test")], Some("http://p:1")),
            ("http://a.test/", &[("http_proxy", "http://p:1"), ("no_proxy", "*")], None),
            ("file:///srv/debian", &[("all_proxy", "http://p:1")], None),
        ];
        for (url, variables, expected) in cases {
            let env = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            assert_eq!(from_env(url, &env).as_deref(), *expected, "{url} with {variables:?}");
        }
    }

    #[test]
    fn apt_comes_before_the_environment() {
        let env = |name: &str| (name == "http_proxy").then(|| "http://env".to_owned());
        let options = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
        };
        let general =
            options(&[("acquire::http::proxy", "http://apt"), ("acquire::http::proxy::local.test", "DIRECT")]);
        assert_eq!(from_apt("http://a.test/", &general, &env).as_deref(), Some("http://apt"));
        assert_eq!(from_apt("https://a.test/", &general, &env).as_deref(), Some("http://apt"));
        assert_eq!(from_apt("http://local.test/", &general, &env), None);
        assert_eq!(from_apt("http://a.test/", &options(&[]), &env).as_deref(), Some("http://env"));
        let no_proxy = |name: &str| (name == "no_proxy").then(|| "a.test".to_owned());
        assert_eq!(from_apt("http://a.test/", &general, &no_proxy), None);
    }
}
