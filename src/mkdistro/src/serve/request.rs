//! A request: its first line and the one field that counts (RFC 9112, sections 2 to 5).

use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};

use super::response::Status;

/// Most bytes of the first line and the fields together.
const MAX_HEAD_BYTES: u64 = 16 << 10;

/// A request as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) target: String,
    /// The value of `Range`, if it is to be looked at.
    pub(super) range: Option<String>,
}

impl Request {
    /// Reads one; `Err` inside is what to answer to one that cannot be read.
    ///
    /// # Errors
    /// The connection broke.
    pub(super) fn read(input: &mut impl BufRead) -> io::Result<Result<Self, Status>> {
        let mut input = input.take(MAX_HEAD_BYTES);
        let mut head = Vec::new();
        loop {
            let before = head.len();
            input.read_until(b'\n', &mut head)?;
            match &head[before..] {
                b"\r\n" | b"\n" if before > 0 => break,
                line if line.ends_with(b"\n") => {}
                _ if input.limit() == 0 => return Ok(Err(Status::TOO_LARGE)),
                _ => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        Ok(Self::parse(&head).ok_or(Status::BAD))
    }

    fn parse(head: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(head).ok()?;
        let mut lines = text.lines();
        let mut words = lines.next()?.split(' ');
        let (method, target, version) = (words.next()?, words.next()?, words.next()?);
        let is_visible = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic());
        if words.next().is_some() || !version.starts_with("HTTP/1.") || !is_visible(method) || !is_visible(target) {
            return None;
        }
        let fields: Vec<(&str, &str)> =
            lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name, value.trim())).collect();
        let field =
            |wanted: &str| fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|found| found.1);
        // Nothing here has a validator that an If-Range could be equal to.
        let range = field("range").filter(|_| field("if-range").is_none()).map(str::to_owned);
        Some(Self { method: method.into(), target: target.into(), range })
    }

    /// The path below the folder, decoded; None if it leads elsewhere or is no path.
    pub(super) fn path(&self) -> Option<PathBuf> {
        // Proxies are sent whole URLs.
        let path = match self.target.strip_prefix("http://") {
            Some(rest) => &rest[rest.find('/')?..],
            None => &self.target,
        };
        let path = path.split(['?', '#']).next()?.strip_prefix('/')?;
        let mut decoded = PathBuf::new();
        for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
            let name = decode(part)?;
            // The parts are split before they are decoded, so a slash here came as %2F.
            let is_name =
                !name.is_empty() && name != b".." && name != b"." && !name.iter().any(|byte| b"/\0".contains(byte));
            decoded.push(is_name.then(|| name_of(&name))?);
        }
        Some(decoded)
    }
}

fn name_of(bytes: &[u8]) -> &Path {
    use std::os::unix::ffi::OsStrExt;
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

/// Percent-encoding (RFC 3986, section 2.1).
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        let digit = |byte: Option<u8>| (byte? as char).to_digit(16);
        decoded.push(match byte {
            b'%' => u8::try_from(digit(bytes.next())? << 4 | digit(bytes.next())?).ok()?,
            _ => byte,
        });
    }
    Some(decoded)
}
