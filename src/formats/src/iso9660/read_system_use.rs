//! Rock Ridge, to read. The writer's `system_use` module has the layouts of the entries. Entries of other extensions
//! are passed over.

use anyhow::{Context, Result, bail, ensure};

use super::SECTOR_BYTES;
use super::fields::read_both_u32;
use crate::view::View;

/// Most continuation areas of one record; Linux has the same limit (`RR_MAX_CE_ENTRIES` in `fs/isofs/rock.c`).
const MAX_CONTINUATIONS: usize = 32;
/// Most bytes of a link target.
const MAX_LINK_BYTES: usize = 4096;

/// What the root's own record says about the system use areas of all records.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rules {
    pub(super) rock_ridge: bool,
    skip_bytes: usize,
}

/// What Rock Ridge says about one record.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    pub(super) name: Vec<u8>,
    pub(super) mode: Option<u32>,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) device: (u32, u32),
    pub(super) link: Vec<u8>,
}

impl Rules {
    /// Looks for `SP` in the system use area of the root's own record.
    pub(super) fn announced(area: &View) -> Result<Self> {
        if area.len() < 7 || area.take(0, 2, "SP")? != b"SP" {
            return Ok(Self::default());
        }
        area.expect(4, &[0xbe, 0xef], "check bytes of SP")?;
        Ok(Self { rock_ridge: true, skip_bytes: usize::from(area.u8(6, "SP")?) })
    }

    /// Reads a record's entries; `image` is where continuation areas lie.
    pub(super) fn attributes<'a>(self, image: &View<'a>, area: &View<'a>) -> Result<Attributes> {
        let mut attributes = Attributes::default();
        if !self.rock_ridge {
            return Ok(attributes);
        }
        let mut link_parts = Vec::new();
        let skipped = self.skip_bytes.min(area.len());
        let mut next = Some(area.sub(skipped, area.len() - skipped, "system use")?);
        let mut areas_left = MAX_CONTINUATIONS;
        while let Some(area) = next {
            ensure!(areas_left > 0, "system use at byte {}: too many continuation areas", area.offset(0));
            areas_left -= 1;
            next = attributes.area(image, &area, &mut link_parts)?;
        }
        attributes.link = joined(&link_parts);
        ensure!(attributes.link.len() <= MAX_LINK_BYTES, "link target of {} bytes", attributes.link.len());
        Ok(attributes)
    }
}

impl Attributes {
    /// Reads one area; gives back the one it continues in.
    fn area<'a>(&mut self, image: &View<'a>, area: &View<'a>, link: &mut Vec<LinkPart>) -> Result<Option<View<'a>>> {
        let mut next = None;
        let mut at = 0;
        // Up to three bytes that are left over are padding (SUSP 4).
        while at + 4 <= area.len() {
            let signature = area.take(at, 2, "system use entry")?;
            if signature == [0, 0] || signature == b"ST" {
                break;
            }
            let len = usize::from(area.u8(at + 2, "length of a system use entry")?);
            ensure!(len >= 4, "system use entry at byte {}: length {len}", area.offset(at));
            let entry = area.sub(at, len, "system use entry")?;
            match signature {
                b"CE" => next = Some(continuation(image, &entry)?),
                b"PX" => {
                    self.mode = Some(read_both_u32(&entry, 4, "mode in PX")?);
                    self.uid = read_both_u32(&entry, 20, "owner in PX")?;
                    self.gid = read_both_u32(&entry, 28, "group in PX")?;
                }
                // As Linux reads it (`fs/isofs/rock.c`): writers put major and minor or a whole number here.
                b"PN" => {
                    let high = read_both_u32(&entry, 4, "device number in PN")?;
                    let low = read_both_u32(&entry, 12, "device number in PN")?;
                    self.device = if high == 0 && low > 0xff { (low >> 8, low & 0xff) } else { (high, low) };
                }
                b"NM" => {
                    self.name.extend(entry.sub(5, len.saturating_sub(5), "name in NM")?.bytes());
                }
                b"SL" => link_parts(&entry, link)?,
                _ => {}
            }
            at += len;
        }
        Ok(next)
    }
}

fn continuation<'a>(image: &View<'a>, entry: &View) -> Result<View<'a>> {
    let sector = read_both_u32(entry, 4, "sector in CE")? as usize;
    let offset = read_both_u32(entry, 12, "offset in CE")? as usize;
    let len = read_both_u32(entry, 20, "length in CE")? as usize;
    let at = sector.checked_mul(SECTOR_BYTES).and_then(|start| start.checked_add(offset)).context("offset in CE")?;
    ensure!(len <= SECTOR_BYTES, "CE at byte {}: continuation area of {len} bytes", entry.offset(0));
    image.sub(at, len, "continuation area")
}

/// A component of a link target; one that continues is joined with the next without a `/`.
struct LinkPart {
    text: Vec<u8>,
    continues: bool,
}

fn link_parts(entry: &View, parts: &mut Vec<LinkPart>) -> Result<()> {
    let mut at = 5;
    while at < entry.len() {
        let flags = entry.u8(at, "flags of a link component")?;
        let len = usize::from(entry.u8(at + 1, "length of a link component")?);
        let text = entry.take(at + 2, len, "link component")?;
        let text = match flags & !1 {
            0 => text.to_vec(),
            2 => b".".to_vec(),
            4 => b"..".to_vec(),
            8 => b"/".to_vec(),
            other => bail!("link component at byte {}: flags {other:#x}", entry.offset(at)),
        };
        parts.push(LinkPart { text, continues: flags & 1 != 0 });
        at += 2 + len;
    }
    Ok(())
}

fn joined(parts: &[LinkPart]) -> Vec<u8> {
    let mut target = Vec::new();
    let mut needs_slash = false;
    for part in parts {
        if needs_slash {
            target.push(b'/');
        }
        target.extend(&part.text);
        needs_slash = !part.continues && part.text != b"/";
    }
    target
}
