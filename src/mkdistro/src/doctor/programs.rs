//! Programs of this machine. A build needs none; what runs, tests or compiles images does.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Finding, State};
use crate::kernel;
use crate::problem::Problem;

/// Where programs are looked for, and who installs them.
pub(super) struct Search {
    path: OsString,
    is_root: bool,
}

/// A package manager: its program, the words after it, the column of [`Tool::packages`].
struct Manager {
    program: &'static str,
    install: &'static str,
    column: usize,
}

const MANAGERS: [Manager; 4] = [
    Manager { program: "apt-get", install: "apt-get install", column: 0 },
    Manager { program: "dnf", install: "dnf install", column: 1 },
    Manager { program: "pacman", install: "pacman -S", column: 2 },
    Manager { program: "zypper", install: "zypper install", column: 3 },
];

/// A program and the packages that bring it, by column of [`MANAGERS`].
struct Tool {
    program: &'static str,
    packages: [&'static str; 4],
}

const fn tool(program: &'static str, packages: [&'static str; 4]) -> Tool {
    Tool { program, packages }
}

const QEMU: Tool = tool("qemu-system-x86_64", ["qemu-system-x86", "qemu-system-x86", "qemu-system-x86", "qemu-x86"]);
const SSH: [Tool; 2] = [
    tool("ssh", ["openssh-client", "openssh-clients", "openssh", "openssh-clients"]),
    tool("ssh-keygen", ["openssh-client", "openssh-clients", "openssh", "openssh-clients"]),
];
const MKE2FS: Tool = tool("mke2fs", ["e2fsprogs"; 4]);
/// Folders that hold programs of administrators and are not always in PATH.
const SBIN: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

impl Search {
    pub(super) fn of_system() -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        Self { path, is_root: rustix::process::geteuid().is_root() }
    }

    pub(super) fn find(&self, program: &str) -> Option<PathBuf> {
        let folders = std::env::split_paths(&self.path).chain(SBIN.map(PathBuf::from));
        folders.map(|folder| folder.join(program)).find(|path| is_program(path))
    }

    /// The command that installs what is missing.
    fn install(&self, tools: &[&Tool]) -> String {
        let Some(manager) = MANAGERS.iter().find(|manager| self.find(manager.program).is_some()) else {
            let programs: Vec<&str> = tools.iter().map(|tool| tool.program).collect();
            return format!("install {}", programs.join(", "));
        };
        let mut packages: Vec<&str> = tools.iter().map(|tool| tool.packages[manager.column]).collect();
        packages.dedup();
        let sudo = if self.is_root { "" } else { "sudo " };
        format!("{sudo}{} {}", manager.install, packages.join(" "))
    }
}

/// The folder is left out that [`Path::exists`] would take for a program.
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// `kernel`: what a kernel from source is needed by.
pub(super) fn check(search: &Search, kernel: &'static str) -> Vec<Finding> {
    vec![
        one(search, "QEMU", "run", &[&QEMU]),
        one(search, "SSH client", "run", &SSH.each_ref()),
        one(search, "mke2fs", "run --disk", &[&MKE2FS]),
        compiler(kernel),
    ]
}

/// What `build` says when it makes a kernel.
fn compiler(needed_by: &'static str) -> Finding {
    match kernel::source::compiler() {
        Ok(found) => Finding::ok("compiler", needed_by, found.lines().next().unwrap_or_default()),
        Err(error) => {
            let fix = error.downcast_ref::<Problem>().map_or("", |problem| &problem.hint);
            Finding::bad("compiler", needed_by, State::Missing, error.to_string(), fix)
        }
    }
}

fn one(search: &Search, name: &str, needed_by: &'static str, tools: &[&Tool]) -> Finding {
    let missing: Vec<&Tool> = tools.iter().copied().filter(|tool| search.find(tool.program).is_none()).collect();
    match tools.first() {
        Some(first) if missing.is_empty() => match version(search, first.program) {
            Ok(found) => Finding::ok(name, needed_by, found),
            Err(found) => Finding::bad(name, needed_by, State::Broken, found, search.install(&[first])),
        },
        _ => absent(search, name, needed_by, &missing),
    }
}

fn absent(search: &Search, name: &str, needed_by: &'static str, missing: &[&Tool]) -> Finding {
    let programs: Vec<&str> = missing.iter().map(|tool| tool.program).collect();
    let found = format!("{} not found", programs.join(", "));
    Finding::bad(name, needed_by, State::Missing, found, search.install(missing))
}

/// The first line that a program says about itself.
fn version(search: &Search, program: &str) -> Result<String, String> {
    let Some(path) = search.find(program) else { return Err(format!("{program} not found")) };
    let argument = if matches!(program, "ssh" | "mke2fs") { "-V" } else { "--version" };
    let output = Command::new(&path).arg(argument).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{}: {error}", path.display()))?;
    if !output.status.success() {
        return Err(format!("{} {argument}: {}", path.display(), output.status));
    }
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn script(folder: &Path, name: &str, text: &str) {
        let path = folder.join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn finds_programs_and_names_their_packages() {
        let dir = tempfile::tempdir().unwrap();
        script(dir.path(), "toy-good", "echo; echo toy 1.2");
        script(dir.path(), "toy-bad", "exit 3");
        fs::write(dir.path().join("toy-data"), "").unwrap();
        script(dir.path(), "apt-get", "");
        let search = Search { path: dir.path().into(), is_root: false };
        let [good, bad, absent, data] =
            ["toy-good", "toy-bad", "toy-absent", "toy-data"].map(|program| tool(program, ["p", "d", "x", "z"]));
        let finding = one(&search, "toy", "run", &[&good]);
        assert_eq!((finding.state, finding.found.as_str()), (State::Ok, ""));
        let finding = one(&search, "toy", "run", &[&bad]);
        assert_eq!((finding.state, finding.fix.as_str()), (State::Broken, "sudo apt-get install p"));
        assert!(finding.found.ends_with("toy-bad --version: exit status: 3"), "{}", finding.found);
        let finding = one(&search, "toy", "run", &[&good, &absent, &data]);
        assert_eq!((finding.state, finding.found.as_str()), (State::Missing, "toy-absent, toy-data not found"));
        assert_eq!(finding.fix, "sudo apt-get install p");
    }
}
