//! The terminal session in README.md, run again: every command and what it prints, but for numbers, times and hashes.
//!
//! It is the block that begins with `` ```console ``: lines after `$ ` are commands, what follows is their output, both
//! streams as a terminal shows them. Commands that need the archive are left out where it cannot be reached.
#![expect(clippy::unwrap_used, clippy::panic, reason = "in a test's own functions too, a panic is the verdict")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// A file could not be downloaded.
const NO_NETWORK: i32 = 4;

/// Commands with the lines they print.
fn session(readme: &str) -> Vec<(String, Vec<String>)> {
    let block = readme.split("```console\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let mut session: Vec<(String, Vec<String>)> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), session.last_mut()) {
            (Some(command), _) => session.push((command.into(), Vec::new())),
            (None, Some((_, output))) => output.push(line.into()),
            (None, None) => panic!("{line:?} before the first command"),
        }
    }
    session
}

/// A line with `#` for numbers and for words that begin with one (dates, versions), and `HASH` for hashes.
fn normal(line: &str) -> String {
    let words = line.split(' ').map(|word| {
        let end = word.trim_end_matches(['.', ',', ':', ';', ')']);
        let is_hash = end.len() == 64 && end.bytes().all(|byte| byte.is_ascii_hexdigit());
        match end.bytes().next() {
            _ if is_hash => format!("HASH{}", &word[end.len()..]),
            Some(b'0'..=b'9') => format!("#{}", &word[end.len()..]),
            _ => without_numbers(word),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn without_numbers(word: &str) -> String {
    let mut out = String::new();
    for letter in word.chars() {
        match letter {
            '0'..='9' if out.ends_with('#') => {}
            '0'..='9' => out.push('#'),
            _ => out.push(letter),
        }
    }
    out
}

/// Runs one command as a shell would; the exit status and the lines.
fn run(folder: &Path, command: &str) -> (i32, Vec<String>) {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_mkdistro"));
    let path = format!("{}:/usr/bin:/bin", program.parent().unwrap().display());
    let output = Command::new("/bin/sh")
        .args(["-c", &format!("{{ {command}; }} 2>&1")])
        .current_dir(folder)
        .env("PATH", path)
        .output();
    let output = output.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code().unwrap(), text.lines().map(normal).collect())
}

#[test]
fn the_first_session_goes_as_readme_tells() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let session = session(&std::fs::read_to_string(readme).unwrap());
    assert!(session.iter().any(|(command, _)| command.starts_with("mkdistro build")));
    let dir = tempfile::tempdir().unwrap();
    let mut folder = dir.path().to_owned();
    for (command, expected) in session {
        if let Some(name) = command.strip_prefix("cd ") {
            folder.push(name);
            continue;
        }
        let (status, found) = run(&folder, &command);
        if status == NO_NETWORK {
            println!("{command}: left out, it and what follows: the archive cannot be reached");
            return;
        }
        let expected: Vec<String> = expected.iter().map(|line| normal(line)).collect();
        assert_eq!((status, found.join("\n")), (0, expected.join("\n")), "{command}");
    }
}

#[test]
fn numbers_and_hashes_do_not_count() {
    let hash = "0123456789abcdef".repeat(4);
    for (line, expected) in [
        ("reading suite trixie (main): of 2026-09-12T07:55:41Z, 0.9 s", "reading suite trixie (main): of #, # s"),
        ("wrote 57 packages.", "wrote # packages."),
        (&format!("{hash}  out.iso"), "HASH  out.iso"),
        ("added libjq1 1.7.1-6+deb13u4 (+168 kB)", "added libjq# # (+# kB)"),
        ("  library libjq.so.1.0.4 (libjq1)", "  library libjq.so.#.#.# (libjq#)"),
        ("mydistro/.gitignore", "mydistro/.gitignore"),
    ] {
        assert_eq!(normal(line), expected);
    }
}
