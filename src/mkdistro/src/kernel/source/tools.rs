//! The programs and headers that a kernel build needs, named all at once where they are missing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::problem::{Class, Problem};

/// Program, and Debian's package for it. `kernel_compressor` comes on top.
const PROGRAMS: [(&str, &str); 11] = [
    ("make", "make"),
    ("gcc", "gcc"),
    ("ld", "binutils"),
    ("flex", "flex"),
    ("bison", "bison"),
    ("bc", "bc"),
    ("perl", "perl"),
    ("awk", "mawk"),
    ("sed", "sed"),
    ("find", "findutils"),
    ("gzip", "gzip"),
];

/// Header, and Debian's package for it. objtool, which the mitigations of processor faults need, reads ELF files.
const HEADERS: [(&str, &str); 2] = [("libelf.h", "libelf-dev"), ("stdlib.h", "libc6-dev")];

/// How the kernel image is compressed: option, program, package.
const COMPRESSORS: [(&str, &str, &str); 6] = [
    ("CONFIG_KERNEL_ZSTD=y", "zstd", "zstd"),
    ("CONFIG_KERNEL_XZ=y", "xz", "xz-utils"),
    ("CONFIG_KERNEL_LZ4=y", "lz4", "lz4"),
    ("CONFIG_KERNEL_LZO=y", "lzop", "lzop"),
    ("CONFIG_KERNEL_LZMA=y", "xz", "xz-utils"),
    ("CONFIG_KERNEL_BZIP2=y", "bzip2", "bzip2"),
];

/// The compiler and linker of this machine: part of what a result depends on.
///
/// # Errors
/// Something that a build with the configuration `merged` needs is missing: all of it is named, with the packages that
/// bring it.
pub(super) fn check(merged: &str) -> Result<String> {
    let compressors = COMPRESSORS.iter().filter(|(option, ..)| merged.lines().any(|line| line == *option));
    let programs: Vec<(&str, &str)> =
        PROGRAMS.into_iter().chain(compressors.map(|(_, program, package)| (*program, *package))).collect();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let has_compiler = is_in(&folders, "gcc");
    let missing_headers = HEADERS.iter().filter(|(header, _)| has_compiler && !has_header(header));
    let missing: Vec<(&str, &str)> = programs
        .iter()
        .filter(|(program, _)| !is_in(&folders, program))
        .chain(missing_headers)
        .map(|(what, package)| (*what, *package))
        .collect();
    report(&missing)?;
    Ok(format!("{}\n{}\n", first_line("gcc")?, first_line("ld")?))
}

fn report(missing: &[(&str, &str)]) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|(what, _)| *what).collect();
    let mut packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    packages.sort_unstable();
    packages.dedup();
    let message = format!("building the kernel from source: not on this machine: {}", names.join(", "));
    let hint = format!("apt install {}; or take Debian's kernel: source = \"package\" in [kernel]", packages.join(" "));
    Err(Problem::error(Class::Config, message, hint))
}

fn is_in(folders: &[PathBuf], program: &str) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let is_program =
        |path: &Path| path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
    folders.iter().any(|folder| is_program(&folder.join(program)))
}

/// Asks the preprocessor, which knows its folders.
fn has_header(header: &str) -> bool {
    let mut command = Command::new("gcc");
    command.args(["-E", "-include", header, "-x", "c", "/dev/null"]);
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn first_line(program: &str) -> Result<String> {
    let output = Command::new(program)
        .arg("--version")
        .env("LC_ALL", "C")
        .output()
        .with_context(|| format!("running {program} --version"))?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::report;

    #[test]
    fn names_all_that_is_missing() {
        report(&[]).unwrap();
        let error = report(&[("flex", "flex"), ("libelf.h", "libelf-dev"), ("xz", "xz-utils")]).unwrap_err();
        assert_eq!(error.to_string(), "building the kernel from source: not on this machine: flex, libelf.h, xz");
        let problem = error.downcast_ref::<crate::problem::Problem>().unwrap();
        assert!(problem.hint.starts_with("apt install flex libelf-dev xz-utils; or "), "{}", problem.hint);
    }
}
