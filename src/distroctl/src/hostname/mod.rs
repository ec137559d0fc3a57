//! `distroctl hostname`: the host name from the kernel command line, else the data disk, else the configuration document,
//! else the settings. `distroctl hostname NAME` sets one and keeps it.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use contract::{cmdline, paths};

use crate::file;
use crate::guest::Guest;

/// Sets the name and writes `/etc/hostname` and `/etc/hosts`.
pub(crate) fn run() -> Result<ExitCode> {
    let guest = Guest::load();
    let (name, problems) = find(&guest);
    for problem in problems {
        guest.warn(&problem);
    }
    set(name.as_deref().unwrap_or("localhost"))?;
    Ok(ExitCode::SUCCESS)
}

/// Sets a name and keeps it for the next boots, on the data disk if there is one.
pub(crate) fn keep(name: &str) -> Result<ExitCode> {
    check(name)?;
    let path = Path::new(paths::DATA_HOSTNAME);
    let folder = path.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    file::replace(path, format!("{name}\n").as_bytes(), 0o644, None)?;
    set(name)?;
    Ok(ExitCode::SUCCESS)
}

/// The name that this machine is to have.
pub(crate) fn wanted() -> Option<String> {
    find(&Guest::load()).0
}

fn find(guest: &Guest) -> (Option<String>, Vec<String>) {
    let mut errors = Vec::new();
    let kept = file::read_limited(Path::new(paths::DATA_HOSTNAME), 1024)
        .inspect_err(|error| errors.push(format!("{error:#}")))
        .unwrap_or_default()
        .map(|content| String::from_utf8_lossy(&content).trim().to_string());
    let provisioned = crate::provision::effective().hostname;
    let candidates = [
        (cmdline::HOSTNAME, guest.option(cmdline::HOSTNAME)),
        (paths::DATA_HOSTNAME, kept.as_deref()),
        (paths::CONFIG, provisioned.as_deref()),
        (paths::SETTINGS, Some(guest.settings.hostname.as_str())),
    ];
    let (name, problems) = choose(&candidates);
    errors.extend(problems);
    (name.map(str::to_string), errors)
}

/// Gives the machine this name.
pub(crate) fn set(name: &str) -> Result<()> {
    rustix::system::sethostname(name.as_bytes()).with_context(|| format!("setting the host name {name}"))?;
    file::replace(Path::new("/etc/hostname"), format!("{name}\n").as_bytes(), 0o644, None)?;
    let old = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    file::replace(Path::new("/etc/hosts"), hosts(&old, name).as_bytes(), 0o644, None)
}

/// The first candidate that is a host name, and what is wrong with those before it.
fn choose<'a>(candidates: &[(&str, Option<&'a str>)]) -> (Option<&'a str>, Vec<String>) {
    let mut problems = Vec::new();
    for (source, name) in candidates {
        let Some(name) = name.filter(|name| !name.is_empty()) else { continue };
        match check(name) {
            Ok(()) => return (Some(name), problems),
            Err(error) => problems.push(format!("host name {name:?} of {source} is not used: {error}")),
        }
    }
    (None, problems)
}

/// Host names as RFC 1123 section 2.1 has them, at most the 64 bytes of the kernel's `__NEW_UTS_LEN`.
pub(crate) fn check(name: &str) -> Result<()> {
    if name.len() > 64 {
        bail!("{} bytes, at most 64 are allowed", name.len());
    }
    for label in name.split('.') {
        if label.is_empty() || label.len() > 63 || label.starts_with('-') || label.ends_with('-') {
            bail!("each part between dots has 1 to 63 characters and no hyphen at its ends");
        }
        if let Some(bad) = label.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '-') {
            bail!("{bad:?} is not a letter, digit or hyphen");
        }
    }
    Ok(())
}

/// `/etc/hosts` with the machine's own lines; what else stood there stays.
fn hosts(old: &str, name: &str) -> String {
    let own = ["127.0.0.1", "127.0.1.1", "::1"];
    let short = name.split('.').next().unwrap_or(name);
    let alias = if short == name { String::new() } else { format!(" {short}") };
    let mut text = format!("127.0.0.1 localhost\n127.0.1.1 {name}{alias}\n::1 localhost ip6-localhost ip6-loopback\n");
    for line in old.lines() {
        if !line.split_whitespace().next().is_some_and(|address| own.contains(&address)) {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{check, choose, hosts};

    #[test]
    fn checks_names() {
        for good in ["box", "a", "my-box.example.org", "7of9", &"a".repeat(63)] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "a..b", "a b", "a_b", "ä", "a\n", &"a".repeat(64), &"a.".repeat(40)] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn takes_the_first_good_candidate() {
        let candidates = [("line", Some("")), ("disk", Some("no good")), ("settings", Some("box"))];
        let (name, problems) = choose(&candidates);
        assert_eq!(name, Some("box"));
        assert_eq!(problems, ["host name \"no good\" of disk is not used: ' ' is not a letter, digit or hyphen"]);
        assert_eq!(choose(&[("line", None)]).0, None);
    }

    #[test]
    fn keeps_other_hosts() {
        let text = hosts("127.0.0.1 localhost\n127.0.1.1 old\n# note\n10.0.0.1 registry\n", "box.lan");
        assert_eq!(
            text,
            "127.0.0.1 localhost\n127.0.1.1 box.lan box\n::1 localhost ip6-localhost ip6-loopback\n# note\n10.0.0.1 registry\n"
        );
        assert_eq!(hosts(&text, "box.lan"), text);
    }
}
