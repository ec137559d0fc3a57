//! What a single text must look like, with the words that a message uses.

use crate::key::Rule;

/// Any text.
pub(crate) const TEXT: Rule = Rule::new("text without NUL", |v| !v.contains('\0'));
/// A line.
pub(crate) const LINE: Rule = Rule::new("text on one line without spaces around it", |v| is_line(v) && !v.is_empty());
/// RFC 1123 2.1, at most 64 as in Linux (`__NEW_UTS_LEN`).
pub(crate) const HOSTNAME: Rule =
    Rule::new("letters, digits and \"-\" (not first or last), at most 64, parts separated by \".\"", |v| {
        v.len() <= 64 && v.split('.').all(is_host_label)
    });
/// A time zone of the IANA database, below `/usr/share/zoneinfo`, or a POSIX TZ string.
pub(crate) const TIMEZONE: Rule =
    Rule::new("a time zone such as \"Europe/Vienna\", \"UTC\" or \"CET-1CEST,M3.5.0,M10.5.0/3\"", |v| {
        is_made_of(v, 64, |c| c.is_ascii_alphanumeric() || "/_+-.,:<>".contains(c)) && is_below(v)
    });
/// A user or group.
pub(crate) const USER: Rule =
    Rule::new("lower-case letters, digits, \"_\" and \"-\", a letter or \"_\" first, at most 32", |v| {
        v.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && is_made_of(v, 32, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c))
    });
/// `USER`, `USER:GROUP`, by name or number.
pub(crate) const OWNER: Rule = Rule::new("\"USER\" or \"USER:GROUP\", names or numbers", |v| {
    let part = |v: &str| (USER.valid)(v) || is_made_of(v, 10, |c| c.is_ascii_digit());
    match v.split_once(':') {
        Some((user, group)) => part(user) && part(group),
        None => part(v),
    }
});
/// A line of `authorized_keys` (sshd(8), "AUTHORIZED_KEYS FILE FORMAT").
pub(crate) const AUTHORIZED_KEY: Rule = Rule {
    expected: "a line as in authorized_keys: type, base64, comment",
    valid: |v| {
        is_line(v) && v.split_whitespace().any(|word| contract::SSH_KEY_TYPES.contains(&word)) && v.contains(" AAAA")
    },
    hint: |v| if v.contains("PRIVATE KEY") { "this is a private key: use the .pub file".into() } else { String::new() },
};
/// PROTOCOL.key of OpenSSH.
pub(crate) const HOST_KEY: Rule = Rule::new("an OpenSSH private key: -----BEGIN OPENSSH PRIVATE KEY-----…", |v| {
    v.contains("-----BEGIN OPENSSH PRIVATE KEY-----") && v.contains("-----END OPENSSH PRIVATE KEY-----") && v.is_ascii()
});
/// `crypt(5)`.
pub(crate) const PASSWORD_HASH: Rule = Rule {
    expected: "a hash as crypt(5) makes it, \"$6$…\" or \"$y$…\"",
    valid: |v| v.starts_with('$') && v.len() > 12 && is_made_of(v, 384, |c| c.is_ascii_graphic() && c != ':'),
    hint: |_| "make one with \"mkpasswd\" or \"openssl passwd -6\"".into(),
};
/// A path in the guest.
pub(crate) const PATH: Rule = Rule::new("an absolute path without \"..\", \".\" and \"//\"", is_path);
/// Mode bits.
pub(crate) const MODE: Rule = Rule::new("three or four octal digits such as \"0755\"", |v| {
    (3..=4).contains(&v.len()) && v.bytes().all(|b| (b'0'..=b'7').contains(&b))
});
/// Base64 of RFC 4648 section 4, white space allowed.
pub(crate) const BASE64: Rule = Rule::new("base64", |v| crate::base64::decode(v).is_some());
/// `http://HOST[:PORT]`.
pub(crate) const PROXY: Rule = Rule::new("a URL that begins with http://, https:// or socks5://", |v| {
    v.is_empty()
        || ["http://", "https://", "socks5://"].iter().any(|scheme| v.len() > scheme.len() && v.starts_with(scheme))
            && is_word(v)
});
/// One host, domain or network without proxy.
pub(crate) const NO_PROXY: Rule =
    Rule::new("a host, .domain, address or network, without spaces and commas", |v| is_word(v) && !v.contains(','));
