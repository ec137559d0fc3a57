//! `distroctl dial SOCKET`: joins its standard input and output to a Unix socket. Over SSH it is how Docker's clients on other
//! machines reach the engine; podman has the same as `system dial-stdio`, but each of the client's many connections would then
//! hold a process of 40 MB.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use anyhow::{Context, Result};

const BUFFER_BYTES: usize = 32 << 10;

/// Until the socket's other side has said all it has.
pub(crate) fn run(socket: &str) -> Result<ExitCode> {
    let stream = UnixStream::connect(socket).with_context(|| format!("connecting to {socket}"))?;
    // Not the library's own: it keeps what comes after the last line break.
    let input = File::from(std::io::stdin().as_fd().try_clone_to_owned().context("opening standard input")?);
    let output = File::from(std::io::stdout().as_fd().try_clone_to_owned().context("opening standard output")?);
    join(stream, input, output).with_context(|| format!("passing on what {socket} says"))?;
    Ok(ExitCode::SUCCESS)
}

/// A client that has said all it has may still want the answer; once the server has, nobody reads any more.
fn join(mut stream: UnixStream, mut input: impl Read + Send + 'static, mut output: impl Write) -> Result<()> {
    let mut towards = stream.try_clone().context("opening the socket twice")?;
    // It is left waiting for input when the process ends.
    std::thread::spawn(move || {
        // If the server is gone, that shows on the other way.
        let _ = pass_on(&mut input, &mut towards).and_then(|()| towards.shutdown(Shutdown::Write));
    });
    pass_on(&mut stream, &mut output)?;
    Ok(())
}

/// Not by `std::io::copy`: between a socket and pipes that is splice(2), and with it Docker's client waits forever for the
/// answer to its first request.
fn pass_on(input: &mut impl Read, output: &mut impl Write) -> std::io::Result<()> {
    let mut bytes = vec![0; BUFFER_BYTES];
    loop {
        match input.read(&mut bytes) {
            Ok(0) => return output.flush(),
            Ok(length) => {
                output.write_all(bytes.get(..length).unwrap_or_default())?;
                output.flush()?;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{join, run};
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    /// Answers after the client's end, byte by byte what it has said.
    #[test]
    fn one_way_may_end_before_the_other() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let server = std::thread::spawn(move || {
            let mut said = String::new();
            theirs.read_to_string(&mut said).unwrap();
            theirs.write_all(said.to_uppercase().as_bytes()).unwrap();
        });
        let mut answer = Vec::new();
        join(ours, &b"no line break"[..], &mut answer).unwrap();
        server.join().unwrap();
        assert_eq!(answer, b"NO LINE BREAK");
    }

    #[test]
    fn ends_with_the_server_though_the_client_says_nothing() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (silent, _kept) = UnixStream::pair().unwrap();
        theirs.write_all(b"bye").unwrap();
        drop(theirs);
        let mut answer = Vec::new();
        join(ours, silent, &mut answer).unwrap();
        assert_eq!(answer, b"bye");
    }

    #[test]
    fn a_missing_socket_is_named() {
        assert!(run("/nonexistent/s").unwrap_err().to_string().contains("connecting to /nonexistent/s"));
    }
}
