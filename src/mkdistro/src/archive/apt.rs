//! apt's configuration of the build host: which archives it names, and through which proxy it reaches them.
//!
//! Formats: sources.list(5) in its one-line and deb822 styles, apt.conf(5) as far as proxies are concerned,
//! apt-transport-mirror(1) lists that are local files. The parsers are pure; [`Apt::read`] walks the files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// An archive that apt is configured to use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Source {
    /// Base URI as written, without a trailing `/`.
    pub uri: String,
    /// Suites.
    pub suites: Vec<String>,
    /// Areas.
    pub components: Vec<String>,
    /// Key ring or key that apt wants; empty: any that it trusts.
    pub signed_by: String,
}

/// What apt's configuration says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Apt {
    /// Archives in apt's order.
    pub sources: Vec<Source>,
    /// Options of apt.conf by name in lower case (`acquire::http::proxy`); the last value counts.
    pub options: BTreeMap<String, String>,
}

impl Apt {
    /// Reads the configuration below `root` (`/` but in tests). What is missing or unreadable names nothing.
    pub fn read(root: &Path) -> Self {
        let apt = root.join("etc/apt");
        let mut sources = Vec::new();
        for (path, text) in files(&apt.join("sources.list"), &apt.join("sources.list.d"), &["list", "sources"]) {
            sources.extend(if path.ends_with(".sources") { parse_deb822(&text) } else { parse_one_line(&text) });
        }
        let mut options = BTreeMap::new();
        // apt reads the folder before the file.
        let mut parts = files(&apt.join("apt.conf"), &apt.join("apt.conf.d"), &["", "conf"]);
        let folder_first = parts.iter().position(|(path, _)| path.ends_with("/apt.conf"));
        if let Some(index) = folder_first {
            let main = parts.remove(index);
            parts.push(main);
        }
        for (_, text) in parts {
            options.extend(parse_options(&text));
        }
        Self { sources: sources.into_iter().flat_map(|source| expand_mirror_list(root, source)).collect(), options }
    }
}

/// The file, then those of the folder that have one of these extensions, by name; with their paths.
fn files(file: &Path, folder: &Path, extensions: &[&str]) -> Vec<(String, String)> {
    let mut paths: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| {
        let extension = path.extension().unwrap_or_default();
        extensions.iter().any(|wanted| extension == *wanted)
    });
    paths.sort();
    paths.insert(0, file.to_owned());
    let read = |path: &std::path::PathBuf| Some((path.to_str()?.to_owned(), fs::read_to_string(path).ok()?));
    paths.iter().filter_map(read).collect()
}

/// `deb [option=value ...] URI suite component...` lines.
pub fn parse_one_line(text: &str) -> Vec<Source> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Source> {
    let line = line.split('#').next()?.trim();
    let mut rest = line.strip_prefix("deb")?.strip_prefix([' ', '\t'])?.trim_start();
    let mut signed_by = "";
    if let Some(options) = rest.strip_prefix('[') {
        let (options, after) = options.split_once(']')?;
        signed_by = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by=")).unwrap_or_default();
        rest = after;
    }
    let mut words = rest.split_whitespace().map(str::to_owned);
    let (uri, suite) = (words.next()?, words.next()?);
    Some(Source {
        uri: uri.trim_end_matches('/').to_owned(),
        suites: vec![suite],
        components: words.collect(),
        signed_by: signed_by.to_owned(),
    })
}

/// Stanzas of `Types`, `URIs`, `Suites`, `Components`; one source per URI.
pub fn parse_deb822(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    let mut last = String::new();
    for line in text.lines().chain([""]) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            sources.extend(stanza_sources(&std::mem::take(&mut fields)));
        } else if line.starts_with([' ', '\t']) {
            let value = fields.entry(last.clone()).or_default();
            value.push('\n');
            value.push_str(line.trim());
        } else if let Some((name, value)) = line.split_once(':') {
            last = name.to_ascii_lowercase();
            fields.insert(last.clone(), value.trim().to_owned());
        }
    }
    sources
}

