//! A directory's listing: runs of entries behind a header, and for long ones an index that lets the kernel skip ahead.
//!
//! Reference: Linux `fs/squashfs/squashfs_fs.h` (`squashfs_dir_header`, `squashfs_dir_entry`, `squashfs_dir_index`),
//! `namei.c` (names are searched in byte order), `dir.c`.

use super::metadata::{self, MetadataWriter, Reference};

/// `SQUASHFS_DIR_COUNT`: entries behind one header.
pub(super) const RUN_MAX_ENTRIES: usize = 256;
/// Header: entries less one u32, inode block u32, inode number u32.
pub(super) const HEADER_BYTES: u32 = 12;
/// Entry before its name: offset u16, difference of the inode number i16, type u16, length of the name less one u16.
pub(super) const ENTRY_BYTES: u32 = 8;

/// One entry to list.
pub(super) struct Child<'a> {
    /// Its name, 1 to 256 bytes.
    pub(super) name: &'a [u8],
    /// Its inode's number.
    pub(super) number: u32,
    /// Its inode's place.
    pub(super) inode: Reference,
    /// Its type, the short one.
    pub(super) kind: u16,
}

/// Where a listing is.
#[derive(Default)]
pub(super) struct Listing {
    /// First byte in the directory table.
    pub(super) start: Reference,
    /// Size in bytes.
    pub(super) size_bytes: u32,
    /// One entry for each metadata block that a header of the listing starts in, but the first.
    pub(super) index: Vec<IndexEntry>,
}

/// A place to start searching at.
pub(super) struct IndexEntry {
    /// Byte in the listing where a header is.
    pub(super) listing_offset: u32,
    /// The metadata block with that byte, as in [`Reference::block`].
    pub(super) block: u32,
    /// The first name behind the header.
    pub(super) name: Vec<u8>,
}

