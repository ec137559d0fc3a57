//! One inode in bytes: the short form of its type where that holds everything, else the long one.
//!
//! Reference: Linux `fs/squashfs/squashfs_fs.h`, `struct squashfs_base_inode` and those after it.

use super::content::Place;
use super::directory::Listing;
use crate::tree::Kind;

/// `SQUASHFS_INVALID_XATTR`.
pub(super) const NO_XATTRS: u32 = u32::MAX;
/// Difference between the numbers of a type's short and long form: `SQUASHFS_LDIR_TYPE - SQUASHFS_DIR_TYPE`.
pub(super) const LONG: u16 = 7;
/// What a directory's size counts beyond its entries (`.` and `..`).
pub(super) const DIRECTORY_EXTRA_BYTES: u32 = 3;

/// What all inodes have.
#[derive(Clone, Copy)]
pub(super) struct Head {
    /// Permission bits.
    pub(super) mode: u16,
    /// Owner, index in the id table.
    pub(super) uid: u16,
    /// Group, index in the id table.
    pub(super) gid: u16,
    /// Seconds since 1970.
    pub(super) mtime: u32,
    /// From 1.
    pub(super) number: u32,
    /// Number of names; not used for folders.
    pub(super) links: u32,
    /// Index of the extended attributes.
    pub(super) xattrs: Option<u32>,
}

