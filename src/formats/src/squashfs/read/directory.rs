//! Listings of folders, to read; [`crate::squashfs::directory`] has the layout.

use anyhow::{Context, Result, ensure};

use super::super::directory::{ENTRY_BYTES, HEADER_BYTES, RUN_MAX_ENTRIES};
use super::super::inode::DIRECTORY_EXTRA_BYTES;
use super::inode::Listing;
use super::metadata::Place;
use super::{Budget, Image};

/// A name and the place of its inode.
pub(super) struct Child {
    pub(super) name: Vec<u8>,
    pub(super) inode: u64,
}

impl Image {
    /// What a folder holds, by the byte order of the names.
    pub(super) fn children(&self, listing: Listing, budget: &mut Budget) -> Result<Vec<Child>> {
        let mut left = listing.size.saturating_sub(DIRECTORY_EXTRA_BYTES);
        let mut children: Vec<Child> = Vec::new();
        if left == 0 {
            return Ok(children);
        }
        budget.take(left.into(), "a listing")?;
        let mut cursor = self.cursor(self.head.directory_table, self.head.bytes_used, listing.place)?;
        let spend = |left: u32, bytes: u32| left.checked_sub(bytes).context("an entry reaches beyond its listing");
        while left > 0 {
            left = spend(left, HEADER_BYTES)?;
            let [last, block, _number] = [cursor.u32("listing")?, cursor.u32("listing")?, cursor.u32("listing")?];
            ensure!((last as usize) < RUN_MAX_ENTRIES, "a header for {last} entries and one more");
            for _ in 0..=last {
                let [offset, _difference] = [cursor.u16("listing")?, cursor.u16("listing")?];
                let [_kind, name_last] = [cursor.u16("listing")?, cursor.u16("listing")?];
                let length = u32::from(name_last) + 1;
                ensure!(length <= 256, "a name of {length} bytes");
                left = spend(left, ENTRY_BYTES + length)?;
                let name = cursor.take(length as usize, "a name")?;
                check_name(&name, children.last())?;
                children.push(Child { name, inode: Place::new(block, offset).0 });
            }
        }
        Ok(children)
    }
}

fn check_name(name: &[u8], previous: Option<&Child>) -> Result<()> {
    let is_bad = name == b"." || name == b".." || name.contains(&b'/') || name.contains(&0);
    ensure!(!is_bad, "the name \"{}\"", name.escape_ascii());
    let is_sorted = previous.is_none_or(|previous| previous.name.as_slice() < name);
    ensure!(is_sorted, "\"{}\" is listed twice or out of order", name.escape_ascii());
    Ok(())
}
