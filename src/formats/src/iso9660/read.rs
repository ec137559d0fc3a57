//! The reader: descriptors, folders with Rock Ridge names where there are any, contents, boot catalog. For `inspect` and
//! tests, on outside bytes: it checks every read, refuses loops and caps the number of entries. Rock Ridge's relocated directories stay where they are stored.

use std::collections::HashSet;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;

use super::fields::{read_both_u32, read_text};
use super::read_boot::{self, BootImage};
use super::read_system_use::{Attributes, Rules};
use super::{Lba, SECTOR_BYTES, SYSTEM_AREA_SECTORS};
use crate::tree::{Kind, show};
use crate::view::View;

/// Most entries that are read.
const MAX_ENTRIES: usize = 200_000;
/// Longest path: PATH_MAX of Linux.
const MAX_PATH_BYTES: usize = 4096;
/// Most volume descriptors that are looked at.
const MAX_DESCRIPTORS: u32 = 64;
/// Flags of a directory record (9.1.6): it is a directory; more extents follow.
const FLAG_DIRECTORY: u8 = 2;
const FLAG_MULTI_EXTENT: u8 = 0x80;

/// What an image holds.
#[derive(Debug, Clone)]
pub struct Image {
    /// Volume identifier.
    pub volume_id: String,
    /// Volume set identifier.
    pub volume_set_id: String,
    /// Publisher.
    pub publisher: String,
    /// Application identifier.
    pub application_id: String,
    /// Time of creation, `YYYYMMDDhhmmss` and hundredths of a second.
    pub created: String,
    /// Sectors of the volume.
    pub sectors: u32,
    /// Whether it has Rock Ridge names.
    pub rock_ridge: bool,
    /// Entries of the boot catalog, the default entry first.
    pub boot: Vec<BootImage>,
    /// The root, then all other entries in the order of the walk, parents first.
    pub entries: Vec<Entry>,
}

/// One file, folder, link, …
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path, relative, empty for the root.
    pub path: Vec<u8>,
    /// The identifier of ISO 9660, empty for the root.
    pub identifier: String,
    /// Type and content; the content shares the image's buffer.
    pub kind: Kind,
    /// Permission bits, `0o7777`; 0444 and 0555 without Rock Ridge.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Sector of the content.
    pub lba: Lba,
    /// Size of the content (of the directory for a folder) in bytes.
    pub size: u32,
}

impl Image {
    /// The entry at a path.
    pub fn entry(&self, path: &[u8]) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.path == path)
    }
}

/// Reads an image.
///
/// # Errors
/// If it is truncated, corrupt or beyond what this reader knows; the message has the offset in bytes.
pub fn read(bytes: &Bytes) -> Result<Image> {
    let view = View::new(bytes);
    let (primary, boot_catalog) = descriptors(&view)?;
    let sectors = read_both_u32(&primary, 80, "size of the volume")?;
    let stored = view.len() / SECTOR_BYTES;
    ensure!(sectors as usize <= stored, "the volume has {sectors} sectors, the image {stored}: it is truncated");
    let block_bytes = primary.u16_le(128, "block size")?;
    ensure!(usize::from(block_bytes) == SECTOR_BYTES, "block size {block_bytes}: expected {SECTOR_BYTES}");
    let boot = match boot_catalog {
        Some(lba) => read_boot::catalog(&view, lba).context("reading the boot catalog")?,
        None => Vec::new(),
    };
    let root = Record::read(&primary.sub(156, 34, "record of the root")?)?;
    let mut walk = Walk { bytes, view, rules: Rules::default(), seen: HashSet::new(), entries: Vec::new() };
    walk.root(&root)?;
    Ok(Image {
        volume_id: read_text(&primary, 40, 32, "volume identifier")?,
        volume_set_id: read_text(&primary, 190, 128, "volume set identifier")?,
        publisher: read_text(&primary, 318, 128, "publisher")?,
        application_id: read_text(&primary, 574, 128, "application identifier")?,
        created: read_text(&primary, 813, 16, "time of creation")?,
        sectors,
        rock_ridge: walk.rules.rock_ridge,
        boot,
        entries: walk.entries,
    })
}

/// The primary descriptor and the sector of the boot catalog.
fn descriptors<'a>(view: &View<'a>) -> Result<(View<'a>, Option<Lba>)> {
    let (mut primary, mut boot_catalog) = (None, None);
    for index in 0..MAX_DESCRIPTORS {
        let at = Lba(SYSTEM_AREA_SECTORS + index).byte_offset() as usize;
        let sector = view.sub(at, SECTOR_BYTES, "volume descriptor")?;
        sector.expect(1, b"CD001", "volume descriptor")?;
        match sector.u8(0, "type of a volume descriptor")? {
            0 if sector.take(7, 23, "boot system identifier")? == b"EL TORITO SPECIFICATION" => {
                boot_catalog = Some(Lba(sector.u32_le(71, "sector of the boot catalog")?));
            }
            1 if primary.is_none() => primary = Some(sector),
            255 => return Ok((primary.context("no primary volume descriptor before the terminator")?, boot_catalog)),
            _ => {}
        }
    }
    bail!("no terminator among the first {MAX_DESCRIPTORS} volume descriptors")
}

/// A directory record; see `directory_record` of the writer for its layout.
struct Record<'a> {
    lba: Lba,
    size: u32,
    flags: u8,
    identifier: &'a [u8],
    system_use: View<'a>,
}

