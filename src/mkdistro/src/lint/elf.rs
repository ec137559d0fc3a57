//! How programs and libraries are hardened, and where they look for libraries.

use anyhow::Result;
use formats::tree::{Kind, clean, split};

use super::{Found, Subject};
use crate::elf::Relro;

/// Smaller files may have no function that a compiler would protect (`-fstack-protector-strong`: one with an array or an
/// address of a local variable).
const CODE_BYTES_MIN: u64 = 64 * 1024;

pub(super) fn no_pie(subject: &Subject<'_>, found: &mut Found) -> Result<()> {
    for program in subject.programs.iter().filter(|program| !program.elf.is_position_independent) {
        found.add(program.path, "not position-independent: an attacker knows where its code is");
    }
    Ok(())
}

pub(super) fn no_relro(subject: &Subject<'_>, found: &mut Found) -> Result<()> {
    for program in &subject.programs {
        // With lazy binding (Debian's default) the rest stays writable; a program that takes on rights has no excuse.
        let takes_rights = program.node.mode & 0o6000 != 0;
        match program.elf.relro {
            Relro::None => found.add(program.path, "no RELRO"),
            Relro::Partial if takes_rights => found.add(program.path, "set-uid with partial RELRO, expected full"),
            _ => {}
        }
    }
    Ok(())
}

/// The loader sets the checks' value up; GCC's run-time library is built without them.
const NO_STACK_CHECKS: [&[u8]; 2] = [b"ld-linux", b"libgcc_s.so"];

pub(super) fn no_stack_protector(subject: &Subject<'_>, found: &mut Found) -> Result<()> {
    for program in &subject.programs {
        let name = split(program.path).1;
        let is_expected =
            program.elf.code_bytes >= CODE_BYTES_MIN && !NO_STACK_CHECKS.iter().any(|begin| name.starts_with(begin));
        if program.elf.has_stack_checks == Some(false) && is_expected {
            found.add(program.path, "__stack_chk_fail is not among its symbols");
        }
    }
    Ok(())
}

pub(super) fn executable_stack(subject: &Subject<'_>, found: &mut Found) -> Result<()> {
    for program in subject.programs.iter().filter(|program| program.elf.has_executable_stack) {
        found.add(program.path, "PT_GNU_STACK says so, or is missing");
    }
    Ok(())
}

/// A folder of a run path.
enum Folder {
    /// None at all: the current one.
    Empty,
    /// Seen from the current one.
    Relative,
    /// In the root.
    At(Vec<u8>),
}

/// The folders of a run path of the file at `path` (ld.so(8), "Dynamic string tokens").
fn folders(path: &[u8], run_path: &[u8]) -> Vec<(String, Folder)> {
    let origin = split(path).0;
    let folder = |text: &[u8]| {
        let rest = [&b"$ORIGIN"[..], b"${ORIGIN}"].into_iter().find_map(|token| text.strip_prefix(token));
        match (rest, text.first()) {
            (Some(rest), _) => Folder::At([origin, rest].concat()),
            (None, None) => Folder::Empty,
            (None, Some(b'/')) => Folder::At(text.to_vec()),
            (None, Some(_)) => Folder::Relative,
        }
    };
    run_path
        .split(|&byte| byte == b':')
        .map(|text| (String::from_utf8_lossy(text).into_owned(), folder(text)))
        .collect()
}

pub(super) fn run_path(subject: &Subject<'_>, found: &mut Found) -> Result<()> {
    for program in &subject.programs {
        for (text, folder) in program.elf.run_paths.iter().flat_map(|run_path| folders(program.path, run_path)) {
            let wrong = match folder {
                Folder::Empty => "is empty: the current folder".to_string(),
                Folder::Relative => format!("{text} depends on the current folder"),
                Folder::At(path) => match writer(subject, &path) {
                    Some(writer) => format!("{text} is writable by {writer}"),
                    None => continue,
                },
            };
            found.add(program.path, format!("RUNPATH {wrong}"));
        }
    }
    Ok(())
}

/// Who but root may put a library into a folder; the nearest folder that exists counts.
fn writer(subject: &Subject<'_>, path: &[u8]) -> Option<String> {
    let mut path = clean(path);
    let node = loop {
        match subject.tree.lookup(&path) {
            Some(node) => break node,
            None => path = split(&path).0.to_vec(),
        }
    };
    match node.mode {
        mode if mode & 0o002 != 0 => Some("everybody".into()),
        _ if node.uid != 0 => Some(format!("user {}", node.uid)),
        mode if mode & 0o020 != 0 && node.gid != 0 => Some(format!("group {}", node.gid)),
        _ => None,
    }
}

pub(super) fn run_path_missing(subject: &Subject<'_>, found: &mut Found) -> Result<()> {
    for program in &subject.programs {
        for (text, folder) in program.elf.run_paths.iter().flat_map(|run_path| folders(program.path, run_path)) {
            let Folder::At(path) = folder else { continue };
            if subject.tree.lookup(&path).is_none_or(|node| node.kind != Kind::Directory) {
                found.add(program.path, format!("RUNPATH {text} is not in the root"));
            }
        }
    }
    Ok(())
}
