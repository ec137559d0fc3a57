//! What an image must not give away, and what no two machines may share.
//!
//! Only text is searched: libraries have the markers of private keys in them without having a key.

use anyhow::Result;
use bytes::Bytes;
use formats::tree::split;
use memchr::memmem;
use rayon::prelude::*;

use super::{Found, Subject};

/// Larger files are not configuration.
const TEXT_BYTES_MAX: usize = 4 << 20;

pub(super) fn secret(subject: &Subject<'_>, found: &mut Found) -> Result<()> {
    let files: Vec<(&[u8], &Bytes)> = subject.files().map(|(path, _, content)| (path, content)).collect();
    let secrets: Vec<(&[u8], String)> = files
        .par_iter()
        .filter(|(_, content)| is_text(content))
        .flat_map_iter(|(path, content)| {
            let by_content = SECRETS.iter().filter(|(_, finds)| finds(content)).map(|(what, _)| (*what).to_string());
            by_content.chain(by_name(path, content)).map(move |what| (*path, what))
        })
        .collect();
    secrets.into_iter().for_each(|(path, what)| found.add(path, what));
    Ok(())
}

fn is_text(content: &[u8]) -> bool {
    content.len() <= TEXT_BYTES_MAX && !content[..content.len().min(8192)].contains(&0)
}

/// Whether a text has something.
type Search = fn(&[u8]) -> bool;
/// Whether a byte is of a kind.
type IsLetter = fn(u8) -> bool;

/// What is looked for in every text file.
const SECRETS: [(&str, Search); 5] = [
    ("a private key (PEM)", private_key),
    ("a private key", key_file),
    ("an access token", token),
    ("a password in a URL", url_password),
    ("a signed web token (JWT)", |text| starting(text, b"eyJhbGciOi").any(|rest| run(rest, is_base64_url) >= 40)),
];

/// The rest of the text after each `marker` that does not continue a word.
fn starting<'a>(text: &'a [u8], marker: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    memmem::find_iter(text, marker)
        .filter(move |&at| at == 0 || !is_word(text[at - 1]))
        .map(move |at| &text[at + marker.len()..])
}

fn run(text: &[u8], fits: fn(u8) -> bool) -> usize {
    text.iter().take_while(|&&byte| fits(byte)).count()
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn is_upper(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)
}

fn is_base64_url(byte: u8) -> bool {
    is_word(byte) || byte == b'-' || byte == b'.'
}

/// RFC 7468 and what came before it, with a line of a key after it: texts about keys have only the marker.
fn private_key(text: &[u8]) -> bool {
    memmem::find_iter(text, b"-----BEGIN ").any(|at| {
        let rest = &text[at..text.len().min(at + 400)];
        let mut lines = rest.split(|&byte| byte == b'\n');
        let is_private = lines.next().is_some_and(|line| memmem::find(line, b"PRIVATE KEY").is_some());
        is_private && lines.any(|line| line.len() >= 40 && line.trim_ascii_end().iter().all(|&byte| is_base64(byte)))
    })
}

/// Formats with a marker of their own: age, PuTTY, minisign, signify.
fn key_file(text: &[u8]) -> bool {
    starting(text, b"AGE-SECRET-KEY-1").any(|rest| run(rest, is_upper) >= 50)
        || text.starts_with(b"PuTTY-User-Key-File-")
        || text.starts_with(b"untrusted comment: ")
            && [&b"minisign encrypted secret key"[..], b"signify secret key", b"rsign encrypted secret key"]
                .iter()
                .any(|marker| memmem::find(&text[..text.len().min(80)], marker).is_some())
}

/// Prefixes of tokens, how many letters follow at least, and which. From the services' own descriptions.
const TOKENS: [(&[u8], usize, IsLetter); 16] = [
    (b"AKIA", 16, is_upper),
    (b"ASIA", 16, is_upper),
    (b"AIza", 35, is_base64_url),
    (b"dckr_pat_", 20, is_base64_url),
    (b"ghp_", 36, is_word),
    (b"gho_", 36, is_word),
    (b"ghu_", 36, is_word),
    (b"ghs_", 36, is_word),
    (b"ghr_", 36, is_word),
    (b"github_pat_", 40, is_word),
    (b"glpat-", 20, is_base64_url),
    (b"npm_", 36, is_word),
    (b"sk_live_", 24, is_word),
    (b"xoxb-", 24, is_base64_url),
    (b"xoxp-", 24, is_base64_url),
    (b"tskey-auth-", 16, is_base64_url),
];

