//! Reader of `ar` archives, the outer shell of a `.deb` (deb(5), ar(5)).
//!
//! Names are at most 16 bytes; GNU `ar` ends them with `/`, dpkg does not. The symbol table and the long-name schemes
//! of GNU (`//`, `/123`) and BSD (`#1/20`) do not occur in a `.deb` and are refused.
//!
//! Header of a member, 60 bytes of ASCII, each field padded with spaces:
//!
//! | offset | size | field                                   |
//! |--------|------|-----------------------------------------|
//! | 0      | 16   | name                                    |
//! | 16     | 12   | time, decimal seconds since 1970        |
//! | 28     | 6    | owner, decimal                          |
//! | 34     | 6    | group, decimal                          |
//! | 40     | 8    | mode, octal                             |
//! | 48     | 10   | size of the content, decimal bytes      |
//! | 58     | 2    | `` ` `` and line feed                   |
//!
//! The content follows; a line feed fills it up to an even offset (it may be missing at the end of the file).

use anyhow::{Context, Result, bail};
use bytes::Bytes;

use crate::view::View;

const MAGIC: &[u8] = b"!<arch>\n";
const HEADER_BYTES: usize = 60;

/// One member. `content` shares the archive's buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Name without padding and trailing `/`.
    pub name: String,
    /// The content as it is stored.
    pub content: Bytes,
}

/// The members in archive order.
///
/// # Errors
/// Anything that is not a whole archive of simple members; the message has the offset in bytes.
pub fn members(bytes: &Bytes) -> Result<Vec<Member>> {
    let archive = View::new(bytes);
    archive.expect(0, MAGIC, "magic of an ar archive")?;
    let mut members = Vec::new();
    let mut at = MAGIC.len();
    while at < bytes.len() {
        let header = archive.sub(at, HEADER_BYTES, "ar member header")?;
        header.expect(58, b"`\n", "end of an ar member header")?;
        let name = name(&header).with_context(|| format!("reading ar member name at byte {at}"))?;
        let size = size(&header).with_context(|| format!("reading size of ar member {name} at byte {}", at + 48))?;
        let start = at + HEADER_BYTES;
        archive.take(start, size, &format!("content of ar member {name}"))?;
        let end = start + size;
        members.push(Member { name, content: bytes.slice(start..end) });
        at = end + end % 2;
    }
    Ok(members)
}

fn name(header: &View) -> Result<String> {
    let padded = std::str::from_utf8(header.take(0, 16, "name")?).context("expected text")?;
    let name = padded.trim_end_matches(' ');
    let simple = name.strip_suffix('/').unwrap_or(name);
    if simple.is_empty() || simple.contains('/') {
        bail!("expected a name without / and of up to 15 bytes, found {name:?}");
    }
    if simple.contains(|c: char| !c.is_ascii_graphic() && c != ' ') {
        bail!("expected printable ASCII, found {name:?}");
    }
    Ok(simple.to_string())
}

fn size(header: &View) -> Result<usize> {
    let field = header.take(48, 10, "size")?;
    let text = std::str::from_utf8(field).unwrap_or("").trim_end_matches(' ');
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        bail!("expected decimal digits, found \"{}\"", field.escape_ascii());
    }
    text.parse().with_context(|| format!("expected a number, found {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, content: &str) -> String {
        let pad = if content.len().is_multiple_of(2) { "" } else { "\n" };
        let size = content.len();
        format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n{content}{pad}", 0, 0, 0, "100644")
    }

    fn archive(members: &[String]) -> Bytes {
        Bytes::from(format!("!<arch>\n{}", members.concat()))
    }

    fn error(bytes: impl Into<Bytes>) -> String {
        format!("{:#}", members(&bytes.into()).unwrap_err())
    }

    #[test]
    fn reads_members() {
        let bytes = archive(&[member("debian-binary", "2.0\n"), member("odd/", "abc"), member("empty", "")]);
        let found: Vec<(String, Bytes)> =
            members(&bytes).unwrap().into_iter().map(|member| (member.name, member.content)).collect();
        let expected =
            [("debian-binary", "2.0\n"), ("odd", "abc"), ("empty", "")].map(|(name, text)| (name.into(), text.into()));
        assert_eq!(found, expected);
        assert_eq!(found[0].1.as_ptr(), bytes[68..].as_ptr(), "content is not copied");
        assert_eq!(members(&Bytes::from_static(MAGIC)).unwrap(), []);
    }

    #[test]
    fn last_pad_may_be_missing() {
        let mut text = format!("!<arch>\n{}", member("odd", "abc"));
        text.pop();
        assert_eq!(members(&Bytes::from(text)).unwrap()[0].content, "abc");
    }

    #[test]
    fn reads_what_ar_writes() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
        std::fs::write(path("one"), "first").unwrap();
        std::fs::write(path("two.tar.xz"), "second").unwrap();
        crate::foreign::run("ar", &["rcS", &path("x.a"), &path("one"), &path("two.tar.xz")], None);
        let found = members(&std::fs::read(path("x.a")).unwrap().into()).unwrap();
        let found: Vec<(&str, &[u8])> =
            found.iter().map(|member| (member.name.as_str(), member.content.as_ref())).collect();
        assert_eq!(found, [("one", &b"first"[..]), ("two.tar.xz", b"second")]);
    }

    #[test]
    fn every_truncation_is_an_error_or_a_shorter_archive() {
        let bytes = archive(&[member("debian-binary", "2.0\n"), member("data.tar", "abcdef")]);
        for len in 0..bytes.len() {
            let whole = [MAGIC.len(), MAGIC.len() + 64].contains(&len);
            assert_eq!(members(&bytes.slice(..len)).is_ok(), whole, "{len} bytes");
        }
        assert_eq!(
            error(bytes.slice(..bytes.len() - 1)),
            "reading content of ar member data.tar at byte 132: expected 6 bytes, found 5"
        );
        assert_eq!(error(bytes.slice(..100)), "reading ar member header at byte 72: expected 60 bytes, found 28");
    }

    #[test]
    fn refuses_corrupt_archives() {
        let cases = [
            ("!<arch>\r", "reading magic of an ar archive at byte 0: expected \"!<arch>\\n\", found \"!<arch>\\r\""),
            ("", "reading magic of an ar archive at byte 0: expected 8 bytes, found 0"),
        ];
        for (text, expected) in cases {
            assert_eq!(error(text), expected);
        }
        let good = member("data.tar", "abcdef");
        let cases = [
            (
                good.replace('`', "'"),
                "reading end of an ar member header at byte 66: expected \"`\\n\", found \"\\'\\n\"",
            ),
            (
                good.replace("6         `", "-6        `"),
                "reading size of ar member data.tar at byte 56: expected decimal digits, found \"-6        \"",
            ),
            (
                good.replace("6         `", "9999999999`"),
                "reading content of ar member data.tar at byte 68: expected 9999999999 bytes, found 6",
            ),
            (
                member("#1/20", "abc"),
                "reading ar member name at byte 8: expected a name without / and of up to 15 bytes, found \"#1/20\"",
            ),
            (
                member("//", "abc"),
                "reading ar member name at byte 8: expected a name without / and of up to 15 bytes, found \"//\"",
            ),
            (member("a\u{1}", "abc"), "reading ar member name at byte 8: expected printable ASCII, found \"a\\u{1}\""),
        ];
        for (text, expected) in cases {
            assert_eq!(error(format!("!<arch>\n{text}")), expected);
        }
    }
}
