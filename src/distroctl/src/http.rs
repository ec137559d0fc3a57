//! Requests to the engine's API over its Unix socket, or to a web server of this machine. HTTP/1.0 (RFC 1945): the answer's body ends where the connection
//! does, so there are no chunks to put together.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// A body is not read further than this.
const LIMIT_BYTES: u64 = 16 * 1024 * 1024;

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// Sends a request without a body to a Unix socket; `timeout` is for each read.
pub(crate) fn request(socket: &str, method: &str, target: &str, timeout: Duration) -> Result<Response> {
    let connect = || {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        Ok(stream)
    };
    exchange(connect, socket, method, target)
}

/// The same to a TCP port of the loopback.
pub(crate) fn request_port(port: u16, method: &str, target: &str, timeout: Duration) -> Result<Response> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let connect = || {
        let stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        Ok(stream)
    };
    exchange(connect, &address.to_string(), method, target)
}

fn exchange<S: Read + Write>(
    connect: impl FnOnce() -> std::io::Result<S>,
    whom: &str,
    method: &str,
    target: &str,
) -> Result<Response> {
    let exchange = || -> std::io::Result<Vec<u8>> {
        let mut stream = connect()?;
        stream.write_all(format!("{method} {target} HTTP/1.0\r\nHost: d\r\nContent-Length: 0\r\n\r\n").as_bytes())?;
        let mut answer = Vec::new();
        stream.take(LIMIT_BYTES).read_to_end(&mut answer)?;
        Ok(answer)
    };
    exchange()
        .with_context(|| format!("asking {whom} for {method} {target}"))
        .and_then(|answer| parse(&answer).with_context(|| format!("answer of {whom} to {method} {target}")))
}

/// Status line and body of an answer.
fn parse(answer: &[u8]) -> Result<Response> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").context("no end of headers")?;
    let head = String::from_utf8_lossy(answer.get(..end).unwrap_or_default());
    let mut words = head.split_ascii_whitespace();
    if !words.next().is_some_and(|version| version.starts_with("HTTP/1.")) {
        bail!("not HTTP/1: {:?}", head.lines().next().unwrap_or_default());
    }
    let status = words.next().and_then(|word| word.parse().ok()).context("no status code")?;
    Ok(Response { status, body: answer.get(end + 4..).unwrap_or_default().to_vec() })
}

#[cfg(test)]
mod tests {
    use super::{Response, parse, request};
    use std::io::{Read, Write};
    use std::time::Duration;

    #[test]
    fn reads_answers() {
        let ok = parse(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nOK").unwrap();
        assert_eq!(ok, Response { status: 200, body: b"OK".to_vec() });
        let empty = parse(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        assert_eq!(empty, Response { status: 204, body: vec![] });
        for bad in [&b""[..], b"HTTP/1.0 200 OK\r\n", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.0 ok\r\n\r\n", b"\r\n\r\n"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn talks_to_a_socket() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 256];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(b"HTTP/1.0 404 Not Found\r\n\r\nno").unwrap();
            String::from_utf8(request[..length].to_vec()).unwrap()
        });
        let response = request(path.to_str().unwrap(), "POST", "/x", Duration::from_secs(10)).unwrap();
        assert_eq!(response, Response { status: 404, body: b"no".to_vec() });
        assert_eq!(server.join().unwrap(), "POST /x HTTP/1.0\r\nHost: d\r\nContent-Length: 0\r\n\r\n");
        assert!(request("/nonexistent", "GET", "/", Duration::from_secs(1)).is_err());
    }
}
