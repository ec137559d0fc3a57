//! Keys on the kernel command line. Ours begin with `distro.`, so the kernel passes them over.

/// `distro.data=LABEL` looks for another label, `distro.data=none` leaves every disk alone.
pub const DATA: &str = "distro.data";
/// `distro.waitdisk=SECONDS`: how long to wait for the data disk.
pub const WAIT_DISK: &str = "distro.waitdisk";
/// `distro.data-key-wait=SECONDS`: how long consoles ask for the key of an encrypted data disk; 0: they do not.
pub const DATA_KEY_WAIT: &str = "distro.data-key-wait";
/// Value of [`DATA`]: a disk whose first and last MiB are zero may be partitioned and formatted, if there is no data disk.
pub const FORMAT_BLANK: &str = "format-blank";
/// `distro.rescue`: a shell on the console before the services start.
pub const RESCUE: &str = "distro.rescue";
/// `distro.verbose`: PID 1 prints each step.
pub const VERBOSE: &str = "distro.verbose";
/// `distro.provision=none`: no source of the configuration document is read. Other `distro.` keys with the path of one of
/// the document's keys (`distro.proxy.http=…`) are a source themselves.
pub const PROVISION: &str = "distro.provision";
/// `distro.hostname=NAME`.
pub const HOSTNAME: &str = "distro.hostname";
/// `distro.watchdog=SECONDS` or `distro.watchdog=off`.
pub const WATCHDOG: &str = "distro.watchdog";
/// `distro.syslog=udp://HOST[:PORT]` or `tcp://…`: where messages are sent; `none` overrides distro.toml.
pub const SYSLOG: &str = "distro.syslog";
/// `distro.share=TAG:PATH[:ro]`, any number of times: a folder of the host, by virtiofs or 9p.
pub const SHARE: &str = "distro.share";

/// `ip=…`: the network in the kernel's words or dracut's, read by the guest; may be there several times.
pub const IP: &str = "ip";
/// `nameserver=ADDRESS`; may be there several times.
pub const NAMESERVER: &str = "nameserver";

/// The value of `key` in a kernel command line: the last one wins; a key without `=` has the empty value.
///
/// Quoting is the kernel's: double quotes around a value keep spaces (kernel
/// `Documentation/admin-guide/kernel-parameters.rst`).
pub fn value<'a>(command_line: &'a str, key: &str) -> Option<&'a str> {
    values(command_line, key).last()
}

/// All values of a key that may stand there more than once.
pub fn values<'a>(command_line: &'a str, key: &str) -> impl Iterator<Item = &'a str> {
    pairs(command_line).filter(move |(name, _)| *name == key).map(|(_, value)| value)
}

/// All keys and values, in their order; the rules are those of [`value`].
pub fn pairs(command_line: &str) -> impl Iterator<Item = (&str, &str)> {
    words(command_line).map(|word| match word.split_once('=') {
        Some((name, value)) => (name, value.trim_matches('"')),
        None => (word, ""),
    })
}

fn words(command_line: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    command_line
        .split(move |c: char| {
            if c == '"' {
                quoted = !quoted;
            }
            c.is_whitespace() && !quoted
        })
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn finds_values() {
        let line = "quiet distro.data=none console=ttyS0 distro.rescue distro.hostname=\"my box\" distro.data=other\n";
        assert_eq!(value(line, super::DATA), Some("other"));
        assert_eq!(value(line, super::RESCUE), Some(""));
        assert_eq!(value(line, super::HOSTNAME), Some("my box"));
        assert_eq!(value(line, super::VERBOSE), None);
        assert_eq!(value("", "quiet"), None);
        assert_eq!(super::values(line, super::DATA).collect::<Vec<_>>(), ["none", "other"]);
    }
}
