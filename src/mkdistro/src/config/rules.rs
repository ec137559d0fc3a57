//! What a single text value must look like, each rule with the words that a message uses.

use super::size::Size;
use crate::image::Format;
use crate::nearest::{did_you_mean, nearest};
use crate::oci::Reference;
use crate::pattern::Pattern;
use contract::service::{Place, Restart};

/// A rule for one text value.
pub(super) struct Rule {
    /// Follows "expected" in a message.
    pub(super) expected: &'static str,
    /// Whether a value keeps it.
    pub(super) valid: fn(&str) -> bool,
    /// What to write instead of a value that does not; may be empty.
    pub(super) hint: fn(&str) -> String,
}

impl Rule {
    const fn new(expected: &'static str, valid: fn(&str) -> bool) -> Self {
        Self { expected, valid, hint: |_| String::new() }
    }

    const fn hinted(expected: &'static str, valid: fn(&str) -> bool, hint: fn(&str) -> String) -> Self {
        Self { expected, valid, hint }
    }
}

/// Signals that ask a service to end: names without `SIG` and numbers of the kernel's `asm-generic/signal.h`.
pub(super) const SIGNALS: [(&str, i32); 9] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("KILL", 9),
    ("USR1", 10),
    ("USR2", 12),
    ("TERM", 15),
    ("WINCH", 28),
    ("PWR", 30),
];

/// The kernel takes 2047 bytes on x86 (`COMMAND_LINE_SIZE`, `arch/x86/include/asm/setup.h`); the rest is for what the boot
/// menu and the boot loader add.
const COMMAND_LINE_MAX: usize = 1900;

/// Anything on one line, as values of the guest's service table must be.
pub(super) const LINE: Rule = Rule::new("text on one line without spaces around it", is_line);
/// Any text.
pub(super) const TEXT: Rule = Rule::new("text without NUL", |v| !v.contains('\0'));
/// A sentence.
pub(super) const SUMMARY: Rule = Rule::new("one line of text", |v| is_line(v) && !v.is_empty());
/// Name of a distribution, a recipe or a service.
pub(super) const NAME: Rule =
    Rule::hinted("lower-case letters, digits and \"-\", a letter first, at most 63", is_name, hint_name);
/// A version.
pub(super) const VERSION: Rule = Rule::new("letters, digits and any of \".+~_-\", at most 64", |v| {
    is_made_of(v, 64, |c| c.is_ascii_alphanumeric() || ".+~_-".contains(c))
});
/// ISO 9660 volume identifier: d-characters of ECMA-119 7.4.1, 8.4.6; empty: derived.
pub(super) const VOLUME_ID: Rule = Rule::hinted(
    "at most 32 of A-Z, 0-9 and \"_\"",
    |v| v.is_empty() || is_made_of(v, 32, is_d_character),
    |v| suggest(&d_characters(v)),
);
/// RFC 1123 2.1, at most 64 as in Linux (`__NEW_UTS_LEN`).
pub(super) const HOSTNAME: Rule = Rule::new(
    "letters, digits and \"-\" (not first or last), at most 64, parts separated by \".\"; empty: DHCP's",
    |v| v.is_empty() || v.len() <= 64 && v.split('.').all(is_host_label),
);
/// A Debian suite.
pub(super) const SUITE: Rule = Rule::new("a suite such as \"trixie\" or \"trixie-security\"", |v| {
    is_made_of(v, 64, |c| c.is_ascii_alphanumeric() || "-._/".contains(c)) && is_below(v)
});
/// A Debian archive area.
pub(super) const COMPONENT: Rule = Rule::new("an archive area such as \"main\"", |v| {
    is_made_of(v, 64, |c| c.is_ascii_alphanumeric() || "-._/".contains(c)) && is_below(v)
});
/// A mirror.
pub(super) const MIRROR: Rule =
    Rule::hinted("\"system\" or a URL that begins with http://, https:// or file:///", is_mirror, |v| {
        did_you_mean(v, ["system"])
    });
