//! The parent of users' containers, under a name of this program that their containers.conf gives podman: asks for the
//! move into the user's control group, where crun makes the container's beside it, and becomes conmon. So it is for
//! every way to start a container, and containers outlive the session or engine that started them.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result};
use contract::paths;

use crate::console;

/// This program's name here.
pub(crate) const PATH: &str = "/usr/lib/distro/conmon";
const CONMON: &str = "/usr/bin/conmon";
/// For the answer on a machine that has much to do.
const PATIENCE: Duration = Duration::from_secs(10);

/// Becomes conmon. Without an answer the container starts all the same, without limits.
pub(crate) fn run(arguments: impl Iterator<Item = OsString>) -> Result<ExitCode> {
    let arguments: Vec<OsString> = arguments.collect();
    if arguments.iter().all(|argument| argument != "--version")
        && let Err(error) = ask()
    {
        console::log(&format!("no control group for the container, its limits do not count: {error}"));
    }
    Err(Command::new(CONMON).args(arguments).exec()).with_context(|| format!("executing {CONMON}"))
}

/// The answer is the end of the connection, with a byte before it if the move succeeded.
fn ask() -> std::io::Result<()> {
    let mut stream = UnixStream::connect(paths::ROOTLESS)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    match stream.read(&mut [0])? {
        1 => Ok(()),
        _ => Err(std::io::Error::other("refused")),
    }
}