impl<'a> Record<'a> {
    /// `view` is exactly the record.
    fn read(view: &View<'a>) -> Result<Self> {
        let identifier_bytes = usize::from(view.u8(32, "length of an identifier")?);
        let identifier = view.take(33, identifier_bytes, "identifier of a directory record")?;
        let system_use_at = (33 + identifier_bytes).next_multiple_of(2).min(view.len());
        Ok(Self {
            lba: Lba(read_both_u32(view, 2, "sector of a directory record")?),
            size: read_both_u32(view, 10, "size in a directory record")?,
            flags: view.u8(25, "flags of a directory record")?,
            identifier,
            system_use: view.sub(system_use_at, view.len() - system_use_at, "system use")?,
        })
    }

    fn is_folder(&self) -> bool {
        self.flags & FLAG_DIRECTORY != 0
    }
}

struct Walk<'a> {
    bytes: &'a Bytes,
    view: View<'a>,
    rules: Rules,
    seen: HashSet<Lba>,
    entries: Vec<Entry>,
}

impl<'a> Walk<'a> {
    fn root(&mut self, root: &Record<'a>) -> Result<()> {
        let own = self.records(root)?.into_iter().next().context("the root directory is empty")?;
        self.rules = Rules::announced(&own.system_use)?;
        let attributes = self.rules.attributes(&self.view, &own.system_use)?;
        self.entries.push(entry(Vec::new(), root, Kind::Directory, &attributes));
        let mut todo = vec![(Vec::new(), self.folder(root)?)];
        while let Some((folder, records)) = todo.pop() {
            for record in records.into_iter().skip(2) {
                let before = self.entries.len();
                let path = self.child(&folder, &record)?;
                ensure!(self.entries.len() <= MAX_ENTRIES, "more than {MAX_ENTRIES} entries");
                if self.entries[before].kind == Kind::Directory {
                    let records = self.folder(&record).with_context(|| format!("reading folder {}", show(&path)))?;
                    todo.push((path, records));
                }
            }
        }
        Ok(())
    }

    fn folder(&mut self, record: &Record<'a>) -> Result<Vec<Record<'a>>> {
        ensure!(self.seen.insert(record.lba), "its directory at {} is that of another folder too", record.lba);
        self.records(record)
    }

    fn child(&mut self, folder: &[u8], record: &Record<'a>) -> Result<Vec<u8>> {
        let attributes = self.rules.attributes(&self.view, &record.system_use)?;
        let name = if attributes.name.is_empty() { plain_name(record) } else { attributes.name.clone() };
        let at = record.system_use.offset(0);
        ensure!(
            !name.is_empty() && name != b"." && name != b".." && !name.contains(&b'/') && !name.contains(&0),
            "directory record before byte {at}: bad name \"{}\"",
            name.escape_ascii()
        );
        let path = if folder.is_empty() { name } else { [folder, b"/", &name].concat() };
        ensure!(path.len() <= MAX_PATH_BYTES, "directory record before byte {at}: path of {} bytes", path.len());
        let context = || format!("reading {}", show(&path));
        let kind = self.kind(record, &attributes).with_context(context)?;
        self.entries.push(entry(path.clone(), record, kind, &attributes));
        Ok(path)
    }

    fn kind(&self, record: &Record, attributes: &Attributes) -> Result<Kind> {
        let file_type = attributes.mode.map(|mode| mode & 0o170_000);
        let (major, minor) = attributes.device;
        let kind = match file_type {
            _ if record.is_folder() => Kind::Directory,
            None | Some(0o100_000) => {
                ensure!(record.flags & FLAG_MULTI_EXTENT == 0, "files of several extents are not known to this reader");
                let at = usize::try_from(record.lba.byte_offset()).context("offset")?;
                let size = record.size as usize;
                self.view.take(at, size, "content")?;
                Kind::File(if size == 0 { Bytes::new() } else { self.bytes.slice(at..at + size) })
            }
            Some(0o120_000) => Kind::Symlink(attributes.link.clone()),
            Some(0o020_000) => Kind::CharDevice(major, minor),
            Some(0o060_000) => Kind::BlockDevice(major, minor),
            Some(0o010_000) => Kind::Fifo,
            Some(other) => bail!("type 0o{other:o} is not known"),
        };
        Ok(kind)
    }

    /// The records of a directory, `.` and `..` included.
    fn records(&self, folder: &Record) -> Result<Vec<Record<'a>>> {
        let at = usize::try_from(folder.lba.byte_offset()).context("offset")?;
        let directory = self.view.sub(at, folder.size as usize, "directory")?;
        let mut records = Vec::new();
        let mut at = 0;
        while at < directory.len() {
            let len = usize::from(directory.u8(at, "length of a directory record")?);
            if len == 0 {
                at = (at + 1).next_multiple_of(SECTOR_BYTES);
                continue;
            }
            records.push(Record::read(&directory.sub(at, len, "directory record")?)?);
            at += len;
        }
        Ok(records)
    }
}

fn entry(path: Vec<u8>, record: &Record, kind: Kind, attributes: &Attributes) -> Entry {
    let default_mode = if kind == Kind::Directory { 0o555 } else { 0o444 };
    let identifier = if path.is_empty() { &[] } else { record.identifier };
    Entry {
        path,
        identifier: String::from_utf8_lossy(identifier).into_owned(),
        kind,
        mode: attributes.mode.map_or(default_mode, |mode| (mode & 0o7777) as u16),
        uid: attributes.uid,
        gid: attributes.gid,
        lba: record.lba,
        size: record.size,
    }
}

/// A file's identifier without version and the dot of an empty extension.
fn plain_name(record: &Record) -> Vec<u8> {
    let name = record.identifier.split(|&byte| byte == b';').next().unwrap_or_default();
    name.strip_suffix(b".").unwrap_or(name).to_vec()
}