/// A host file, relative to the project or absolute.
pub(super) const HOST_FILE: Rule = Rule::new("the name of a file", |v| is_line(v) && !v.is_empty());
/// Debian policy 5.6.1.
pub(super) const PACKAGE: Rule = Rule::new("a Debian package: lower-case letters, digits and any of \"+-.\"", |v| {
    v.len() > 1
        && v.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && is_made_of(v, 128, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c))
});
/// Where the kernel comes from.
pub(super) const KERNEL_SOURCE: Rule = Rule::hinted(
    "\"package\" or \"source\"",
    |v| matches!(v, "package" | "source"),
    |v| did_you_mean(v, ["package", "source"]),
);
/// What starts the kernel by UEFI.
pub(super) const UEFI: Rule = Rule::hinted(
    "\"shim\", \"systemd-boot\" or \"uki\"",
    |v| matches!(v, "shim" | "systemd-boot" | "uki"),
    |v| if v == "grub" { suggest("shim") } else { did_you_mean(v, ["shim", "systemd-boot", "uki"]) },
);
/// A kernel module.
pub(super) const MODULE: Rule = Rule::hinted(
    "a module's name: letters, digits, \"_\" and \"-\"",
    |v| is_made_of(v, 64, |c| c.is_ascii_alphanumeric() || "_-".contains(c)),
    |v| suggest(v.split_once(".ko").map_or("", |(name, _)| name)),
);
/// A fragment's name.
pub(super) const FRAGMENT: Rule = Rule::hinted(
    "the name of a file in kernel-config/ without .config",
    |v| is_made_of(v, 64, |c| c.is_ascii_alphanumeric() || "_-".contains(c)),
    |v| suggest(v.trim_start_matches("kernel-config/").trim_end_matches(".config")),
);
/// Compression of the root.
pub(super) const COMPRESSION: Rule =
    Rule::hinted("\"xz\" or \"zstd:LEVEL\" with a level from 1 to 22", is_compression, |v| {
        if v == "zstd" { suggest("zstd:17") } else { did_you_mean(v, ["xz", "zstd:17"]) }
    });
/// Users and groups of every root (see `root/accounts.rs`); the login user, who has a group of the same name, is another.
const SYSTEM_NAMES: [&str; 9] = ["root", "nobody", "nogroup", "daemon", "tty", "disk", "kmem", "dialout", "utmp"];

/// A login user.
pub(super) const USER: Rule = Rule::new(
    "lower-case letters, digits, \"_\" and \"-\", a letter or \"_\" first, at most 32, no user or group of the system",
    |v| {
        v.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && is_made_of(v, 32, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c))
            && !SYSTEM_NAMES.contains(&v)
    },
);
/// A line of `authorized_keys` (sshd(8), "AUTHORIZED_KEYS FILE FORMAT").
pub(super) const AUTHORIZED_KEY: Rule =
    Rule::hinted("a line as in authorized_keys: type, base64, comment", is_key, |v| {
        if v.contains("PRIVATE KEY") { "this is a private key: use the .pub file".into() } else { String::new() }
    });
/// A terminal.
pub(super) const TERMINAL: Rule = Rule::hinted(
    "a terminal such as \"ttyS0\" or \"tty1\"",
    |v| v.starts_with(|c: char| c.is_ascii_alphabetic()) && is_made_of(v, 32, |c| c.is_ascii_alphanumeric()),
    |v| suggest(v.trim_start_matches("/dev/")),
);
/// A file-system label; ext4 holds 16 bytes. `none` on the command line means no data disk.
pub(super) const LABEL: Rule =
    Rule::new("1 to 16 bytes of ASCII without spaces, quotes, \"/\" and \"\\\", not \"none\"", |v| {
        is_made_of(v, 16, |c| c.is_ascii_graphic() && !"\"'`/\\".contains(c)) && v != "none"
    });
/// A kernel command line.
pub(super) const COMMAND_LINE: Rule = Rule::new("at most 1900 bytes of printable ASCII on one line", |v| {
    v.len() <= COMMAND_LINE_MAX && v.chars().all(|c| c == ' ' || c.is_ascii_graphic())
});
/// A format of images.
pub(super) const FORMAT: Rule = Rule::hinted(
    "a format that \"mkdistro build --help\" lists",
    |v| v.parse::<Format>().is_ok(),
    |v| did_you_mean(v, Format::ALL.map(Format::name)),
);
/// A size of a disk.
pub(super) const SIZE: Rule = Rule::hinted(
    "a size: a number with MiB, GiB or TiB, at most 2040GiB",
    |v| v.parse::<Size>().is_ok(),
    |v| {
        let number: String = v.chars().take_while(char::is_ascii_digit).collect();
        let unit = v.get(number.len()..).unwrap_or_default().trim().get(..1).unwrap_or("G").to_ascii_uppercase();
        let size = format!("{number}{unit}iB");
        if size.parse::<Size>().is_ok() { suggest(&size) } else { String::new() }
    },
);
/// A path in the image.
pub(super) const PATH: Rule = Rule::hinted("an absolute path without \"..\", \".\" and \"//\"", is_path, hint_path);
/// Path of a Unix socket; `sun_path` of `struct sockaddr_un` (unix(7)) holds 108 bytes with the final NUL.
pub(super) const SOCKET: Rule = Rule::hinted(
    "an absolute path without \"..\", \".\" and \"//\", at most 107 bytes",
    |v| is_path(v) && v.len() <= 107,
    hint_path,
);
/// A pattern of paths in packages.
pub(super) const PATTERN: Rule = Rule::hinted(
    "an absolute path or pattern without \"..\", \".\" and \"//\"",
    |v| is_path(v) && Pattern::parse(v).is_ok(),
    hint_path,
);
/// A soname.
pub(super) const SONAME: Rule = Rule::new("a soname such as \"libnss_files.so.2\"", |v| {
    v.contains(".so") && is_made_of(v, 128, |c| c.is_ascii_alphanumeric() || "._+-".contains(c))
});
/// Mode bits.
pub(super) const MODE: Rule = Rule::new("three or four octal digits such as \"0755\"", |v| {
    (3..=4).contains(&v.len()) && v.bytes().all(|b| (b'0'..=b'7').contains(&b))
});
/// A name of an environment variable.
pub(super) const VARIABLE: Rule = Rule::new("letters, digits and \"_\", no digit first", |v| {
    !v.starts_with(|c: char| c.is_ascii_digit()) && is_made_of(v, 128, |c| c.is_ascii_alphanumeric() || c == '_')
});
/// A file name without folder.
pub(super) const FILE_NAME: Rule =
    Rule::new("a name without \"/\"", |v| !v.is_empty() && is_line(v) && !v.contains('/') && v != "." && v != "..");