/// Appends the listing of `children`, which are in the byte order of their names.
pub(super) fn write(children: &[Child<'_>], table: &mut MetadataWriter) -> anyhow::Result<Listing> {
    let mut listing = Listing { start: table.position(), ..Listing::default() };
    let mut indexed_block = listing.start.block;
    let mut rest = children;
    while let Some(first) = rest.first() {
        let place = table.position();
        if place.block != indexed_block {
            indexed_block = place.block;
            let name = first.name.to_vec();
            listing.index.push(IndexEntry { listing_offset: listing.size_bytes, block: place.block, name });
        }
        let (run, later) = rest.split_at(run_length(rest, place.offset));
        let bytes = encode_run(run);
        table.push(&bytes)?;
        listing.size_bytes += bytes.len() as u32;
        rest = later;
    }
    Ok(listing)
}

/// Entries that can stand behind one header that starts at `offset` of a metadata block: their inodes are in one
/// metadata block, their numbers near, and none starts in the next block of the listing, so that the index reaches it.
fn run_length(children: &[Child<'_>], offset: u16) -> usize {
    let mut end = u32::from(offset) + HEADER_BYTES;
    let fits = |(index, child): (usize, &Child<'_>)| {
        let first = &children[0];
        let starts_in_block = (end as usize) < metadata::SIZE;
        end += ENTRY_BYTES + child.name.len() as u32;
        index == 0
            || index < RUN_MAX_ENTRIES
                && child.inode.block == first.inode.block
                && number_difference(first, child).is_some()
                && starts_in_block
    };
    children.iter().enumerate().map(fits).take_while(|&fits| fits).count()
}

fn number_difference(first: &Child<'_>, child: &Child<'_>) -> Option<i16> {
    i16::try_from(i64::from(child.number) - i64::from(first.number)).ok()
}

fn encode_run(run: &[Child<'_>]) -> Vec<u8> {
    let Some(first) = run.first() else { return Vec::new() };
    let mut bytes = Vec::new();
    for value in [run.len() as u32 - 1, first.inode.block, first.number] {
        bytes.extend(value.to_le_bytes());
    }
    for child in run {
        let difference = number_difference(first, child).unwrap_or_default();
        bytes.extend(child.inode.offset.to_le_bytes());
        bytes.extend(difference.to_le_bytes());
        bytes.extend(child.kind.to_le_bytes());
        bytes.extend((child.name.len() as u16 - 1).to_le_bytes());
        bytes.extend_from_slice(child.name);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::super::compression::Encoders;
    use super::*;

    /// Names, with the headers' places, of a listing in a table of metadata blocks that are stored as they are.
    fn write_names(names: &[String], children: impl Fn(usize) -> (u32, Reference)) -> (Listing, Vec<(u32, Vec<u8>)>) {
        let encoders = Encoders::new(&"zstd:1".parse().unwrap(), 4096);
        let mut table = MetadataWriter::new(&encoders).unwrap();
        table.push(&[0; 100]).unwrap();
        let list: Vec<Child<'_>> = names
            .iter()
            .enumerate()
            .map(|(index, name)| {
                let (number, inode) = children(index);
                Child { name: name.as_bytes(), number, inode, kind: 2 }
            })
            .collect();
        let listing = write(&list, &mut table).unwrap();
        let (packed, starts) = table.finish().unwrap();
        let mut blocks = Vec::new();
        for (at, start) in starts.iter().enumerate() {
            let body = *start as usize + 2;
            let header = u16::from_le_bytes([packed[body - 2], packed[body - 1]]);
            let end = starts.get(at + 1).map_or(packed.len(), |next| *next as usize);
            assert_eq!(usize::from(header & 0x7fff), end - body);
            let body = &packed[body..end];
            let open = zstd::bulk::decompress(body, metadata::SIZE);
            blocks.push((*start as u32, if header & 0x8000 == 0 { open.unwrap() } else { body.to_vec() }));
        }
        (listing, blocks)
    }

    #[test]
    fn an_index_entry_leads_to_a_header_and_its_name() {
        let names: Vec<String> = (0..3000).map(|number| format!("file-{number:06}")).collect();
        let (listing, blocks) = write_names(&names, |index| (index as u32, Reference { block: 7, offset: 9 }));
        assert_eq!(listing.start, Reference { block: 0, offset: 100 });
        // 3000 entries of 19 bytes and 12 to 18 headers: they reach into 7 metadata blocks.
        assert_eq!(listing.index.len(), 6);
        let stream: Vec<u8> = blocks.iter().flat_map(|(_, open)| open.iter().copied()).collect();
        assert_eq!(stream.len(), 100 + listing.size_bytes as usize);
        for (number, entry) in listing.index.iter().enumerate() {
            let at = 100 + entry.listing_offset as usize;
            assert_eq!(blocks[at / metadata::SIZE].0, entry.block);
            assert_eq!(at / metadata::SIZE, number + 1);
            let name = at + (HEADER_BYTES + ENTRY_BYTES) as usize;
            assert_eq!(&stream[name..name + entry.name.len()], entry.name);
        }
    }

    #[test]
    fn headers_are_as_few_as_can_be() {
        let names: Vec<String> = (0..600).map(|number| format!("{number:03}")).collect();
        let runs = |children: &dyn Fn(usize) -> (u32, Reference)| {
            let (listing, _) = write_names(&names, children);
            (listing.size_bytes - 600 * (ENTRY_BYTES + 3)) / HEADER_BYTES
        };
        let at = |block| Reference { block, offset: 0 };
        assert_eq!(runs(&|index| (index as u32, at(0))), 3, "256 entries each");
        assert_eq!(runs(&|index| (index as u32, at(if index < 10 { 0 } else { 8000 }))), 4, "one inode block each");
        assert_eq!(runs(&|index| (if index < 10 { 0 } else { 32768 }, at(0))), 4, "numbers differ by 16 bits");
    }
}