/// What an inode has by its type.
pub(super) enum Body<'a> {
    /// A folder.
    Directory {
        /// Its entries.
        listing: &'a Listing,
        /// Number of folders in it.
        folders: u32,
        /// Its parent's inode number.
        parent: u32,
    },
    /// A regular file.
    File(&'a Place),
    /// A symbolic link's target.
    Symlink(&'a [u8]),
    /// A device of this type with its number as `new_encode_dev` of Linux `kdev_t.h` makes it.
    Device(u16, u32),
    /// A named pipe.
    Fifo,
}

/// The type in directory entries and in short inodes: `SQUASHFS_DIR_TYPE` and so on.
pub(super) fn short_type(kind: &Kind) -> u16 {
    match kind {
        Kind::Directory => 1,
        Kind::File(_) => 2,
        Kind::Symlink(_) => 3,
        Kind::BlockDevice(..) => 4,
        Kind::CharDevice(..) => 5,
        Kind::Fifo => 6,
    }
}

/// Major and minor as one number; nothing if they do not fit 12 and 20 bits.
pub(super) fn device_number(major: u32, minor: u32) -> Option<u32> {
    let fits = major < 1 << 12 && minor < 1 << 20;
    fits.then_some(minor & 0xff | major << 8 | (minor & !0xff) << 12)
}

/// The inode's bytes.
pub(super) fn encode(head: &Head, body: &Body<'_>) -> Vec<u8> {
    match body {
        Body::Directory { listing, folders, parent } => directory(head, listing, 2 + folders, *parent),
        Body::File(place) => file(head, place),
        Body::Symlink(target) => {
            let mut inode = start(head, 3, head.xattrs.is_some());
            put_u32(&mut inode, &[head.links, target.len() as u32]);
            inode.extend_from_slice(target);
            inode.extend(head.xattrs.iter().flat_map(|index| index.to_le_bytes()));
            inode
        }
        Body::Device(kind, number) => with_links(head, *kind, &[head.links, *number]),
        Body::Fifo => with_links(head, 6, &[head.links]),
    }
}

/// Type u16, mode u16, owner u16, group u16, mtime u32, number u32.
fn start(head: &Head, short: u16, long: bool) -> Vec<u8> {
    let mut inode = Vec::with_capacity(64);
    for value in [short + if long { LONG } else { 0 }, head.mode, head.uid, head.gid] {
        inode.extend(value.to_le_bytes());
    }
    put_u32(&mut inode, &[head.mtime, head.number]);
    inode
}

fn put_u32(inode: &mut Vec<u8>, values: &[u32]) {
    inode.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

/// Types that have numbers only: links, device; long form: the same and the attributes.
fn with_links(head: &Head, short: u16, values: &[u32]) -> Vec<u8> {
    let mut inode = start(head, short, head.xattrs.is_some());
    put_u32(&mut inode, values);
    inode.extend(head.xattrs.iter().flat_map(|index| index.to_le_bytes()));
    inode
}

fn directory(head: &Head, listing: &Listing, links: u32, parent: u32) -> Vec<u8> {
    let size = listing.size_bytes + DIRECTORY_EXTRA_BYTES;
    let at = listing.start;
    let short_size = u16::try_from(size).ok().filter(|_| listing.index.is_empty() && head.xattrs.is_none());
    if let Some(size) = short_size {
        // start u32, links u32, size u16, offset u16, parent u32
        let mut inode = start(head, 1, false);
        put_u32(&mut inode, &[at.block, links]);
        inode.extend(size.to_le_bytes());
        inode.extend(at.offset.to_le_bytes());
        put_u32(&mut inode, &[parent]);
        return inode;
    }
    // links u32, size u32, start u32, parent u32, index entries u16, offset u16, attributes u32
    let mut inode = start(head, 1, true);
    put_u32(&mut inode, &[links, size, at.block, parent]);
    inode.extend((listing.index.len() as u16).to_le_bytes());
    inode.extend(at.offset.to_le_bytes());
    put_u32(&mut inode, &[head.xattrs.unwrap_or(NO_XATTRS)]);
    for entry in &listing.index {
        // byte in the listing u32, metadata block u32, length of the name less one u32, name
        put_u32(&mut inode, &[entry.listing_offset, entry.block, entry.name.len() as u32 - 1]);
        inode.extend_from_slice(&entry.name);
    }
    inode
}

fn file(head: &Head, place: &Place) -> Vec<u8> {
    let short = (u32::try_from(place.start), u32::try_from(place.size_bytes));
    let mut inode = match short {
        (Ok(first), Ok(size)) if head.xattrs.is_none() && place.hole_bytes == 0 && head.links == 1 => {
            // start u32, fragment u32, offset u32, size u32
            let mut inode = start(head, 2, false);
            put_u32(&mut inode, &[first, place.fragment, place.offset, size]);
            inode
        }
        _ => {
            // start u64, size u64, holes u64, links u32, fragment u32, offset u32, attributes u32
            let mut inode = start(head, 2, true);
            let wide = [place.start, place.size_bytes, place.hole_bytes];
            inode.extend(wide.iter().flat_map(|value| value.to_le_bytes()));
            put_u32(&mut inode, &[head.links, place.fragment, place.offset, head.xattrs.unwrap_or(NO_XATTRS)]);
            inode
        }
    };
    put_u32(&mut inode, &place.sizes);
    inode
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers() {
        assert_eq!(device_number(5, 1), Some(0x501));
        // 259:70000 is 0x103:0x11170.
        assert_eq!(device_number(259, 70000), Some(0x1111_0370));
        assert_eq!(device_number(4095, 0xf_ffff), Some(u32::MAX));
        assert_eq!((device_number(4096, 0), device_number(0, 1 << 20)), (None, None));
    }

    #[test]
    fn a_file_takes_the_long_form_when_it_must() {
        let head = Head { mode: 0o644, uid: 0, gid: 1, mtime: 7, number: 2, links: 1, xattrs: None };
        let place = |start, size_bytes, hole_bytes| Place {
            start,
            size_bytes,
            hole_bytes,
            fragment: u32::MAX,
            offset: 0,
            sizes: vec![0x0100_0005],
        };
        let short = encode(&head, &Body::File(&place(96, 5, 0)));
        let expected = [
            &[2, 0, 0xa4, 1, 0, 0, 1, 0, 7, 0, 0, 0, 2, 0, 0, 0][..],
            &[96, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0, 5, 0, 0, 0, 5, 0, 0, 1],
        ];
        assert_eq!(short, expected.concat());
        for long in [place(1 << 32, 5, 0), place(96, 1 << 32, 0), place(96, 5, 5)] {
            let inode = encode(&head, &Body::File(&long));
            assert_eq!((inode[0], inode.len()), (9, 16 + 40 + 4));
        }
        let inode = encode(&Head { links: 2, ..head }, &Body::File(&place(96, 5, 0)));
        assert_eq!((inode[0], &inode[40..44]), (9, &[2, 0, 0, 0][..]));
        let inode = encode(&Head { xattrs: Some(3), ..head }, &Body::File(&place(96, 5, 0)));
        assert_eq!((inode[0], &inode[52..56]), (9, &[3, 0, 0, 0][..]));
    }
}