fn token(text: &[u8]) -> bool {
    TOKENS.iter().any(|(prefix, least, fits)| {
        starting(text, prefix).any(|rest| {
            let length = run(rest, *fits);
            // AWS's key ids have exactly that length: a longer word is something else.
            length >= *least && (*least != 16 || !prefix.ends_with(b"IA") || run(rest, is_word) == 16)
        })
    })
}

/// Words that stand for a password in examples.
const EXAMPLES: [&[u8]; 8] = [b"pass", b"passwd", b"password", b"pw", b"secret", b"xxx", b"xxxx", b"..."];

/// RFC 3986, 3.2.1: `scheme://user:password@host`.
fn url_password(text: &[u8]) -> bool {
    memmem::find_iter(text, b"://").any(|at| {
        let rest = &text[at + 3..text.len().min(at + 260)];
        let end = rest.iter().position(|byte| !byte.is_ascii_graphic() || b"/\"'<>`?#".contains(byte));
        let Some(user) = rest[..end.unwrap_or(rest.len())].rsplitn(2, |&byte| byte == b'@').nth(1) else {
            return false;
        };
        let Some(colon) = user.iter().position(|&byte| byte == b':') else { return false };
        let password = &user[colon + 1..];
        // A variable or a place to fill in is no password.
        let is_real = !password.iter().any(|byte| b"$%{}[]*<>".contains(byte))
            && !EXAMPLES.contains(&&password.to_ascii_lowercase()[..]);
        colon > 0 && !password.is_empty() && is_real
    })
}

/// Secrets that show by a file's name and content together.
fn by_name(path: &[u8], content: &Bytes) -> Option<String> {
    let (folder, name) = split(path);
    let has = |word: &[u8]| memmem::find(content, word).is_some();
    match name {
        b"shadow" | b"shadow-" | b"gshadow" | b"passwd" if folder == b"etc" => account_with_password(content),
        b".netrc" if has(b"password") => Some("a password for a server".into()),
        b".pgpass" => Some("a password for a database".into()),
        b"auth.json" | b"config.json" | b".dockercfg" if has(b"\"auth\"") => Some("a password for a registry".into()),
        b"credentials" if has(b"aws_secret_access_key") => Some("a secret access key".into()),
        b".htpasswd" => Some("a password's hash".into()),
        _ => None,
    }
}

/// shadow(5), passwd(5): the second field is a hash, or empty so that nobody is asked.
fn account_with_password(content: &[u8]) -> Option<String> {
    String::from_utf8_lossy(content).lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut fields = line.split(':');
        let (name, password) = (fields.next()?, fields.next()?);
        match password {
            "" => Some(format!("{name} gets in without a password")),
            "x" => None,
            // "*" and "!" are no hash; "!" before a hash locks it and keeps it.
            _ if password.trim_start_matches('!').len() < 13 => None,
            _ => Some(format!("the hash of {name}'s password")),
        }
    })
}

/// Paths without leading `/`, and endings of names.
const IDENTITY_FILES: [&[u8]; 8] = [
    b"etc/machine-id",
    b"var/lib/dbus/machine-id",
    b"etc/hostid",
    b"var/lib/systemd/random-seed",
    b"var/lib/urandom/random-seed",
    b"var/lib/boot2podman/random-seed",
    b"var/lib/systemd/credential.secret",
    b"etc/iscsi/initiatorname.iscsi",
];

pub(super) fn machine_identity(subject: &Subject<'_>, found: &mut Found) -> Result<()> {
    for (path, _, content) in subject.files().filter(|(_, _, content)| !content.trim_ascii().is_empty()) {
        let name = split(path).1;
        // machine-id(5): the word with which the first boot makes one.
        if IDENTITY_FILES.contains(&path) && content.trim_ascii() != b"uninitialized" {
            found.add(path, "all machines would share it");
        } else if name.ends_with(b"_host_key") || name.starts_with(b"ssh_host_") && name.ends_with(b"_key") {
            found.add(path, "an SSH host key: who has the image can pretend to be the machine");
        }
    }
    Ok(())
}
