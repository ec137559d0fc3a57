//! apt's sources: both formats of sources.list(5), as far as finding the Debian archive that this machine uses needs.

use std::path::Path;

/// One archive that packages come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) uri: String,
    pub(crate) suites: Vec<String>,
    pub(crate) components: Vec<String>,
    /// Value of `Signed-By`, its further lines included.
    pub(crate) signed_by: Option<String>,
}

/// What this machine's configuration names.
pub(crate) fn sources() -> Vec<Source> {
    let folder = Path::new("/etc/apt/sources.list.d");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.push("/etc/apt/sources.list".into());
    files.sort();
    let mut sources = Vec::new();
    for file in files {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => sources.extend(text.lines().filter_map(one_line)),
            Some("sources") => sources.extend(stanzas(&text)),
            _ => {}
        }
    }
    sources
}

/// `deb [options] uri suite component…`
fn one_line(line: &str) -> Option<Source> {
    let rest = line.split('#').next()?.trim().strip_prefix("deb ")?.trim();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let signed_by = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by=")).map(str::to_string);
    let mut words = rest.split_whitespace().map(str::to_string);
    let (uri, suite) = (words.next()?, words.next()?);
    Some(Source { uri, suites: vec![suite], components: words.collect(), signed_by })
}

/// The deb822 format: stanzas of `Key: value` with continuation lines that begin with a space.
fn stanzas(text: &str) -> Vec<Source> {
    let lines = text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    lines.split("\n\n").filter_map(stanza).collect()
}

fn stanza(text: &str) -> Option<Source> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        if line.starts_with([' ', '\t']) {
            let (_, value) = fields.last_mut()?;
            value.push('\n');
            value.push_str(line);
        } else if let Some((key, value)) = line.split_once(':') {
            fields.push((key.to_ascii_lowercase(), value.trim().to_string()));
        }
    }
    let value = |key: &str| fields.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    let words = |key: &str| value(key).unwrap_or("").split_whitespace().map(str::to_string).collect::<Vec<_>>();
    let binary = words("types").iter().any(|kind| kind == "deb");
    let enabled = value("enabled") != Some("no");
    let uri = words("uris").into_iter().next()?;
    let source = Source {
        uri,
        suites: words("suites"),
        components: words("components"),
        signed_by: value("signed-by").map(str::to_string),
    };
    (binary && enabled).then_some(source)
}

/// A `.sources` file for the backports of the release `codename`, from the archive the release itself comes from.
pub(crate) fn backports(sources: &[Source], codename: &str) -> Option<String> {
    let serves = |source: &&Source| {
        source.suites.iter().any(|suite| suite == codename) && source.components.iter().any(|part| part == "main")
    };
    let source = sources.iter().find(serves)?;
    let mut text = format!("Types: deb\nURIs: {}\nSuites: {codename}-backports\nComponents: main\n", source.uri);
    if let Some(signed_by) = &source.signed_by {
        text.push_str(&format!("Signed-By: {signed_by}\n"));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_format() {
        let text = "# deb http://no x main\ndeb-src http://a/debian trixie main\n\
                    deb [arch=amd64 signed-by=/k.gpg] http://a/debian trixie main contrib # x\ndeb http://b trixie";
        let found: Vec<_> = text.lines().filter_map(one_line).collect();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].components, ["main", "contrib"]);
        let expected =
            "Types: deb\nURIs: http://a/debian\nSuites: trixie-backports\nComponents: main\nSigned-By: /k.gpg\n";
        assert_eq!(backports(&found, "trixie").as_deref(), Some(expected));
        assert_eq!(backports(&found, "forky"), None);
        assert_eq!(backports(&found[1..], "trixie"), None);
    }

    #[test]
    fn deb822_format() {
        let text = "Types: deb deb-src\n# comment\nURIs: http://a/debian http://b\nSuites: bookworm bookworm-updates\n\
                    Components: main\nSigned-By:\n -----BEGIN\n .\n\nTypes: deb\nURIs: http://off\nSuites: bookworm\n\
                    Components: main\nEnabled: no\n\nTypes: deb-src\nURIs: http://src\nSuites: x\n";
        let found = stanzas(text);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].suites, ["bookworm", "bookworm-updates"]);
        let file = backports(&found, "bookworm").unwrap();
        assert!(
            file.ends_with("Suites: bookworm-backports\nComponents: main\nSigned-By: \n -----BEGIN\n .\n"),
            "{file}"
        );
    }
}
