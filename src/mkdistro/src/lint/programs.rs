//! Whether what is started can be started.

use anyhow::Result;
use formats::tree::{Node, split};

use super::{Found, Program, Subject};
use crate::elf::{self, Linkage};

/// Folders whose files are programs.
const PROGRAM_FOLDERS: [&[u8]; 6] = [b"bin", b"sbin", b"usr/bin", b"usr/sbin", b"usr/local/bin", b"usr/local/sbin"];

pub(super) fn interpreter(subject: &Subject<'_>, found: &mut Found) -> Result<()> {
    for (path, node, content) in subject.files() {
        let Some((program, argument)) = shebang(content).filter(|_| is_executable(node)) else { continue };
        if let Some(wrong) = wrong_program(subject, &program, 0) {
            found.add(path, format!("starts with #!{program}, which {wrong}"));
        } else if program.ends_with("/env")
            && let Some(name) = argument.split(' ').find(|word| !word.starts_with('-') && !word.contains('='))
            && !name.is_empty()
            && !["usr/local/bin", "usr/bin"]
                .iter()
                .any(|folder| subject.tree.resolve(format!("{folder}/{name}").as_bytes()).is_some())
        {
            found.add(path, format!("starts with #!{program} {argument}, and there is no {name}"));
        }
    }
    for Program { path, elf, .. } in &subject.programs {
        // A library's own (libc.so.6) is checked with its needs.
        if let Some(interpreter) = elf.interpreter.as_ref().filter(|_| elf.linkage == Linkage::Program) {
            let interpreter = String::from_utf8_lossy(interpreter);
            if let Some(wrong) = wrong_program(subject, &interpreter, 0) {
                found.add(path, format!("is loaded by {interpreter}, which {wrong}"));
            }
        }
    }
    Ok(())
}

/// The program and the rest of a `#!` line (execve(2), "Interpreter scripts").
fn shebang(content: &[u8]) -> Option<(String, String)> {
    let line = content.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
    let line = String::from_utf8_lossy(&line[..line.len().min(255)]).trim().to_string();
    let (program, argument) = line.split_once([' ', '\t']).unwrap_or((&line, ""));
    (!program.is_empty()).then(|| (program.to_string(), argument.trim().to_string()))
}

fn is_executable(node: &Node) -> bool {
    node.mode & 0o111 != 0
}

/// Why a user cannot start the program at a path.
fn wrong_program(subject: &Subject<'_>, path: &str, uid: u32) -> Option<&'static str> {
    let Some(node) = subject.tree.lookup(path.as_bytes()) else { return Some("is not in the root") };
    let Some(content) = node.content() else { return Some("is no file") };
    // The kernel takes root's right to execute from any of the three bits.
    let bits = match uid {
        0 => 0o111,
        _ if uid == node.uid => 0o100,
        _ if uid == node.gid => 0o010,
        _ => 0o001,
    };
    if node.mode & bits == 0 {
        return Some("may not be executed");
    }
    if !content.starts_with(b"\x7fELF") && !content.starts_with(b"#!") {
        return Some("is neither a program nor a script");
    }
    None
}

pub(super) fn library(subject: &Subject<'_>, found: &mut Found) -> Result<()> {
    for lack in elf::lacks(subject.tree)? {
        let but = lack.but.as_deref().unwrap_or("the root does not have");
        found.add(lack.who.trim_start_matches('/').as_bytes(), format!("{}, which {but}", lack.needs));
    }
    Ok(())
}

pub(super) fn service_program(subject: &Subject<'_>, found: &mut Found) -> Result<()> {
    for service in subject.checked.services() {
        // PID 1 runs the stop command as root.
        let commands = [(&service.command, service.uid), (&service.stop_command, 0)];
        for (program, uid) in commands.into_iter().filter_map(|(command, uid)| Some((command.first()?, uid))) {
            let path = subject.real(program);
            if let Some(wrong) = wrong_program(subject, program, uid) {
                found.add(&path, format!("the service {} starts it, and it {wrong}", service.name));
            } else if let Some(node) = subject.tree.lookup(program.as_bytes()).filter(|node| uid == 0 && node.uid != 0)
            {
                found.add(&path, format!("the service {} runs it as root, and it is {}'s", service.name, node.uid));
            }
        }
    }
    Ok(())
}

pub(super) fn not_executable(subject: &Subject<'_>, found: &mut Found) -> Result<()> {
    for (path, node, content) in subject.files() {
        if PROGRAM_FOLDERS.contains(&split(path).0)
            && !is_executable(node)
            && (content.starts_with(b"#!") || content.starts_with(b"\x7fELF"))
        {
            found.add(path, format!("mode {:04o}", node.mode));
        }
    }
    Ok(())
}
