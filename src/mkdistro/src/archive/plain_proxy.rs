//! Plain HTTP through an HTTP proxy, in the form that caches understand: `GET http://host/path` to the proxy
//! (RFC 9112, section 3.2.2). ureq tunnels with CONNECT instead, which caches of packages and company proxies commonly
//! refuse for port 80.
//!
//! Asked as HTTP/1.0, so that the answer is never chunked and ends with the connection (RFC 9112, section 6.1).

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};

use super::http::{OpenError, Response, STALL_TIMEOUT, USER_AGENT};

const MAX_HEAD_BYTES: u64 = 64 << 10;

/// Requests `url` from byte `from` on through the proxy `http://host[:port][/]`.
pub(super) fn request(proxy: &str, url: &str, from: u64) -> Result<Response, OpenError> {
    let malformed = || OpenError::Fatal(format!("proxy {proxy}: expected http://host:port"));
    let authority = proxy.strip_prefix("http://").unwrap_or(proxy).split('/').next().unwrap_or_default();
    if authority.contains('@') {
        return Err(OpenError::Fatal(
            "a proxy with a password is not supported for http; use an https mirror".to_owned(),
        ));
    }
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let address = if has_port { authority.to_owned() } else { format!("{authority}:80") };
    let host = url.strip_prefix("http://").and_then(|rest| rest.split('/').next()).ok_or_else(malformed)?;
    let transient = |error: std::io::Error| OpenError::Transient(format!("proxy {proxy}: {error}"));

    let resolved = address.to_socket_addrs().map_err(transient)?.next().ok_or_else(malformed)?;
    let mut stream = TcpStream::connect_timeout(&resolved, STALL_TIMEOUT).map_err(transient)?;
    stream.set_read_timeout(Some(STALL_TIMEOUT)).map_err(transient)?;
    stream.set_write_timeout(Some(STALL_TIMEOUT)).map_err(transient)?;
    let range = if from > 0 { format!("Range: bytes={from}-\r\n") } else { String::new() };
    let head =
        format!("GET {url} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: {USER_AGENT}\r\nConnection: close\r\n{range}\r\n");
    stream.write_all(head.as_bytes()).map_err(transient)?;

    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    let mut limited = reader.by_ref().take(MAX_HEAD_BYTES);
    while !head.ends_with("\r\n\r\n") && !head.ends_with("\n\n") {
        if limited.read_line(&mut head).map_err(transient)? == 0 {
            return Err(OpenError::Transient(format!("proxy {proxy}: the answer ended early")));
        }
    }
    parse_head(&head, reader).ok_or_else(|| OpenError::Fatal(format!("proxy {proxy}: the answer is not HTTP")))
}

fn parse_head(head: &str, reader: impl Read + Send + 'static) -> Option<Response> {
    let mut lines = head.lines();
    let status = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let fields: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(':')).collect();
    let field = |name: &str| {
        let found = fields.iter().find(|(key, _)| key.trim().eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim().to_owned())
    };
    if field("transfer-encoding").is_some() {
        return None;
    }
    let content_length: Option<u64> = field("content-length").and_then(|length| length.parse().ok());
    let reader = reader.take(content_length.unwrap_or(u64::MAX));
    Some(Response {
        status,
        location: field("location"),
        content_length,
        content_range: field("content-range"),
        reader: Box::new(reader),
    })
}
