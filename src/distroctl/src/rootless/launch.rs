//! What users' podman starts and leaves behind, under names of this program that their containers.conf gives it: conmon,
//! which is the parent of a container, and what its network needs. It asks for the move into the user's control group,
//! where crun makes the container's beside it, and becomes the program. So it is for every way to start a container, and
//! containers outlive the session or engine that started them.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result};
use contract::paths;

use crate::console;

/// Where this program has the names.
pub(crate) const FOLDER: &str = "/usr/lib/distro/rootless";
/// The programs, where they are. The recipe `rootless` makes the links.
const PROGRAMS: [&str; 3] = ["/usr/bin/conmon", "/usr/bin/pasta", ROOTLESSPORT];
/// Podman starts it without a path in its name.
const ROOTLESSPORT: &str = "/usr/libexec/podman/rootlessport";
/// For the answer on a machine that has much to do.
const PATIENCE: Duration = Duration::from_secs(10);

/// The program that is meant, if this one runs under one of the names.
pub(crate) fn program(own_path: &Path) -> Option<&'static str> {
    if own_path == Path::new("rootlessport") {
        return Some(ROOTLESSPORT);
    }
    let name = own_path.strip_prefix(FOLDER).ok()?;
    PROGRAMS.into_iter().find(|program| Path::new(program).file_name() == Some(name.as_os_str()))
}

/// Becomes the program. Without an answer the container starts all the same, without limits.
pub(crate) fn run(program: &str, arguments: impl Iterator<Item = OsString>) -> Result<ExitCode> {
    let arguments: Vec<OsString> = arguments.collect();
    if arguments.iter().all(|argument| argument != "--version")
        && let Err(error) = ask()
    {
        console::log(&format!("no control group for the container, its limits do not count: {error}"));
    }
    Err(Command::new(program).args(arguments).exec()).with_context(|| format!("executing {program}"))
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

#[cfg(test)]
mod tests {
    use super::program;
    use std::path::Path;

    #[test]
    fn knows_programs_by_its_own_path() {
        assert_eq!(program(Path::new("/usr/lib/distro/rootless/conmon")), Some("/usr/bin/conmon"));
        assert_eq!(program(Path::new("rootlessport")), Some("/usr/libexec/podman/rootlessport"));
        for other in ["/usr/bin/conmon", "conmon", "/usr/lib/distro/rootless/sh", "/usr/lib/distro/rootless"] {
            assert_eq!(program(Path::new(other)), None, "{other}");
        }
    }
}