/// When a service is ready.
pub(super) const READY: Rule = Rule::hinted(
    "\"started\", \"exit\", \"notify\", \"socket PATH\" or \"file PATH\"",
    |v| match v.split_once(' ') {
        None => matches!(v, "started" | "exit" | "notify"),
        Some((word, path)) => (word == "socket" || word == "file") && is_path(path),
    },
    |v| {
        let (word, path) = v.split_once(' ').unwrap_or((v, "/PATH"));
        match nearest(word, ["started", "exit", "notify", "socket", "file"]) {
            Some(word @ ("socket" | "file")) => suggest(&format!("{word} {}", absolute(path))),
            Some(word) => suggest(word),
            None => String::new(),
        }
    },
);
/// Where messages are sent.
pub(super) const LOG_REMOTE: Rule = Rule::new("\"udp://HOST[:PORT]\", \"tcp://HOST[:PORT]\" or nothing", |v| {
    let host = ["udp://", "tcp://"].iter().find_map(|scheme| v.strip_prefix(scheme));
    v.is_empty()
        || host.is_some_and(|host| is_made_of(host, 255, |c| c.is_ascii_alphanumeric() || ".-:[]_".contains(c)))
});
/// What happens when a service ends.
pub(super) const RESTART: Rule = Rule::hinted(
    "\"always\", \"on-failure\" or \"no\"",
    |v| Restart::from_word(v).is_some(),
    |v| if v == "never" { suggest("no") } else { did_you_mean(v, ["always", "on-failure", "no"]) },
);
/// Where a service runs.
pub(super) const SERVICE_PLACE: Rule = Rule::hinted(
    "\"machine\" or \"container\"",
    |v| Place::from_word(v).is_some(),
    |v| did_you_mean(v, ["machine", "container"]),
);
/// A signal.
pub(super) const SIGNAL: Rule = Rule::hinted(
    "one of HUP, INT, QUIT, KILL, USR1, USR2, TERM, WINCH, PWR",
    |v| SIGNALS.iter().any(|(name, _)| *name == v),
    |v| did_you_mean(v.trim_start_matches("SIG"), SIGNALS.map(|(name, _)| name)),
);
/// Where a registry has an image.
pub(super) const IMAGE_REFERENCE: Rule = Rule::hinted(
    "an image in a registry: HOST/REPOSITORY, with :TAG, @sha256:DIGEST or both",
    |v| v.parse::<Reference>().is_ok(),
    |v| {
        let lower = v.trim_start_matches("docker://").to_ascii_lowercase();
        let found = [lower.clone(), format!("docker.io/{lower}"), format!("docker.io/library/{lower}")];
        found.iter().find(|text| text.parse::<Reference>().is_ok()).map_or(String::new(), |text| suggest(text))
    },
);
/// What an image is called in the guest.
pub(super) const IMAGE_NAME: Rule = Rule::hinted(
    "an image's name: HOST/REPOSITORY:TAG",
    |v| v.parse::<Reference>().is_ok_and(|name| name.digest.is_none()),
    |v| {
        let name = format!("localhost/{}", v.to_ascii_lowercase());
        if name.parse::<Reference>().is_ok() { suggest(&name) } else { String::new() }
    },
);
/// Where an image is kept.
pub(super) const IMAGE_PLACE: Rule =
    Rule::hinted("\"root\" or \"medium\"", |v| matches!(v, "root" | "medium"), |v| did_you_mean(v, ["root", "medium"]));
