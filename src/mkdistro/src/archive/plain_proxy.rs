//! Plain HTTP through an HTTP proxy, in the form that caches understand: `GET http://host/path` to the proxy
//! (RFC 9112, section 3.2.2). ureq tunnels with CONNECT instead, which caches of packages and company proxies commonly
//! refuse for port 80.
//!
//! Asked as HTTP/1.0, so that the answer is never chunked and ends with the connection (RFC 9112, section 6.1).

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};

use super::http::{OpenError, Request, Response, STALL_TIMEOUT, USER_AGENT};

const MAX_HEAD_BYTES: u64 = 64 << 10;

/// Sends a request through the proxy `http://host[:port][/]`.
pub(super) fn request(proxy: &str, request: &Request<'_>) -> Result<Response, OpenError> {
    let &Request { url, from, fields, .. } = request;
    // Without the password, for messages.
    let shown = proxy.rsplit_once('@').map_or(proxy.to_owned(), |(_, rest)| format!("http://{rest}"));
    let malformed = || OpenError::Fatal(format!("proxy {shown}: expected http://host:port"));
    let authority = proxy.strip_prefix("http://").unwrap_or(proxy).split('/').next().unwrap_or_default();
    let (authorization, authority) = match authority.rsplit_once('@') {
        Some((credentials, authority)) => (authorization(credentials).ok_or_else(malformed)?, authority),
        None => (String::new(), authority),
    };
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let address = if has_port { authority.to_owned() } else { format!("{authority}:80") };
    let host = url.strip_prefix("http://").and_then(|rest| rest.split('/').next()).ok_or_else(malformed)?;
    let transient = |error: std::io::Error| OpenError::Transient(format!("proxy {shown}: {error}"));

    let resolved = address.to_socket_addrs().map_err(transient)?.next().ok_or_else(malformed)?;
    let mut stream = TcpStream::connect_timeout(&resolved, STALL_TIMEOUT).map_err(transient)?;
    stream.set_read_timeout(Some(STALL_TIMEOUT)).map_err(transient)?;
    stream.set_write_timeout(Some(STALL_TIMEOUT)).map_err(transient)?;
    let range = if from > 0 { format!("Range: bytes={from}-\r\n") } else { String::new() };
    let further: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!(
        "GET {url} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: {USER_AGENT}\r\nConnection: close\r\n{authorization}{range}\
         {further}\r\n"
    );
    stream.write_all(head.as_bytes()).map_err(transient)?;

    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    let mut limited = reader.by_ref().take(MAX_HEAD_BYTES);
    while !head.ends_with("\r\n\r\n") && !head.ends_with("\n\n") {
        if limited.read_line(&mut head).map_err(transient)? == 0 {
            return Err(OpenError::Transient(format!("proxy {shown}: the answer ended early")));
        }
    }
    parse_head(&head, reader).ok_or_else(|| OpenError::Fatal(format!("proxy {shown}: the answer is not HTTP")))
}

/// The header field for `user:password`, both percent-encoded as in every URL (RFC 7617, section 2).
fn authorization(credentials: &str) -> Option<String> {
    Some(format!("Proxy-Authorization: Basic {}\r\n", base64(&percent_decoded(credentials)?)))
}

/// RFC 3986, section 2.1.
fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend(rest.as_bytes());
    }
    Some(bytes)
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let encode = |group: &[u8]| -> String {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | group.get(at).map_or(0, |byte| usize::from(*byte)));
        let character = |at: usize| match at {
            at if at > group.len() => '=',
            at => char::from(ALPHABET[bits >> (18 - 6 * at) & 63]),
        };
        (0..4).map(character).collect()
    };
    bytes.chunks(3).map(encode).collect()
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
        authenticate: fields
            .iter()
            .filter(|(key, _)| key.trim().eq_ignore_ascii_case("www-authenticate"))
            .map(|(_, value)| value.trim().to_owned())
            .collect(),
        reader: Box::new(reader),
    })
}

#[cfg(test)]
mod tests {
    use super::{authorization, base64};

    #[test]
    fn credentials() {
        // RFC 4648, section 10, and RFC 7617, section 2.
        for (text, encoded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(text.as_bytes()), encoded);
        }
        let field = |credentials| authorization(credentials);
        let expected = "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n";
        assert_eq!(field("Aladdin:open%20sesame").as_deref(), Some(expected));
        assert_eq!((field("a%2"), field("a%xx")), (None, None));
    }
}
