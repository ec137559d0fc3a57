//! Members of an ar archive, as far as deb(5) allows them: no symbol table, no long names.
//!
//! Header of 60 bytes, ASCII, space-padded: name 0..16, mtime 16..28, uid 28..34, gid 34..40, mode 40..48 (octal), size
//! in bytes 48..58 (decimal), 0x60 0x0a. The content follows, padded to an even offset.

use anyhow::{Context, Result, ensure};

const MAGIC: &[u8] = b"!<arch>\n";
const HEADER_BYTES: usize = 60;

/// One member.
pub(super) struct Member<'a> {
    /// Its name, without padding and GNU's trailing `/`.
    pub(super) name: &'a str,
    /// Its content.
    pub(super) data: &'a [u8],
}

/// All members, in file order.
pub(super) fn members(bytes: &[u8]) -> Result<Vec<Member<'_>>> {
    let mut rest = bytes.strip_prefix(MAGIC).context("no ar archive: it does not begin with \"!<arch>\"")?;
    let mut members = Vec::new();
    while !rest.is_empty() {
        let at = bytes.len() - rest.len();
        let (header, tail) =
            rest.split_at_checked(HEADER_BYTES).with_context(|| format!("ar: truncated header at byte {at}"))?;
        ensure!(header.ends_with(b"`\n"), "ar: no member header at byte {at}");
        let text = std::str::from_utf8(header).with_context(|| format!("ar: header at byte {at}"))?;
        let (name, size) = (text.get(..16), text.get(48..58));
        let (name, size) = name.zip(size).with_context(|| format!("ar: header at byte {at} is not ASCII"))?;
        let name = name.trim_end().trim_end_matches('/');
        let size: usize = size.trim_end().parse().with_context(|| format!("ar: size of {name:?}: {size:?}"))?;
        let (data, tail) = tail
            .split_at_checked(size)
            .with_context(|| format!("ar: {name:?} is {size} bytes long, but only {} are left", tail.len()))?;
        members.push(Member { name, data });
        rest = if size % 2 == 1 { tail.get(1..).unwrap_or_default() } else { tail };
    }
    Ok(members)
}