/// A registry's host.
pub(super) const REGISTRY: Rule = Rule::new("a registry's host: NAME or NAME:PORT", is_registry);
/// Another registry with the same images.
pub(super) const REGISTRY_URL: Rule = Rule::new("a URL: https://HOST[:PORT][/PATH], or http://", |v| {
    let rest = ["http://", "https://"].iter().find_map(|scheme| v.strip_prefix(scheme));
    let (host, path) = rest.map_or(("", ""), |rest| rest.split_once('/').unwrap_or((rest, "")));
    is_registry(host) && path.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c)) && !v.ends_with('/')
});

/// A check of the lint.
pub(super) const CHECK: Rule = Rule::hinted(
    "the name of a check, as \"mkdistro lint --list\" shows them",
    |v| crate::lint::CHECKS.iter().any(|check| check.name == v),
    |v| did_you_mean(v, crate::lint::CHECKS.iter().map(|check| check.name)),
);

/// Whether a pattern is a plain path.
pub(super) fn is_literal(pattern: &str) -> bool {
    !pattern.contains(['*', '?', '[', ']', '{', '}', '\\'])
}

/// Letters in upper case, all that ECMA-119 does not allow as `_`, at most 32.
pub(super) fn d_characters(text: &str) -> String {
    text.chars().map(|c| c.to_ascii_uppercase()).map(|c| if is_d_character(c) { c } else { '_' }).take(32).collect()
}

fn is_d_character(c: char) -> bool {
    c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'
}

/// A host's name, or a name and a port.
pub(crate) fn is_registry(value: &str) -> bool {
    let (host, port) = value.split_once(':').unwrap_or((value, "80"));
    host.len() <= 253 && host.split('.').all(is_host_label) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

fn suggest(value: &str) -> String {
    if value.is_empty() { String::new() } else { format!("did you mean {value:?}?") }
}

fn is_made_of(value: &str, most: usize, valid: impl FnMut(char) -> bool) -> bool {
    !value.is_empty() && value.len() <= most && value.chars().all(valid)
}

fn is_line(value: &str) -> bool {
    !value.contains(['\n', '\r', '\0']) && value.trim() == value
}

fn is_name(value: &str) -> bool {
    value.starts_with(|c: char| c.is_ascii_lowercase())
        && is_made_of(value, 63, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

fn hint_name(value: &str) -> String {
    let name: String = value.to_ascii_lowercase().replace([' ', '_', '.'], "-");
    if is_name(&name) { suggest(&name) } else { String::new() }
}

fn is_host_label(label: &str) -> bool {
    is_made_of(label, 63, |c| c.is_ascii_alphanumeric() || c == '-') && !label.starts_with('-') && !label.ends_with('-')
}

/// Whether a relative path with `/` stays below its base.
fn is_below(path: &str) -> bool {
    path.split('/').all(|part| !["", ".", ".."].contains(&part))
}

fn is_mirror(value: &str) -> bool {
    if value == "system" {
        return true;
    }
    let clean = value.chars().all(|c| c.is_ascii_graphic() && !"\"<>\\^`{|}".contains(c));
    let web = ["http://", "https://"].iter().find_map(|scheme| value.strip_prefix(scheme));
    let host = web.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or(""));
    clean && (host.is_some_and(|host| !host.is_empty()) || value.strip_prefix("file:///").is_some())
}

fn is_compression(value: &str) -> bool {
    let level = value.strip_prefix("zstd:").filter(|level| level.bytes().all(|b| b.is_ascii_digit()));
    value == "xz" || level.and_then(|level| level.parse().ok()).is_some_and(|level: u32| (1..=22).contains(&level))
}

/// Options (whose quoted values may hold spaces) may stand before the type.
fn is_key(line: &str) -> bool {
    if !is_line(line) {
        return false;
    }
    let mut quoted = false;
    let mut words = line
        .split(|c: char| {
            quoted ^= c == '"';
            c == ' ' && !quoted
        })
        .filter(|word| !word.is_empty())
        .peekable();
    if words.peek().is_some_and(|word| !contract::SSH_KEY_TYPES.contains(word)) {
        words.next();
    }
    words.next().is_some_and(|word| contract::SSH_KEY_TYPES.contains(&word)) && words.next().is_some_and(is_key_data)
}

/// Base64 of a key begins with the length of its type's name, whose upper bytes are 0.
fn is_key_data(text: &str) -> bool {
    let data = text.trim_end_matches('=');
    text.len() >= 64
        && text.len().is_multiple_of(4)
        && text.len() - data.len() <= 2
        && data.starts_with("AAAA")
        && data.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
}

fn is_path(value: &str) -> bool {
    value.strip_prefix('/').is_some_and(is_below) && is_line(value)
}

fn absolute(path: &str) -> String {
    format!("/{}", path.trim_matches('/'))
}

fn hint_path(value: &str) -> String {
    let path = absolute(value.trim_start_matches("./"));
    if is_path(&path) && path != value { suggest(&path) } else { String::new() }
}