/// A registry, perhaps with a path.
pub(crate) const REGISTRY: Rule = Rule {
    expected: "a registry such as \"docker.io\" or \"mirror.example:5000/path\"",
    valid: |v| {
        is_made_of(v, 255, |c| c.is_ascii_alphanumeric() || ".-_:/*[]".contains(c))
            && !v.contains("//")
            && !v.starts_with('/')
    },
    hint: |v| match v.split_once("://") {
        Some((_, rest)) => format!("without scheme: {:?}", rest.trim_end_matches('/')),
        None => String::new(),
    },
};
/// One or more PEM certificates (RFC 7468).
pub(crate) const CERTIFICATE: Rule = Rule {
    expected: "a certificate in PEM: -----BEGIN CERTIFICATE-----…",
    valid: |v| v.contains("-----BEGIN CERTIFICATE-----") && v.contains("-----END CERTIFICATE-----") && v.is_ascii(),
    hint: |v| if v.contains("PRIVATE KEY") { "this is a private key".into() } else { String::new() },
};
/// What is mounted.
pub(crate) const MOUNT_SOURCE: Rule =
    Rule::new("\"LABEL=…\", \"UUID=…\", \"/dev/…\", or a tag or address that the file system takes", is_word);
/// A file system of the kernel.
pub(crate) const FILE_SYSTEM: Rule =
    Rule::new("a file system such as \"ext4\", \"xfs\", \"vfat\", \"9p\" or \"virtiofs\"", |v| {
        is_made_of(v, 16, |c| c.is_ascii_alphanumeric())
    });
/// Options of mount(8).
pub(crate) const OPTION: Rule =
    Rule::new("one option of mount(8), without spaces and commas", |v| is_word(v) && !v.contains(','));
/// A size with unit.
pub(crate) const SIZE: Rule = Rule::new("a size such as \"512M\" or \"2G\"", |v| crate::types::size_bytes(v).is_some());
/// A host by name or address.
pub(crate) const HOST: Rule = Rule::new("a host name or an address", |v| {
    v.parse::<std::net::IpAddr>().is_ok() || (v.len() <= 253 && v.split('.').all(is_host_label))
});
/// Where log messages go.
pub(crate) const SYSLOG: Rule = Rule::new("\"udp://HOST[:PORT]\" or \"tcp://HOST[:PORT]\"", |v| {
    ["udp://", "tcp://"].iter().any(|scheme| v.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty())) && is_word(v)
});

/// Whether all characters are `valid` and there are from 1 to `most` bytes.
pub(crate) fn is_made_of(value: &str, most: usize, valid: impl FnMut(char) -> bool) -> bool {
    !value.is_empty() && value.len() <= most && value.chars().all(valid)
}

/// Whether it stands on one line, without spaces around it.
pub(crate) fn is_line(value: &str) -> bool {
    !value.contains(['\n', '\r', '\0']) && value.trim() == value
}

/// Whether it is printable ASCII without spaces and quotes.
pub(crate) fn is_word(value: &str) -> bool {
    is_made_of(value, 1024, |c| c.is_ascii_graphic() && !"\"'`\\$".contains(c))
}

fn is_host_label(label: &str) -> bool {
    is_made_of(label, 63, |c| c.is_ascii_alphanumeric() || c == '-') && !label.starts_with('-') && !label.ends_with('-')
}

/// Whether a relative path stays below its base.
fn is_below(path: &str) -> bool {
    path.split('/').all(|part| !["", ".", ".."].contains(&part))
}

fn is_path(value: &str) -> bool {
    value.strip_prefix('/').is_some_and(is_below) && !value.contains(['\n', '\r', '\0'])
}
