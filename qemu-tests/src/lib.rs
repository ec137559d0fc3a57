//! What the boot tests share: the image under test, guests made from it, container images made inside them, a registry.
//!
//! A verdict comes from an exit status or a file, over SSH or from the disk afterwards, never from console text alone. A
//! test that fails prints QEMU's command and the end of the console; the log stays beside the image in `logs/`.

pub mod clients;
mod guest;
mod registry;

pub use clients::Clients;
pub use guest::{Guest, machine, user};
pub use registry::Registry;

use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use vm::Output;

/// Longest time for a program of the host.
const HOST_LIMIT: Duration = Duration::from_secs(300);
/// Longest time from QEMU's start to READY, under KVM.
pub const BOOT_LIMIT: Duration = Duration::from_secs(40);
/// Longest time from the power button to QEMU's end, under KVM.
pub const POWER_OFF_LIMIT: Duration = Duration::from_secs(30);

/// The image under test.
pub fn iso() -> Result<PathBuf> {
    let hint = "hint: run \"cargo xtask test\", which builds the image and names it to the tests";
    let Some(path) = std::env::var_os("MKDISTRO_TEST_ISO") else {
        bail!("which image is to be tested? MKDISTRO_TEST_ISO is not set\n{hint}");
    };
    std::path::absolute(&path)
        .and_then(std::fs::canonicalize)
        .with_context(|| format!("looking for the image {}\n{hint}", path.display()))
}

/// Where the console's log of a test goes.
pub fn log_file(name: &str) -> Result<PathBuf> {
    let logs = iso()?.parent().unwrap_or(Path::new(".")).join("logs");
    std::fs::create_dir_all(&logs).with_context(|| format!("creating {}", logs.display()))?;
    Ok(logs.join(format!("{name}.log")))
}

/// Runs a program of the host that must succeed.
pub fn host(program: &str, configure: impl FnOnce(&mut Command) -> &mut Command) -> Result<Output> {
    let program = vm::disk::find_program(program)
        .with_context(|| format!("looking for {program}\nhint: \"cargo xtask setup\" installs it"))?;
    let mut command = Command::new(program);
    configure(&mut command);
    vm::run(&mut command, HOST_LIMIT)
}

/// sha256 of a file, by the host's sha256sum(1).
pub fn sha256(path: &Path) -> Result<String> {
    let output = host("sha256sum", |command| command.arg(path))?;
    Ok(output.stdout.split_whitespace().next().unwrap_or_default().to_string())
}

/// Unpacks the ISO's files into `folder` with xorriso(1); gives kernel and initramfs.
pub fn kernel_and_initramfs(folder: &Path) -> Result<(PathBuf, PathBuf)> {
    let iso = iso()?;
    host("xorriso", |command| command.args(["-osirrox", "on", "-indev"]).arg(iso).args(["-extract", "/"]).arg(folder))?;
    host("chmod", |command| command.args(["-R", "u+rwX"]).arg(folder))?;
    Ok((find_file(folder, "vmlinuz")?, find_file(folder, "initrd")?))
}

/// The one file below `folder` whose name begins with `prefix`.
pub fn find_file(folder: &Path, prefix: &str) -> Result<PathBuf> {
    let output = host("find", |command| command.arg(folder).args(["-type", "f", "-name", &format!("{prefix}*")]))?;
    match output.stdout.lines().collect::<Vec<_>>()[..] {
        [path] => Ok(path.into()),
        ref found => bail!("looking for one file {prefix}* in {}, found {found:?}", folder.display()),
    }
}

/// What a web server answers at this port of the build host.
pub fn http_get(port: u16) -> Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).context("connecting")?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}