fn stanza_sources(fields: &BTreeMap<String, String>) -> Vec<Source> {
    let field = |name: &str| fields.get(name).map_or("", String::as_str);
    let words = |name: &str| field(name).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let disabled = matches!(field("enabled").to_ascii_lowercase().as_str(), "no" | "false" | "0" | "without" | "off");
    if disabled || !words("types").iter().any(|kind| kind == "deb") {
        return Vec::new();
    }
    let source = |uri: String| Source {
        uri: uri.trim_end_matches('/').to_owned(),
        suites: words("suites"),
        components: words("components"),
        signed_by: field("signed-by").to_owned(),
    };
    words("uris").into_iter().map(source).collect()
}

/// Replaces a `mirror+file:/path` source by one per line of that file. Mirror lists on a network are left out.
fn expand_mirror_list(root: &Path, source: Source) -> Vec<Source> {
    let list = ["mirror+file:", "mirror:file:"].iter().find_map(|prefix| source.uri.strip_prefix(prefix));
    let Some(path) = list else {
        return if source.uri.starts_with("mirror") { Vec::new() } else { vec![source] };
    };
    let path = root.join(path.trim_start_matches('/'));
    let text = fs::read_to_string(path).unwrap_or_default();
    parse_mirror_list(&text).into_iter().map(|uri| Source { uri, ..source.clone() }).collect()
}

/// URIs of a mirror list, by their `priority:` (1 is best; a line without one comes last).
pub fn parse_mirror_list(text: &str) -> Vec<String> {
    let mut uris = Vec::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(uri) = words.next() else { continue };
        let priority = words.find_map(|word| word.strip_prefix("priority:")?.parse::<u32>().ok()).unwrap_or(u32::MAX);
        uris.push((priority, uri.trim_end_matches('/').to_owned()));
    }
    uris.sort_by_key(|(priority, _)| *priority);
    uris.into_iter().map(|(_, uri)| uri).collect()
}

/// No option that counts here has a longer name: `Acquire::https::Proxy::` and a host, which may have 253 bytes.
const NAME_BYTES: usize = 512;

/// Options of an apt.conf file, names in lower case. Both ways to write them are read:
/// `Acquire::http::Proxy "x";` and `Acquire { http { Proxy "x"; }; };`.
pub fn parse_options(text: &str) -> Vec<(String, String)> {
    let mut options = Vec::new();
    let mut scopes: Vec<String> = Vec::new();
    let mut words: Vec<String> = Vec::new();
    for token in tokens(text) {
        match token.as_str() {
            "{" => scopes.push(std::mem::take(&mut words).join("::")),
            "}" => {
                scopes.pop();
                words.clear();
            }
            ";" => {
                if let [name, value] = words.as_slice() {
                    let full: Vec<&str> = scopes.iter().chain([name]).map(String::as_str).collect();
                    // Each of many nested ones would have all names around it in its own.
                    let bytes: usize = full.iter().map(|part| part.len() + 2).sum();
                    if bytes > NAME_BYTES {
                        words.clear();
                        continue;
                    }
                    options.push((full.join("::").to_ascii_lowercase(), value.clone()));
                }
                words.clear();
            }
            _ => words.push(token),
        }
    }
    options
}

/// Words (quotes taken off), `{`, `}` and `;`; comments of all three kinds skipped.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, after) = if rest.starts_with("//") || first == '#' {
            (None, rest.split_once('\n').map_or("", |(_, after)| after))
        } else if let Some(comment) = rest.strip_prefix("/*") {
            (None, comment.split_once("*/").map_or("", |(_, after)| after))
        } else if let Some(quoted) = rest.strip_prefix('"') {
            let (inside, after) = quoted.split_once('"').unwrap_or((quoted, ""));
            (Some(inside), after)
        } else {
            let special = |c: char| c.is_whitespace() || matches!(c, '{' | '}' | ';' | '"');
            let end = rest.find(special).unwrap_or(rest.len()).max(first.len_utf8());
            let (word, after) = rest.split_at(end);
            (Some(word), after)
        };
        tokens.extend(token.map(str::to_owned));
        rest = after.trim_start();
    }
    tokens
}

#[cfg(test)]
#[path = "apt_tests.rs"]
mod tests;
