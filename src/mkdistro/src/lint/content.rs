//! What is in files: size, repetition, traces of where and when they were made.

use std::collections::BTreeMap;

use aho_corasick::{AhoCorasick, MatchKind};
use anyhow::{Context, Result};
use bytes::Bytes;
use formats::tree::{Node, show, split};
use rayon::prelude::*;

use super::{Found, Subject};
use crate::image::megabytes;

/// Repetitions below are not worth a line; SquashFS keeps equal files once, so they cost page cache only.
const DUPLICATE_BYTES_MIN: usize = 64 * 1024;

pub(super) fn large_file(subject: &Subject<'_>, found: &mut Found) -> Result<()> {
    let most = u64::from(subject.checked.distro.lint.max_file_mib) << 20;
    for (path, _, content) in subject.files().filter(|(_, _, content)| content.len() as u64 > most) {
        found.add(path, megabytes(content.len() as u64));
    }
    Ok(())
}

pub(super) fn duplicate(subject: &Subject<'_>, found: &mut Found) -> Result<()> {
    let mut by_size: BTreeMap<usize, Vec<(&[u8], &Bytes)>> = BTreeMap::new();
    for (path, _, content) in subject.files().filter(|(_, _, content)| content.len() >= DUPLICATE_BYTES_MIN) {
        let seen = by_size.entry(content.len()).or_default();
        match seen.iter().find(|(_, other)| *other == content) {
            // A hard link of a package is the same place in memory.
            Some((_, other)) if other.as_ptr() == content.as_ptr() => {}
            Some((first, _)) => found.add(path, format!("the same as {}", show(first))),
            None => seen.push((path, content)),
        }
    }
    Ok(())
}

/// Whether bytes are of a kind.
type Test = fn(&[u8]) -> bool;

/// Folders of people and of build machines (sbuild, GitLab): a path counts if so many parts follow, the first of which
/// does.
const BUILD_FOLDERS: [(&[u8], usize, Test); 5] = [
    // NAME-VERSION, not some program's own /build/SOMETHING. Debian's builders all use `reproducible-path`.
    (b"/build/", 2, |part| part.contains(&b'-') && part != b"reproducible-path"),
    (b"/builds/", 2, is_named),
    // Help texts have /home/user/FILE.
    (b"/home/", 3, is_named),
    (b"/root/.cargo/", 2, is_named),
    (b"/root/.rustup/", 2, is_named),
];

fn is_named(part: &[u8]) -> bool {
    part.first().is_some_and(u8::is_ascii_alphanumeric)
}

pub(super) fn build_path(subject: &Subject<'_>, found: &mut Found) -> Result<()> {
    let files: Vec<(&[u8], &Node, &Bytes)> = subject.files().collect();
    let own = format!("{}/", subject.checked.distro.home());
    // Only with leftmost matches does it search with vectors.
    let search =
        AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(BUILD_FOLDERS.map(|(name, ..)| name));
    let search = search.context("preparing a search")?;
    let named: Vec<(&[u8], String)> = files
        .par_iter()
        .filter_map(|(path, _, content)| Some((*path, build_folder(&search, content, own.as_bytes())?)))
        .collect();
    named.into_iter().for_each(|(path, name)| found.add(path, format!("names {name}")));
    Ok(())
}

/// The first path of a build machine in a file; `own`, the login user's home, is none.
fn build_folder(search: &AhoCorasick, content: &[u8], own: &[u8]) -> Option<String> {
    search.find_iter(content).find_map(|found| {
        let (folder, least, counts) = BUILD_FOLDERS[found.pattern().as_usize()];
        let text = &content[found.start()..content.len().min(found.start() + 100)];
        let is_path = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._+~-".contains(byte);
        let path = &text[..text.iter().position(|byte| !is_path(byte)).unwrap_or(text.len())];
        let mut parts = path[folder.len()..].split(|&byte| byte == b'/');
        let is_file = parts.next().is_some_and(counts) && parts.take_while(|part| is_named(part)).count() + 1 >= least;
        (is_file && !path.starts_with(own)).then(|| String::from_utf8_lossy(path).into_owned())
    })
}

/// Folders of files that programs make while they run.
const STATE_FOLDERS: [&[u8]; 5] = [b"var/cache/", b"var/log/", b"var/lib/apt/", b"var/lib/dpkg/", b"var/tmp/"];
/// Files of a user's sessions.
const HISTORY: [&[u8]; 6] =
    [b".bash_history", b".ash_history", b".lesshst", b".viminfo", b".python_history", b".wget-hsts"];

pub(super) fn not_reproducible(subject: &Subject<'_>, found: &mut Found) -> Result<()> {
    for (path, _, content) in subject.files() {
        let name = split(path).1;
        let wrong = if name.ends_with(b".pyc") || name.ends_with(b".pyo") {
            "Python writes it anew, with a time in it"
        } else if let [0x1f, 0x8b, 8, _, time @ ..] = &content[..]
            && time.len() >= 4
            && time[..4] != [0; 4]
        {
            // RFC 1952, 2.3: MTIME.
            "gzip wrote the time into it"
        } else if STATE_FOLDERS.iter().any(|folder| path.starts_with(folder)) {
            "a program made it while it ran"
        } else if HISTORY.contains(&name) {
            "a session left it"
        } else {
            continue;
        };
        found.add(path, wrong);
    }
    Ok(())
}
