//! A response: a file, a range of one, or a status in words (RFC 9110, sections 14 and 15).

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::request::Request;

/// A status: number and words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status(pub(super) u16, &'static str);

impl Status {
    const OK: Self = Self(200, "OK");
    const PART: Self = Self(206, "Partial Content");
    pub(super) const BAD: Self = Self(400, "Bad Request");
    const NOT_FOUND: Self = Self(404, "Not Found");
    const NOT_ALLOWED: Self = Self(405, "Method Not Allowed");
    const NO_SUCH_RANGE: Self = Self(416, "Range Not Satisfiable");
    pub(super) const TOO_LARGE: Self = Self(431, "Request Header Fields Too Large");
}

/// A response, ready to be written.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: Status,
    fields: Vec<String>,
    /// Bytes of the content, whether it is sent or not.
    pub(super) length: u64,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// As to HEAD.
    None,
    /// From where it stands.
    File(File),
    Text(String),
}

impl Response {
    /// A status alone.
    pub(super) fn status(status: Status) -> Self {
        let text = format!("{} {}\n", status.0, status.1);
        let fields = vec!["Content-Type: text/plain".to_owned()];
        Self { status, fields, length: text.len() as u64, content: Content::Text(text) }
    }

    /// What a request gets from the files below `root`, which is a real path.
    pub(super) fn to(root: &Path, request: &Request) -> Self {
        let is_head = request.method == "HEAD";
        if !is_head && request.method != "GET" {
            return Self::status(Status::NOT_ALLOWED).with("Allow: GET, HEAD".into());
        }
        let mut response = match open(root, request) {
            Some((file, size)) => Self::file(file, size, request.range.as_deref()),
            None => Self::status(Status::NOT_FOUND),
        };
        if is_head {
            response.content = Content::None;
        }
        response
    }

    fn file(mut file: File, size: u64, range: Option<&str>) -> Self {
        let (status, start, length) = match range.and_then(|range| parse_range(range, size)) {
            None => (Status::OK, 0, size),
            Some(None) => return Self::status(Status::NO_SUCH_RANGE).with(format!("Content-Range: bytes */{size}")),
            Some(Some((start, length))) => (Status::PART, start, length),
        };
        if file.seek(SeekFrom::Start(start)).is_err() {
            return Self::status(Status::NOT_FOUND);
        }
        let fields = vec!["Content-Type: application/octet-stream".to_owned(), "Accept-Ranges: bytes".to_owned()];
        let response = Self { status, fields, length, content: Content::File(file) };
        if status == Status::OK {
            return response;
        }
        response.with(format!("Content-Range: bytes {start}-{}/{size}", start + length - 1))
    }

    fn with(mut self, field: String) -> Self {
        self.fields.push(field);
        self
    }

    /// Sends it.
    pub(super) fn write(self, mut out: impl Write) -> io::Result<()> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status.0, self.status.1);
        self.fields.iter().for_each(|field| head.push_str(&format!("{field}\r\n")));
        head.push_str(&format!("Content-Length: {}\r\nConnection: close\r\n\r\n", self.length));
        out.write_all(head.as_bytes())?;
        match self.content {
            Content::None => {}
            Content::Text(text) => out.write_all(text.as_bytes())?,
            // A file that is shorter by now: the client sees that the connection ends too early.
            Content::File(file) => drop(io::copy(&mut file.take(self.length), &mut out)?),
        }
        out.flush()
    }
}

/// The regular file that a request names and its size, if that is below `root` with all links followed.
fn open(root: &Path, request: &Request) -> Option<(File, u64)> {
    let path = root.join(request.path()?).canonicalize().ok().filter(|path| path.starts_with(root))?;
    // A pipe would be waited for.
    std::fs::metadata(&path).ok().filter(|found| found.is_file())?;
    let file = File::open(&path).ok()?;
    let size = file.metadata().ok()?.len();
    Some((file, size))
}

/// First byte and length of a range; None inside if the file has no such bytes. None: it is passed over, as more ranges
/// than one and other units are.
fn parse_range(text: &str, size: u64) -> Option<Option<(u64, u64)>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let number =
        |text: &str| if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse::<u64>().ok() } else { None };
    let (start, end) = match (first.trim(), last.trim()) {
        ("", last) => (size.saturating_sub(number(last)?), size),
        (first, "") => (number(first)?, size),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            (first, last.saturating_add(1).min(size))
        }
    };
    Some((start < end).then(|| (start, end - start)))
}
